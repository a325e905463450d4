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
        x_dim: D, the number of pixels or features.
        z_dim: J, the number of latent dimensions.
        hidden: The sizes of the decoder's hidden layers.
        likelihood: The likelihood of x: ``"bernoulli"`` for x in [0, 1], ``"normal"``, or the
            columns of a frame, by name ``"mixed"``.
        sigma: The standard deviation of the normal likelihood. With None the decoder gives it.
    """

    def __init__(
        self,
        x_dim: int,
        *,
        z_dim: int = 50,
        hidden: tuple[int, ...] = (500,),
        likelihood: nn.Likelihood = "bernoulli",
        sigma: float | None = 0.1,
    ) -> None:
        super().__init__("model")
        positive(x_dim=x_dim, z_dim=z_dim)
        self.x_dim, self.z_dim = x_dim, z_dim
        self.decoder = nn.likelihood(likelihood, (z_dim, 1), hidden, x_dim, sigma)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, D); y: standardised (N, 1), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", nn.standard_normal(x, 1), obs=y)
            z = pyro.sample("z", nn.standard_normal(x, self.z_dim))
            pyro.sample("x", self.decoder(z, y), obs=x)
