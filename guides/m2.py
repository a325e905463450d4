from __future__ import annotations

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import models, nn
from pyro_ssvae.labels import Inference, LabelInference, OneHots


class M2(PyroModule):
    """q(y, z | x) = q(y | x) q(z | x, y)

    Kingma et al. (2014), Semi-supervised Learning with Deep Generative Models, eq. 4.

    Where y is unknown it is enumerated, so TraceEnum_ELBO gives eq. 7 exactly in y; where it is
    known, eq. 6, in which q(y | x) has no part: the objective's ``alpha`` adds eq. 9's.

    Args:
        model: The model whose sizes this guide takes.
        hidden: The sizes of the hidden layers of the classifier and of the encoder.
        flows: The number of normalizing flows in q(z | x, y).
        label_inference: The way to infer unknown labels: ``"enumerated"``, ``"relaxed"`` or
            ``"straight-through"``, see :class:`pyro_ssvae.labels.LabelInference`.
        temperature: The temperature of relaxed labels.
        top_classes: The number of classes that enumerated labels are summed over, the likeliest
            ones. With None all are.
    """

    def __init__(
        self,
        model: models.M2,
        *,
        hidden: tuple[int, ...] = (500,),
        flows: int = 0,
        label_inference: Inference = "enumerated",
        temperature: float = 0.67,
        top_classes: int | None = None,
    ) -> None:
        super().__init__("guide")
        x_dim, y_dim, z_dim = model.x_dim, model.y_dim, model.z_dim
        self.classifier = nn.OneHots(x_dim, hidden, y_dim)
        self.encoder = nn.posterior((x_dim, y_dim), hidden, z_dim, flows)
        self.labels = LabelInference(label_inference, temperature, top_classes)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, D); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            if y is None:
                y = pyro.sample("y", self.labels(self.classify(x)), infer=self.labels.infer)
            pyro.sample("z", self.encoder(x, y))

    def classify(self, x: Tensor) -> OneHots:
        """q(y | x) over one-hot (N, K), from x: (N, D)."""
        return self.classifier(x)
