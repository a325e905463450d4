from __future__ import annotations

from typing import Literal

import pyro
from pyro import poutine
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import nn
from pyro_ssvae.errors import one_of, positive
from pyro_ssvae.labels import Label, LogDirichlet


class DirichletM2(PyroModule):
    """p(x, y, z, pi) = p(pi) p(y | pi) p(z) p(x | y, z)

    M2 with a Dirichlet prior over the class probabilities, as Kingma et al. (2014) hint at eq. 9.

    pi ~ Dirichlet(a, ..., a) for every example; the site ``pi`` holds log pi. The observed label's
    log p(y | pi) is M2's classification loss, derived: its weight is 1, or that of the tempered
    p(y | pi)^temper. The objective's own ``alpha`` would count it twice, and is 0.

    Args:
        x_shape: The shape of an example: D, the number of features, or (C, H, W) of images.
        y_dim: K, the number of classes.
        z_dim: J, the number of latent dimensions.
        hidden: The sizes of the decoder's hidden layers.
        network, decoder: The body of the networks, and of one alone: ``mlp``, ``conv``,
            ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        concentration: The concentration a of the prior. Above 1 it smooths the labels.
        temper: The power of an observed label's p(y | pi), M2's alpha. Above 1 the bound on
            log p(x, y) is a looser one, below 1 it is none. The command line trains with 10.
        likelihood: The likelihood of x, such as ``nn.Bernoulli()`` for x in [0, 1]; as text
            ``bernoulli``, ``normal:0.1``, ``logistics:10`` for colour, ``mixed:0.5`` for a frame.
        bound: How model and guide deal with an unknown y, ``"jensen"``, ``"sample"`` or
            ``"exact"``: see the guide.
    """

    def __init__(
        self,
        x_shape: nn.Shape,
        y_dim: int,
        *,
        z_dim: int = 50,
        hidden: tuple[int, ...] = (500,),
        network: nn.Body = "mlp",
        concentration: float = 1.0,
        temper: float = 1.0,
        likelihood: nn.Likelihood = nn.Bernoulli(),
        bound: Literal["jensen", "sample", "exact"] = "jensen",
        decoder: nn.Body | None = None,
    ) -> None:
        super().__init__("model")
        positive(y_dim=y_dim, z_dim=z_dim)
        positive(concentration=concentration, temper=temper)
        self.x_shape, self.y_dim, self.z_dim = nn.as_shape(x_shape), y_dim, z_dim
        one_of("bound", bound, ("jensen", "sample", "exact"))
        self.concentration, self.temper, self.bound = concentration, temper, bound
        self.decoder = nn.network(decoder or network, likelihood, (z_dim, y_dim), x_shape, hidden)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            a = x.new_full((self.y_dim,), self.concentration)
            if y is None and self.bound != "exact":
                # In the guide's order: p(pi) p(y | pi) = p(y) p(pi | y), by Bayes' rule.
                y = pyro.sample("y", nn.uniform_classes(x, self.y_dim))
                pyro.sample("pi", LogDirichlet(a + y))
            else:
                log_pi = pyro.sample("pi", LogDirichlet(a))
                with poutine.scale(scale=1.0 if y is None else self.temper):
                    y = pyro.sample("y", Label(log_pi), obs=y, infer={"enumerate": "parallel"})
            z = pyro.sample("z", nn.standard_normal(x, self.z_dim))
            pyro.sample("x", self.decoder(z, y), obs=x)
