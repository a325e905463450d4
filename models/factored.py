from __future__ import annotations

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import nn
from pyro_ssvae.errors import positive
from pyro_ssvae.labels import LabelPrior


class Factored(PyroModule):
    """p(x, y, z) = p(z) prod_j p(y_j) p(x | y, z)

    Feng (2019), eqs. 7 to 16; Feng et al. (2021), SHOT-VAE, arXiv 2011.10684.

    One label or several, independent a priori; y holds their one-hot vectors one after the other.
    Labels may be missing one by one: the block of an unknown label is NaN.

    Args:
        x_shape: The shape of an example: D, the number of features, or (C, H, W) of images.
        y_dims: (k_1, ..., k_c), the number of classes of each label. A number alone stands for a
            single label of so many classes.
        z_dim: J, the number of latent dimensions.
        hidden: The sizes of the decoder's hidden layers.
        network, decoder: The body of the networks, and of one alone: ``mlp``, ``conv``,
            ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        learn_prior: Whether to train every p(y_j), from the uniform one on. Of labels that are
            rare, a uniform prior draws what is inferred towards 1/2.
        likelihood: The likelihood of x, such as ``nn.Bernoulli()`` for x in [0, 1]; as text
            ``bernoulli``, ``normal:0.1``, ``logistics:10`` for colour, ``mixed:0.5`` for a frame.
    """

    def __init__(
        self,
        x_shape: nn.Shape,
        y_dims: int | tuple[int, ...],
        *,
        z_dim: int = 50,
        hidden: tuple[int, ...] = (500,),
        network: nn.Body = "mlp",
        learn_prior: bool = False,
        likelihood: nn.Likelihood = nn.Bernoulli(),
        decoder: nn.Body | None = None,
    ) -> None:
        super().__init__("model")
        positive(z_dim=z_dim)
        self.x_shape, self.z_dim = nn.as_shape(x_shape), z_dim
        self.y_dims = (y_dims,) if isinstance(y_dims, int) else tuple(y_dims)
        self.prior = LabelPrior(*self.y_dims, learned=learn_prior)
        self.decoder = nn.network(
            decoder or network, likelihood, (z_dim, sum(self.y_dims)), x_shape, hidden
        )

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: (N, sum(y_dims)), NaN where a label is unknown, or None for all."""
        with pyro.plate("data", len(x)):
            # Of several labels some may be unknown: the guide holds those that are given.
            y = pyro.sample("y", self.prior(x), obs=y if len(self.y_dims) == 1 else None)
            z = pyro.sample("z", nn.standard_normal(x, self.z_dim))
            pyro.sample("x", self.decoder(z, y), obs=x)
