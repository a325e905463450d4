from __future__ import annotations

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import nn
from pyro_ssvae.errors import positive


class LatentClassifier(PyroModule):
    """p(x, y, z) = p(z) p(y | z) p(x | y, z)

    Jurasinski (2019), Towards deeper understanding of SSL with VAEs, prop. 1 and 2.

    z holds the class too, and y is read off it; with ``simplified`` p(x | z) needs no y. The
    thesis's lambda is the objective's ``labelled``.

    Args:
        x_dim: D, the number of pixels or features.
        y_dim: K, the number of classes.
        z_dim: J, the number of latent dimensions.
        hidden: The sizes of the hidden layers of the decoder and of the classifier.
        simplified: Whether to decode x from z alone (section 4.1).
        likelihood: The likelihood of x: ``"bernoulli"`` for x in [0, 1], ``"normal"``, or the
            columns of a frame, by name ``"mixed"``.
        sigma: The standard deviation of the normal likelihood. With None the decoder gives it.
    """

    def __init__(
        self,
        x_dim: int,
        y_dim: int,
        *,
        z_dim: int = 50,
        hidden: tuple[int, ...] = (500,),
        simplified: bool = False,
        likelihood: nn.Likelihood = "bernoulli",
        sigma: float | None = 0.1,
    ) -> None:
        super().__init__("model")
        positive(x_dim=x_dim, y_dim=y_dim, z_dim=z_dim)
        self.x_dim, self.y_dim, self.z_dim = x_dim, y_dim, z_dim
        self.simplified = simplified
        self.classifier = nn.OneHots(z_dim, hidden, y_dim)
        inputs = z_dim if simplified else (z_dim, y_dim)
        self.decoder = nn.likelihood(likelihood, inputs, hidden, x_dim, sigma)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, D); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", nn.standard_normal(x, self.z_dim))
            y = pyro.sample("y", self.classifier(z), obs=y, infer={"enumerate": "parallel"})
            image = self.decoder(z) if self.simplified else self.decoder(z, y)
            pyro.sample("x", image, obs=x)
