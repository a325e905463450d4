from __future__ import annotations

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import nn
from pyro_ssvae.errors import positive


class SDGM(PyroModule):
    """p(x, y, z, a) = p(y) p(z) p(a | y, z) p(x | a, y, z)

    Maaløe et al. (2016), Auxiliary Deep Generative Models, section 2.4, skip connections.

    a is a second layer of latent variables between (y, z) and x.

    Args:
        x_shape: The shape of an example: D, the number of features, or (C, H, W) of images.
        y_dim: K, the number of classes.
        z_dim: J, the number of latent dimensions.
        a_dim: The number of dimensions of a.
        hidden: The sizes of the hidden layers of each network.
        network, decoder, auxiliary: The body of the networks, and of one alone: ``mlp``, ``conv``,
            ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        batch_norm: Whether to normalise the hidden layers, see :class:`pyro_ssvae.nn.BatchNorm`.
        likelihood: The likelihood of x, such as ``nn.Bernoulli()`` for x in [0, 1]; as text
            ``bernoulli``, ``normal:0.1``, ``logistics:10`` for colour, ``mixed:0.5`` for a frame.
    """

    def __init__(
        self,
        x_shape: nn.Shape,
        y_dim: int,
        *,
        z_dim: int = 50,
        a_dim: int = 50,
        hidden: tuple[int, ...] = (500,),
        network: nn.Body = "mlp",
        batch_norm: bool = False,
        likelihood: nn.Likelihood = nn.Bernoulli(),
        decoder: nn.Body | None = None,
        auxiliary: nn.Body | None = None,
    ) -> None:
        super().__init__("model")
        positive(y_dim=y_dim, z_dim=z_dim, a_dim=a_dim)
        self.x_shape, self.y_dim, self.z_dim, self.a_dim = nn.as_shape(x_shape), y_dim, z_dim, a_dim
        self.auxiliary = nn.network(
            auxiliary or network, nn.Normal(), (z_dim, y_dim), a_dim, hidden, batch_norm=batch_norm
        )
        self.decoder = nn.network(
            decoder or network, likelihood, (a_dim, z_dim, y_dim), x_shape, hidden,
            batch_norm=batch_norm,
        )

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", nn.uniform_classes(x, self.y_dim), obs=y)
            z = pyro.sample("z", nn.standard_normal(x, self.z_dim))
            a = pyro.sample("a", self.auxiliary(z, y))
            pyro.sample("x", self.decoder(a, z, y), obs=x)
