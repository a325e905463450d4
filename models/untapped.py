from __future__ import annotations

import pyro
from pyro import distributions as dist
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import nn
from pyro_ssvae.errors import positive
from pyro_ssvae.labels import LabelPrior


class Untapped(PyroModule):
    """p(x, y, z) = p(y) p(z) p(x | y, z)

    Gemp et al. (2017), Inverting VAEs for Improved Generative Accuracy, eq. 1.

    z is uniform on a cube. With the roles of model and guide swapped, this model infers the image
    of a label that came without one: see the guide.

    Args:
        x_shape: The shape of an example in [0, 1]: D, or (C, H, W) of images.
        y_dim: K, the number of classes.
        z_dim: J, the number of latent dimensions.
        hidden: The sizes of the decoder's hidden layers.
        network, decoder: The body of the networks, and of one alone: ``mlp``, ``conv``,
            ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        bound: Half the edge of the cube: z lies in [-bound, bound]^J.
    """

    def __init__(
        self,
        x_shape: nn.Shape,
        y_dim: int,
        *,
        z_dim: int = 2,
        hidden: tuple[int, ...] = (250, 500),
        network: nn.Body = "mlp",
        bound: float = 1.5,
        decoder: nn.Body | None = None,
    ) -> None:
        super().__init__("model")
        positive(y_dim=y_dim, z_dim=z_dim, bound=bound)
        self.x_shape, self.y_dim, self.z_dim, self.bound = nn.as_shape(x_shape), y_dim, z_dim, bound
        self.prior = LabelPrior(y_dim)
        self.decoder = nn.network(
            decoder or network, nn.Bernoulli(), (z_dim, y_dim), x_shape, hidden
        )

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", self.prior(x), obs=y)
            z = pyro.sample("z", self.cube(x))
            pyro.sample("x", self.decoder(z, y), obs=x)

    def cube(self, like: Tensor) -> dist.Distribution:
        """p(z), of the type of ``like`` and on its device."""
        high = like.new_full((self.z_dim,), self.bound)
        return dist.Uniform(-high, high, validate_args=False).to_event(1)
