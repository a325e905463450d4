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
        x_shape: The shape of an example: D, the number of features, or (C, H, W) of images.
        y_dim: K, the number of classes.
        hidden: The sizes of the classifier's hidden layers.
        network, classifier: The body of the networks, and of one alone: ``mlp``, ``conv``,
            ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
    """

    def __init__(
        self, x_shape: nn.Shape, y_dim: int, *, hidden: tuple[int, ...] = (500,),
        network: nn.Body = "mlp", classifier: nn.Body | None = None,
    ) -> None:
        super().__init__("model")
        positive(y_dim=y_dim)
        self.x_shape, self.y_dim = nn.as_shape(x_shape), y_dim
        self.classifier = nn.network(
            classifier or network, nn.OneHots(), [self.x_shape], y_dim, hidden
        )

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            pyro.sample("y", self.classifier(x), obs=y, infer={"enumerate": "parallel"})
