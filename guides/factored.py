from __future__ import annotations

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import models, nn
from pyro_ssvae.errors import not_negative
from pyro_ssvae.inference import interpolation as shot
from pyro_ssvae.inference.feng import Capacity, Swap
from pyro_ssvae.inference.penalty import penalty as squares
from pyro_ssvae.inference.terms import Part, Ramp, Term
from pyro_ssvae.labels import Inference, LabelInference, OneHots, Relaxed, completed


class Factored(PyroModule):
    """q(y, z | x) = q(z | x) prod_j q(y_j | x)

    Feng (2019), eq. 9; Feng et al. (2021), SHOT-VAE, arXiv 2011.10684.

    Unknown labels are relaxed, at a cost linear in their number, or enumerated jointly, at one
    exponential in it: eq. 11 either way. An example may have some of several labels given, which
    are then constants, and the others missing.

    Args:
        model: The model whose sizes this guide takes.
        hidden: The sizes of the hidden layers, of the classifier and of the encoder.
        network, classifier, encoder: The body of the networks, and of one alone: ``mlp``, ``conv``,
            ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        flows: The number of normalizing flows in q(z | x).
        label_inference: The way to infer unknown labels, such as ``Enumerated()``; as text
            ``enumerated``, ``enumerated:3`` for the three likeliest, ``relaxed:0.67`` or
            ``straight-through:0.67``. See :mod:`pyro_ssvae.labels.inference`.
        interpolation: The weight of the labels in SHOT-VAE's optimal interpolation, see
            :func:`pyro_ssvae.inference.interpolation.distances`.
        interpolation_z: The weight of the moments of z in it.
        penalty: The weight of half the sum of the squares of the classifier's weights, as of a
            logistic regression, see :func:`pyro_ssvae.inference.penalty.penalty`.
        swap: The share s in (1 - s) (-log p(y)) + s KL[q(y | x) || p(y)] of given labels, 1 in
            eq. 13, see :class:`pyro_ssvae.inference.feng.Swap`.
        capacity_z: The nats that the mean KL divergence of z is drawn to, as in eq. 16, see
            :class:`pyro_ssvae.inference.feng.Capacity`. None leaves the divergence in its place.
        capacity_y: The same for y.
        gamma_z: The weight of |KL - capacity| of z. With 0 there is no capacity.
        gamma_y: The weight of |KL - capacity| of y. With 0 there is no capacity.
        ramp: The number of epochs over which the capacities grow linearly from 0.
    """

    def __init__(
        self,
        model: models.Factored,
        *,
        hidden: tuple[int, ...] = (500,),
        network: nn.Body = "mlp",
        flows: int = 0,
        label_inference: Inference = Relaxed(),
        interpolation: float = 0.0,
        interpolation_z: float = 0.0,
        penalty: float = 0.0,
        swap: float = 0.0,
        capacity_z: float | None = None,
        capacity_y: float | None = None,
        gamma_z: float = 1.0,
        gamma_y: float = 1.0,
        ramp: float = 0.0,
        classifier: nn.Body | None = None,
        encoder: nn.Body | None = None,
    ) -> None:
        super().__init__("guide")
        not_negative(penalty=penalty, swap=swap, gamma_z=gamma_z, gamma_y=gamma_y, ramp=ramp)
        self.terms: dict[str, Part] = {
            **shot.terms(interpolation, interpolation_z, flows),
            "penalty": Term(squares, penalty, over="whole"),
            "swap": Swap(weight=swap),
        }
        for site, nats, gamma in (("z", capacity_z, gamma_z), ("y", capacity_y, gamma_y)):
            if nats is not None:
                self.terms[f"capacity_{site}"] = Capacity(site, nats, gamma, Ramp(ramp))
        self.y_dims, x_shape = model.y_dims, model.x_shape
        self.classifier = nn.network(
            classifier or network, nn.OneHots(self.y_dims), [x_shape], sum(self.y_dims), hidden
        )
        self.encoder = nn.posterior(encoder or network, [x_shape], model.z_dim, hidden, flows)
        self.labels = LabelInference(label_inference, every=len(self.y_dims) > 1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: (N, sum(y_dims)), NaN where a label is unknown, or None for all."""
        with pyro.plate("data", len(x)):
            if y is None or len(self.y_dims) > 1:
                q = self.classify(x) if y is None else completed(y, self.classify(x))
                sums = self.labels.infer and (y is None or y.isnan().any())  # else q is a point
                pyro.sample("y", self.labels(q), infer=self.labels.infer if sums else {})
            pyro.sample("z", self.encoder(x))

    def classify(self, x: Tensor) -> OneHots:
        """prod_j q(y_j | x) over one-hot vectors (N, sum(y_dims)), from x: (N, *x_shape)."""
        return self.classifier(x)
