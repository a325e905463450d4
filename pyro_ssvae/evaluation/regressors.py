"""Regressors of scikit-learn, the references for real numbers."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import torch
from sklearn.kernel_ridge import KernelRidge
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from pyro_ssvae import recipes
from pyro_ssvae.data import Split

NAMES = ("KernelRidge", "MLPRegressor")
LEAST = 1e-6  # deviation of a prediction, standardised
HIDDEN = (500,)  # as the pairs' own, where the kind of data says nothing


def evaluate(name: str, split: Split) -> dict[str, Any]:
    """Fit a reference on the labelled part and score it on the test part.

    Features have mean 0 and variance 1 over the labelled and unlabelled part, and numbers over the
    labelled one. Each candidate setting is fitted, and the one of the lowest validation RMSE is
    scored: for ``"KernelRidge"`` RBF kernels of four widths and four strengths of its penalty; for
    ``"MLPRegressor"``, a network with the hidden layers that pairs have on this kind of data, five
    strengths of its penalty.

    They predict no distribution. Their NLL and coverage are those of a normal around what they
    predict, whose deviation is the root mean square of the validation residuals: the validation
    labels have a larger part in it than in that of a pair.

    Returns:
        ``seed`` of the split, ``seconds`` that all fitting took, ``options`` chosen, ``test`` with
        the scores of the target, and ``deviation``, that of the normal, standardised.
    """
    (x, y), (u, _) = split.examples(split.labelled), split.examples(split.unlabelled)
    scaler = StandardScaler().fit(torch.cat([x, u]).flatten(1).cpu().numpy())
    candidates = _candidates(name, scaler.n_features_in_, split.dataset.kind)
    numbers = y.squeeze(1).cpu().numpy()
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's notes on convergence
        features = scaler.transform(x.flatten(1).cpu().numpy())
        fitted = [candidate.fit(features, numbers) for candidate in candidates]
    errors = [_errors(each, scaler, split) for each in fitted]
    best = int(np.argmin(errors))
    seconds = time.perf_counter() - began
    test_x, test_y = split.examples(split.test)
    mean = torch.from_numpy(_means(fitted[best], scaler, test_x)).double()
    deviation = max(errors[best], LEAST)
    predicted = torch.stack([mean, torch.full_like(mean, deviation)], dim=1)
    return {
        "seed": split.seed, "seconds": seconds, "options": repr(candidates[best]),
        "test": split.target.scores(predicted, test_y.cpu().double()), "deviation": deviation,
    }


def _candidates(name: str, features: int, kind: str) -> list[Any]:
    if name == "MLPRegressor":
        hidden = recipes.KINDS[kind].get("hidden", HIDDEN)
        return [
            MLPRegressor(hidden_layer_sizes=hidden, alpha=a, max_iter=1_000, random_state=0)
            for a in (1e-4, 1e-2, 1.0, 10.0, 100.0)
        ]
    # A width for which distances of standardised features are neither all near nor all far.
    return [
        KernelRidge(kernel="rbf", gamma=g / features, alpha=a)
        for g in (0.03, 0.1, 0.3, 1.0) for a in (0.01, 0.1, 1.0, 10.0)
    ]


def _means(regressor: Any, scaler: Any, x: torch.Tensor) -> Any:
    return regressor.predict(scaler.transform(x.flatten(1).cpu().numpy()))


def _errors(regressor: Any, scaler: Any, split: Split) -> float:
    """The RMSE on the validation part, in standard deviations of the labelled numbers."""
    x, y = split.examples(split.validation)
    residuals = _means(regressor, scaler, x) - y.squeeze(1).cpu().numpy()
    return float(np.sqrt(np.square(residuals, dtype=np.float64).mean()))
