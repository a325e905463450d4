"""Rows as users have them, arrays, sparse matrices and frames, without knowing which."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.sparse import issparse

Array = np.ndarray[Any, Any]
ENTRIES = 2**22  # that are dense at a time


def is_frame(X: Any) -> bool:
    """Whether X has columns with names."""
    return hasattr(X, "columns")


def names_of(X: Any) -> list[Any] | None:
    """The names of the columns of a frame; None of an array."""
    return list(X.columns) if is_frame(X) else None


def plain(X: Any) -> bool:
    """Whether X is as an array is: a frame is where it has numbers alone, and no gaps."""
    if not is_frame(X):
        return True
    columns = [np.asarray(X[name]) for name in X.columns]
    return all(
        column.dtype.kind in "iuf" and not np.isnan(column).any() for column in columns
    )


def as_frame(X: Any, names: list[Any]) -> Any:
    """X as a frame with columns of these names, if it is none."""
    if is_frame(X):
        return X
    from pandas import DataFrame

    return DataFrame(dense(X), columns=names)


def dense(X: Any) -> Array:
    """X as an array."""
    return X.toarray() if issparse(X) else X


def pieces(X: Any) -> Iterator[Any]:
    """X in parts of :data:`ENTRIES` entries, some rows each."""
    rows = max(1, ENTRIES // max(1, math.prod(X.shape[1:])))
    for first in range(0, X.shape[0], rows):
        yield part(X, first, rows)


def part(X: Any, first: int, rows: int) -> Any:
    """So many rows of X, from the first given on."""
    return X.iloc[first:first + rows] if hasattr(X, "iloc") else X[first:first + rows]
