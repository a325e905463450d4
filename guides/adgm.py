from __future__ import annotations

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import models, nn
from pyro_ssvae.errors import positive
from pyro_ssvae.labels import Inference, LabelInference, OneHots


class ADGM(PyroModule):
    """q(a, y, z | x) = q(a | x) q(y | a, x) q(z | a, y, x)

    Maaløe et al. (2016), Auxiliary Deep Generative Models, eq. 4.

    The paper's classification loss is E_q(a | x) [-log q(y | a, x)]; the objective's is minus the
    log of the average that ``classify`` returns, which is smaller by Jensen's inequality.

    Args:
        model: The model whose sizes this guide takes.
        hidden: The sizes of the hidden layers of each network.
        batch_norm: Whether to normalise the hidden layers, see :class:`pyro_ssvae.nn.BatchNorm`.
        flows: The number of normalizing flows in q(z | a, y, x).
        label_inference: The way to infer unknown labels: ``"enumerated"``, ``"relaxed"`` or
            ``"straight-through"``, see :class:`pyro_ssvae.labels.LabelInference`.
        temperature: The temperature of relaxed labels.
        top_classes: The number of classes that enumerated labels are summed over, the likeliest
            ones. With None all are.
        samples: The number of samples of a that ``classify`` averages over.
    """

    def __init__(
        self,
        model: models.ADGM | models.SDGM,
        *,
        hidden: tuple[int, ...] = (500,),
        batch_norm: bool = False,
        flows: int = 0,
        label_inference: Inference = "enumerated",
        temperature: float = 0.67,
        top_classes: int | None = None,
        samples: int = 16,
    ) -> None:
        super().__init__("guide")
        positive(samples=samples)
        x_dim, y_dim, z_dim, a_dim = model.x_dim, model.y_dim, model.z_dim, model.a_dim
        self.auxiliary = nn.Normal(x_dim, hidden, a_dim, batch_norm=batch_norm)
        self.classifier = nn.OneHots((a_dim, x_dim), hidden, y_dim, batch_norm=batch_norm)
        self.encoder = nn.posterior(
            (a_dim, y_dim, x_dim), hidden, z_dim, flows, batch_norm=batch_norm
        )
        self.labels = LabelInference(label_inference, temperature, top_classes)
        self.samples = samples

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, D); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            a = pyro.sample("a", self.auxiliary(x))
            if y is None:
                labels = self.labels(self.classifier(a, x))
                y = pyro.sample("y", labels, infer=self.labels.infer)
            pyro.sample("z", self.encoder(a, y, x))

    def classify(self, x: Tensor) -> OneHots:
        """E_q(a | x) q(y | a, x) over one-hot (N, K), from x: (N, D)."""
        a = self.auxiliary(x).rsample((self.samples,))
        return OneHots(self.classifier(a, x).logits.logsumexp(0))
