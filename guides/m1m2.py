from __future__ import annotations

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import models, nn
from pyro_ssvae.labels import Enumerated, Inference, LabelInference, OneHots


class M1M2(PyroModule):
    """q(a, y, z | x) = q(a | x) q(y | a) q(z | a, y)

    Kingma et al. (2014), Semi-supervised Learning with Deep Generative Models, section 2.1.

    Args:
        model: The model whose sizes this guide takes.
        hidden: The sizes of the hidden layers of each network.
        network, features, classifier, encoder: The body of the networks, and of one alone: ``mlp``,
            ``conv``, ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        flows: The number of normalizing flows in q(z | a, y).
        label_inference: The way to infer unknown labels, such as ``Enumerated()``; as text
            ``enumerated``, ``enumerated:3`` for the three likeliest, ``relaxed:0.67`` or
            ``straight-through:0.67``. See :mod:`pyro_ssvae.labels.inference`.
    """

    def __init__(
        self,
        model: models.M1M2,
        *,
        hidden: tuple[int, ...] = (500,),
        network: nn.Body = "mlp",
        flows: int = 0,
        label_inference: Inference = Enumerated(),
        features: nn.Body | None = None,
        classifier: nn.Body | None = None,
        encoder: nn.Body | None = None,
    ) -> None:
        super().__init__("guide")
        y_dim, z_dim, a_dim = model.y_dim, model.z_dim, model.a_dim
        self.stacked = model.stacked
        self.features = nn.network(
            features or network, nn.Normal(), [model.x_shape], a_dim, hidden
        )
        self.classifier = nn.network(classifier or network, nn.OneHots(), a_dim, y_dim, hidden)
        self.encoder = nn.posterior(encoder or network, (a_dim, y_dim), z_dim, hidden, flows)
        self.labels = LabelInference(label_inference)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            a = pyro.sample("a", self.features(x))
            if self.stacked:
                a = a.detach()
            if y is None:
                y = pyro.sample("y", self.labels(self.classifier(a)), infer=self.labels.infer)
            pyro.sample("z", self.encoder(a, y))

    def classify(self, x: Tensor) -> OneHots:
        """q(y | a) over one-hot (N, K), from x: (N, *x_shape).

        In training a is sampled, and the mean otherwise.
        """
        q = self.features(x)
        a = q.rsample() if self.training else q.mean
        return self.classifier(a.detach() if self.stacked else a)
