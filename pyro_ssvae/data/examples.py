"""Examples as users have them: arrays of numbers, or frames."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyro_ssvae.data import images
from pyro_ssvae.data.images import LARGEST_BYTE, Channels
from pyro_ssvae.errors import InputError
from pyro_ssvae.nn import Columns

FAR = 5.0  # the root mean square from which on data are no standardised ones, of which it is 1


class Examples(NamedTuple):
    """Examples as pairs take them.

    Attributes:
        x: The examples, (N, D) or (N, C, H, W) float32.
        columns: What the columns of a frame are; None of an array.
        divisor: The number that whole numbers were divided by.
        channels: The place of the channels in images as they came.
        notes: What was made of the input, a line each.
    """

    x: Tensor
    columns: Columns | None = None
    divisor: int = 1
    channels: Channels = "first"
    notes: tuple[str, ...] = ()


def as_examples(*parts: Any, channels: Channels | None = None) -> Examples:
    """The examples of one or two arrays or frames, one below the other.

    Args:
        parts: The training examples and, where there is a test set of one's own, its examples.
        channels: The place of the channels in images. None has their shape say it.

    Raises:
        InputError: If they are no arrays of real numbers of two to four dimensions, or differ in
            the shape of an example.
    """
    if hasattr(parts[0], "columns"):
        from pyro_ssvae.data.frames import read_frames

        x, columns, notes = read_frames(*parts)
        return Examples(x, columns, notes=tuple(notes))
    arrays = [_array(part) for part in parts]
    place = images.place(arrays[0].shape, channels)
    arrays = [images.channels_first(array, place) for array in arrays]
    if len({array.shape[1:] for array in arrays}) > 1:
        raise InputError(
            f"expected a test set of {_form(arrays[0])} as the training data, got"
            f" {_form(arrays[1])}"
        )
    filled = [array for array in arrays if array.size]
    if any(_divisor(array) > 1 for array in filled) and not all(map(_whole, filled)):
        raise InputError(
            "expected training data and a test set in the same units, got whole numbers, which are"
            " divided by the largest, in one of them alone"
        )
    values = np.concatenate(arrays)
    notes = images.notes(values.shape, place)
    divisor = _divisor(values)
    scaled = values.astype(np.float32)
    if divisor > 1:
        scaled /= divisor
        notes += [f"whole numbers from 0 to {int(values.max()):,} were divided by {divisor:,}"]
    elif said := far(scaled):
        notes += [said]
    return Examples(torch.from_numpy(scaled), None, divisor, place, tuple(notes))


def further(x: Any, like: Examples, undivided: bool | None = None) -> Tensor:
    """Further examples, a row each, in the terms of those that a data set was made of.

    Args:
        x: The examples.
        like: What those of the data set are.
        undivided: Whether numbers are to be divided as those were. With None whole numbers are, and
            so are numbers in floating point of which one is above 1: others have been already.

    Raises:
        InputError: If they are no such arrays or frames, of another shape, or not finite, or it
            cannot be told whether they are divided already.
    """
    if like.columns is not None:
        from pyro_ssvae.data.frames import encode

        vectors = encode(like.columns, x)
        check_finite(vectors)
        return vectors
    given = _array(x)
    # Where their channels are can be told by the shape, for one place of them fits alone.
    tried = [images.channels_first(given, place) for place in (like.channels, "last")]
    array = next((each for each in tried if each.shape[1:] == like.x.shape[1:]), None)
    if array is None:
        raise InputError(
            f"expected examples of {_form(like.x)} as the training data, got {_form(tried[0])}"
        )
    if undivided is None:
        undivided = _undivided(array, like.divisor)
    divisor = like.divisor if undivided else 1
    result = torch.from_numpy((array / divisor).astype(np.float32))
    check_finite(result)
    return result


def warn_beyond(extent: tuple[float, float], x: Tensor) -> None:
    """Warn of further examples that lie as far from the training data as these reach.

    Args:
        extent: The smallest and the largest number of the training data.
        x: The further examples, one at least.
    """
    low, high = float(x.min()), float(x.max())
    reach = extent[1] - extent[0]
    if low < extent[0] - reach or high > extent[1] + reach:
        warnings.warn(
            f"x has numbers from {low:.4g} to {high:.4g}, where those of the training data are from"
            f" {extent[0]:.4g} to {extent[1]:.4g}: scale them as these were",
            stacklevel=4,
        )


def check_finite(x: Tensor) -> None:
    """Raise :class:`InputError` if x, a row for each example, has NaN or infinity."""
    if not x.numel() or torch.stack(x.aminmax()).isfinite().all():  # NaN would be either
        return
    # In parts: the temporaries would take twice the memory of x.
    finite = torch.cat([rows.flatten(1).isfinite().all(dim=1) for rows in x.split(1_000)])
    if not finite.all():
        row = int((~finite).nonzero()[0])
        raise InputError(
            f"expected finite x, got NaN or infinity in {int((~finite).sum())} of {len(x)}"
            f" examples, the first at index {row}"
        )


def _undivided(values: np.ndarray[Any, Any], divisor: int) -> bool:
    """Whether numbers are yet to be divided, where those of the training data were."""
    if divisor == 1 or not values.size or values.dtype.kind == "b":
        return False
    if values.dtype.kind in "iu" or values.max() > 1:
        return True
    if values.ndim == 2 and (values == 1).any() and _whole(values):  # pixels may be black and white
        raise InputError(
            f"expected whole numbers up to {divisor:,} as in the training data, or such numbers"
            f" divided by {divisor:,}, got 0 and 1 in floating point, which may be either: give"
            " them as integers, or with further rows"
        )
    return False


def _array(x: Any) -> np.ndarray[Any, Any]:
    if isinstance(x, np.ma.MaskedArray) and x.mask.any():
        raise InputError(
            f"expected x without gaps, got {int(x.mask.sum()):,} masked numbers; a data frame may"
            " have gaps"
        )
    if (advice := _other_form(x)) is not None:
        raise InputError(f"expected x as an array (N, D), got {type(x).__name__}: {advice}")
    try:
        array = np.asarray(x.detach().cpu() if isinstance(x, Tensor) else x)
        numbers = np.issubdtype(array.dtype, np.number) or array.dtype == bool
    except ValueError:
        numbers = False
    if not numbers or np.iscomplexobj(array):
        _one_shape(x)
        raise InputError(f"expected x as an array (N, D) of real numbers, got {x!r:.60}")
    if not 2 <= array.ndim <= 4:
        raise InputError(
            "expected x of shape (N, D), or images (N, C, H, W), (N, H, W, C) or (N, H, W), got"
            f" {array.shape}"
        )
    return array


def _other_form(x: Any) -> str | None:
    """What to do about x that holds examples and is no array; None where it is none of these."""
    if isinstance(x, (torch.utils.data.Dataset, torch.utils.data.DataLoader)):
        return "stack its items, torch.stack([item[0] for item in x]), and their labels likewise"
    if hasattr(x, "tocoo"):
        return "use x.toarray(), or SemiSupervisedVAEClassifier, which takes sparse matrices"
    if isinstance(x, Tensor) and x.layout != torch.strided:
        return "use x.to_dense()"
    return None


def _one_shape(x: Any) -> None:
    """Raise :class:`InputError` if x is a sequence of arrays, such as images, of several shapes."""
    if not isinstance(x, (list, tuple, np.ndarray)):
        return
    for index, each in enumerate(x):
        first, shape = getattr(x[0], "shape", ()), getattr(each, "shape", ())
        if len(shape) > 1 and len(first) > 1 and shape != first:
            raise InputError(
                f"expected examples of one shape, got {tuple(first)} at index 0 and {tuple(shape)}"
                f" at index {index}; resize the images, or cut them"
            )


def _form(x: Any) -> str:
    shape = tuple(x.shape[1:])
    return f"{shape[0]} columns" if len(shape) == 1 else f"images {shape}"


def _divisor(values: np.ndarray[Any, Any]) -> int:
    """What whole numbers that are not negative are divided by: 255 for bytes, or the largest.

    Pixels are also whole numbers in floating point. Columns of these may be tokens, and stay.
    """
    pixels = values.ndim > 2 and values.dtype.kind == "f"
    if not (pixels or values.dtype.kind in "iu") or not _whole(values) or values.min() < 0:
        return 1
    largest = int(values.max())
    if largest <= 1:
        return 1
    bytes_of_images = (pixels or values.dtype == np.uint8) and 127 < largest <= LARGEST_BYTE
    return LARGEST_BYTE if bytes_of_images else largest


def _whole(values: np.ndarray[Any, Any]) -> bool:
    """Whether all numbers are whole, of whatever type, as pixels often come in floating point."""
    if not values.size or values.dtype.kind == "b":
        return False
    if values.dtype.kind in "iu":
        return True
    return bool(np.isfinite(values).all() and (values % 1 == 0).all())


def far(x: np.ndarray[Any, Any]) -> str:
    """What to say of numbers that are far from those that networks learn from, else nothing."""
    values = x.ravel()
    if not x.size or not FAR**2 < np.vdot(values, values) / x.size < np.inf:  # copies nothing
        return ""
    if x.ndim > 2:
        advice = "divide them by the largest that there may be"
    elif _whole(x):
        advice = "give them as integers, which are scaled, unless they are tokens"
    else:
        advice = "standardise each column, or give a data frame, whose columns are standardised"
    return (
        f"the numbers are from {x.min():,.4g} to {x.max():,.4g}, and networks learn from about -3"
        f" to 3: {advice}"
    )
