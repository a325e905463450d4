"""Which examples keep their labels: draws from the training part."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyro_ssvae.errors import InputError

Array = np.ndarray[Any, Any]


def check_seed(seed: int) -> None:
    """Raise :class:`InputError` unless a generator of random numbers takes this seed."""
    if not 0 <= seed < 2**64:
        raise InputError(f"expected a seed of at most 64 bits, 0 <= seed < 2**64, got {seed}")


def balanced(
    shuffled: Array, y: Array, labels: int, classes: int, rng: np.random.Generator
) -> Array:
    """Examples to keep their label, divided among the classes as evenly as it goes.

    Args:
        shuffled: The examples of the training part, (n,), in random order.
        y: Their classes, (n,).
        labels: The number of examples to draw.
        classes: The number of classes.
        rng: The generator that says which classes get one more.

    Raises:
        InputError: If a class has too few examples.
    """
    wanted = np.full(classes, labels // classes)
    wanted[rng.permutation(classes)[: labels % classes]] += 1
    drawn = []
    for k, n in enumerate(wanted):
        of_class = shuffled[y == k]
        if len(of_class) < n:
            hint = "ask for fewer labels" if len(of_class) else "classes count from 0"
            raise InputError(
                f"labels={labels} needs {n} examples of class {k}, and the training part has"
                f" {len(of_class) or 'none'}; {hint}"
            )
        drawn.append(of_class[:n])
    return np.sort(np.concatenate(drawn))


def covering(shuffled: Array, y: Array, labels: int) -> Array:
    """Examples to keep their labels, such that each label is seen with every value that it has.

    Args:
        shuffled: The examples of the training part, (n,), in random order.
        y: Their labels, (n, L), 1, 0 or -1 for unknown.
        labels: The number of examples to draw, from those that have a known label.

    Raises:
        InputError: If there are too few of them, or they cannot show all values.
    """
    shuffled, y = (array[(y >= 0).any(1)] for array in (shuffled, y))
    if len(shuffled) < labels:
        raise InputError(
            f"expected labels <= {len(shuffled)}, the examples of the training part that have a"
            f" known label, got {labels}"
        )
    has = np.concatenate([y == 0, y == 1], axis=1)
    needed: list[int] = []  # the first in the order to show a value, the rarest value first
    for value in np.argsort(has.sum(0), kind="stable"):
        if has[:, value].any() and not has[needed, value].any():
            needed.append(int(has[:, value].argmax()))
    if len(needed) > labels:
        raise InputError(
            f"expected labels >= {len(needed)} so that each of {y.shape[1]} labels is seen present"
            f" and absent, got {labels}"
        )
    further = np.setdiff1d(np.arange(len(shuffled)), needed)[:labels - len(needed)]
    return np.sort(shuffled[[*needed, *further]])


def hidden(
    labelled: Array, shape: tuple[int, ...], missing: float, rng: np.random.Generator
) -> Array:
    """Booleans (N, L), of which those of labelled examples are True with this probability."""
    result = np.zeros(shape, dtype=bool)
    result[labelled] = rng.random((len(labelled), shape[1])) < missing
    return result
