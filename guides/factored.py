from __future__ import annotations

import pyro
import torch
from pyro.nn import PyroModule
from torch import Tensor
from torch.distributions import kl_divergence

from pyro_ssvae import models, nn
from pyro_ssvae.errors import InputError
from pyro_ssvae.labels import Inference, LabelInference, OneHots, completed


class Factored(PyroModule):
    """q(y, z | x) = q(z | x) prod_j q(y_j | x)

    Feng (2019), eq. 9; Feng et al. (2021), SHOT-VAE, arXiv 2011.10684.

    Unknown labels are relaxed, at a cost linear in their number, or enumerated jointly, at one
    exponential in it: eq. 11 either way. Where an example has several labels, those that are given
    are points, and others may be missing. Eq. 13 for known labels is the objective's ``swap``,
    eq. 16 its ``capacity_z`` and ``capacity_y``.

    Args:
        model: the model whose sizes this guide takes.
        hidden: sizes of the hidden layers, of the classifier and of the encoder.
        flows: normalizing flows in q(z | x).
        label_inference: of unknown labels, ``"relaxed"``, ``"straight-through"`` or
            ``"enumerated"``: see :class:`pyro_ssvae.labels.LabelInference`.
        temperature: of relaxed labels.
        interpolation: weight of SHOT-VAE's optimal interpolation, see :meth:`interpolated`.
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
    ) -> None:
        super().__init__("guide")
        if interpolation < 0:
            raise InputError(f"expected interpolation >= 0, got {interpolation}")
        if interpolation and flows:
            raise InputError(
                f"interpolation={interpolation} and flows={flows}: neighbours are found by KL"
                " divergences, which flows do not have in closed form; use flows=0"
            )
        self.classifier = nn.OneHots(model.x_dim, hidden, model.y_dims)
        self.encoder = nn.posterior(model.x_dim, hidden, model.z_dim, flows)
        self.labels = LabelInference(label_inference, temperature)
        self.interpolation = interpolation

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
        """The interpolation loss of the unlabelled examples, with its weight."""
        if self.interpolation == 0:
            return {}
        return {"interpolation": (self.interpolation, self.interpolated(u))}

    def interpolated(self, u: Tensor) -> Tensor:
        """KL from mixed predictions to the prediction of mixed examples u (N, D), a mean.

        Each example is mixed with that of the batch whose q(z | x) is nearest to its own, in KL
        divergence; half and half at most. A smoothness of q(y | x), not part of any bound.
        """
        with torch.no_grad():
            normal = self.encoder(u).base_dist
            each = type(normal)(normal.loc.unsqueeze(1), normal.scale.unsqueeze(1))
            apart = kl_divergence(each, normal).sum(-1).fill_diagonal_(torch.inf)
            partner = apart.argmin(1)
            share = 0.5 * torch.rand_like(u[:, :1])
            probs = self.classify(u).probs
            mixed = torch.lerp(probs, probs[partner], share)
        q = self.classify(torch.lerp(u, u[partner], share))
        return kl_divergence(OneHots(mixed.log(), q.sizes), q).mean()
