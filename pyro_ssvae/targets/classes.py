"""One class for each example."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pyro_ssvae.errors import InputError
from pyro_ssvae.targets import metrics

SHOWN = 12  # classes that a summary names


@dataclass(frozen=True)
class Classes:
    """One of K classes for each example: y (N,) int64 of 0..K-1, or -1 where it is unknown.

    Attributes:
        names: The names of the K classes.
    """

    names: tuple[str, ...]

    exclusive = True

    def __post_init__(self) -> None:
        check_names("class", self.names)

    @property
    def sizes(self) -> tuple[int, ...]:
        return (len(self.names),)

    @property
    def width(self) -> int:
        return len(self.names)

    def check(self, y: Tensor) -> None:
        if y.dim() != 1 or y.dtype != torch.int64:
            raise InputError(
                f"expected int64 classes y of shape (N,), got {y.dtype} {tuple(y.shape)}"
            )
        check_range(y, len(self.names) - 1)

    def known(self, y: Tensor) -> Tensor:
        return self.classes(y) >= 0

    def classes(self, y: Tensor) -> Tensor:
        return y

    def encode(self, y: Tensor, dtype: torch.dtype) -> Tensor:
        one_hot = F.one_hot(y.clamp_min(0), self.width).to(dtype)
        return one_hot.masked_fill((y < 0).unsqueeze(-1), torch.nan)

    def possible(self, y: Tensor, dtype: torch.dtype) -> Tensor | None:
        return None

    def predicted(self, q: Any) -> Tensor:
        """The probabilities of the classes, (N, K)."""
        return q.probs

    def likeliest(self, predicted: Tensor) -> Tensor:
        return F.one_hot(predicted.argmax(-1), self.width).to(predicted.dtype)

    def named(self, predicted: Tensor) -> list[str]:
        return [self.names[k] for k in predicted.argmax(-1).tolist()]

    def scores(self, predicted: Tensor, y: Tensor) -> dict[str, float]:
        return metrics.scores(predicted, y)

    def validation(self, predicted: Tensor, y: Tensor) -> dict[str, float]:
        return {
            "accuracy": metrics.accuracy(predicted, y),
            "nll": metrics.nll(predicted, y),
        }

    def summary(self, y: Tensor) -> list[str]:
        of_class = self.classes(y)
        counts = of_class[of_class >= 0].bincount(minlength=self.width).tolist()
        listed = [f"{name} {count:,}" for name, count in zip(self.names, counts)]
        more = f", and {self.width - SHOWN} more" if self.width > SHOWN else ""
        return [
            f"{self.width} classes: {', '.join(listed[:SHOWN])}{more}",
            *unknown_of(int((of_class < 0).sum()), len(y)),
        ]


def check_names(kind: str, names: tuple[str, ...]) -> None:
    """Raise :class:`InputError` unless there are names, each once."""
    if not names:
        raise InputError(f"expected the name of at least one {kind}, got none")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"expected {kind} names that differ, got {twice[0]!r} more than once")


def check_range(y: Tensor, largest: int) -> None:
    """Raise :class:`InputError` unless labels are in -1..largest; -1 is unknown."""
    if y.numel() and not (-1 <= int(y.min()) and int(y.max()) <= largest):
        raise InputError(
            f"expected labels in 0..{largest}, or -1 where unknown, got labels from {int(y.min())}"
            f" to {int(y.max())}"
        )


def unknown_of(number: int, of: int, what: str = "labels") -> list[str]:
    """A line on how many are unknown, none where all are known."""
    return [f"{number:,} of {of:,} {what} unknown ({number / of:.1%})"] if number else []
