from __future__ import annotations

from typing import Literal

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import models, nn
from pyro_ssvae.errors import InputError, one_of


class VAE(PyroModule):
    """q(z | x)

    Kingma and Welling (2014), Auto-Encoding Variational Bayes, eq. 9.

    ``posterior="point"`` makes it an autoencoder: q(z | x) is the point mass at the code, and with
    the objective's ``beta=0`` the prior has no part either.

    Args:
        model: The model whose sizes this guide takes.
        hidden: The sizes of the encoder's hidden layers.
        network, encoder: The body of the networks, and of one alone: ``mlp``, ``conv``,
            ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        flows: The number of normalizing flows in q(z | x).
        posterior: The form of q(z | x), ``"normal"`` or ``"point"``.
    """

    def __init__(
        self,
        model: models.VAE,
        *,
        hidden: tuple[int, ...] = (500,),
        network: nn.Body = "mlp",
        flows: int = 0,
        posterior: Literal["normal", "point"] = "normal",
        encoder: nn.Body | None = None,
    ) -> None:
        super().__init__("guide")
        one_of("posterior", posterior, ("normal", "point"))
        if posterior == "point" and flows:
            raise InputError(f"posterior='point' and flows={flows}: a flow moves a point mass to"
                             " another point; use flows=0, or posterior='normal'")
        vocabulary = getattr(model.decoder.head, "vocabulary", None)
        self.tokens = vocabulary and nn.Tokens(vocabulary)
        inputs = [model.x_shape[0] * vocabulary if vocabulary else model.x_shape]
        self.encoder = (
            nn.network(encoder or network, nn.Point(), inputs, model.z_dim, hidden)
            if posterior == "point"
            else nn.posterior(encoder or network, inputs, model.z_dim, hidden, flows)
        )

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y is ignored."""
        with pyro.plate("data", len(x)):
            pyro.sample("z", self.encoder(self.tokens(x) if self.tokens else x))
