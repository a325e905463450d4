from __future__ import annotations

import pyro
from pyro import distributions as dist
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import models, nn
from pyro_ssvae.errors import positive


class ADGM(PyroModule):
    """q(a, y, z | x) = q(a | x) q(y | a, x) q(z | a, y, x)

    Maaløe et al. (2016), Auxiliary Deep Generative Models, eq. 4.

    The paper's classification loss is E_q(a | x) [-log q(y | a, x)]; the objective's is minus the
    log of the average that ``classify`` returns, which is smaller by Jensen's inequality.

    Args:
        model: the model whose sizes this guide takes.
        hidden: sizes of the hidden layers of each network.
        samples: of a that ``classify`` averages over.
    """

    def __init__(
        self,
        model: models.ADGM | models.SDGM,
        *,
        hidden: tuple[int, ...] = (500,),
        samples: int = 16,
    ) -> None:
        super().__init__("guide")
        positive(samples=samples)
        x_dim, y_dim, z_dim, a_dim = model.x_dim, model.y_dim, model.z_dim, model.a_dim
        self.auxiliary = nn.Normal(x_dim, hidden, a_dim)
        self.classifier = nn.OneHotCategorical((a_dim, x_dim), hidden, y_dim)
        self.encoder = nn.Normal((a_dim, y_dim, x_dim), hidden, z_dim)
        self.samples = samples

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, D); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            a = pyro.sample("a", self.auxiliary(x))
            if y is None:
                y = pyro.sample("y", self.classifier(a, x), infer={"enumerate": "parallel"})
            pyro.sample("z", self.encoder(a, y, x))

    def classify(self, x: Tensor) -> dist.Distribution:
        """E_q(a | x) q(y | a, x) over one-hot (N, K), from x: (N, D)."""
        a = self.auxiliary(x).rsample((self.samples,))
        return dist.OneHotCategorical(logits=self.classifier(a, x).logits.logsumexp(0))
