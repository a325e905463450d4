from __future__ import annotations

import math

import pyro
from pyro import distributions as dist
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import models, nn
from pyro_ssvae.errors import positive
from pyro_ssvae.labels import ExpectedLogDirichlet, LogDirichlet, OneHots

MIN_SHARE = 0.01  # of all classes together, in the mean of q(pi | x)


class DirichletM2(PyroModule):
    """q(pi, y, z | x) = q(pi | x) q(y | pi) q(z | x, y)

    M2 with a Dirichlet prior over the class probabilities, as Kingma et al. (2014) hint at eq. 9.

    q(pi | x) is Dirichlet(kappa pi(x)), or the point pi(x) in the limit of kappa; the site ``pi``
    holds log pi. Where y is unknown, q(y | pi) = Cat(pi), and the model's ``bound`` is one of

    - ``"jensen"``: y enumerated, E_q sum_y pi_y [log p(x | y, z) + ...] - KL;
    - ``"sample"``: the same from one sample of y, at a cost that does not depend on K;
    - ``"exact"``: no y here, the model sums it out: E_q log sum_y pi_y p(x | y, z) - KL, with
      an encoder q(z | x) that y has no part in.

    In training all expectations over pi are closed forms but that of ``"exact"``, a sample. To
    that end y comes before pi here, by Bayes' rule: q(pi | x) q(y | pi) = q(y | x) q(pi | x, y),
    where q(y | x) = Cat(pi(x)) and q(pi | x, y) = Dirichlet(kappa pi(x) + y).

    Args:
        model: The model whose sizes and whose ``bound`` this guide takes.
        hidden: The sizes of the hidden layers, of the classifier and of the encoder.
        network, classifier, encoder: The body of the networks, and of one alone: ``mlp``, ``conv``,
            ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        flows: The number of normalizing flows in q(z | x, y).
        kappa: The concentration of q(pi | x). None stands for the point mass, whose entropy, minus
            infinity, is left out.
    """

    def __init__(
        self,
        model: models.DirichletM2,
        *,
        hidden: tuple[int, ...] = (500,),
        network: nn.Body = "mlp",
        flows: int = 0,
        kappa: float | None = None,
        classifier: nn.Body | None = None,
        encoder: nn.Body | None = None,
    ) -> None:
        super().__init__("guide")
        positive(kappa=1.0 if kappa is None else kappa)
        self.kappa, self.bound = kappa, model.bound
        x_shape, y_dim, z_dim = model.x_shape, model.y_dim, model.z_dim
        self.classifier = nn.network(classifier or network, nn.OneHots(), [x_shape], y_dim, hidden)
        inputs = (x_shape,) if model.bound == "exact" else (x_shape, y_dim)
        self.encoder = nn.posterior(encoder or network, inputs, z_dim, hidden, flows)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            labels, known = self.classify(x), y is not None
            if self.bound == "exact":
                pyro.sample("pi", self._around(labels, expected=known))
                pyro.sample("z", self.encoder(x))
                return
            if y is None:
                infer = {"enumerate": "parallel"} if self.bound == "jensen" else {}
                y = pyro.sample("y", labels, infer=infer)
            # Importance weights, taken in evaluation, are not linear in log pi.
            expected = known or self.training
            pyro.sample("pi", self._around(labels, None if known else y, expected=expected))
            pyro.sample("z", self.encoder(x, y))

    def classify(self, x: Tensor) -> OneHots:
        """E_q(pi | x) Cat(pi) = Cat(pi(x)) over one-hot (N, K), from x: (N, *x_shape).

        No class has less than about 0.01 / (K (1 + kappa)), of which E log pi is already minus
        thousands of nats.
        """
        labels = self.classifier(x)
        if self.kappa is None:
            return labels
        least = MIN_SHARE / (labels.event_shape[0] * (1 + self.kappa))
        return OneHots(labels.logits.clamp_min(math.log(least)))

    def _around(
        self, labels: OneHots, y: Tensor | None = None, *, expected: bool
    ) -> dist.Distribution:
        """q(pi | x), or q(pi | x, y) for a y drawn from Cat(pi)."""
        if self.kappa is None:
            return dist.Delta(labels.logits, event_dim=1)
        concentration = self.kappa * labels.probs
        if y is not None:
            concentration = concentration + y
        return (ExpectedLogDirichlet if expected else LogDirichlet)(concentration)
