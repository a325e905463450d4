from __future__ import annotations

import math

import pyro
import torch
from pyro.distributions import Distribution
from pyro.nn import PyroModule
from torch import Tensor
from torch.nn import ReLU

from pyro_ssvae import models, nn
from pyro_ssvae.errors import InputError
from pyro_ssvae.inference.agreement import inconsistency, misalignment
from pyro_ssvae.labels import Inference, LabelInference
from pyro_ssvae.nn import ConvolutionalClassifier, Jitter


class VaDE(PyroModule):
    """q(y, z | x) = q(y | t(x)) q(z | x)

    Jiang et al. (2017), Variational Deep Embedding, eq. 7, with a classifier of its own for y.

    Of images the classifier is convolutional and sees them through t, a small random shift and
    turn: a bound for every t. (The paper's q(y | x) is p(y | z).)

    Args:
        model: The model whose sizes this guide takes.
        hidden: The sizes of the encoder's hidden layers, and of the classifier's where x is no
            image.
        jitter: The strength of t in training, see :class:`pyro_ssvae.nn.Jitter`.
        consistency: The weight of the divergence between q(y | t(x)) of two views of an image, at
            least 0, see :func:`pyro_ssvae.inference.agreement.inconsistency`.
        alignment: The weight of the divergence of the mean prediction from p(y), at least 0, see
            :func:`pyro_ssvae.inference.agreement.misalignment`. Keep it at 0 for data whose classes
            are not equally frequent.
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
        jitter: float = 1.0,
        consistency: float = 5.0,
        alignment: float = 0.0,
        label_inference: Inference = "enumerated",
        temperature: float = 0.67,
        top_classes: int | None = None,
        flows: int = 0,
    ) -> None:
        super().__init__("guide")
        for name, weight in {"consistency": consistency, "alignment": alignment}.items():
            if not (weight >= 0 and math.isfinite(weight)):
                raise InputError(f"expected a finite {name} >= 0, got {weight}")
        shape = model.image_shape
        self.jitter = None if shape is None else Jitter(shape, jitter)
        self.classifier = (
            nn.OneHots(model.x_dim, hidden, model.y_dim, activation=ReLU) if shape is None
            else ConvolutionalClassifier(shape, model.y_dim)
        )
        self.encoder = nn.posterior(model.x_dim, hidden, model.z_dim, flows, activation=ReLU)
        self.labels = LabelInference(label_inference, temperature, top_classes)
        self.consistency = consistency if self.jitter is not None and jitter > 0 else 0.0
        self.alignment = alignment

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, D); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            if y is None:
                pyro.sample("y", self.labels(self.classify(x)), infer=self.labels.infer)
            pyro.sample("z", self.encoder(x))

    def classify(self, x: Tensor) -> Distribution:
        """q(y | t(x)) over one-hot (N, K), from x: (N, D); t moves nothing in evaluation."""
        return self.classifier(x if self.jitter is None else self.jitter(x))

    def named_terms(self, x: Tensor, y: Tensor, u: Tensor) -> dict[str, tuple[float, Tensor]]:
        """The inconsistency and the misalignment of q(y | t(u)), u (N, D), with their weights."""
        terms: dict[str, tuple[float, Tensor]] = {}
        if self.consistency > 0:
            views = [self.classify(u).logits for _ in range(2)]
            terms["consistency"] = self.consistency, inconsistency(*views)
        elif self.alignment > 0:
            views = [self.classify(u).logits]
        if self.alignment > 0:
            terms["alignment"] = self.alignment, misalignment(torch.cat(views))
        return terms
