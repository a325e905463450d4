from __future__ import annotations

from typing import Literal

import pyro
import torch
from pyro import distributions as dist
from pyro.nn import PyroModule
from torch import Tensor, nn
from torch.nn import functional as F

from pyro_ssvae.errors import one_of, positive
from pyro_ssvae.labels import OneHots


class GaussianMixture(PyroModule):
    """p(x, y) = p(y) N(x | mu_y, Sigma_y)

    Gaussian mixture and Gaussian discriminant analysis, one graphical model: y seen or not.

    With labels the bound is log p(x, y), discriminant analysis; without, y is summed over in the
    model and the bound is log p(x), what EM maximises: its E-step is the enumeration.

    Args:
        x_dim: D, the number of features.
        y_dim: K, the number of components, one for each class.
        covariance: The form of the covariance matrices, ``"diagonal"`` or ``"full"``.
        tied: Whether all components share one covariance (linear discriminant analysis).
        floor: The smallest standard deviation, so that no component shrinks to a point.
    """

    def __init__(
        self,
        x_dim: int,
        y_dim: int,
        *,
        covariance: Literal["diagonal", "full"] = "diagonal",
        tied: bool = False,
        floor: float = 0.1,
    ) -> None:
        super().__init__("model")
        one_of("covariance", covariance, ("diagonal", "full"))
        positive(x_dim=x_dim, y_dim=y_dim, floor=floor)
        self.x_dim, self.y_dim, self.floor, self.tied = x_dim, y_dim, floor, tied
        components = 1 if tied else y_dim
        self.logits = nn.Parameter(torch.zeros(y_dim))
        self.loc = nn.Parameter(0.1 * torch.randn(y_dim, x_dim))
        self.raw_scale = nn.Parameter(torch.zeros(components, x_dim))
        self.lower = (
            nn.Parameter(torch.zeros(components, x_dim, x_dim)) if covariance == "full" else None
        )

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, D); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            prior = OneHots(self.logits)
            y = pyro.sample("y", prior, obs=y, infer={"enumerate": "parallel"})
            pyro.sample("x", self.component(y), obs=x)

    def posterior(self, x: Tensor) -> OneHots:
        """p(y | x) by Bayes' rule, over one-hot (N, K), from x: (N, D)."""
        classes = torch.eye(self.y_dim, dtype=x.dtype, device=x.device).unsqueeze(1)  # (K, 1, K)
        log_joint = self.logits.log_softmax(-1) + self.component(classes).log_prob(x).T
        return OneHots(log_joint)

    def component(self, y: Tensor) -> dist.Distribution:
        """N(mu_y, Sigma_y) over (..., D) for one-hot y (..., K)."""
        which = y.new_ones(*y.shape[:-1], 1) if self.tied else y
        scale = which @ (F.softplus(self.raw_scale) + self.floor)
        if self.lower is None:
            return dist.Normal(y @ self.loc, scale).to_event(1)
        below = torch.einsum("...k,kij->...ij", which, self.lower.tril(-1))
        return dist.MultivariateNormal(y @ self.loc, scale_tril=below + torch.diag_embed(scale))
