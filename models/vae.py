from __future__ import annotations

from typing import Literal

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import nn
from pyro_ssvae.errors import positive


class VAE(PyroModule):
    """p(x, z) = p(z) p(x | z)

    Kingma and Welling (2014), Auto-Encoding Variational Bayes, section 3.

    Labels are accepted and have no part: the yardstick for what the images alone can tell.

    Args:
        x_dim: D, the number of pixels, features or tokens.
        z_dim: J, the number of latent dimensions.
        hidden: The sizes of the decoder's hidden layers.
        likelihood: The likelihood of x: ``"bernoulli"`` for x in [0, 1], ``"normal"``,
            ``"categorical"`` for tokens, or the columns of a frame, by name ``"mixed"``.
        sigma: The standard deviation of the normal likelihood. With None the decoder gives it.
        vocabulary: V, the number of different tokens, which are whole numbers 0..V-1.
    """

    def __init__(
        self,
        x_dim: int,
        *,
        z_dim: int = 50,
        hidden: tuple[int, ...] = (500,),
        likelihood: nn.Likelihood | Literal["categorical"] = "bernoulli",
        sigma: float | None = 0.1,
        vocabulary: int | None = None,
    ) -> None:
        super().__init__("model")
        positive(x_dim=x_dim, z_dim=z_dim)
        self.x_dim, self.z_dim = x_dim, z_dim
        self.vocabulary = vocabulary if likelihood == "categorical" else None
        self.decoder = nn.likelihood(likelihood, z_dim, hidden, x_dim, sigma, vocabulary)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, D); y is ignored."""
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", nn.standard_normal(x, self.z_dim))
            pyro.sample("x", self.decoder(z), obs=x)
