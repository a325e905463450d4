"""Examples as users have them: arrays of numbers, or frames."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyro_ssvae.errors import InputError
from pyro_ssvae.nn import Columns

LARGEST_BYTE = 255


class Examples(NamedTuple):
    """Examples as pairs take them.

    Attributes:
        x: The examples, (N, D) float32.
        columns: What the columns of a frame are; None of an array.
        divisor: The number that whole numbers were divided by.
        notes: What was made of the input, a line each.
    """

    x: Tensor
    columns: Columns | None = None
    divisor: int = 1
    notes: tuple[str, ...] = ()


def as_examples(*parts: Any) -> Examples:
    """The examples of one or two arrays or frames, one below the other.

    Args:
        parts: The training examples and, where there is a test set of one's own, its examples.

    Raises:
        InputError: If they are no arrays of real numbers of two dimensions, or differ in width.
    """
    if hasattr(parts[0], "columns"):
        from pyro_ssvae.data.frames import read_frames

        x, columns, notes = read_frames(*parts)
        return Examples(x, columns, notes=tuple(notes))
    arrays = [_array(part) for part in parts]
    if len({array.shape[1] for array in arrays}) > 1:
        raise InputError(
            f"expected a test set of {arrays[0].shape[1]} columns as the training data, got"
            f" {arrays[1].shape[1]}"
        )
    values = np.concatenate(arrays)
    divisor = _divisor(values)
    if divisor == 1:
        return Examples(torch.from_numpy(values.astype(np.float32)))
    note = f"whole numbers from 0 to {values.max():,} were divided by {divisor:,}"
    return Examples(
        torch.from_numpy((values / divisor).astype(np.float32)), divisor=divisor, notes=(note,)
    )


def further(x: Any, like: Examples) -> Tensor:
    """Further examples (N, D), in the terms of those that a data set was made of.

    Raises:
        InputError: If they are no such arrays or frames, or are of another width.
    """
    if like.columns is not None:
        from pyro_ssvae.data.frames import encode

        return encode(like.columns, x)
    array = _array(x)
    if array.shape[1] != like.x.shape[1]:
        raise InputError(
            f"expected examples of {like.x.shape[1]} columns as the training data, got"
            f" {array.shape[1]}"
        )
    divisor = like.divisor if np.issubdtype(array.dtype, np.integer) else 1
    return torch.from_numpy((array / divisor).astype(np.float32))


def _array(x: Any) -> np.ndarray[Any, Any]:
    try:
        array = np.asarray(x.detach().cpu() if isinstance(x, Tensor) else x)
        numbers = np.issubdtype(array.dtype, np.number) or array.dtype == bool
    except ValueError:
        numbers = False
    if not numbers or np.iscomplexobj(array):
        raise InputError(f"expected x as an array (N, D) of real numbers, got {x!r:.60}")
    if array.ndim != 2:
        raise InputError(f"expected x of shape (N, D), got {array.shape}; images are flattened, and"
                         " image_shape says their height and width")
    return array


def _divisor(values: np.ndarray[Any, Any]) -> int:
    """What whole numbers that are not negative are divided by: 255 for bytes, or the largest."""
    if not np.issubdtype(values.dtype, np.integer) or not values.size or values.min() < 0:
        return 1
    largest = int(values.max())
    if largest <= 1:
        return 1
    return LARGEST_BYTE if values.dtype == np.uint8 and largest > 127 else largest
