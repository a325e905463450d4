from __future__ import annotations

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import nn
from pyro_ssvae.errors import positive
from pyro_ssvae.labels import LabelPrior


class M1M2(PyroModule):
    """p(x, y, z, a) = p(y) p(z) p(a | y, z) p(x | a)

    Kingma et al. (2014), Semi-supervised Learning with Deep Generative Models, section 2.1.

    M2 as the model of M1's features a, the paper's z_1. ``stacked`` trains as the paper does: M1
    as a VAE with p(a) = N(0, I), and M2 on samples of q(a | x), site ``h``, from which no gradient
    goes back to M1. Their sum is the joint model's bound plus E log N(a | 0, I), which makes it a
    looser one; evaluation is of the joint model. Otherwise both layers train together, by that
    bound.

    Args:
        x_shape: The shape of an example: D, the number of features, or (C, H, W) of images.
        y_dim: K, the number of classes.
        z_dim: J, the number of dimensions of z, the paper's z_2.
        a_dim: The number of features a.
        hidden: The sizes of the hidden layers of each network.
        network, decoder, features: The body of the networks, and of one alone: ``mlp``, ``conv``,
            ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        stacked: Whether to train M2 on top of M1. Otherwise both train together.
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
        stacked: bool = True,
        likelihood: nn.Likelihood = nn.Bernoulli(),
        decoder: nn.Body | None = None,
        features: nn.Body | None = None,
    ) -> None:
        super().__init__("model")
        positive(y_dim=y_dim, z_dim=z_dim, a_dim=a_dim)
        self.x_shape, self.y_dim, self.z_dim, self.a_dim = nn.as_shape(x_shape), y_dim, z_dim, a_dim
        self.stacked = stacked
        self.prior = LabelPrior(y_dim)
        self.features = nn.network(features or network, nn.Normal(), (z_dim, y_dim), a_dim, hidden)
        self.decoder = nn.network(decoder or network, likelihood, a_dim, x_shape, hidden)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            if self.stacked and self.training:
                a = pyro.sample("a", nn.standard_normal(x, self.a_dim))
                pyro.sample("x", self.decoder(a), obs=x)
                y = pyro.sample("y", self.prior(x), obs=y)
                z = pyro.sample("z", nn.standard_normal(x, self.z_dim))
                pyro.sample("h", self.features(z, y), obs=a.detach())
            else:
                y = pyro.sample("y", self.prior(x), obs=y)
                z = pyro.sample("z", nn.standard_normal(x, self.z_dim))
                a = pyro.sample("a", self.features(z, y))
                pyro.sample("x", self.decoder(a), obs=x)
