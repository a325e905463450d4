from __future__ import annotations

import pyro
from pyro.distributions import Distribution
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import models, nn


class Regression(PyroModule):
    """q(y, z | x) = q(y | x) q(z | x, y)

    Kingma et al. (2014), Semi-supervised Learning with Deep Generative Models, eq. 4, with a normal
    q(y | x).

    Where y is unknown it is sampled, and gradients pass through the sample. Where it is known
    q(y | x) has no part in the bound: the objective's ``alpha`` adds -log q(y | x).

    Args:
        model: The model whose sizes this guide takes.
        hidden: The sizes of the hidden layers of the regressor and of the encoder.
        network, regressor, encoder: The body of the networks, and of one alone: ``mlp``, ``conv``,
            ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        flows: The number of normalizing flows in q(z | x, y).
    """

    def __init__(
        self,
        model: models.Regression,
        *,
        hidden: tuple[int, ...] = (500,),
        network: nn.Body = "mlp",
        flows: int = 0,
        regressor: nn.Body | None = None,
        encoder: nn.Body | None = None,
    ) -> None:
        super().__init__("guide")
        x_shape, z_dim = model.x_shape, model.z_dim
        self.regressor = nn.network(regressor or network, nn.Normal(), [x_shape], 1, hidden)
        self.encoder = nn.posterior(encoder or network, [x_shape, 1], z_dim, hidden, flows)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: standardised (N, 1), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            if y is None:
                y = pyro.sample("y", self.regress(x))
            pyro.sample("z", self.encoder(x, y))

    def regress(self, x: Tensor) -> Distribution:
        """q(y | x) over the standardised number (N, 1), from x: (N, *x_shape)."""
        return self.regressor(x)
