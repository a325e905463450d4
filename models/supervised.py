from __future__ import annotations

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import nn
from pyro_ssvae.errors import positive


class Supervised(PyroModule):
    """p(y | x)

    The baseline of every paper: M2's classifier network, trained on the labelled data alone.

    The labelled ELBO is the log-likelihood log p(y | x); of x alone the model says nothing, and
    enumerating y makes its unlabelled ELBO log 1 = 0.

    Args:
        x_dim: D, the number of pixels or features.
        y_dim: K, the number of classes.
        hidden: The sizes of the classifier's hidden layers.
    """

    def __init__(self, x_dim: int, y_dim: int, *, hidden: tuple[int, ...] = (500,)) -> None:
        super().__init__("model")
        positive(x_dim=x_dim, y_dim=y_dim)
        self.x_dim, self.y_dim = x_dim, y_dim
        self.classifier = nn.OneHots(x_dim, hidden, y_dim)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, D); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            pyro.sample("y", self.classifier(x), obs=y, infer={"enumerate": "parallel"})
