"""One class for each example, of which a set may be all that is known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pyro_ssvae.errors import InputError
from pyro_ssvae.targets.classes import Classes, unknown_of


@dataclass(frozen=True)
class ClassSets(Classes):
    """One of K classes for each example, known to be in a set: y (N, K) bool, True within it.

    A set of one class is a label that is known, the set of all classes one that is unknown, and
    any other, such as the digits that are even, a label of which something is known: unlabelled
    data, whose bound sums over the classes of the set alone.
    """

    def check(self, y: Tensor) -> None:
        if y.dim() != 2 or y.dtype != torch.bool or y.shape[1] != self.width:
            raise InputError(
                f"expected sets y as booleans (N, {self.width}), got {y.dtype} {tuple(y.shape)}"
            )
        empty = ~y.any(dim=1)
        if empty.any():
            raise InputError(
                "expected sets of at least one class, got an empty one for the example at index"
                f" {int(empty.nonzero()[0])}"
            )

    def classes(self, y: Tensor) -> Tensor:
        return y.long().argmax(-1).masked_fill(y.sum(-1) > 1, -1)

    def encode(self, y: Tensor, dtype: torch.dtype) -> Tensor:
        return super().encode(self.classes(y), dtype)

    def possible(self, y: Tensor, dtype: torch.dtype) -> Tensor:
        return y.to(dtype)

    def summary(self, y: Tensor) -> list[str]:
        size = y.sum(-1)
        sets = int(((size > 1) & (size < self.width)).sum())
        lines = super().summary(y)[:1]
        if sets:
            lines.append(f"{sets:,} of {len(y):,} labels known to be in a set of classes")
        return [*lines, *unknown_of(int((size == self.width).sum()), len(y))]
