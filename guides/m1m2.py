from __future__ import annotations

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import models, nn
from pyro_ssvae.labels import Inference, LabelInference, OneHots


class M1M2(PyroModule):
    """q(a, y, z | x) = q(a | x) q(y | a) q(z | a, y)

    Kingma et al. (2014), Semi-supervised Learning with Deep Generative Models, section 2.1.

    Args:
        model: The model whose sizes this guide takes.
        hidden: The sizes of the hidden layers of each network.
        flows: The number of normalizing flows in q(z | a, y).
        label_inference: The way to infer unknown labels: ``"enumerated"``, ``"relaxed"`` or
            ``"straight-through"``, see :class:`pyro_ssvae.labels.LabelInference`.
        temperature: The temperature of relaxed labels.
        top_classes: The number of classes that enumerated labels are summed over, the likeliest
            ones. With None all are.
    """

    def __init__(
        self,
        model: models.M1M2,
        *,
        hidden: tuple[int, ...] = (500,),
        flows: int = 0,
        label_inference: Inference = "enumerated",
        temperature: float = 0.67,
        top_classes: int | None = None,
    ) -> None:
        super().__init__("guide")
        y_dim, z_dim, a_dim = model.y_dim, model.z_dim, model.a_dim
        self.stacked = model.stacked
        self.features = nn.Normal(model.x_dim, hidden, a_dim)
        self.classifier = nn.OneHots(a_dim, hidden, y_dim)
        self.encoder = nn.posterior((a_dim, y_dim), hidden, z_dim, flows)
        self.labels = LabelInference(label_inference, temperature, top_classes)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, D); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            a = pyro.sample("a", self.features(x))
            if self.stacked:
                a = a.detach()
            if y is None:
                y = pyro.sample("y", self.labels(self.classifier(a)), infer=self.labels.infer)
            pyro.sample("z", self.encoder(a, y))

    def classify(self, x: Tensor) -> OneHots:
        """q(y | a) over one-hot (N, K), from x: (N, D); a is sampled in training, then the mean."""
        q = self.features(x)
        a = q.rsample() if self.training else q.mean
        return self.classifier(a.detach() if self.stacked else a)
