"""Which labels are unknown, by the marks that users have for it."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def unmasked(values: Any) -> Any:
    """Values as they are; of a masked array with None in place of what is masked."""
    if not isinstance(values, np.ma.MaskedArray):
        return values
    result = values.data.astype(object)
    result[np.ma.getmaskarray(values)] = None
    return result


def is_missing(value: Any) -> bool:
    """Whether a value is None or NaN, or what pandas has for a missing one."""
    # pandas' NA comes first: of it and itself, != is neither true nor false.
    return value is None or type(value).__name__ in ("NAType", "NaTType") or bool(value != value)


def unknown(values: Array, *, as_classes: bool = False) -> Array:
    """Which labels (N,) are unknown: None, NaN, an empty text, or -1.

    A floating-point -1 is one where labels are said to be classes. The texts "nan" and "-1" are
    what NumPy makes of these marks beside texts.
    """
    if values.dtype.kind == "f":
        return np.isnan(values) | (as_classes & (values == -1))
    if values.dtype.kind in "iu":
        return values == -1
    if values.dtype.kind == "b":
        return np.zeros(len(values), dtype=bool)
    return np.array([
        is_mark(value) or as_classes and isinstance(value, (float, np.floating)) and value == -1
        for value in values
    ], dtype=bool)


def is_mark(value: Any) -> bool:
    """Whether a value, beside others that are no numbers, marks an unknown label."""
    if isinstance(value, str):
        return value in ("", "-1", "nan")
    return is_missing(value) or (isinstance(value, (int, np.integer)) and value == -1)
