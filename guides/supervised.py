from __future__ import annotations

from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import models
from pyro_ssvae.labels import OneHots


class Supervised(PyroModule):
    """q() = 1

    There is no latent variable to infer: the guide has no sites.

    Args:
        model: The model, whose p(y | x) classifies.
    """

    def __init__(self, model: models.Supervised) -> None:
        super().__init__("guide")
        self.classifier = model.classifier

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: one-hot (N, K), or None where the labels are unknown."""

    def classify(self, x: Tensor) -> OneHots:
        """p(y | x) over one-hot (N, K), from x: (N, *x_shape)."""
        return self.classifier(x)
