"""How a guide infers labels that are not given: enumerated, relaxed, the likeliest few."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast, get_args

from torch import nn

from pyro_ssvae.errors import InputError, positive
from pyro_ssvae.labels.relaxed import RelaxedOneHots
from pyro_ssvae.labels.top import TopClasses
from pyro_ssvae.system.words import heard


@dataclass(frozen=True)
class Enumerated:
    """Sums over all combinations of classes, exactly.

    Attributes:
        top: The number of classes of a single label that are summed over in training, the likeliest
            ones, see :class:`TopClasses`. With None all are.
    """

    top: int | None = None
    word: ClassVar[str] = "enumerated"

    def __post_init__(self) -> None:
        if self.top is not None:
            positive(top=self.top)

    def __call__(self, labels: Any) -> Any:
        """The distribution of the guide's site in training, for labels of a classifier."""
        return labels if self.top is None else TopClasses(labels.logits, self.top)


@dataclass(frozen=True)
class Relaxed:
    """Takes one sample that gradients pass through, at a cost that no number of classes changes.

    The KL divergence is the categorical's. The reconstruction is that of a soft label, so the bound
    is approximate, see :class:`RelaxedOneHots`.

    Attributes:
        temperature: The temperature of the relaxation.
    """

    temperature: float = 0.67
    word: ClassVar[str] = "relaxed"

    def __post_init__(self) -> None:
        positive(temperature=self.temperature)

    def __call__(self, labels: Any) -> Any:
        """The distribution of the guide's site in training, for labels of a classifier."""
        return RelaxedOneHots(labels, self.temperature)


@dataclass(frozen=True)
class StraightThrough(Relaxed):
    """As :class:`Relaxed`, with one-hot samples that have the gradient of relaxed ones."""

    word: ClassVar[str] = "straight-through"

    def __call__(self, labels: Any) -> Any:
        """The distribution of the guide's site in training, for labels of a classifier."""
        return RelaxedOneHots(labels, self.temperature, hard=True)


Inference = Enumerated | Relaxed | StraightThrough


class LabelInference(nn.Module):
    """What a guide samples its labels from: an inference in training, the classifier's otherwise.

    Args:
        how: The way to infer labels that are not given, or its text, such as ``"enumerated:3"``.
        every: Whether the guide needs the probabilities of all classes: of several labels, and of
            those that are given to it.

    Raises:
        InputError: If it is no such way, or leaves out classes that the guide needs.
    """

    def __init__(self, how: Inference | str, every: bool = False) -> None:
        super().__init__()
        if isinstance(how, str):
            how = cast(Inference, heard(how, get_args(Inference), "label_inference"))
        if not isinstance(how, Inference):
            raise InputError(
                "expected labels.Enumerated(), labels.Relaxed() or labels.StraightThrough(), got"
                f" {how!r:.60}"
            )
        if every and isinstance(how, Enumerated) and how.top is not None:
            raise InputError(
                f"expected an inference of labels that leaves out no class, got {how}; use"
                " labels.Enumerated() or labels.Relaxed()"
            )
        self.how = how

    def forward(self, labels: Any) -> Any:
        """The distribution of the guide's site, for labels as the classifier gives them."""
        return self.how(labels) if self.training else labels

    @property
    def infer(self) -> dict[str, Any]:
        """The ``infer`` argument of the guide's site."""
        return {"enumerate": "parallel"} if isinstance(self.how, Enumerated) else {}
