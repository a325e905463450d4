from __future__ import annotations

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import models, nn
from pyro_ssvae.labels import Enumerated, Inference, LabelInference, OneHots


class M2(PyroModule):
    """q(y, z | x) = q(y | x) q(z | x, y)

    Kingma et al. (2014), Semi-supervised Learning with Deep Generative Models, eq. 4.

    Where y is unknown it is enumerated, so TraceEnum_ELBO gives eq. 7 exactly in y; where it is
    known, eq. 6, in which q(y | x) has no part: the objective's ``alpha`` adds eq. 9's.

    Args:
        model: The model whose sizes this guide takes.
        hidden: The sizes of the hidden layers of the classifier and of the encoder.
        network, classifier, encoder: The body of the networks, and of one alone: ``mlp``, ``conv``,
            ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        flows: The number of normalizing flows in q(z | x, y).
        label_inference: The way to infer unknown labels, such as ``Enumerated()``; as text
            ``enumerated``, ``enumerated:3`` for the three likeliest, ``relaxed:0.67`` or
            ``straight-through:0.67``. See :mod:`pyro_ssvae.labels.inference`.

    Example:
        >>> import torch
        >>> from pyro_ssvae import guides, models
        >>> guide = guides.M2(models.M2(6, 3, z_dim=2), hidden=(8,))
        >>> guide.classify(torch.rand(5, 6)).probs.shape
        torch.Size([5, 3])
    """

    def __init__(
        self,
        model: models.M2,
        *,
        hidden: tuple[int, ...] = (500,),
        network: nn.Body = "mlp",
        flows: int = 0,
        label_inference: Inference = Enumerated(),
        classifier: nn.Body | None = None,
        encoder: nn.Body | None = None,
    ) -> None:
        super().__init__("guide")
        x_shape, y_dim, z_dim = model.x_shape, model.y_dim, model.z_dim
        self.classifier = nn.network(classifier or network, nn.OneHots(), [x_shape], y_dim, hidden)
        self.encoder = nn.posterior(encoder or network, [x_shape, y_dim], z_dim, hidden, flows)
        self.labels = LabelInference(label_inference)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            if y is None:
                y = pyro.sample("y", self.labels(self.classify(x)), infer=self.labels.infer)
            pyro.sample("z", self.encoder(x, y))

    def classify(self, x: Tensor) -> OneHots:
        """q(y | x) over one-hot (N, K), from x: (N, *x_shape)."""
        return self.classifier(x)
