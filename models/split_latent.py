from __future__ import annotations

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import nn
from pyro_ssvae.errors import positive


class SplitLatent(PyroModule):
    """p(x, y, z, a) = p(z) p(a) p(y | a) p(x | z, a)

    Jurasinski (2019), Towards deeper understanding of SSL with VAEs, appendix C, eq. 7.

    The latent classifier's special case: the thesis's z_y, here ``a``, holds the class, and z_u,
    here ``z``, what is left. The image is decoded from both, and y is read off ``a`` alone.

    Args:
        x_dim: D, the number of pixels or features.
        y_dim: K, the number of classes.
        z_dim: J, the number of dimensions of z.
        a_dim: The number of dimensions of a.
        hidden: The sizes of the hidden layers of each network.
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
        a_dim: int = 10,
        hidden: tuple[int, ...] = (500,),
        likelihood: nn.Likelihood = "bernoulli",
        sigma: float | None = 0.1,
    ) -> None:
        super().__init__("model")
        positive(x_dim=x_dim, y_dim=y_dim, z_dim=z_dim, a_dim=a_dim)
        self.x_dim, self.y_dim, self.z_dim, self.a_dim = x_dim, y_dim, z_dim, a_dim
        self.classifier = nn.OneHots(a_dim, hidden, y_dim)
        self.decoder = nn.likelihood(likelihood, (z_dim, a_dim), hidden, x_dim, sigma)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, D); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            a = pyro.sample("a", nn.standard_normal(x, self.a_dim))
            z = pyro.sample("z", nn.standard_normal(x, self.z_dim))
            pyro.sample("y", self.classifier(a), obs=y, infer={"enumerate": "parallel"})
            pyro.sample("x", self.decoder(z, a), obs=x)
