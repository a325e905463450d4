"""Examples as users have them: arrays of numbers, or frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyro_ssvae.errors import InputError
from pyro_ssvae.nn import Columns

LARGEST_BYTE = 255


def as_examples(*parts: Any) -> tuple[Tensor, Columns | None, list[str]]:
    """Examples (N, D) of one or two arrays or frames, one below the other, and what was made of it.

    Args:
        parts: The training examples and, where there is a test set of one's own, its examples.

    Returns:
        The examples as float32; what the columns are, of frames; and lines that say what was done.

    Raises:
        InputError: If they are no arrays of real numbers of two dimensions, or differ in width.
    """
    if hasattr(parts[0], "columns"):
        from pyro_ssvae.data.frames import read_frames

        return read_frames(*parts)
    arrays = [_array(part) for part in parts]
    if len({array.shape[1] for array in arrays}) > 1:
        raise InputError(
            f"expected a test set of {arrays[0].shape[1]} columns as the training data, got"
            f" {arrays[1].shape[1]}"
        )
    values = np.concatenate(arrays)
    scale = _scale(values)
    if scale is None:
        return torch.from_numpy(values.astype(np.float32)), None, []
    note = f"whole numbers from 0 to {values.max():,} were divided by {scale:,}"
    return torch.from_numpy((values / scale).astype(np.float32)), None, [note]


def _array(x: Any) -> np.ndarray[Any, Any]:
    try:
        array = np.asarray(x)
        numbers = np.issubdtype(array.dtype, np.number) or array.dtype == bool
    except ValueError:
        numbers = False
    if not numbers or np.iscomplexobj(array):
        raise InputError(f"expected x as an array (N, D) of real numbers, got {x!r:.60}")
    if array.ndim != 2:
        raise InputError(f"expected x of shape (N, D), got {array.shape}; images are flattened, and"
                         " image_shape says their height and width")
    return array


def _scale(values: np.ndarray[Any, Any]) -> int | None:
    """What whole numbers that are not negative are divided by: 255 for bytes, or the largest."""
    if not np.issubdtype(values.dtype, np.integer) or not values.size or values.min() < 0:
        return None
    largest = int(values.max())
    if largest <= 1:
        return None
    return LARGEST_BYTE if values.dtype == np.uint8 and largest > 127 else largest
