from __future__ import annotations

from typing import Literal

import pyro
import torch
from pyro import distributions as dist
from pyro.nn import PyroModule
from torch import Size, Tensor
from torch.distributions.transforms import ReshapeTransform
from torch.nn import Parameter
from torch.nn import functional as F

from pyro_ssvae import nn
from pyro_ssvae.errors import one_of, positive
from pyro_ssvae.labels import OneHots
from pyro_ssvae.nn.shapes import checked


class GaussianMixture(PyroModule):
    """p(x, y) = p(y) N(x | mu_y, Sigma_y)

    Gaussian mixture and Gaussian discriminant analysis, one graphical model: y seen or not.

    With labels the bound is log p(x, y), discriminant analysis; without, y is summed over in the
    model and the bound is log p(x), what EM maximises: its E-step is the enumeration.

    Args:
        x_shape: The shape of an example: D, the number of features, or (C, H, W) of images.
        y_dim: K, the number of components, one for each class.
        covariance: The form of the covariance matrices, ``"diagonal"`` or ``"full"``.
        tied: Whether all components share one covariance (linear discriminant analysis).
        floor: The smallest standard deviation, so that no component shrinks to a point.
    """

    def __init__(
        self,
        x_shape: nn.Shape,
        y_dim: int,
        *,
        covariance: Literal["diagonal", "full"] = "diagonal",
        tied: bool = False,
        floor: float = 0.1,
    ) -> None:
        super().__init__("model")
        one_of("covariance", covariance, ("diagonal", "full"))
        positive(y_dim=y_dim, floor=floor)
        self.x_shape = checked(x_shape, "an example")
        self.y_dim, self.floor, self.tied = y_dim, floor, tied
        components, x_dim = 1 if tied else y_dim, nn.number(x_shape)
        self.logits = Parameter(torch.zeros(y_dim))
        self.loc = Parameter(0.1 * torch.randn(y_dim, x_dim))
        self.raw_scale = Parameter(torch.zeros(components, x_dim))
        self.lower = (
            Parameter(torch.zeros(components, x_dim, x_dim)) if covariance == "full" else None
        )

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            prior = OneHots(self.logits)
            y = pyro.sample("y", prior, obs=y, infer={"enumerate": "parallel"})
            pyro.sample("x", self.component(y), obs=x)

    def posterior(self, x: Tensor) -> OneHots:
        """p(y | x) by Bayes' rule, over one-hot (N, K), from x: (N, *x_shape)."""
        classes = torch.eye(self.y_dim, dtype=x.dtype, device=x.device).unsqueeze(1)  # (K, 1, K)
        log_joint = self.logits.log_softmax(-1) + self.component(classes).log_prob(x).T
        return OneHots(log_joint)

    def component(self, y: Tensor) -> dist.Distribution:
        """N(mu_y, Sigma_y) over (..., *x_shape) for one-hot y (..., K)."""
        which = y.new_ones(*y.shape[:-1], 1) if self.tied else y
        scale = which @ (F.softplus(self.raw_scale) + self.floor)
        if self.lower is None:
            loc, scale = (t.unflatten(-1, self.x_shape) for t in (y @ self.loc, scale))
            return dist.Normal(loc, scale).to_event(len(self.x_shape))
        below = torch.einsum("...k,kij->...ij", which, self.lower.tril(-1))
        normal = dist.MultivariateNormal(y @ self.loc, scale_tril=below + torch.diag_embed(scale))
        if len(self.x_shape) == 1:
            return normal
        reshape = ReshapeTransform(normal.event_shape, Size(self.x_shape))
        return dist.TransformedDistribution(normal, [reshape])
