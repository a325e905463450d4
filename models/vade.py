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
        x_shape: The shape of an example: D, the number of features, or (C, H, W) of images.
        y_dim: K, the number of classes.
        z_dim: J, the number of latent dimensions.
        hidden: The sizes of the hidden layers from x to z. The decoder has them in reverse order.
        network, decoder: The body of the networks, and of one alone: ``mlp``, ``conv``,
            ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        likelihood: The likelihood of x, such as ``nn.Bernoulli()`` for x in [0, 1]; as text
            ``bernoulli``, ``normal:0.1``, ``logistics:10`` for colour, ``mixed:0.5`` for a frame.
    """

    def __init__(
        self,
        x_shape: nn.Shape,
        y_dim: int,
        *,
        z_dim: int = 10,
        hidden: tuple[int, ...] = (256, 128),
        network: nn.Body = "mlp",
        likelihood: nn.Likelihood = nn.Bernoulli(),
        decoder: nn.Body | None = None,
    ) -> None:
        super().__init__("model")
        positive(y_dim=y_dim, z_dim=z_dim)
        self.x_shape, self.y_dim, self.z_dim = nn.as_shape(x_shape), y_dim, z_dim
        self.prior = LabelPrior(y_dim)
        self.loc = torch.nn.Parameter(torch.randn(y_dim, z_dim))
        self.log_scale = torch.nn.Parameter(torch.zeros(y_dim, z_dim))
        self.decoder = nn.network(
            decoder or network, likelihood, z_dim, x_shape, hidden[::-1], activation=torch.nn.ReLU
        )

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", self.prior(x), obs=y)
            cluster = dist.Normal(y @ self.loc, (y @ self.log_scale).exp()).to_event(1)
            z = pyro.sample("z", cluster)
            pyro.sample("x", self.decoder(z), obs=x)
