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
        x_shape: The shape of an example: D, the number of features, or (C, H, W) of images.
        y_dim: K, the number of classes.
        z_dim: J, the number of latent dimensions.
        hidden: The sizes of the hidden layers of the decoder and of the classifier.
        network, decoder, classifier: The body of the networks, and of one alone: ``mlp``, ``conv``,
            ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        simplified: Whether to decode x from z alone (section 4.1).
        likelihood: The likelihood of x, such as ``nn.Bernoulli()`` for x in [0, 1]; as text
            ``bernoulli``, ``normal:0.1``, ``logistics:10`` for colour, ``mixed:0.5`` for a frame.
    """

    def __init__(
        self,
        x_shape: nn.Shape,
        y_dim: int,
        *,
        z_dim: int = 50,
        hidden: tuple[int, ...] = (500,),
        network: nn.Body = "mlp",
        simplified: bool = False,
        likelihood: nn.Likelihood = nn.Bernoulli(),
        decoder: nn.Body | None = None,
        classifier: nn.Body | None = None,
    ) -> None:
        super().__init__("model")
        positive(y_dim=y_dim, z_dim=z_dim)
        self.x_shape, self.y_dim, self.z_dim = nn.as_shape(x_shape), y_dim, z_dim
        self.simplified = simplified
        self.classifier = nn.network(classifier or network, nn.OneHots(), z_dim, y_dim, hidden)
        inputs = z_dim if simplified else (z_dim, y_dim)
        self.decoder = nn.network(decoder or network, likelihood, inputs, x_shape, hidden)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", nn.standard_normal(x, self.z_dim))
            y = pyro.sample("y", self.classifier(z), obs=y, infer={"enumerate": "parallel"})
            image = self.decoder(z) if self.simplified else self.decoder(z, y)
            pyro.sample("x", image, obs=x)
