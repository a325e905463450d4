from __future__ import annotations

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import nn
from pyro_ssvae.errors import positive


class VAE(PyroModule):
    """p(x, z) = p(z) p(x | z)

    Kingma and Welling (2014), Auto-Encoding Variational Bayes, section 3.

    Labels are accepted and have no part: the yardstick for what the images alone can tell.

    Args:
        x_shape: The shape of an example: D, the number of features or tokens, or (C, H, W) of
            images.
        z_dim: J, the number of latent dimensions.
        hidden: The sizes of the decoder's hidden layers.
        network, decoder: The body of the networks, and of one alone: ``mlp``, ``conv``,
            ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        likelihood: The likelihood of x, such as ``nn.Bernoulli()`` for x in [0, 1]; as text
            ``bernoulli``, ``normal:0.1``, ``categorical:256`` for tokens, ``logistics:10`` for
            colour, ``mixed:0.5`` for a frame.
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
        self.decoder = nn.network(decoder or network, likelihood, z_dim, x_shape, hidden)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y is ignored."""
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", nn.standard_normal(x, self.z_dim))
            pyro.sample("x", self.decoder(z), obs=x)
