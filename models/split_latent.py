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
        x_shape: The shape of an example: D, the number of features, or (C, H, W) of images.
        y_dim: K, the number of classes.
        z_dim: J, the number of dimensions of z.
        a_dim: The number of dimensions of a.
        hidden: The sizes of the hidden layers of each network.
        network, decoder, classifier: The body of the networks, and of one alone: ``mlp``, ``conv``,
            ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        likelihood: The likelihood of x, such as ``nn.Bernoulli()`` for x in [0, 1]; as text
            ``bernoulli``, ``normal:0.1``, ``logistics:10`` for colour, ``mixed:0.5`` for a frame.
    """

    def __init__(
        self,
        x_shape: nn.Shape,
        y_dim: int,
        *,
        z_dim: int = 50,
        a_dim: int = 10,
        hidden: tuple[int, ...] = (500,),
        network: nn.Body = "mlp",
        likelihood: nn.Likelihood = nn.Bernoulli(),
        decoder: nn.Body | None = None,
        classifier: nn.Body | None = None,
    ) -> None:
        super().__init__("model")
        positive(y_dim=y_dim, z_dim=z_dim, a_dim=a_dim)
        self.x_shape, self.y_dim, self.z_dim, self.a_dim = nn.as_shape(x_shape), y_dim, z_dim, a_dim
        self.classifier = nn.network(classifier or network, nn.OneHots(), a_dim, y_dim, hidden)
        self.decoder = nn.network(decoder or network, likelihood, (z_dim, a_dim), x_shape, hidden)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            a = pyro.sample("a", nn.standard_normal(x, self.a_dim))
            z = pyro.sample("z", nn.standard_normal(x, self.z_dim))
            pyro.sample("y", self.classifier(a), obs=y, infer={"enumerate": "parallel"})
            pyro.sample("x", self.decoder(z, a), obs=x)
