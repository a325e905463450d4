"""Several labels for each example, each present, absent or unknown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pyro_ssvae.errors import InputError
from pyro_ssvae.targets import metrics, ranking
from pyro_ssvae.targets.classes import check_names, check_range, unknown_of


@dataclass(frozen=True)
class SeveralLabels:
    """L labels for each example: y (N, L) int64 of 1 (present), 0 (absent) and -1 (unknown).

    The encoding (N, 2 L) has a block (absent, present) for each label, side by side, NaN throughout
    where the label is unknown. A prediction has their probabilities in the same places.

    Attributes:
        names: The names of the L labels.
    """

    names: tuple[str, ...]

    exclusive = False

    def __post_init__(self) -> None:
        check_names("label", self.names)

    @property
    def sizes(self) -> tuple[int, ...]:
        return (2,) * len(self.names)

    @property
    def width(self) -> int:
        return 2 * len(self.names)

    def check(self, y: Tensor) -> None:
        if y.dim() != 2 or y.shape[1] != len(self.names) or y.dtype != torch.int64:
            raise InputError(
                f"expected int64 labels y of shape (N, {len(self.names)}), got {y.dtype}"
                f" {tuple(y.shape)}"
            )
        check_range(y, 1)

    def known(self, y: Tensor) -> Tensor:
        return (y >= 0).any(-1)

    def classes(self, y: Tensor) -> None:
        return None

    def encode(self, y: Tensor, dtype: torch.dtype) -> Tensor:
        blocks = F.one_hot(y.clamp_min(0), 2).to(dtype)
        return blocks.masked_fill((y < 0).unsqueeze(-1), torch.nan).flatten(-2)

    def possible(self, y: Tensor, dtype: torch.dtype) -> None:
        return None

    def predicted(self, q: Any) -> Tensor:
        """The probabilities of absence and presence of every label, (N, 2 L)."""
        return q.probs

    def likeliest(self, predicted: Tensor) -> Tensor:
        present = predicted.unflatten(-1, (-1, 2)).argmax(-1)
        return F.one_hot(present, 2).flatten(-2).to(predicted.dtype)

    def named(self, predicted: Tensor) -> list[tuple[str, ...]]:
        """The names of the labels that are likelier present than absent, for each example."""
        rows = predicted.unflatten(-1, (-1, 2)).argmax(-1).tolist()
        return [tuple(n for n, present in zip(self.names, row) if present) for row in rows]

    def scores(self, predicted: Tensor, y: Tensor) -> dict[str, float]:
        """Those of :mod:`pyro_ssvae.targets.metrics` and :mod:`pyro_ssvae.targets.ranking`."""
        of_labels = metrics.scores(predicted, y, self.sizes)
        return of_labels | ranking.scores(predicted[:, 1::2], y[:, 1::2])

    def validation(self, predicted: Tensor, y: Tensor) -> dict[str, float]:
        return {
            "accuracy": metrics.accuracy(predicted, y, self.sizes),
            "nll": metrics.nll(predicted, y, self.sizes),
        }

    def summary(self, y: Tensor) -> list[str]:
        present = (y == 1).sum(0).double().mean().item()
        per_example = (y == 1).sum(1).double().mean().item()
        return [
            f"{len(self.names)} labels an example, {per_example:.1f} of them present; a label is"
            f" present in {present:,.0f} examples on average",
            *unknown_of(int((y < 0).sum()), y.numel()),
        ]
