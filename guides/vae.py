from __future__ import annotations

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import models, nn


class VAE(PyroModule):
    """q(z | x)

    Kingma and Welling (2014), Auto-Encoding Variational Bayes, eq. 9.

    Args:
        model: the model whose sizes this guide takes.
        hidden: sizes of the encoder's hidden layers.
    """

    def __init__(self, model: models.VAE, *, hidden: tuple[int, ...] = (500,)) -> None:
        super().__init__("guide")
        self.encoder = nn.Normal(model.x_dim, hidden, model.z_dim)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, D); y is ignored."""
        with pyro.plate("data", len(x)):
            pyro.sample("z", self.encoder(x))
