"""Labels as users of scikit-learn have them: which are known, and which value each class has."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import column_or_1d
from torch import Tensor

from pyro_ssvae.errors import InputError
from pyro_ssvae.targets import SeveralLabels, Target, read
from pyro_ssvae.targets.marks import is_mark, unmasked

Array = np.ndarray[Any, Any]


def as_given(y: Any, estimator: str) -> Any:
    """Labels (N,) or (N, L) in one array, or the frame that they came in; a column is (N,).

    Raises:
        InputError: If there are none.
    """
    if y is None:
        raise InputError(
            f"{estimator} requires y to be passed, but the target y is None; give -1, None or NaN"
            " for labels that are unknown"
        )
    if issparse(y):
        y = y.toarray()
    if isinstance(y, (list, tuple)) and len({isinstance(value, str) for value in y}) > 1:
        y = np.array(y, dtype=object)  # not all texts
    y = unmasked(y)
    if not hasattr(y, "columns"):
        y = np.asarray(y)
    if len(y.shape) == 2 and y.shape[1] == 1:
        return column_or_1d(np.asarray(y), warn=True)
    return y


def known(y: Any) -> Array:
    """Whether the label of each row is known, (N,), or any of several labels (N, L)."""
    there = each_known(y)
    return there.reshape(len(there), -1).max(1)


def each_known(y: Any) -> Array:
    """Whether each label is known, of the shape of y.

    Unknown are NaN, None, an empty text, and -1 unless there are numbers that are not whole; beside
    texts also the texts that NumPy makes of these.
    """
    values = np.asarray(y)
    if values.dtype.kind in "iu":
        return values != -1
    if values.dtype.kind == "f":
        there: Array = ~np.isnan(values)
        if (values[there] == values[there].round()).all():
            there = there & (values != -1)
        return there
    if values.dtype.kind == "b":
        return np.ones(values.shape, dtype=bool)
    kept = [not (is_mark(v) or _is_minus_one(v)) for v in values.ravel()]
    return np.array(kept, dtype=bool).reshape(values.shape)


def read_classes(y: Any) -> tuple[Target, Tensor, Any]:
    """What classes or several labels are, a row for each example, and ``classes_``.

    Of several labels ``classes_`` is a list of the values 0 and 1 for each, by which scikit-learn's
    scorers know them.

    Raises:
        InputError: If they are no labels, all are unknown, or all the same.
    """
    if len(y.shape) == 2:
        target, several = read(y, "labels")
        assert isinstance(target, SeveralLabels)
        return target, several, [np.array([0, 1]) for _ in target.names]
    if y.dtype.kind == "f":
        y = np.where(y == -1, np.nan, y)
        _check_whole(y[~np.isnan(y)])
    elif y.dtype.kind == "O" and any(isinstance(v, (set, frozenset, list)) for v in y):
        raise InputError(
            "expected one class an example, got sets; for classes known to be in a set use"
            " pyro_ssvae.data.from_arrays and fit"
        )
    elif y.dtype.kind == "O":
        numbers = [value for value in y[each_known(y)] if isinstance(value, Real)]
        _check_whole(np.array(numbers, dtype=np.float64))
    target, index = read(y, "classes")
    codes = index.numpy()
    first = [int((codes == k).argmax()) for k in range(target.width)]
    classes = y[first]
    if y.dtype.kind == "O":  # of whole numbers, of texts or of False and True, with their type
        values = classes.tolist()
        typed = np.array(values)
        classes = typed if typed.ndim == 1 and typed.tolist() == values else classes
    return target, index, classes


def _check_whole(values: Array) -> None:
    if not np.isfinite(values).all():
        raise InputError("expected classes, or NaN where they are unknown, got infinity")
    if (values != values.round()).any():
        raise InputError(
            "Unknown label type: continuous. Expected classes, got real numbers; use"
            " SemiSupervisedVAERegressor"
        )


def _is_minus_one(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and value == -1
