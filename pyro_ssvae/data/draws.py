"""Which examples keep their labels, and which go unlabelled: draws from the training part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypedDict, get_args

import numpy as np
import torch
from torch import Tensor

from pyro_ssvae.data.counts import number_asked
from pyro_ssvae.errors import InputError, one_of, unknown
from pyro_ssvae.targets import SeveralLabels, Target

Array = np.ndarray[Any, Any]
Draw = Literal["balanced", "stratified"]
Number = int | Mapping[str, int] | None
Labels = int | Mapping[str, int] | Literal["all"]


class Drawing(TypedDict, total=False):
    """Arguments of :meth:`pyro_ssvae.data.Dataset.split` beside the labels and the seed."""

    validation: int | None
    draw: Draw
    unlabelled: Number
    foreign: float | None
    missing: float


class Wanted(NamedTuple):
    """What a split is to hold, as :meth:`pyro_ssvae.data.Dataset.split` takes it.

    Attributes:
        labels: The number of labelled examples, in all or by class, or ``"all"``.
        validation: The number of examples for validation.
        draw: How a number of labels is divided among the classes.
        unlabelled: The number of unlabelled examples, in all or by class. None takes all.
        foreign: The share of foreign examples among them. None takes all.
        missing: The probability with which one of several labels is hidden.
    """

    labels: Labels
    validation: int
    draw: Draw
    unlabelled: Number
    foreign: float | None
    missing: float


def drawn(
    wanted: Wanted, target: Target, y: Tensor, test: Tensor, foreign: Tensor | None, seed: int
) -> dict[str, Any]:
    """The parts of a split by name, and the hidden labels, as tensors.

    Args:
        wanted: What is asked for.
        target: What the labels are.
        y: The labels of all examples.
        test: The indices of the test part.
        foreign: The indices of foreign examples, or None.
        seed: The seed of the draw.

    Raises:
        InputError: If it is not to be had.
    """
    check_seed(seed)
    away = test if foreign is None else torch.cat([test, foreign])
    pool = np.setdiff1d(np.arange(len(y)), away.numpy())
    wanted = _in_numbers(wanted, len(pool))
    _check(wanted, target)
    rng = np.random.default_rng(seed)
    known = target.known(y).numpy()
    if isinstance(wanted.labels, int) and wanted.labels + wanted.validation >= len(pool):
        raise InputError(
            f"expected labels + validation < {len(pool)} so that examples are left unlabelled, got"
            f" {wanted.labels} + {wanted.validation}"
        )
    pool = rng.permutation(pool)
    with_label = pool[known[pool]]
    if wanted.validation >= len(with_label):
        raise InputError(
            f"expected fewer validation examples than the {len(with_label)} with a known label"
            f" beside the test part, got validation={wanted.validation}"
        )
    held_out = with_label[:wanted.validation]
    rest = pool[~np.isin(pool, held_out)]
    labelled = _labelled(wanted, target, y, rest[known[rest]], rng)
    hidden = _hidden(labelled, tuple(y.shape), wanted.missing, rng) if wanted.missing else None
    classes = target.classes(y)
    unlabelled = _unlabelled(
        wanted, target.names, None if classes is None else classes.numpy(),
        rest[~np.isin(rest, labelled)], None if foreign is None else foreign.numpy(), rng,
    )
    return {
        "labelled": torch.from_numpy(labelled),
        "unlabelled": torch.from_numpy(unlabelled),
        "validation": torch.from_numpy(np.sort(held_out)),
        "hidden": None if hidden is None else torch.from_numpy(hidden),
    }


def check_seed(seed: int) -> None:
    """Raise :class:`InputError` unless a generator of random numbers takes this seed."""
    if not 0 <= seed < 2**64:
        raise InputError(f"expected a seed of at most 64 bits, 0 <= seed < 2**64, got {seed}")


def _in_numbers(wanted: Wanted, total: int) -> Wanted:
    """What is asked for with whole numbers of Python, and classes by their names as texts."""
    labels, unlabelled = wanted.labels, wanted.unlabelled
    every = isinstance(labels, str) and labels == "all"
    return wanted._replace(
        labels="all" if every else number_asked("labels", labels, total),
        validation=number_asked("validation", wanted.validation, total),
        unlabelled=None if unlabelled is None else number_asked("unlabelled", unlabelled, total),
    )


def _check(wanted: Wanted, target: Target) -> None:
    labels, validation, draw, unlabelled, foreign, missing = wanted
    one_of("draw", draw, get_args(Draw))
    if validation < 1:
        raise InputError(f"expected at least 1 validation example, got {validation}")
    if not 0 <= missing < 1:
        raise InputError(f"expected missing as a probability in [0, 1), got {missing}")
    if foreign is not None and not 0 <= foreign <= 1:
        raise InputError(f"expected foreign as a share in [0, 1], got {foreign}")
    if missing and not isinstance(target, SeveralLabels):
        raise InputError(
            f"expected missing=0 where an example has a single label, got {missing}; ask for fewer"
            " labels"
        )
    for number in (labels, unlabelled):
        if isinstance(number, Mapping):
            _check_mapping(number, target)
    if isinstance(labels, int) and labels < 1:
        raise InputError(f"expected at least 1 labelled example, got {labels}")
    if isinstance(unlabelled, int) and unlabelled < 1:
        raise InputError(f"expected at least 1 unlabelled example, got {unlabelled}")
    classes = len(target.names)
    if target.exclusive and draw == "balanced" and isinstance(labels, int) and labels < classes:
        raise InputError(
            f"expected at least one label for each of {classes} classes, got labels={labels}"
        )


def _check_mapping(numbers: Mapping[str, int], target: Target) -> None:
    if not target.exclusive:
        raise InputError("expected a number of examples, got one for each class: there are none")
    for name, number in numbers.items():
        if name not in target.names:
            raise unknown("class", name, target.names)
        if number < 0:
            raise InputError(f"expected a number >= 0 of class {name}, got {number}")


def _labelled(
    wanted: Wanted, target: Target, y: Tensor, shuffled: Array, rng: np.random.Generator
) -> Array:
    """Examples to keep their label, sorted, of those that have a known one, in random order."""
    labels = wanted.labels
    if labels == "all":
        return np.sort(shuffled)
    classes = target.classes(y)
    if classes is not None:
        of_class = classes.numpy()[shuffled]
        return _of_each(shuffled, of_class, _numbers(wanted, target.names, of_class, rng),
                        target.names)
    assert isinstance(labels, int)  # numbers by class are refused above
    if isinstance(target, SeveralLabels):
        return _covering(shuffled, y.numpy()[shuffled], labels)
    if len(shuffled) < labels:
        raise InputError(
            f"expected labels <= {len(shuffled)}, the examples of the training part with a known"
            f" label, got {labels}"
        )
    return np.sort(shuffled[:labels])


def _numbers(
    wanted: Wanted, names: tuple[str, ...], of_class: Array, rng: np.random.Generator
) -> Array:
    """How many examples of each class are to be labelled, (K,)."""
    labels, classes = wanted.labels, len(names)
    if isinstance(labels, Mapping):
        if not any(labels.values()):
            raise InputError("expected at least 1 labelled example, got 0 of every class")
        return np.array([labels.get(name, 0) for name in names])
    assert isinstance(labels, int)
    if wanted.draw == "stratified":
        return _by_shares(labels, np.bincount(of_class, minlength=classes))
    numbers = np.full(classes, labels // classes)
    numbers[rng.permutation(classes)[: labels % classes]] += 1
    return numbers


def _by_shares(labels: int, sizes: Array) -> Array:
    """Numbers of labels by the sizes of the classes, one each at least where there are so many."""
    least = np.minimum(sizes, labels >= (sizes > 0).sum())
    shares = labels * sizes / max(1, sizes.sum())
    few = np.zeros(len(sizes), dtype=bool)
    while (shares < least).any():  # what those get that have too few is missing from the others
        few |= shares < least
        others = np.where(few, 0, sizes)
        shares = np.where(few, least, (labels - few.sum()) * others / max(1, others.sum()))
    numbers = np.floor(shares).astype(int)
    numbers[np.argsort(numbers - shares, kind="stable")[:labels - numbers.sum()]] += 1
    return numbers


def _of_each(shuffled: Array, of_class: Array, numbers: Array, names: tuple[str, ...]) -> Array:
    """So many examples of each class, sorted.

    Raises:
        InputError: If a class has too few examples.
    """
    result = []
    for k, n in enumerate(numbers):
        found = shuffled[of_class == k]
        if len(found) < n:
            raise InputError(
                f"labels={numbers.sum()} needs {n} examples of class {names[k]}, and the training"
                f" part has {len(found) or 'none'}; ask for fewer labels, for a number of each"
                ' class, or for draw="stratified"'
            )
        result.append(found[:n])
    return np.sort(np.concatenate(result))


def _covering(shuffled: Array, y: Array, labels: int) -> Array:
    """Examples to keep their labels, such that each label is seen with every value that it has.

    Args:
        shuffled: The examples of the training part that have a known label, (n,), in random order.
        y: Their labels, (n, L), 1, 0 or -1 for unknown.
        labels: The number of examples to draw.

    Raises:
        InputError: If there are too few of them, or they cannot show all values.
    """
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


def _unlabelled(
    wanted: Wanted, names: tuple[str, ...], classes: Array | None, left: Array,
    foreign: Array | None, rng: np.random.Generator,
) -> Array:
    """The unlabelled part, sorted, of the examples that are left, in random order."""
    number, share = wanted.unlabelled, wanted.foreign
    others = np.empty(0, dtype=np.int64) if foreign is None else rng.permutation(foreign)
    if isinstance(number, Mapping):
        assert classes is not None  # numbers by class are refused of other targets
        of_class = classes[left]
        each = [left[of_class == k][:number.get(name, 0)] for k, name in enumerate(names)]
        for name, found in zip(names, each):
            if len(found) < number.get(name, 0):
                raise InputError(
                    f"expected unlabelled <= {len(found)} of class {name}, the examples that are"
                    f" left, got {number[name]}"
                )
        left, number = np.concatenate([*each, left[of_class < 0]]), None
    if share is not None:
        if number is None and share == 1:
            raise InputError("foreign=1 leaves no bound to the unlabelled part: give unlabelled")
        total = len(left) / (1 - share) if number is None else number
        others = _first(others, round(share * total), "foreign")
        number = None if number is None else number - len(others)
    elif number is not None:
        left, others = np.concatenate([left, others]), others[:0]
        left = rng.permutation(left) if foreign is not None else left
    if number is not None:
        left = _first(left, number, "unlabelled")
    return np.sort(np.concatenate([left, others]))


def _first(shuffled: Array, number: int, what: str) -> Array:
    if number > len(shuffled):
        raise InputError(f"expected at most {len(shuffled)} {what} examples, got {number}")
    return shuffled[:number]


def _hidden(
    labelled: Array, shape: tuple[int, ...], missing: float, rng: np.random.Generator
) -> Array:
    """Booleans (N, L), of which those of labelled examples are True with this probability."""
    result = np.zeros(shape, dtype=bool)
    result[labelled] = rng.random((len(labelled), shape[1])) < missing
    return result
