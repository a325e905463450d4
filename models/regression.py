from __future__ import annotations

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import nn
from pyro_ssvae.errors import positive


class Regression(PyroModule):
    """p(x, y, z) = p(y) p(z) p(x | y, z)

    Kingma et al. (2014), Semi-supervised Learning with Deep Generative Models, eq. 2, with a real
    y; Siddharth et al. (2017), Learning Disentangled Representations with Semi-Supervised Deep
    Generative Models, learn from such labels for a part of the examples.

    y ~ N(0, 1) is the standardised number, seen where a label is given; z ~ N(0, I) is everything
    else.

    Args:
        x_shape: The shape of an example: D, the number of features, or (C, H, W) of images.
        z_dim: J, the number of latent dimensions.
        hidden: The sizes of the decoder's hidden layers.
        network, decoder: The body of the networks, and of one alone: ``mlp``, ``conv``,
            ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        likelihood: The likelihood of x, such as ``nn.Bernoulli()`` for x in [0, 1]; as text
            ``bernoulli``, ``normal:0.1``, ``logistics:10`` for colour, ``mixed:0.5`` for a frame.
    """

    def __init__(
        self,
        x_shape: nn.Shape,
        *,
        z_dim: int = 50,
        hidden: tuple[int, ...] = (500,),
        network: nn.Body = "mlp",
        likelihood: nn.Likelihood = nn.Bernoulli(),
        decoder: nn.Body | None = None,
    ) -> None:
        super().__init__("model")
        positive(z_dim=z_dim)
        self.x_shape, self.z_dim = nn.as_shape(x_shape), z_dim
        self.decoder = nn.network(decoder or network, likelihood, (z_dim, 1), x_shape, hidden)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: standardised (N, 1), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", nn.standard_normal(x, 1), obs=y)
            z = pyro.sample("z", nn.standard_normal(x, self.z_dim))
            pyro.sample("x", self.decoder(z, y), obs=x)
