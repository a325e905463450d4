"""The classifier."""

from __future__ import annotations

import inspect
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from torch import Tensor

from pyro_ssvae.contract import classifies, predictor
from pyro_ssvae.errors import InputError
from pyro_ssvae.estimators import inputs as own_inputs
from pyro_ssvae.estimators import labels
from pyro_ssvae.estimators.base import Array, SemiSupervisedVAE
from pyro_ssvae.estimators.options import Method, pair_of
from pyro_ssvae.estimators.rows import names_of
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.inference.programs import private_params
from pyro_ssvae.targets import SeveralLabels, read_as


class SemiSupervisedVAEClassifier(ClassifierMixin, SemiSupervisedVAE):
    """A classifier of rows of which few are labelled, by any pair that infers classes.

    Columns are scaled here, and the likelihood of an array is normal; gaps are no part of it. A
    data frame has a likelihood for each type of column. Sparse matrices are made dense, in training
    all at once. Images, (N, C, H, W), (N, H, W, C) or (N, H, W), keep their shape, and are read as
    :func:`pyro_ssvae.data.from_arrays` reads them; where the training images came in floating
    point, further ones are taken to be in the same units. Rows have no weights: ``fit`` takes no
    ``sample_weight``.

    In cross-validation ``score`` leaves rows without a label out. To scikit-learn's own scorers -1
    is a class like others: give them ``cv=LabelledKFold()``, whose folds are of labelled rows.

    Args:
        method: The pair: its name, such as ``"m2"``; the place of one of your own,
            ``"mypackage.module:mine"``; a :class:`pyro_ssvae.experiments.pairs.Pair`; or the
            classes (Model, Guide).
        epochs: The number of passes over the unlabelled rows, or over all of them where fewer are
            unlabelled than labelled.
        batch_labelled: The number of labelled rows in a batch, at most.
        batch_unlabelled: The number of unlabelled rows in a batch, at most.
        scaling: The way to scale the columns of an array: ``"standard"``, to mean 0 and variance 1,
            or ``"unit"``, to [0, 1], as ``likelihood="bernoulli"`` needs them. Numbers beside
            texts or gaps are standardised.
        early_stopping: Whether to hold labelled rows out, stop when their accuracy has not improved
            for a while, and keep the weights of the best epoch. ``"auto"`` does so from 500
            labelled rows on, for one of fewer is worth more in training.
        validation_fraction: The share of the labelled rows of each class to hold out.
        n_iter_no_change: The number of epochs without improvement after which to stop.
        abstain_below: The probability below which a prediction is -1, where ``classes_`` holds
            integers, else None; of several labels each is -1. None never abstains.
        random_state: The seed of the weights, the batches and the noise, or a ``RandomState``. With
            None each fit has another one. The global random state is left alone.
        device: The device to train on. ``"auto"`` takes a GPU where there is one.
        verbose: Whether to show the progress.
        options: The options of the pair, such as ``alpha=20.0``, ``z_dim=8`` or ``lr=1e-3``:
            ``pyro-ssvae list m2`` shows them. What is not given is as
            :mod:`pyro_ssvae.recipes` says.

    Attributes:
        classes_: The classes, (K,); of several labels a list of [0, 1] for each.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> few = y.copy()
        >>> few[np.arange(150) % 10 > 0] = -1  # five labels a class are left
        >>> model = SemiSupervisedVAEClassifier(epochs=50, alpha=20.0, random_state=0).fit(X, few)
        >>> model.score(X, y) > 0.8
        True
        >>> model.predict_proba(X[:2]).shape
        (2, 3)
    """

    def __init__(
        self,
        method: Method = "m2",
        *,
        epochs: int = 100,
        batch_labelled: int = 100,
        batch_unlabelled: int = 100,
        scaling: own_inputs.Scaling = "standard",
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        abstain_below: float | None = None,
        random_state: Any = None,
        device: str = "auto",
        verbose: bool = False,
        **options: Any,
    ) -> None:
        self.method = method
        self.epochs = epochs
        self.batch_labelled = batch_labelled
        self.batch_unlabelled = batch_unlabelled
        self.scaling = scaling
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.abstain_below = abstain_below
        self.random_state = random_state
        self.device = device
        self.verbose = verbose
        self._options = options

    def fit(self, X: Any, y: Any) -> Self:
        """Train on all rows, with and without labels.

        Args:
            X: The rows: an array or a sparse matrix (N, D), a data frame, or images.
            y: Their classes (N,), any texts or numbers, -1, None or NaN where they are unknown; or
                several labels (N, L), 1 (present), 0 (absent), -1 or NaN (unknown).

        Raises:
            InputError: If X or y are not of these forms, or a parameter is not usable.
        """
        self._forget()
        _check_probability("abstain_below", self.abstain_below)
        y = labels.as_given(y, type(self).__name__)
        checked = own_inputs.read(self, X)
        target, codes, classes = labels.read_classes(y)
        self._trained(checked, codes, target, names_of(X))
        self.classes_ = classes
        return self

    def predict(self, X: Any) -> Array:
        """The likeliest class of each row, (N,), or labels (N, L); see ``abstain_below``."""
        probs = self.predict_proba(X)
        if self._several:
            present, sure = (probs > 0.5).astype(int), np.maximum(probs, 1 - probs)
            return np.where(sure < self._threshold, -1, present)
        predicted = self.classes_[probs.argmax(1)]
        unsure = probs.max(1) < self._threshold
        if self.abstain_below is None:
            return predicted
        if predicted.dtype.kind in "iu":
            return np.where(unsure, -1, predicted.astype(np.int64))
        predicted = predicted.astype(object)
        predicted[unsure] = None
        return predicted

    def predict_proba(self, X: Any) -> Array:
        """The probabilities of the classes, (N, K); of several labels that each is there, (N, L).

        They are finite. Those of classes sum to 1 in every row.
        """
        def probabilities(objective: Objective, x: Tensor) -> Tensor:
            predict = predictor(objective.guide)
            assert predict is not None  # fit has seen to it
            with private_params():
                return self._target.predicted(predict(x))

        probs = self._asked(X, probabilities).numpy()
        if self._several:
            return probs[:, 1::2].clip(0, 1)
        return probs / probs.sum(1, keepdims=True)

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithms of :meth:`predict_proba`."""
        with np.errstate(divide="ignore"):  # of 0, it is minus infinity
            return np.log(self.predict_proba(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The accuracy on the rows whose label is known; an abstention is a mistake.

        Of several labels a row is right where all that are known are.

        Raises:
            InputError: If no label is known, or they are none of the kind that it was fitted to.
        """
        check_is_fitted(self)
        y = self._further(y)
        check_consistent_length(X, y, sample_weight)
        predicted, there = self.predict(X), labels.each_known(y)
        if not there.any():
            raise InputError(
                f"expected a known label to score by, got {len(y)} that are unknown; for"
                " cross-validation use LabelledKFold"
            )
        right = ~there
        right[there] = predicted[there].astype(object) == y[there].astype(object)
        known, right = (each.reshape(len(y), -1) for each in (there, right))
        scored = known.any(1)
        weights = None if sample_weight is None else np.asarray(sample_weight)[scored]
        return float(np.average(right[scored].all(1).astype(float), weights=weights))

    def sample(self, y: Any, random_state: Any = 0) -> Any:
        """Rows drawn from the model, one for each of the labels: an array, or a frame.

        Args:
            y: The classes (N,), or one class, or labels (N, L), of the rows to make.
            random_state: The seed of the draws, or a ``RandomState``.

        Raises:
            InputError: If there is no such class, or the pair does not make rows of a class.
        """
        check_is_fitted(self)
        y = np.atleast_1d(labels.as_given(y, type(self).__name__))
        if self._several:
            return self._generated(self._each(y), random_state)
        if y.ndim != 1 or not len(y):
            raise InputError(f"expected a class for each row to make, got y of shape {y.shape}")
        index = [np.flatnonzero(self.classes_ == value) for value in y]
        for value, found in zip(y.tolist(), index):
            if not len(found):
                known = ", ".join(map(str, self.classes_))
                raise InputError(f"expected classes among {known}, got {value!r}")
        return self._generated(torch.tensor([int(found[0]) for found in index]), random_state)

    def _further(self, y: Any) -> Array:
        """Further labels, (N,) or (N, L): those of a frame in the order of the training labels."""
        y = labels.as_given(y, type(self).__name__)
        if self._several:
            return read_as(y, self._target).numpy()
        y = np.asarray(y)
        if y.ndim != 1:
            raise InputError(f"expected one class a row as in fit, got y of shape {y.shape}")
        return y

    def _each(self, y: Array) -> Tensor:
        """Several labels of the rows to make, (N, L), each 0 or 1."""
        number = len(self._target.names)
        if y.ndim != 2 or y.shape[1] != number or not len(y) or not np.isin(y, (0, 1)).all():
            raise InputError(
                f"expected labels (N, {number}) that are 0 or 1, got {np.array2string(y):.60} of"
                f" shape {y.shape}"
            )
        return torch.as_tensor(y.astype(np.int64))

    @property
    def _several(self) -> bool:
        return isinstance(self._target, SeveralLabels)

    @property
    def _threshold(self) -> float:
        return 0.0 if self.abstain_below is None else self.abstain_below

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn's tests and tools are to know: several labels where the pair has."""
        tags = super().__sklearn_tags__()
        try:
            pair = pair_of(self.method)
        except InputError:
            return tags
        one = "y_dim" in inspect.signature(pair.model).parameters
        tags.classifier_tags.multi_label = classifies(pair.guide) and not one
        return tags


def _check_probability(name: str, value: object) -> None:
    """Raise :class:`InputError` unless a parameter is a probability, or None."""
    if value is not None and not (isinstance(value, (int, float, np.number)) and 0 <= value <= 1):
        raise InputError(f"expected {name} as a probability in [0, 1] or None, got {value!r:.60}")
