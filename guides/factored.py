from __future__ import annotations

import pyro
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import models, nn
from pyro_ssvae.errors import InputError
from pyro_ssvae.inference import interpolation as shot
from pyro_ssvae.labels import Inference, LabelInference, OneHots, completed


class Factored(PyroModule):
    """q(y, z | x) = q(z | x) prod_j q(y_j | x)

    Feng (2019), eq. 9; Feng et al. (2021), SHOT-VAE, arXiv 2011.10684.

    Unknown labels are relaxed, at a cost linear in their number, or enumerated jointly, at one
    exponential in it: eq. 11 either way. Where an example has several labels, those that are given
    are points, and others may be missing. Eq. 13 for known labels is the objective's ``swap``,
    eq. 16 its ``capacity_z`` and ``capacity_y``.

    Args:
        model: The model whose sizes this guide takes.
        hidden: The sizes of the hidden layers, of the classifier and of the encoder.
        flows: The number of normalizing flows in q(z | x).
        label_inference: The way to infer unknown labels, ``"relaxed"``, ``"straight-through"`` or
            ``"enumerated"``: see :class:`pyro_ssvae.labels.LabelInference`.
        temperature: The temperature of relaxed labels.
        interpolation: The weight of the labels in SHOT-VAE's optimal interpolation, see
            :func:`pyro_ssvae.inference.interpolation.distances`.
        interpolation_z: The weight of the moments of z in it.
    """

    def __init__(
        self,
        model: models.Factored,
        *,
        hidden: tuple[int, ...] = (500,),
        flows: int = 0,
        label_inference: Inference = "relaxed",
        temperature: float = 0.67,
        interpolation: float = 0.0,
        interpolation_z: float = 0.0,
    ) -> None:
        super().__init__("guide")
        weights = {"interpolation": interpolation, "interpolation_z": interpolation_z}
        for name, weight in weights.items():
            if not weight >= 0:
                raise InputError(f"expected {name} >= 0, got {weight}")
            if weight and flows:
                raise InputError(
                    f"{name}={weight} and flows={flows}: neighbours are found by KL divergences,"
                    " which flows do not have in closed form; use flows=0"
                )
        self.classifier = nn.OneHots(model.x_dim, hidden, model.y_dims)
        self.encoder = nn.posterior(model.x_dim, hidden, model.z_dim, flows)
        self.labels = LabelInference(label_inference, temperature)
        self.interpolation, self.interpolation_z = interpolation, interpolation_z

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, D); y: (N, sum(y_dims)), NaN where a label is unknown, or None for all."""
        with pyro.plate("data", len(x)):
            if y is None or len(self.classifier.sizes) > 1:
                q = self.classify(x) if y is None else completed(y, self.classify(x))
                infer = self.labels.infer
                if infer and y is not None and not y.isnan().any():
                    infer = {}  # nothing to sum over: q is a point
                pyro.sample("y", self.labels(q), infer=infer)
            pyro.sample("z", self.encoder(x))

    def classify(self, x: Tensor) -> OneHots:
        """prod_j q(y_j | x) over one-hot vectors (N, sum(y_dims)), from x: (N, D)."""
        return self.classifier(x)

    def named_terms(self, x: Tensor, y: Tensor, u: Tensor) -> dict[str, tuple[float, Tensor]]:
        """The two parts of the interpolation loss, labelled and unlabelled data's, by weight."""
        weights = {"interpolation": self.interpolation, "interpolation_z": self.interpolation_z}
        if not any(weights.values()):
            return {}
        both = zip(shot.distances(self, x, y), shot.distances(self, u))
        values = dict(zip(weights, (labelled + unlabelled for labelled, unlabelled in both)))
        return {name: (weight, values[name]) for name, weight in weights.items() if weight}
