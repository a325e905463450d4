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
        x_shape: The shape of an example: D, the number of features, or (C, H, W) of images.
        y_dim: K, the number of classes.
        z_dim: J, the number of latent dimensions.
        hidden: The sizes of the decoder's hidden layers.
        network, decoder: The body of the networks, and of one alone: ``mlp``, ``conv``,
            ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        class_probs: The class probabilities p(y), K numbers above 0. With None they are uniform.
        learn_prior: Whether to train p(y), from ``class_probs`` on.
        likelihood: The likelihood of x, such as ``nn.Bernoulli()`` for x in [0, 1]; as text
            ``bernoulli``, ``normal:0.1``, ``logistics:10`` for colour, ``mixed:0.5`` for a frame.

    Example:
        >>> import torch
        >>> from pyro import poutine
        >>> from pyro_ssvae import models
        >>> model = models.M2(6, 3, z_dim=2, hidden=(8,))
        >>> trace = poutine.trace(model).get_trace(torch.rand(5, 6))
        >>> {name: tuple(trace.nodes[name]["value"].shape) for name in "yzx"}
        {'y': (5, 3), 'z': (5, 2), 'x': (5, 6)}
    """

    def __init__(
        self,
        x_shape: nn.Shape,
        y_dim: int,
        *,
        z_dim: int = 50,
        hidden: tuple[int, ...] = (500,),
        network: nn.Body = "mlp",
        class_probs: tuple[float, ...] | None = None,
        learn_prior: bool = False,
        likelihood: nn.Likelihood = nn.Bernoulli(),
        decoder: nn.Body | None = None,
    ) -> None:
        super().__init__("model")
        positive(y_dim=y_dim, z_dim=z_dim)
        self.x_shape, self.y_dim, self.z_dim = nn.as_shape(x_shape), y_dim, z_dim
        self.prior = LabelPrior(y_dim, probs=class_probs, learned=learn_prior)
        self.decoder = nn.network(decoder or network, likelihood, (z_dim, y_dim), x_shape, hidden)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", self.prior(x), obs=y)
            z = pyro.sample("z", nn.standard_normal(x, self.z_dim))
            pyro.sample("x", self.decoder(z, y), obs=x)
