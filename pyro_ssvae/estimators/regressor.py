"""The regressor."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from torch import Tensor

from pyro_ssvae.contract import predictor
from pyro_ssvae.errors import InputError
from pyro_ssvae.estimators import inputs as own_inputs
from pyro_ssvae.estimators import labels
from pyro_ssvae.estimators.base import SemiSupervisedVAE
from pyro_ssvae.estimators.options import Method
from pyro_ssvae.estimators.rows import names_of
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.inference.programs import private_params
from pyro_ssvae.targets import Number, read, read_as


class SemiSupervisedVAERegressor(RegressorMixin, SemiSupervisedVAE):
    """A regressor of rows of which few have a number, by a pair that infers one.

    X and the parameters are those of
    :class:`pyro_ssvae.estimators.classifier.SemiSupervisedVAEClassifier`, but for
    ``abstain_below``. Early stopping goes by the RMSE of labelled rows that are held out. y is
    standardised here.

    Args:
        method: The pair, ``"regression"`` or one of your own whose guide has ``regress``.
        epochs: The number of passes over the unlabelled rows, or over all of them where fewer are
            unlabelled than labelled.
        batch_labelled: The number of labelled rows in a batch, at most.
        batch_unlabelled: The number of unlabelled rows in a batch, at most.
        scaling: The way to scale the columns of an array, ``"standard"`` or ``"unit"``.
        early_stopping: Whether to hold labelled rows out and stop by them; ``"auto"`` does so from
            500 labelled rows on.
        validation_fraction: The share of the labelled rows to hold out.
        n_iter_no_change: The number of epochs without improvement after which to stop.
        random_state: The seed of the weights, the batches and the noise, or a ``RandomState``. With
            None each fit has another one.
        device: The device to train on. ``"auto"`` takes a GPU where there is one.
        verbose: Whether to show the progress.
        options: The options of the pair, such as ``alpha=20.0``.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(200, 3))
        >>> y = np.where(np.arange(200) < 50, X.sum(1), np.nan)  # 150 are unknown
        >>> model = SemiSupervisedVAERegressor(epochs=50, lr=1e-2, random_state=0).fit(X, y)
        >>> mean, deviation = model.predict(X[:2], return_std=True)
        >>> model.score(X, X.sum(1)) > 0.8
        True
    """

    def __init__(
        self,
        method: Method = "regression",
        *,
        epochs: int = 100,
        batch_labelled: int = 100,
        batch_unlabelled: int = 100,
        scaling: own_inputs.Scaling = "standard",
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
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
        self.random_state = random_state
        self.device = device
        self.verbose = verbose
        self._options = options

    def fit(self, X: Any, y: Any) -> Self:
        """Train on all rows, with and without numbers.

        Args:
            X: The rows: an array or a sparse matrix (N, D), a data frame, or images.
            y: Their numbers (N,); NaN or None where they are unknown.

        Raises:
            InputError: If X or y are not of these forms, or a parameter is not usable.
        """
        self._forget()
        y = labels.as_given(y, type(self).__name__)
        checked = own_inputs.read(self, X)
        target, numbers = read(y, "number")
        if not target.known(numbers).any():
            raise InputError(f"expected a number that is known, got {len(y)} that are unknown")
        self._trained(checked, numbers, target, names_of(X))
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """The mean of q(y | x) of each row, (N,); and its standard deviation, where asked for."""
        def moments(objective: Objective, x: Tensor) -> Tensor:
            predict = predictor(objective.guide)
            assert predict is not None and isinstance(self._target, Number)  # fit has seen to it
            with private_params():
                return self._target.moments(self._target.predicted(predict(x)))

        mean, deviation = self._asked(X, moments).numpy().T
        return (mean, deviation) if return_std else mean

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R² on the rows whose number is known.

        Raises:
            InputError: If none is.
        """
        number = read_as(labels.as_given(y, type(self).__name__), Number()).double().numpy()
        check_consistent_length(X, number, sample_weight)
        predicted, known = self.predict(X), ~np.isnan(number)
        if not known.any():
            raise InputError(
                f"expected a known number to score by, got {len(number)} that are unknown; for"
                " cross-validation use LabelledKFold(stratify=False)"
            )
        weights = None if sample_weight is None else np.asarray(sample_weight)[known]
        return float(r2_score(number[known], predicted[known], sample_weight=weights))

    def sample(self, y: Any, random_state: Any = 0) -> Any:
        """Rows drawn from the model, one for each of the numbers y (N,): an array, or a frame.

        Args:
            y: The numbers of the rows to make, or one number.
            random_state: The seed of the draws, or a ``RandomState``.

        Raises:
            InputError: If they are no finite numbers (N,), or the pair does not make rows of one.
        """
        check_is_fitted(self)
        numbers = np.atleast_1d(np.asarray(y, dtype=np.float64))
        if numbers.ndim != 1 or not len(numbers) or not np.isfinite(numbers).all():
            raise InputError(
                "expected finite numbers (N,), one for each row to make, got"
                f" {np.array2string(numbers):.60} of shape {numbers.shape}"
            )
        return self._generated(torch.as_tensor(numbers), random_state)
