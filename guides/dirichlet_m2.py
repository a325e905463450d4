from __future__ import annotations

from typing import Literal

import pyro
from pyro import distributions as dist
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import models, nn
from pyro_ssvae.errors import positive


class DirichletM2(PyroModule):
    """q(pi, y, z | x) = q(pi | x) q(y | pi) q(z | x, y)

    M2 with a Dirichlet prior over the class probabilities, as Kingma et al. (2014) hint at eq. 9.

    q(pi | x) is Dirichlet(kappa pi(x)), or the point pi(x) in the limit of kappa. Where y is
    unknown, q(y | pi) = Cat(pi), and the bound is one of

    - ``"jensen"``: y enumerated, E_q sum_y pi_y [log p(x | y, z) + ...] - KL;
    - ``"sample"``: the same from one sample of y, at a cost that does not depend on K;
    - ``"exact"``: no y here, the model sums it out: E_q log sum_y pi_y p(x | y, z) - KL, with
      an encoder q(z | x) that y has no part in.

    Args:
        model: the model whose sizes this guide takes.
        hidden: sizes of the hidden layers, of the classifier and of the encoder.
        kappa: concentration of q(pi | x); 0 stands for the point mass, whose entropy, minus
            infinity, is left out.
        bound: ``"jensen"``, ``"sample"`` or ``"exact"``.
    """

    def __init__(
        self,
        model: models.DirichletM2,
        *,
        hidden: tuple[int, ...] = (500,),
        kappa: float = 0.0,
        bound: Literal["jensen", "sample", "exact"] = "jensen",
    ) -> None:
        super().__init__("guide")
        positive(**{"kappa": kappa} if kappa else {})
        self.kappa, self.bound = kappa, bound
        self.classifier = nn.OneHotCategorical(model.x_dim, hidden, model.y_dim)
        inputs = model.x_dim if bound == "exact" else (model.x_dim, model.y_dim)
        self.encoder = nn.Normal(inputs, hidden, model.z_dim)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, D); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            mean = self.classify(x).probs
            pi = pyro.sample("pi", self._around(mean))
            if self.bound == "exact":
                pyro.sample("z", self.encoder(x))
                return
            if y is None:
                infer = {"enumerate": "parallel"} if self.bound == "jensen" else {}
                y = pyro.sample("y", dist.OneHotCategorical(pi), infer=infer)
            pyro.sample("z", self.encoder(x, y))

    def _around(self, mean: Tensor) -> dist.Distribution:
        if self.kappa == 0:
            return dist.Delta(mean, event_dim=1)
        return dist.Dirichlet(self.kappa * mean)

    def classify(self, x: Tensor) -> dist.Distribution:
        """E_q(pi | x) Cat(pi) = Cat(pi(x)) over one-hot (N, K), from x: (N, D)."""
        return self.classifier(x)
