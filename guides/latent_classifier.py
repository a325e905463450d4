from __future__ import annotations

from typing import Literal

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import models, nn
from pyro_ssvae.errors import one_of, positive
from pyro_ssvae.labels import OneHots


class LatentClassifier(PyroModule):
    """q(y, z | x) = q(z | x) p(y | z)

    Jurasinski (2019), Towards deeper understanding of semi-supervised learning with VAEs, prop. 2.

    Where y is unknown, ``"jensen"`` takes the model's own p(y | z) for the guide's: the thesis's
    bound, E_q(z | x) [sum_y p(y | z) log p(x | y, z)] - KL. ``"exact"`` leaves y to the model,
    which sums it out: E_q(z | x) [log sum_y p(y | z) p(x | y, z)] - KL, above the other by
    E_q(z | x) KL[p(y | z) || p(y | x, z)].

    Args:
        model: The model whose sizes and classifier this guide takes.
        hidden: The sizes of the encoder's hidden layers.
        network, encoder: The body of the networks, and of one alone: ``mlp``, ``conv``,
            ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        flows: The number of normalizing flows in q(z | x). Proposition 1 holds for any q.
        bound: The bound for unknown labels, ``"jensen"`` or ``"exact"``, see above.
        samples: The number of samples of z that ``classify`` averages over.
    """

    def __init__(
        self,
        model: models.LatentClassifier,
        *,
        hidden: tuple[int, ...] = (500,),
        network: nn.Body = "mlp",
        flows: int = 0,
        bound: Literal["jensen", "exact"] = "jensen",
        samples: int = 16,
        encoder: nn.Body | None = None,
    ) -> None:
        super().__init__("guide")
        one_of("bound", bound, ("jensen", "exact"))
        positive(samples=samples)
        self.classifier = model.classifier
        self.encoder = nn.posterior(
            encoder or network, [model.x_shape], model.z_dim, hidden, flows
        )
        self.bound = bound
        self.register_buffer("noise", nn.noise(samples, 1, model.z_dim), persistent=False)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", self.encoder(x))
            if y is None and self.bound == "jensen":
                pyro.sample("y", self.classifier(z), infer={"enumerate": "parallel"})

    def classify(self, x: Tensor) -> OneHots:
        """E_q(z | x) p(y | z) over one-hot (N, K), from x: (N, *x_shape)."""
        z = nn.drawn(self.encoder(x), self.noise, own=self.training)
        return OneHots(self.classifier(z).logits.logsumexp(0))
