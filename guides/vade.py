from __future__ import annotations

import pyro
from pyro.distributions import Distribution
from pyro.nn import PyroModule
from torch import Tensor
from torch.nn import ReLU

from pyro_ssvae import models, nn
from pyro_ssvae.errors import not_negative
from pyro_ssvae.inference.agreement import Agreement
from pyro_ssvae.inference.terms import Term
from pyro_ssvae.labels import Enumerated, Inference, LabelInference
from pyro_ssvae.nn import Jitter

DENSE = (128,)  # the classifier's hidden layer behind its convolutions


class VaDE(PyroModule):
    """q(y, z | x) = q(y | t(x)) q(z | x)

    Jiang et al. (2017), Variational Deep Embedding, eq. 7, with a classifier of its own for y.

    Of images the classifier is convolutional and sees them through t, a small random shift and
    turn: a bound for every t. (The paper's q(y | x) is p(y | z).)

    Args:
        model: The model whose sizes this guide takes.
        hidden: The sizes of the encoder's hidden layers, and of the classifier's where x is no
            image.
        network: The body of the networks: ``mlp``, ``conv``, ``wrn-28-2`` or one of your own, see
            :func:`pyro_ssvae.nn.network`.
        classifier: The body of the classifier; where x is no image ``"conv"`` has no convolutions.
        jitter: The strength of t in training, see :class:`pyro_ssvae.nn.Jitter`.
        consistency: The weight of the divergence between q(y | t(x)) of two views of an image, at
            least 0, see :func:`pyro_ssvae.inference.agreement.inconsistency`.
        alignment: The weight of the divergence of the mean prediction from p(y), at least 0, see
            :func:`pyro_ssvae.inference.agreement.misalignment`. Keep it at 0 for data whose classes
            are not equally frequent.
        label_inference: The way to infer unknown labels, such as ``Enumerated()``; as text
            ``enumerated``, ``enumerated:3`` for the three likeliest, ``relaxed:0.67`` or
            ``straight-through:0.67``. See :mod:`pyro_ssvae.labels.inference`.
        flows: The number of normalizing flows in q(z | x).
        encoder: The body of the encoder, as ``network``, which is taken in place of None.
    """

    def __init__(
        self,
        model: models.VaDE,
        *,
        hidden: tuple[int, ...] = (256, 128),
        network: nn.Body = "mlp",
        classifier: nn.Body = "conv",
        jitter: float = 1.0,
        consistency: float = 5.0,
        alignment: float = 0.0,
        label_inference: Inference = Enumerated(),
        flows: int = 0,
        encoder: nn.Body | None = None,
    ) -> None:
        super().__init__("guide")
        not_negative(consistency=consistency, alignment=alignment)
        shape, images = model.x_shape, len(model.x_shape) == 3
        self.jitter = Jitter(jitter) if images else None
        self.classifier = nn.network(
            classifier, nn.OneHots(), [shape], model.y_dim, DENSE if images else hidden,
            activation=ReLU,
        )
        self.encoder = nn.posterior(
            encoder or network, [shape], model.z_dim, hidden, flows, activation=ReLU
        )
        self.labels = LabelInference(label_inference)
        if self.jitter is None or jitter == 0:
            consistency = 0.0  # all views are one
        views = Agreement(views=2 if consistency > 0 else 1)
        self.terms = {
            "consistency": Term(Agreement(views=2), weight=consistency),
            "alignment": Term(views, weight=alignment),
        }

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            if y is None:
                pyro.sample("y", self.labels(self.classify(x)), infer=self.labels.infer)
            pyro.sample("z", self.encoder(x))

    def classify(self, x: Tensor) -> Distribution:
        """q(y | t(x)) over one-hot (N, K), from x: (N, *x_shape); t moves nothing in evaluation."""
        return self.classifier(x if self.jitter is None else self.jitter(x))
