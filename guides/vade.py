from __future__ import annotations

import pyro
from pyro.distributions import Distribution
from pyro.nn import PyroModule
from torch import Tensor
from torch.nn import ReLU

from pyro_ssvae import models, nn
from pyro_ssvae.labels import Enumerated, Inference, LabelInference

DENSE = (128,)  # the classifier's hidden layer behind its convolutions


class VaDE(PyroModule):
    """q(y, z | x) = q(y | x) q(z | x)

    Jiang et al. (2017), Variational Deep Embedding, eq. 7, with a classifier of its own for y.

    Of images the classifier is convolutional. (The paper's q(y | x) is p(y | z).)

    Args:
        model: The model whose sizes this guide takes.
        hidden: The sizes of the encoder's hidden layers, and of the classifier's where x is no
            image.
        network, encoder: The body of the networks, and of one alone: ``mlp``, ``conv``,
            ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        classifier: The body of the classifier; where x is no image ``"conv"`` has no convolutions.
        label_inference: The way to infer unknown labels, such as ``Enumerated()``; as text
            ``enumerated``, ``enumerated:3`` for the three likeliest, ``relaxed:0.67`` or
            ``straight-through:0.67``. See :mod:`pyro_ssvae.labels.inference`.
        flows: The number of normalizing flows in q(z | x).
    """

    def __init__(
        self,
        model: models.VaDE,
        *,
        hidden: tuple[int, ...] = (256, 128),
        network: nn.Body = "mlp",
        classifier: nn.Body = "conv",
        label_inference: Inference = Enumerated(),
        flows: int = 0,
        encoder: nn.Body | None = None,
    ) -> None:
        super().__init__("guide")
        shape = model.x_shape
        dense = DENSE if nn.is_image(shape) else hidden
        self.classifier = nn.network(
            classifier, nn.OneHots(), [shape], model.y_dim, dense, activation=ReLU
        )
        self.encoder = nn.posterior(
            encoder or network, [shape], model.z_dim, hidden, flows, activation=ReLU
        )
        self.labels = LabelInference(label_inference)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            if y is None:
                pyro.sample("y", self.labels(self.classify(x)), infer=self.labels.infer)
            pyro.sample("z", self.encoder(x))

    def classify(self, x: Tensor) -> Distribution:
        """q(y | x) over one-hot (N, K), from x: (N, *x_shape)."""
        return self.classifier(x)
