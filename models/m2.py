from __future__ import annotations

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import nn
from pyro_ssvae.errors import positive
from pyro_ssvae.labels import LabelPrior


class M2(PyroModule):
    """p(x, y, z) = p(y) p(z) p(x | y, z)

    Kingma et al. (2014), Semi-supervised Learning with Deep Generative Models, eq. 2.

    y is the class, seen where a label is given; z ~ N(0, I) is everything else.

    Args:
        x_dim: D, the number of pixels or features.
        y_dim: K, the number of classes.
        z_dim: J, the number of latent dimensions.
        hidden: The sizes of the decoder's hidden layers.
        class_probs: The class probabilities p(y), K numbers above 0. With None they are uniform.
        learn_prior: Whether to train p(y), from ``class_probs`` on.
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
        hidden: tuple[int, ...] = (500,),
        class_probs: tuple[float, ...] | None = None,
        learn_prior: bool = False,
        likelihood: nn.Likelihood = "bernoulli",
        sigma: float | None = 0.1,
    ) -> None:
        super().__init__("model")
        positive(x_dim=x_dim, y_dim=y_dim, z_dim=z_dim)
        self.x_dim, self.y_dim, self.z_dim = x_dim, y_dim, z_dim
        self.prior = LabelPrior(y_dim, probs=class_probs, learned=learn_prior)
        self.decoder = nn.likelihood(likelihood, (z_dim, y_dim), hidden, x_dim, sigma)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, D); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", self.prior(x), obs=y)
            z = pyro.sample("z", nn.standard_normal(x, self.z_dim))
            pyro.sample("x", self.decoder(z, y), obs=x)
