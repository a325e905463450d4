"""Data frames, whose columns may be of several types and have gaps, as vectors.

A frame is whatever has ``columns``, which are names, and a column for each, ``frame[name]``: a data
frame of pandas, which is not imported for it, or of another library. A column is

- *of numbers*, in which None and NaN are gaps; 0 and 1 alone, or False and True, make it *binary*;
- *of categories*, texts, in which None, NaN and an empty text are gaps. The levels are the texts
  that there are, in alphabetical order, or those of a categorical column of pandas, in its own.

Numbers are standardised by the mean and the standard deviation of those that are observed in the
training frame, those of rows that are set aside of it for testing too. See
:class:`pyro_ssvae.nn.Columns` for what x has where.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyro_ssvae.data.levels import check as check_levels
from pyro_ssvae.errors import InputError, few
from pyro_ssvae.nn import Column, Columns
from pyro_ssvae.targets.marks import is_missing

MAX_LEVELS = 1_000

Array = np.ndarray[Any, Any]


def read_frames(*frames: Any, binary: bool = True) -> tuple[Tensor, Columns, list[str]]:
    """What one or two frames hold, the second below the first.

    Args:
        frames: The training frame, which says what the columns are; and a test frame, which must
            have them too.
        binary: Whether 0 and 1 alone make a column binary. If not they are numbers as others are.

    Returns:
        x (N, D) float32; what its columns are; and lines that say what was left out.

    Raises:
        InputError: If a column has no or several types, infinite numbers, or too many levels, or
            its texts name the rows or are nearly all numbers; if two have the same name, no column
            is of use, or the test frame does not go with the other.
    """
    entries = [_entries(frames[0], name, own) for name, own in _names(frames[0]).items()]
    read = [_column(each, binary) for each in entries]
    kept = tuple(column for column in read if column is not None)
    constant = [each.name for each, column in zip(entries, read) if column is None]
    notes = [f"constant, left out: {', '.join(constant)}"] if constant else []
    if not kept:
        raise InputError(f"expected a frame with a column that varies, got {len(entries)} columns"
                         " of which none does")
    columns = Columns(kept)
    for frame in frames[1:]:
        known = {each.name for each in entries}
        if further := [name for name in _names(frame) if name not in known]:
            notes.append(f"in the test set alone, left out: {', '.join(further)}")
    used = [each for each, column in zip(entries, read) if column is not None]
    train = _vectors(columns, {each.name: each for each in used})
    return torch.cat([train, *(encode(columns, frame) for frame in frames[1:])]), columns, notes


def encode(columns: Columns, frame: Any, first: int = 0) -> Tensor:
    """The vectors (N, D) float32 of a frame's rows, in terms of the columns of a training frame.

    Columns of the frame that are none of these are left out.

    Args:
        columns: What the columns are.
        frame: The frame.
        first: The number of its first row, from which errors count.

    Raises:
        InputError: If a column is missing, or has entries of another type or an unknown level.
    """
    names = _names(frame)
    missing = [column.name for column in columns.columns if column.name not in names]
    if missing:
        raise InputError(
            f"expected the columns of the training data, got a frame without {', '.join(missing)}"
        )
    used = [column.name for column in columns.columns]
    return _vectors(columns, {name: _entries(frame, name, names[name], first) for name in used})


@dataclass(frozen=True)
class _Entries:
    """A column as it came.

    Attributes:
        name: Its name.
        distinct: Its values, of which those that are no plain numbers stand here once.
        index: The place of each entry among these, (N,).
        levels: The levels that the column declares, if any.
        first: The number of the first row.
    """

    name: str
    distinct: Array
    index: Array
    levels: tuple[str, ...] | None
    first: int

    def __len__(self) -> int:
        return len(self.index)

    @cached_property
    def _there(self) -> Array:
        """Which of the distinct values are no gaps."""
        if self.distinct.dtype.kind == "f":
            return ~np.isnan(self.distinct)
        if self.distinct.dtype.kind != "O":
            return np.ones(len(self.distinct), dtype=bool)
        gaps = [is_missing(value) or isinstance(value, str) and not value
                for value in self.distinct]
        return ~np.array(gaps, dtype=bool)

    @cached_property
    def observed(self) -> Array:
        """Which entries are there, (N,) bool."""
        return self._there[self.index]

    @cached_property
    def numeric(self) -> bool:
        """Whether entries are numbers; else they are categories."""
        if self.levels is not None:
            return False
        if self.distinct.dtype.kind != "O":
            return True
        found: dict[bool, Any] = {}
        for value in self.distinct[self._there]:
            if not isinstance(value, (str, Real, np.bool_)):
                raise self.error("numbers or texts", f"{value!r:.60}, {type(value).__name__}")
            found.setdefault(isinstance(value, str), value)
        if len(found) > 1:
            both = f"{found[False]!r} and {found[True]!r}"
            raise self.error("numbers or texts, and not both", f"{both}; turn all into texts, or"
                             " texts that are no numbers into gaps")
        return False in found

    @cached_property
    def numbers(self) -> Array:
        """The numbers (N,) float64, NaN where they are missing."""
        result = np.full(len(self.distinct), np.nan)
        try:
            result[self._there] = self.distinct[self._there].astype(np.float64)
        except OverflowError:
            raise self.error("numbers of 64 bits", "larger ones") from None
        infinite = np.isinf(result)
        if infinite.any():
            place = int(infinite.argmax())
            raise self.error("finite numbers", f"{result[place]} in row {self.row(place)}")
        return result[self.index]

    @cached_property
    def texts(self) -> list[str | None]:
        """The distinct texts, None for a gap."""
        return [_text(v) if there else None for v, there in zip(self.distinct, self._there)]

    def row(self, place: int) -> int:
        """The first row of a distinct value."""
        return self.first + int((self.index == place).argmax())

    def error(self, wanted: str, came: str) -> InputError:
        return InputError(f"column {self.name!r}: expected {wanted}, got {came}")


def _names(frame: Any) -> dict[str, Any]:
    """The columns' names as texts, and as the frame has them."""
    if not hasattr(frame, "columns"):
        raise InputError(f"expected a data frame as the training data, got {frame!r:.60}")
    names: dict[str, Any] = {}
    for own in frame.columns:
        if str(own) in names:
            raise InputError(f"expected columns of different names, got {str(own)!r} twice")
        names[str(own)] = own
    return names


def _entries(frame: Any, name: str, own: Any, first: int = 0) -> _Entries:
    column = frame[own]
    levels = getattr(getattr(column, "dtype", None), "categories", None)  # of pandas' own type
    values = np.asarray(column, dtype=None if levels is None else object)
    if values.ndim != 1 or values.dtype.kind not in "biufOU":
        raise InputError(
            f"column {name!r}: expected numbers or texts, got {values.dtype} of shape"
            f" {values.shape}; turn dates into numbers"
        )
    if values.dtype.kind in "biuf":
        return _Entries(name, values, np.arange(len(values)), None, first)
    places: dict[Any, int] = {}
    try:
        index = [places.setdefault(value, len(places)) for value in values.tolist()]
    except TypeError:
        raise InputError(f"column {name!r}: expected numbers or texts, got lists or the like"
                         ) from None
    distinct = np.empty(len(places), dtype=object)
    distinct[:] = list(places)
    texts = None if levels is None else tuple(map(_text, levels))
    return _Entries(name, distinct, np.array(index, dtype=np.int64), texts, first)


def _vectors(columns: Columns, entries: Mapping[str, _Entries]) -> Tensor:
    """The vectors (N, D) float32 of columns by their names."""
    values = [_encoded(column, entries[column.name]) for column in columns.columns]
    marks = [entries[column.name].observed[:, None] for column in columns.columns]
    return torch.from_numpy(np.concatenate([*values, *marks], axis=1, dtype=np.float32))


def _column(entries: _Entries, binary: bool) -> Column | None:
    """What a column of the training frame is; None where all of its entries are the same."""
    if not entries.observed.any():
        raise entries.error("an entry that is no gap", f"none in {len(entries):,} rows; leave the"
                            " column out")
    if entries.numeric:
        numbers = entries.numbers[entries.observed]
        low, high = numbers.min(), numbers.max()
        if low == high:
            return None
        if binary and np.isin(numbers, (0, 1)).all():
            return Column(entries.name, "binary")
        return Column(entries.name, "number", (), *_moments(entries, numbers))
    found = {text for text in entries.texts if text is not None}
    if len(found) < 2:
        return None
    if entries.levels is None:
        check_levels(entries.name, entries.texts, entries.index)
    levels = sorted(found) if entries.levels is None else entries.levels
    if len(levels) > MAX_LEVELS:
        raise entries.error(
            f"at most {MAX_LEVELS:,} levels of a category", f"{len(levels):,}; leave the column"
            f" out, of a file also by --ignore {entries.name!r}, or give its texts as numbers"
        )
    return Column(entries.name, "category", tuple(levels))


def _moments(entries: _Entries, numbers: Array) -> tuple[float, float]:
    """The mean and the standard deviation, the same on every machine."""
    reach = float(np.abs(numbers).max())
    if not 1e-150 < reach < 1e150:
        raise entries.error("numbers between 1e-150 and 1e150 in size", f"{reach:.4g}")
    loc = math.fsum(numbers) / len(numbers)
    scale = math.sqrt(math.fsum((numbers - loc) ** 2) / len(numbers))
    if not scale:
        raise entries.error("numbers whose differences can be told", f"{numbers.min()} to {reach}")
    return loc, scale


def _encoded(column: Column, entries: _Entries) -> Array:
    """The values (N, V) of a column, 0 where they are missing."""
    there = entries.observed
    if column.kind == "category":
        return _one_hot(column, entries)
    if there.any() and not entries.numeric:
        came = entries.distinct[entries.index[int(there.argmax())]]
        raise entries.error("numbers as in the training data", f"the category {came!r}")
    numbers = np.where(there, entries.numbers, column.loc)
    if column.kind == "binary" and (strange := there & ~np.isin(numbers, (0, 1))).any():
        place = int(strange.argmax())
        came = f"{numbers[place]:g} in row {entries.first + place}"
        raise entries.error("0 or 1 as in the training data", came)
    return ((numbers - column.loc) / column.scale)[:, None]


def _one_hot(column: Column, entries: _Entries) -> Array:
    rows = dict(zip(column.levels, np.eye(len(column.levels), dtype=np.float32)))
    for place, text in enumerate(entries.texts):
        if text is not None and text not in rows:
            raise entries.error(
                f"one of the training data's levels {few(column.levels)}", f"{text!r} in row"
                f" {entries.row(place)}; make it a gap, or name all levels in the training data,"
                " by pandas.Categorical"
            )
    gap = np.zeros(len(column.levels), dtype=np.float32)
    blocks = [gap if text is None else rows[text] for text in entries.texts]
    return np.stack(blocks)[entries.index] if blocks else np.empty((0, len(gap)))


def _text(value: Any) -> str:
    """What a level is called; 1.0 as 1 is, for gaps turn whole numbers into others."""
    whole = isinstance(value, (float, np.floating)) and float(value).is_integer()
    return str(int(value) if whole else value)
