from __future__ import annotations

import pyro
import torch
from pyro import distributions as dist
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import nn
from pyro_ssvae.errors import positive
from pyro_ssvae.labels import LabelPrior


class VaDE(PyroModule):
    """p(x, y, z) = p(y) p(z | y) p(x | z)

    Jiang et al. (2017), Variational Deep Embedding, eqs. 1 to 5, with labels.

    Every class is a normal in the latent space, learned; the image is decoded from z alone.

    Args:
        x_dim: D, the number of pixels or features.
        y_dim: K, the number of classes.
        image_shape: The (height, width) of images, which the guide's classifier makes use of. None
            stands for examples that are no images.
        z_dim: J, the number of latent dimensions.
        hidden: The sizes of the hidden layers from x to z. The decoder has them in reverse order.
        likelihood: The kind of p(x | z), ``"bernoulli"`` for x in [0, 1], ``"normal"``,
            or the columns of a frame, by name ``"mixed"``.
        sigma: The standard deviation of the normal likelihood. None has the decoder give it.
    """

    def __init__(
        self,
        x_dim: int,
        y_dim: int,
        image_shape: tuple[int, int] | None,
        *,
        z_dim: int = 10,
        hidden: tuple[int, ...] = (256, 128),
        likelihood: nn.Likelihood = "bernoulli",
        sigma: float | None = 0.1,
    ) -> None:
        super().__init__("model")
        positive(x_dim=x_dim, y_dim=y_dim, z_dim=z_dim)
        self.x_dim, self.y_dim, self.z_dim, self.image_shape = x_dim, y_dim, z_dim, image_shape
        self.prior = LabelPrior(y_dim)
        self.loc = torch.nn.Parameter(torch.randn(y_dim, z_dim))
        self.log_scale = torch.nn.Parameter(torch.zeros(y_dim, z_dim))
        self.decoder = nn.likelihood(
            likelihood, z_dim, hidden[::-1], x_dim, sigma, activation=torch.nn.ReLU
        )

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, D); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", self.prior(x), obs=y)
            cluster = dist.Normal(y @ self.loc, (y @ self.log_scale).exp()).to_event(1)
            z = pyro.sample("z", cluster)
            pyro.sample("x", self.decoder(z), obs=x)
