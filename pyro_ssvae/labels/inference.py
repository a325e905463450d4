"""How a guide infers labels that are not given: enumerated, relaxed, the likeliest few."""

from __future__ import annotations

from typing import Any, Literal, get_args

from torch import nn

from pyro_ssvae.errors import InputError, one_of, positive
from pyro_ssvae.labels.relaxed import RelaxedOneHots
from pyro_ssvae.labels.top import TopClasses

Inference = Literal["enumerated", "relaxed", "straight-through"]


class LabelInference(nn.Module):
    """How a guide infers labels that are not given, from what its classifier says.

    Args:
        how: The way to infer them. ``"enumerated"`` sums over all combinations of classes exactly.
            ``"relaxed"`` and ``"straight-through"`` take one sample that gradients pass through, at
            a cost that does not depend on their number, with the categorical KL divergence. The
            relaxed reconstruction is that of a soft label, so the bound is approximate. A trained
            guide is evaluated with samples of the categorical itself.
        temperature: The temperature of the relaxation.
        top: The number of classes of a single label that are summed over in training, the likeliest
            ones, see :class:`TopClasses`. With None all are.
    """

    def __init__(self, how: Inference, temperature: float, top: int | None = None) -> None:
        super().__init__()
        one_of("label_inference", how, get_args(Inference))
        positive(temperature=temperature)
        if top is not None:
            positive(top_classes=top)
            if how != "enumerated":
                raise InputError(
                    f"top_classes={top} and label_inference={how!r}: a relaxed label is one sample"
                    ' and sums over no class; use label_inference="enumerated"'
                )
        self.how, self.temperature, self.top = how, temperature, top

    def forward(self, labels: Any) -> Any:
        """The distribution of the guide's site, for labels as the classifier gives them."""
        if not self.training:
            return labels
        if self.how == "enumerated":
            return labels if self.top is None else TopClasses(labels.logits, self.top)
        return RelaxedOneHots(labels, self.temperature, hard=self.how == "straight-through")

    @property
    def infer(self) -> dict[str, Any]:
        """The ``infer`` argument of the guide's site."""
        return {"enumerate": "parallel"} if self.how == "enumerated" else {}
