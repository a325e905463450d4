"""Frames, and arrays with gaps, as pairs take them and as they came."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyro_ssvae.data.frames import encode, read_frames
from pyro_ssvae.estimators.rows import Array, as_frame, is_frame
from pyro_ssvae.nn import Column, Columns
from pyro_ssvae.targets.marks import is_missing

LARGEST = 1e6  # standard deviations that an entry is from the mean, at most: further ones are cut


@dataclass
class Table:
    """A frame, or an array with gaps: see :mod:`pyro_ssvae.data.frames`.

    Attributes:
        names: The names of all columns, in their order.
        columns: What those that vary are.
        constants: The entry of each that does not, by its name.
        types: What the entries of others are, by the name: ``bool``, pandas' type of categories, or
            None, where they are numbers or texts.
        frame: Whether it came as a frame. The columns of an array are all of numbers.
    """

    names: list[Any]
    columns: Columns
    constants: dict[Any, Any] = field(default_factory=dict)
    types: dict[Any, Any] = field(default_factory=dict)
    frame: bool = True
    kind: str = "frame"

    @classmethod
    def of(cls, X: Any) -> Table:
        """What the training rows X say of their columns."""
        came = is_frame(X)
        frame = as_frame(X, list(range(X.shape[1])))
        used = frame if came else frame.loc[:, frame.notna().any()]
        columns = read_frames(used, binary=came)[1]
        kept = {column.name for column in columns.columns}
        first = {
            name: next((v for v in frame[name] if not is_missing(v)), None if came else math.nan)
            for name in frame.columns
        }
        constants = {name: value for name, value in first.items() if str(name) not in kept}
        types = {
            name: _type(frame[name], value) for name, value in first.items() if str(name) in kept
        }
        return cls(list(frame.columns), columns, constants, types, came)

    def encode(self, X: Any, first: int = 0) -> Tensor:
        x = encode(self.columns, as_frame(X, self.names), first)
        return x.clamp(-LARGEST, LARGEST)

    def decode(self, x: Tensor) -> Any:
        from pandas import DataFrame

        values = self.columns.split(x)[0].double().numpy()
        of_name = {column.name: column for column in self.columns.columns}
        result: dict[Any, Any] = {}
        for name in self.names:
            if (column := of_name.get(str(name))) is None:
                result[name] = [self.constants[name]] * len(x)
            else:
                entries = values[:, self.columns.places[column.name]]
                result[name] = _entries(column, entries, self.types.get(name))
        frame = DataFrame(result, columns=self.names)
        return frame if self.frame else frame.to_numpy()

    def log_volume(self, x: Tensor) -> Tensor:
        observed = self.columns.split(x)[1][:, :self.columns.numbers]
        scales = [column.scale for column in self.columns.of("number")]
        return -observed.to(x) @ torch.tensor(scales, dtype=x.dtype).log()


def _type(column: Any, value: Any) -> Any:
    """What the entries of a column are, of which one is given: None for numbers and texts."""
    if hasattr(column, "iloc"):
        from pandas import CategoricalDtype

        if isinstance(column.dtype, CategoricalDtype):
            return column.dtype
    return bool if isinstance(value, (bool, np.bool_)) else None


def _entries(column: Column, values: Array, kind: Any) -> Any:
    """A column of a frame, of the values (N, V) that a pair gives: the likeliest of categories."""
    if column.kind == "number":
        return values[:, 0] * column.scale + column.loc
    if column.kind == "binary":
        return (values[:, 0] > 0.5).astype(kind or float)
    codes = values.argmax(1)
    if kind is None:
        return np.array(column.levels, dtype=object)[codes]
    from pandas import Categorical

    return Categorical.from_codes(codes, dtype=kind)
