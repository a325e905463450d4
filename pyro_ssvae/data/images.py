"""Images as arrays have them: with their channels first, last, or none; and as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from pyro_ssvae.errors import InputError, one_of

Channels = Literal["first", "last"]
LARGEST_BYTE = 255
USUAL = (1, 3, 4)  # the numbers of channels that tell where the channels are


def place(shape: Sequence[int], channels: Channels | None) -> Channels:
    """The place of the channels in images of a shape, (N, C, H, W) or (N, H, W, C).

    Args:
        shape: The shape of the array. One of other dimensions has no channels, and counts as
            ``"first"``.
        channels: The place as the user says it, or None to find it.

    Raises:
        InputError: If the shape does not tell, or there is no such place.
    """
    if channels is not None:
        one_of("place of channels", channels, get_args(Channels))
        return channels
    if len(shape) != 4 or shape[1] in USUAL:
        return "first"
    if shape[3] in USUAL:
        return "last"
    raise InputError(
        f"expected images (N, C, H, W) or (N, H, W, C) of 1, 3 or 4 channels, got {tuple(shape)};"
        ' say where the channels are by channels="first" or "last"'
    )


def channels_first(array: np.ndarray[Any, Any], channels: Channels) -> np.ndarray[Any, Any]:
    """Images as (N, C, H, W), from an array with its channels at a place or, (N, H, W), without.

    An array (N, D) is left as it is.
    """
    if array.ndim == 3:
        return array[:, None]
    if array.ndim == 4 and channels == "last":
        return np.moveaxis(array, 3, 1)
    return array


def channels_last(array: np.ndarray[Any, Any], channels: Channels) -> np.ndarray[Any, Any]:
    """Images (N, C, H, W) with their channels at a place again."""
    return np.moveaxis(array, 1, 3) if array.ndim == 4 and channels == "last" else array


def notes(shape: Sequence[int], channels: Channels) -> list[str]:
    """What was made of images whose channels were at a place, for the user to read."""
    if len(shape) != 4 or channels == "first":
        return []
    return ["the channels of the images came last, and are first in x"]


def joined(parts: Sequence[np.ndarray[Any, Any]]) -> Tensor:
    """Images of bytes, in parts (n, C, H, W), as one tensor: float32 in [0, 1]."""
    x = torch.empty(sum(map(len, parts)), *parts[0].shape[1:])
    start = 0
    for part in parts:
        rows = x[start:start + len(part)]
        # Without a copy beside: of large data it would be the most memory that is ever taken.
        np.divide(part, np.float32(LARGEST_BYTE), out=rows.numpy(), dtype=np.float32)
        start += len(part)
    return x


def last(parts: Sequence[np.ndarray[Any, Any]]) -> Tensor:
    """The indices (n,) of the examples in the last of several parts, such as the test part."""
    number = sum(map(len, parts))
    return torch.arange(number - len(parts[-1]), number)
