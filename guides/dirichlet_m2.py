from __future__ import annotations

from typing import Literal

import pyro
import torch
from pyro import distributions as dist
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import models, nn
from pyro_ssvae.errors import one_of, positive

MIN_MEAN = 1e-3  # of a class under a Dirichlet q(pi | x)


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
        flows: normalizing flows in q(z | x, y).
        kappa: concentration of q(pi | x); None stands for the point mass, whose entropy, minus
            infinity, is left out.
        bound: ``"jensen"``, ``"sample"`` or ``"exact"``.
    """

    def __init__(
        self,
        model: models.DirichletM2,
        *,
        hidden: tuple[int, ...] = (500,),
        flows: int = 0,
        kappa: float | None = None,
        bound: Literal["jensen", "sample", "exact"] = "jensen",
    ) -> None:
        super().__init__("guide")
        if kappa is not None:
            positive(kappa=kappa)
        one_of("bound", bound, ("jensen", "sample", "exact"))
        self.kappa, self.bound = kappa, bound
        self.classifier = nn.OneHotCategorical(model.x_dim, hidden, model.y_dim)
        inputs = model.x_dim if bound == "exact" else (model.x_dim, model.y_dim)
        self.encoder = nn.posterior(inputs, hidden, model.z_dim, flows)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, D); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            pi = pyro.sample("pi", self._around(self.classify(x).probs))
            if self.bound == "exact":
                pyro.sample("z", self.encoder(x))
                return
            if y is None:
                infer = {"enumerate": "parallel"} if self.bound == "jensen" else {}
                y = pyro.sample("y", dist.OneHotCategorical(logits=pi.log()), infer=infer)
            pyro.sample("z", self.encoder(x, y))

    def _around(self, mean: Tensor) -> dist.Distribution:
        # Off the edge of the simplex, where densities and their gradients are not finite.
        if self.kappa is None:
            return dist.Delta(mean.clamp_min(torch.finfo(mean.dtype).tiny), event_dim=1)
        return dist.Dirichlet(self.kappa * mean.clamp_min(MIN_MEAN))

    def classify(self, x: Tensor) -> dist.Distribution:
        """E_q(pi | x) Cat(pi) = Cat(pi(x)) over one-hot (N, K), from x: (N, D)."""
        return self.classifier(x)
