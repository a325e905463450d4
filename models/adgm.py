from __future__ import annotations

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import nn
from pyro_ssvae.errors import positive


class ADGM(PyroModule):
    """p(x, y, z, a) = p(y) p(z) p(x | y, z) p(a | x, y, z)

    Maaløe et al. (2016), Auxiliary Deep Generative Models, eq. 2.

    The auxiliary a leaves p(x, y, z) as in M2 and makes the guide's q(y, z | x) a mixture.

    Args:
        x_dim: D, the number of pixels or features.
        y_dim: K, the number of classes.
        z_dim: J, the number of latent dimensions.
        a_dim: The number of auxiliary dimensions.
        hidden: The sizes of the hidden layers of each network.
        batch_norm: Whether to normalise the hidden layers, see :class:`pyro_ssvae.nn.BatchNorm`.
        likelihood: The likelihood of x: ``"bernoulli"`` for x in [0, 1], ``"normal"``, or the
            columns of a frame, by name ``"mixed"``.
        sigma: The standard deviation of the normal likelihood. With None the decoder gives it.
    """

    def __init__(
        self,
        x_dim: int,
        y_dim: int,
        *,
        z_dim: int = 50,
        a_dim: int = 50,
        hidden: tuple[int, ...] = (500,),
        batch_norm: bool = False,
        likelihood: nn.Likelihood = "bernoulli",
        sigma: float | None = 0.1,
    ) -> None:
        super().__init__("model")
        positive(x_dim=x_dim, y_dim=y_dim, z_dim=z_dim, a_dim=a_dim)
        self.x_dim, self.y_dim, self.z_dim, self.a_dim = x_dim, y_dim, z_dim, a_dim
        self.decoder = nn.likelihood(
            likelihood, (z_dim, y_dim), hidden, x_dim, sigma, batch_norm=batch_norm
        )
        self.auxiliary = nn.Normal((x_dim, y_dim, z_dim), hidden, a_dim, batch_norm=batch_norm)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, D); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", nn.uniform_classes(x, self.y_dim), obs=y)
            z = pyro.sample("z", nn.standard_normal(x, self.z_dim))
            x = pyro.sample("x", self.decoder(z, y), obs=x)
            pyro.sample("a", self.auxiliary(x, y, z))
