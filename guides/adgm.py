from __future__ import annotations

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import models, nn
from pyro_ssvae.errors import positive
from pyro_ssvae.labels import Enumerated, Inference, LabelInference, OneHots


class ADGM(PyroModule):
    """q(a, y, z | x) = q(a | x) q(y | a, x) q(z | a, y, x)

    Maaløe et al. (2016), Auxiliary Deep Generative Models, eq. 4.

    The paper's classification loss is E_q(a | x) [-log q(y | a, x)]; the objective's is minus the
    log of the average that ``classify`` returns, which is smaller by Jensen's inequality.

    Args:
        model: The model whose sizes this guide takes.
        hidden: The sizes of the hidden layers of each network.
        network, auxiliary, classifier, encoder: The body of the networks, and of one alone:
            ``mlp``, ``conv``, ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        batch_norm: Whether to normalise the hidden layers, see :class:`pyro_ssvae.nn.BatchNorm`.
        flows: The number of normalizing flows in q(z | a, y, x).
        label_inference: The way to infer unknown labels, such as ``Enumerated()``; as text
            ``enumerated``, ``enumerated:3`` for the three likeliest, ``relaxed:0.67`` or
            ``straight-through:0.67``. See :mod:`pyro_ssvae.labels.inference`.
        samples: The number of samples of a that ``classify`` averages over.
    """

    def __init__(
        self,
        model: models.ADGM | models.SDGM,
        *,
        hidden: tuple[int, ...] = (500,),
        network: nn.Body = "mlp",
        batch_norm: bool = False,
        flows: int = 0,
        label_inference: Inference = Enumerated(),
        samples: int = 16,
        auxiliary: nn.Body | None = None,
        classifier: nn.Body | None = None,
        encoder: nn.Body | None = None,
    ) -> None:
        super().__init__("guide")
        positive(samples=samples)
        y_dim, z_dim, a_dim, x_shape = model.y_dim, model.z_dim, model.a_dim, model.x_shape
        self.auxiliary = nn.network(
            auxiliary or network, nn.Normal(), [x_shape], a_dim, hidden, batch_norm=batch_norm
        )
        self.classifier = nn.network(
            classifier or network, nn.OneHots(), [a_dim, x_shape], y_dim, hidden,
            batch_norm=batch_norm,
        )
        self.encoder = nn.posterior(
            encoder or network, [a_dim, y_dim, x_shape], z_dim, hidden, flows,
            batch_norm=batch_norm,
        )
        self.labels = LabelInference(label_inference)
        self.register_buffer("noise", nn.noise(samples, 1, a_dim), persistent=False)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            a = pyro.sample("a", self.auxiliary(x))
            if y is None:
                labels = self.labels(self.classifier(a, x))
                y = pyro.sample("y", labels, infer=self.labels.infer)
            pyro.sample("z", self.encoder(a, y, x))

    def classify(self, x: Tensor) -> OneHots:
        """E_q(a | x) q(y | a, x) over one-hot (N, K), from x: (N, *x_shape)."""
        a = nn.drawn(self.auxiliary(x), self.noise, own=self.training)
        return OneHots(self.classifier(a, x).logits.logsumexp(0))
