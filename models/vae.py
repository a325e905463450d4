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
        network: The kind of the networks' bodies, see :func:`pyro_ssvae.nn.network`.
        likelihood: The likelihood of x: ``nn.Bernoulli()`` for x in [0, 1], ``nn.Normal(sigma)``,
            ``nn.Categorical(V)`` for tokens, ``nn.Logistics()`` for colour, or
            ``nn.Mixed(sigma, columns)`` for a frame.
        decoder: The body of the decoder. With None it is of the kind ``network``.
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
