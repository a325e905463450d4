"""Labels as users have them: which kind of target they are, and their values as a tensor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from pyro_ssvae.errors import InputError, few, one_of
from pyro_ssvae.targets.classes import Classes
from pyro_ssvae.targets.marks import is_missing, unknown, unmasked
from pyro_ssvae.targets.number import Number
from pyro_ssvae.targets.sets import ClassSets
from pyro_ssvae.targets.several import SeveralLabels
from pyro_ssvae.targets.target import Target

Kind = Literal["classes", "labels", "number", "sets"]
FOREIGN = -2  # in place of a class: the example is of none of those that are told apart

Array = np.ndarray[Any, Any]
MADE_UP = "a pair without labels, such as vae, takes made-up ones: numpy.arange(len(x)) % 2"


def read(
    y: Any,
    kind: Kind | None = None,
    classes: Sequence[Any] | None = None,
    names: Sequence[str] | None = None,
) -> tuple[Target, Tensor]:
    """What labels are, and a row for each example as the target keeps them.

    Args:
        y: The labels, see :func:`pyro_ssvae.data.from_arrays`.
        kind: What they are, ``"classes"``, ``"labels"``, ``"number"`` or ``"sets"``. None has the
            values decide.
        classes: The values that are classes, in their order. Examples of other values get
            :data:`FOREIGN`. None takes all values that there are.
        names: The names of the labels, or of classes that are counted from 0.

    Raises:
        InputError: If they are of no kind or of two, all are unknown, or names and values disagree.

    Example:
        >>> from pyro_ssvae import targets
        >>> target, y = targets.read(["cat", "dog", None, "cat"])
        >>> target.names, y
        (('cat', 'dog'), tensor([ 0,  1, -1,  0]))
    """
    if kind is not None:
        one_of("kind of target", kind, get_args(Kind))
    names = names if names is not None or not hasattr(y, "columns") else [str(c) for c in y.columns]
    values = _array(y)
    if kind == "sets" or kind is None and any(isinstance(v, (set, frozenset)) for v in values):
        return _sets(values, classes)
    if values.ndim == 2:
        if kind not in (None, "labels"):
            raise InputError(f"expected y of shape (N,) for {kind}, got {values.shape}")
        return _several(values, names)
    if values.ndim != 1:
        raise InputError(f"expected y of shape (N,) or (N, L), got {values.shape}")
    if kind == "labels":
        raise InputError(f"expected y of shape (N, L) for several labels, got {values.shape}")
    gone = unknown(values, as_classes=kind == "classes" or classes is not None)
    if gone.all():
        raise InputError(
            f"expected a label that is known, got {len(values)} that are unknown; {MADE_UP}"
        )
    if kind == "number" or kind is None and _is_number(values[~gone], classes):
        return _number(values)
    return _classes(values, gone, classes, names)


def read_as(y: Any, target: Target, values: Sequence[Any] | None = None) -> Tensor:
    """Further labels of a target, those of a test set, as the target keeps them.

    Args:
        y: The labels. A frame of several labels may have them in another order.
        target: The target.
        values: The values that stand for the classes, in their order, where they are not called by
            them.

    Raises:
        InputError: If there is a class or a label that the target does not have.
    """
    if isinstance(target, SeveralLabels) and hasattr(y, "columns"):
        y = _in_order(y, target.names)
    given = _array(y)
    if isinstance(target, Number):
        return _number(given)[1]
    if isinstance(target, SeveralLabels):
        if given.ndim != 2:
            raise InputError(f"expected labels (N, {len(target.names)}), got {given.shape}")
        return _several(given, target.names)[1]
    sets = [_members(value) for value in given]
    called = target.names if values is None else [str(_plain(value)) for value in values]
    for row, members in enumerate(sets):
        for value in members or ():
            if str(value) not in called:
                raise InputError(
                    f"expected test labels among the classes of the training labels, got {value!r}"
                    f" at index {row}; leave the example out, or name all classes by classes="
                )
    possible = torch.tensor([
        [members is None or name in map(str, members) for name in called] for members in sets
    ])
    if isinstance(target, ClassSets):
        return possible
    return possible.long().argmax(1).masked_fill(possible.sum(1) > 1, -1)


def _in_order(y: Any, names: Sequence[str]) -> Any:
    """The columns of a frame in the order of the labels that they are named by."""
    columns = {str(name): name for name in y.columns}
    if columns.keys() != set(names) or len(columns) != len(y.columns):
        raise InputError(
            f"expected the labels {few(names)} as in the training data, got the columns"
            f" {few(map(str, y.columns))}"
        )
    return y[[columns[name] for name in names]]


def _array(y: Any) -> Array:
    if isinstance(y, Tensor):
        y = (y.float() if y.dtype == torch.bfloat16 else y).detach().cpu().numpy()
    y = unmasked(y)
    if not isinstance(getattr(y, "dtype", np.dtype(object)), np.dtype):
        return np.asarray(y, dtype=object)  # of pandas: whole numbers stay whole beside gaps
    if isinstance(y, (list, tuple)) and len({isinstance(value, str) for value in y}) > 1:
        array = np.array(y, dtype=object)  # numbers are to stay what they are beside texts
    else:
        try:
            array = np.asarray(y)
        except ValueError:  # NumPy's of lists that differ in length
            raise InputError(
                "expected a label for each example, or equally many labels for each, got lists of"
                " several lengths"
            ) from None
    if array.ndim == 0:
        advice = f"; {MADE_UP}" if y is None else ""
        raise InputError(f"expected a label for each example, got {y!r:.60}{advice}")
    if array.dtype.kind in "MmVc":
        raise InputError(f"expected labels as numbers or texts, got {array.dtype}")
    return array


def _is_number(known: Array, classes: Sequence[Any] | None) -> bool:
    """Whether known labels are real numbers and no classes."""
    types = {type(value) for value in known} if known.dtype.kind == "O" else {known.dtype.type}
    numbers_alone = all(issubclass(each, Real) and each is not bool for each in types)
    floats = any(issubclass(each, (float, np.floating)) for each in types)
    if not (numbers_alone and floats) or classes is not None:
        return False
    numbers = known.astype(float)
    if np.isfinite(numbers).all() and (numbers == numbers.round()).all():
        found = sorted(set(numbers.tolist()))
        shown = few(f"{value:g}" for value in found)
        raise InputError(
            f"labels {shown} are floating point, and whole: they may be classes or a real number;"
            ' say target="classes" or target="number"'
        )
    return True


def _number(values: Array) -> tuple[Target, Tensor]:
    if values.ndim != 1:
        raise InputError(f"expected a number for each example, (N,), got y of shape {values.shape}")
    try:
        numbers = np.array([np.nan if is_missing(v) else v for v in values], dtype=np.float64)
    except (TypeError, ValueError):
        row, value = next((i, v) for i, v in enumerate(values) if not _is_real(v))
        raise InputError(
            f"expected real numbers as labels, got {_plain(value)!r:.60} at index {row}"
        ) from None
    if np.isinf(numbers).any():
        row = int(np.isinf(numbers).argmax())
        raise InputError(f"expected finite labels, got {numbers[row]} at index {row}")
    return Number(), torch.from_numpy(numbers)


def _is_real(value: Any) -> bool:
    """Whether a label is a number, or unknown."""
    if is_missing(value):
        return True
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _classes(
    values: Array, gone: Array, classes: Sequence[Any] | None, names: Sequence[str] | None
) -> tuple[Target, Tensor]:
    found = _ordered({_plain(value) for value in values[~gone]})
    known = found if classes is None else [_plain(value) for value in classes]
    if names is not None:
        known = _numbered(found, names) if classes is None else known
        if len(names) != len(known):
            raise InputError(f"expected class_names for {len(known)} classes, got {len(names)}")
    if len(known) < 2:
        hint = "; if -1 is a class and not the mark of an unknown label, name it otherwise"
        raise InputError(
            f"expected labels of two classes or more, got only {known[0] if known else 'none'!r}"
            f"{hint if (values[gone] == -1).any() else ''}"
        )
    place = {value: index for index, value in enumerate(known)}
    if not any(value in place for value in found):
        raise InputError(f"expected labels among {known}, got {found[:5]}")
    index = np.array([
        -1 if missing else place.get(_plain(value), FOREIGN)
        for value, missing in zip(values, gone)
    ], dtype=np.int64)
    texts = tuple(map(str, known if names is None else names))
    return Classes(texts), torch.from_numpy(index)


def _numbered(found: list[Any], names: Sequence[str]) -> list[Any]:
    """The classes that names are given to: 0, 1, ..., or, where labels are texts, the names."""
    if found and isinstance(found[0], str):
        strange = [value for value in found if value not in names]
        if strange:
            raise InputError(f"expected labels among class_names, got {strange[0]!r}")
        return list(names)
    if any(type(value) is not int or not 0 <= value < len(names) for value in found):
        raise InputError(
            f"expected class_names for classes counted from 0, got {len(names)} names for labels"
            f" {', '.join(map(str, found[:5]))}"
        )
    return list(range(len(names)))


def _several(values: Array, names: Sequence[str] | None) -> tuple[Target, Tensor]:
    values = values.astype(object) if values.dtype.kind == "U" else values
    if values.dtype.kind == "O":
        missing: Array = np.array([is_missing(v) for v in values.ravel()]).reshape(values.shape)
    else:
        missing = values != values
    known = np.where(missing, -1, values)
    strange = ~np.isin(known, (-1, 0, 1))
    if strange.any():
        row, column = map(int, np.argwhere(strange)[0])
        raise InputError(
            "expected labels in two dimensions as 1 (present), 0 (absent) and -1 or NaN (unknown),"
            f" got {_plain(known[row, column])!r} at {(row, column)}; one-hot classes are"
            " y.argmax(1), and a real number is one for each example, y[:, 0]"
        )
    result = known.astype(np.int64)
    if not result.shape[1]:
        raise InputError(f"expected at least one label, got y of shape {values.shape}")
    names = [str(label) for label in range(result.shape[1])] if names is None else names
    if len(names) != result.shape[1]:
        raise InputError(f"expected class_names for {result.shape[1]} labels, got {len(names)}")
    if (result < 0).all():
        raise InputError(f"expected a label that is known, got {result.size} that are unknown")
    return SeveralLabels(tuple(map(str, names))), torch.from_numpy(result)


def _sets(values: Array, classes: Sequence[Any] | None) -> tuple[Target, Tensor]:
    sets = [_members(value) for value in values]
    found = _ordered(set().union(*(members for members in sets if members is not None)))
    known = found if classes is None else [_plain(value) for value in classes]
    for value in found:
        if value not in known:
            raise InputError(f"expected sets of the classes {known}, got {value!r} in one")
    if len(known) < 2:
        raise InputError(f"expected sets of two classes or more, got {known}")
    possible = np.array(
        [[members is None or value in members for value in known] for members in sets]
    )
    if possible.all():
        raise InputError(f"expected a label that is known, got {len(sets)} that are unknown")
    return ClassSets(tuple(map(str, known))), torch.from_numpy(possible)


def _members(value: Any) -> set[Any] | None:
    """The classes in a set, one for a class alone; None for an unknown label."""
    if isinstance(value, (set, frozenset)):
        if any(map(is_missing, value)):
            raise InputError(f"expected sets of classes, got {value} with an unknown one in it")
        return {_plain(member) for member in value}
    if unknown(np.array([value], dtype=object), as_classes=True)[0]:
        return None
    return {_plain(value)}


def _plain(value: Any) -> Any:
    """A value as Python has it; whole floating point numbers as whole ones."""
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _ordered(values: Iterable[Any]) -> list[Any]:
    """Numbers by size, texts by alphabet; an error where both are there."""
    result = list(values)
    kinds = {isinstance(value, str) for value in result}
    if len(kinds) > 1:
        texts = min(v for v in result if isinstance(v, str))
        number = next(v for v in result if not isinstance(v, str))
        raise InputError(f"expected labels of one type, got {texts!r} and {number!r}")
    return sorted(result)
