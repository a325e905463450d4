"""Frames as vectors: which numbers of x hold a column's value, and which says that it is there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor

from pyro_ssvae.errors import InputError

Kind = Literal["number", "binary", "category"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NAMED = 5  # columns of a kind that a summary names


@dataclass(frozen=True)
class Column:
    """A column of a frame.

    Attributes:
        name: Its name.
        kind: What its entries are: ``"number"``, ``"binary"`` (0 or 1) or ``"category"``.
        levels: The texts that a category's entries can have, in their order.
        loc: The number that is 0 in x.
        scale: The difference of two numbers whose difference in x is 1.
    """

    name: str
    kind: Kind
    levels: tuple[str, ...] = ()
    loc: float = 0.0
    scale: float = 1.0

    @property
    def width(self) -> int:
        """The number of values in x."""
        return len(self.levels) if self.kind == "category" else 1


@dataclass(frozen=True)
class Columns:
    """What x of a frame holds: the values of all columns, then a mark of each, (..., V + C).

    The values are standardised numbers first, then binary entries, 0 or 1, then a one-hot block for
    each category. A mark is 1 where the entry is observed, and 0 where it is missing; its values
    are 0 then. So x is finite, and whatever reads it reads where the gaps are.

    Attributes:
        columns: The columns, those of a kind together, in the order above.

    Raises:
        InputError: if there is no column, or two of the same name.
    """

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if not names or len(set(names)) < len(names):
            raise InputError(
                f"expected columns of different names, got {', '.join(names) or 'none'}"
            )
        ordered = sorted(self.columns, key=lambda column: KINDS.index(column.kind))
        object.__setattr__(self, "columns", tuple(ordered))

    def of(self, kind: Kind) -> list[Column]:
        """The columns of a kind, in the order of x."""
        return [column for column in self.columns if column.kind == kind]

    @cached_property
    def numbers(self) -> int:
        """The number of columns that are numbers."""
        return len(self.of("number"))

    @cached_property
    def binaries(self) -> int:
        """The number of binary columns."""
        return len(self.of("binary"))

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """The number of levels of each category."""
        return tuple(column.width for column in self.of("category"))

    @cached_property
    def values(self) -> int:
        """V, the number of values in x."""
        return sum(column.width for column in self.columns)

    @cached_property
    def width(self) -> int:
        """V + C, the number of dimensions of x."""
        return self.values + len(self.columns)

    @cached_property
    def places(self) -> dict[str, slice]:
        """Where in x the values of each column are, by its name."""
        ends = torch.tensor([column.width for column in self.columns]).cumsum(0).tolist()
        return {c.name: slice(end - c.width, end) for c, end in zip(self.columns, ends)}

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The values (..., V) in x (..., V + C), 0 where they are missing, and the marks (..., C).

        The marks are booleans. What x has in place of a missing value does not matter.
        """
        values, marks = x.split((self.values, len(self.columns)), dim=-1)
        observed = marks > 0.5
        plain = self.numbers + self.binaries
        blocks = [
            mark.expand(*mark.shape[:-1], size)
            for mark, size in zip(observed[..., plain:].split(1, dim=-1), self.sizes)
        ]
        everywhere = torch.cat([observed[..., :plain], *blocks], dim=-1)
        return torch.where(everywhere, values, 0.0), observed

    def complete(self, values: Tensor) -> Tensor:
        """x (..., V + C) of values (..., V) of which none is missing."""
        return torch.cat([values, values.new_ones(*values.shape[:-1], len(self.columns))], dim=-1)

    def summary(self, x: Tensor) -> list[str]:
        """What the columns of x (N, V + C) are and how many entries are missing, in a few lines."""
        values, observed = self.split(x)
        missing = 1 - observed.double().mean(0)
        lines = []
        for kind, (one, more) in _NAMES.items():
            found = [
                self._about(column, values[:, self.places[column.name]], observed[:, i], share)
                for i, (column, share) in enumerate(zip(self.columns, missing.tolist()))
                if column.kind == kind
            ]
            if found:
                lines.append(f"{len(found):,} {one if len(found) == 1 else more}: {_few(found)}")
        gaps = int((~observed).sum())
        share = f" ({gaps / max(1, observed.numel()):.1%})" if gaps else ""
        return [*lines, f"{gaps:,} of {observed.numel():,} entries missing{share}"]

    def _about(self, column: Column, values: Tensor, observed: Tensor, missing: float) -> str:
        about = []
        if column.kind == "category":
            about.append(f"{column.width:,} levels")
        elif column.kind == "number" and observed.any():
            numbers = values[observed].double() * column.scale + column.loc
            digits = 4 - math.floor(math.log10(column.scale))  # those that float32 has
            low, high = (round(end.item(), digits) + 0.0 for end in (numbers.min(), numbers.max()))
            about.append(f"{low:.4g} to {high:.4g}")
        if missing:
            about.append(f"{missing:.1%} missing")
        return f"{column.name} ({', '.join(about)})" if about else column.name


_NAMES: dict[Kind, tuple[str, str]] = {
    "number": ("column of numbers", "columns of numbers"),
    "binary": ("column of 0 and 1", "columns of 0 and 1"),
    "category": ("column of categories", "columns of categories"),
}


def _few(texts: Sequence[str]) -> str:
    more = f", and {len(texts) - NAMED:,} more" if len(texts) > NAMED else ""
    return ", ".join(texts[:NAMED]) + more
