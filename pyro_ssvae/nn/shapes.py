"""Shapes of what networks take and give: a number of dimensions, or (C, H, W) of an image."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pyro_ssvae.errors import InputError, positive

Shape = int | tuple[int, ...]


def as_shape(shape: Shape) -> tuple[int, ...]:
    """A shape as a tuple: (n,) of a number n."""
    return (shape,) if isinstance(shape, int) else tuple(shape)


def checked(shape: Shape, what: str) -> tuple[int, ...]:
    """A shape as a tuple.

    Raises:
        InputError: If it is empty, or has a size that is not positive.
    """
    sizes = as_shape(shape)
    if not sizes:
        raise InputError(f"expected the shape of {what}, got none")
    for size in sizes:
        positive(**{f"the size of {what}": size})
    return sizes


def as_shapes(inputs: int | Sequence[Shape]) -> tuple[tuple[int, ...], ...]:
    """The shapes of a network's inputs: of one of n dimensions, or of each of several.

    Raises:
        InputError: If there is none, or one is empty or not positive.
    """
    several = (inputs,) if isinstance(inputs, int) else tuple(inputs)
    if not several:
        raise InputError("expected the shape of at least one input, got none")
    return tuple(checked(shape, "an input") for shape in several)


def number(shape: Shape) -> int:
    """The number of values in a shape."""
    return math.prod(as_shape(shape))


def is_image(shape: Shape) -> bool:
    """Whether it is the shape of an image."""
    return len(as_shape(shape)) == 3
