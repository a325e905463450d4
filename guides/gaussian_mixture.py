from __future__ import annotations

from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import models
from pyro_ssvae.labels import OneHots


class GaussianMixture(PyroModule):
    """q() = 1

    The posterior is exact: y is summed over in the model, and the guide has no sites.

    Args:
        model: The model, whose p(y | x) classifies.
    """

    def __init__(self, model: models.GaussianMixture) -> None:
        super().__init__("guide")
        self.model = (model,)  # in a tuple, for its parameters are not the guide's

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: one-hot (N, K), or None where the labels are unknown."""

    def classify(self, x: Tensor) -> OneHots:
        """p(y | x) by Bayes' rule, over one-hot (N, K), from x: (N, *x_shape)."""
        return self.model[0].posterior(x)
