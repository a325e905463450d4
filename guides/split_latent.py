from __future__ import annotations

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import models, nn
from pyro_ssvae.errors import positive
from pyro_ssvae.labels import OneHots


class SplitLatent(PyroModule):
    """q(z, a | x) = q(a | x) q(z | a, x)

    Jurasinski (2019), Towards deeper understanding of SSL with VAEs, appendix C, eq. 7.

    A y that is unknown is summed out in the model, where nothing depends on it: log 1 = 0.

    Args:
        model: The model whose sizes and classifier this guide takes.
        hidden: The sizes of the hidden layers of each network.
        network, label_encoder, encoder: The body of the networks, and of one alone: ``mlp``,
            ``conv``, ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        flows: The number of normalizing flows in q(z | a, x).
        samples: The number of samples of a that ``classify`` averages over.
    """

    def __init__(
        self,
        model: models.SplitLatent,
        *,
        hidden: tuple[int, ...] = (500,),
        network: nn.Body = "mlp",
        flows: int = 0,
        samples: int = 16,
        label_encoder: nn.Body | None = None,
        encoder: nn.Body | None = None,
    ) -> None:
        super().__init__("guide")
        positive(samples=samples)
        self.classifier = model.classifier
        x_shape, a_dim, z_dim = model.x_shape, model.a_dim, model.z_dim
        self.label_encoder = nn.network(
            label_encoder or network, nn.Normal(), [x_shape], a_dim, hidden
        )
        self.encoder = nn.posterior(encoder or network, [a_dim, x_shape], z_dim, hidden, flows)
        self.register_buffer("noise", nn.noise(samples, 1, a_dim), persistent=False)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            a = pyro.sample("a", self.label_encoder(x))
            pyro.sample("z", self.encoder(a, x))

    def classify(self, x: Tensor) -> OneHots:
        """E_q(a | x) p(y | a) over one-hot (N, K), from x: (N, *x_shape)."""
        a = nn.drawn(self.label_encoder(x), self.noise, own=self.training)
        return OneHots(self.classifier(a).logits.logsumexp(0))
