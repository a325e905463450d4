"""Cross-validation where some labels are unknown."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Real
from typing import Any

import numpy as np
from sklearn.model_selection import BaseCrossValidator, KFold, StratifiedKFold
from sklearn.utils.validation import check_consistent_length

from pyro_ssvae.errors import InputError
from pyro_ssvae.estimators.labels import Array, as_given, known
from pyro_ssvae.targets import Number, read_as


class LabelledKFold(BaseCrossValidator):
    """K folds of the labelled rows; every row without a label is in the training part of each.

    So a scorer of scikit-learn meets no label that is unknown, and unlabelled rows are trained on
    as they would be in the end. Folds of classes are stratified, those of real numbers and of
    several labels are not. Some of several labels of a row may be unknown, which ``score`` of the
    estimators leaves out and scikit-learn's scorers do not.

    Whole numbers may be classes or real numbers: with a regressor, give ``stratify=False``.

    Args:
        n_splits: The number of folds.
        shuffle: Whether to shuffle the labelled rows first.
        random_state: The seed of the shuffling.
        stratify: Whether the labels (N,) are classes, of which every fold has its share. If not,
            they are real numbers, and -1 is one of them. None takes them for classes unless there
            are numbers that are not whole.

    Example:
        >>> import numpy as np
        >>> y = np.array([0, 1, -1, 0, 1, -1])
        >>> for train, test in LabelledKFold(2).split(y[:, None], y):
        ...     print(train, test)
        [2 3 4 5] [0 1]
        [0 1 2 5] [3 4]
    """

    def __init__(
        self, n_splits: int = 5, *, shuffle: bool = False, random_state: Any = None,
        stratify: bool | None = None,
    ) -> None:
        self.n_splits, self.shuffle, self.random_state = n_splits, shuffle, random_state
        self.stratify = stratify

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """The number of folds."""
        return self.n_splits

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Array, Array]]:
        """The indices of the training rows and of the test rows of each fold.

        Args:
            X: The rows, of which only the number counts.
            y: Their labels; None and NaN are unknown, and -1 unless they are real numbers.
            groups: Not used.

        Raises:
            InputError: If there are no labels, or they are no numbers and ``stratify`` is False.
        """
        if y is None:
            raise InputError("expected y, which says what rows are labelled, got None")
        values = np.asarray(as_given(y, type(self).__name__))
        check_consistent_length(X, values)
        classes = values.ndim == 1 and self._classes(values)
        if numbers := values.ndim == 1 and not classes:
            values = read_as(values, Number()).numpy()
        labelled = np.flatnonzero(~np.isnan(values) if numbers else known(values))
        own = values[labelled]
        kind = StratifiedKFold if classes else KFold
        state = self.random_state if self.shuffle else None
        folds = kind(self.n_splits, shuffle=self.shuffle, random_state=state)
        if own.dtype.kind == "O":
            own = own.astype(str)
        for _, test in folds.split(np.zeros(len(own)), own):
            yield np.setdiff1d(np.arange(len(values)), labelled[test]), labelled[test]

    def _classes(self, values: Array) -> bool:
        """Whether labels (N,) are classes."""
        if self.stratify is not None:
            return self.stratify
        there = values[known(values)]
        if not all(isinstance(value, Real) for value in there):
            return True
        return bool((there == np.floor(there.astype(float))).all())
