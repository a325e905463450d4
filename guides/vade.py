from __future__ import annotations

import pyro
from pyro.distributions import Distribution
from pyro.nn import PyroModule
from torch import Tensor
from torch.nn import ReLU

from pyro_ssvae import models, nn
from pyro_ssvae.labels import Inference, LabelInference
from pyro_ssvae.nn import ConvolutionalClassifier


class VaDE(PyroModule):
    """q(y, z | x) = q(y | x) q(z | x)

    Jiang et al. (2017), Variational Deep Embedding, eq. 7, with a classifier of its own for y.

    (The paper's q(y | x) is p(y | z).)

    Args:
        model: The model whose sizes this guide takes.
        hidden: The sizes of the encoder's hidden layers, and of the classifier's where x is no
            image.
        label_inference: The way to infer unknown labels, ``"enumerated"``, ``"relaxed"`` or
            ``"straight-through"``: see :class:`pyro_ssvae.labels.LabelInference`.
        temperature: The temperature of relaxed labels.
        top_classes: The number of classes that enumerated labels are summed over, the likeliest
            ones. None stands for all.
        flows: The number of normalizing flows in q(z | x).
    """

    def __init__(
        self,
        model: models.VaDE,
        *,
        hidden: tuple[int, ...] = (256, 128),
        label_inference: Inference = "enumerated",
        temperature: float = 0.67,
        top_classes: int | None = None,
        flows: int = 0,
    ) -> None:
        super().__init__("guide")
        shape = model.image_shape
        self.classifier = (
            nn.OneHots(model.x_dim, hidden, model.y_dim, activation=ReLU) if shape is None
            else ConvolutionalClassifier(shape, model.y_dim)
        )
        self.encoder = nn.posterior(model.x_dim, hidden, model.z_dim, flows, activation=ReLU)
        self.labels = LabelInference(label_inference, temperature, top_classes)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, D); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            if y is None:
                pyro.sample("y", self.labels(self.classify(x)), infer=self.labels.infer)
            pyro.sample("z", self.encoder(x))

    def classify(self, x: Tensor) -> Distribution:
        """q(y | x) over one-hot (N, K), from x: (N, D)."""
        return self.classifier(x)
