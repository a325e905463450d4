"""Classifiers and regressors of scikit-learn, as reference rows in comparisons."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from torch import Tensor

from pyro_ssvae.data import Dataset, Split
from pyro_ssvae.errors import InputError
from pyro_ssvae.evaluation import regressors
from pyro_ssvae.targets import Number, SeveralLabels
from pyro_ssvae.targets.metrics import accuracy, nll

SEMI_SUPERVISED = ("LabelSpreading", "SelfTraining")
FLOOR = 1e-6  # what a smaller probability of a true class counts as in the NLL
DENSE = 5_000  # examples up to which a full kernel matrix is reasonable
ONE_BY_ONE = 50_000  # examples times labels up to which a semi-supervised fit each is affordable


def references(dataset: Dataset) -> tuple[str, ...]:
    """The names of the references for a data set, in the order of a table.

    Of classes they are semi-supervised, and beside them, of frames, is gradient boosting on the
    labelled examples. Several labels have a logistic regression each, and a semi-supervised
    classifier each only up to :data:`ONE_BY_ONE` examples times labels: beyond, these take minutes.
    Real numbers have the regressors of :mod:`pyro_ssvae.evaluation.regressors`. There are none
    where the examples are not in memory.
    """
    if not isinstance(dataset.x, Tensor):
        return ()
    if isinstance(dataset.target, Number):
        return regressors.NAMES
    if isinstance(dataset.target, SeveralLabels):
        few = dataset.y.numel() <= ONE_BY_ONE
        return (*(SEMI_SUPERVISED if few else ()), "LogisticRegression")
    return SEMI_SUPERVISED + (() if dataset.columns is None else ("GradientBoosting",))


def evaluate_reference(name: str, split: Split) -> dict[str, Any]:
    """Fit a reference on the labelled and unlabelled part and score it on the test part.

    Each candidate setting is fitted, and the one of the best validation accuracy is scored:
    for ``"LabelSpreading"`` graphs of 7 neighbours and, on up to :data:`DENSE` examples, RBF
    kernels; for ``"SelfTraining"`` logistic regressions with two confidence thresholds; for
    ``"LogisticRegression"`` five strengths of its penalty; for ``"GradientBoosting"`` two learning
    rates and two sizes of leaves. The last two are fitted on known labels alone. Of multi-label
    data every label has a classifier of its own, all with the same setting. Regressors are as
    :func:`pyro_ssvae.evaluation.regressors.evaluate` says.

    Label spreading can give a true class the probability 0, and one such example would settle the
    NLL of all: there a probability counts as :data:`FLOOR` at least.

    Returns:
        ``seed`` of the split, ``seconds`` that all fitting took, ``options`` chosen, ``test`` with
        the scores of the target, and of classifiers ``clipped``, the share of the test part's known
        labels that have a probability under :data:`FLOOR`.

    Raises:
        InputError: If the examples are not in memory, as scikit-learn needs them.
    """
    if not isinstance(split.dataset.x, Tensor):
        raise InputError(
            f"{name}: expected examples in memory, got those of {split.dataset.name}, which are"
            " read when they are wanted"
        )
    if isinstance(split.target, Number):
        return regressors.evaluate(name, split)
    sizes = split.target.sizes
    (x, y), (u, _) = split.examples(split.labelled), split.examples(split.unlabelled)
    features = torch.cat([x, u]).cpu().numpy()
    # -1 is scikit-learn's mark of an unlabelled example.
    labels = np.pad(_labels(y, sizes), ((0, len(u)), (0, 0)), constant_values=-1)
    held_x, held_y = split.examples(split.validation)
    candidates = _candidates(name, len(features))
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's notes on convergence
        fitted = [
            [_fitted(candidate, features, column, size) for column, size in zip(labels.T, sizes)]
            for candidate in candidates
        ]
        accuracies = [
            accuracy(_probabilities(each, held_x, sizes), held_y.cpu(), sizes) for each in fitted
        ]
        best = int(np.argmax(accuracies))
        seconds = time.perf_counter() - began
        test_x, test_y = split.examples(split.test)
        probs = _probabilities(fitted[best], test_x, sizes)
    y = test_y.cpu().double()
    return {
        "seed": split.seed, "seconds": seconds, "options": repr(candidates[best]),
        "test": split.target.scores(probs, y) | {"nll": nll(probs.clamp_min(FLOOR), y, sizes)},
        "clipped": (probs[y == 1] < FLOOR).double().mean().item(),
    }


def _labels(y: Tensor, sizes: Sequence[int]) -> np.ndarray[Any, Any]:
    """One-hot blocks (N, sum(sizes)) as indices (N, L), -1 where a block is NaN."""
    blocks = y.cpu().split(list(sizes), dim=-1)
    columns = [t.argmax(-1).masked_fill(t.isnan().any(-1), -1) for t in blocks]
    return torch.stack(columns, dim=1).numpy()


def _fitted(candidate: Any, features: Any, labels: np.ndarray[Any, Any], size: int) -> Any:
    """A copy of a candidate, fitted to one label; on known labels alone unless it takes others."""
    features = features.reshape(len(features), -1)
    if not isinstance(candidate, (LabelSpreading, SelfTrainingClassifier)):
        features, labels = features[labels >= 0], labels[labels >= 0]
    return fit_label(candidate, features, labels, size)


def fit_label(
    candidate: Any, features: Any, labels: np.ndarray[Any, Any], size: int
) -> Any:
    """A copy of a classifier, fitted to one label.

    Where the known labels are of one class, or none, there is nothing to tell apart: then it is a
    classifier that goes by the rule of succession, the same for every example.

    Args:
        candidate: A classifier of scikit-learn.
        features: The features of the examples, (N, ...).
        labels: Their classes, (N,), -1 where a semi-supervised classifier is not to know one.
        size: The number of classes that there might be.
    """
    known = labels[labels >= 0]
    if len(np.unique(known)) > 1:
        return clone(candidate).fit(features, labels)
    every = np.concatenate([known, np.arange(size)])
    return DummyClassifier(strategy="prior").fit(every[:, None], every)


def _candidates(name: str, examples: int) -> list[Any]:
    if name == "SelfTraining":
        return [SelfTrainingClassifier(LogisticRegression(), threshold=t) for t in (0.75, 0.9)]
    if name == "LogisticRegression":
        return [LogisticRegression(C=c, max_iter=1_000) for c in (0.01, 0.1, 1.0, 10.0, 100.0)]
    if name == "GradientBoosting":
        return [
            # Stopping early takes two examples of every class.
            HistGradientBoostingClassifier(
                learning_rate=r, min_samples_leaf=n, early_stopping=False, random_state=0
            )
            for r in (0.03, 0.1) for n in (5, 20)
        ]
    graphs = [
        LabelSpreading(kernel="knn", n_neighbors=7, alpha=a, max_iter=1_000) for a in (0.2, 0.8)
    ]
    kernels = [
        LabelSpreading(kernel="rbf", gamma=g, alpha=a) for g in (5, 20) for a in (0.2, 0.9)
    ]
    return graphs + kernels if examples <= DENSE else graphs


def _probabilities(classifiers: Sequence[Any], x: Tensor, sizes: Sequence[int]) -> Tensor:
    """Blocks of probabilities (N, sum(sizes)) of x (N, *E) by a classifier for each block."""
    blocks = []
    for classifier, size in zip(classifiers, sizes):
        probs = torch.zeros(len(x), size, dtype=torch.double)
        predicted = torch.from_numpy(classifier.predict_proba(x.flatten(1).cpu().numpy()))
        probs[:, classifier.classes_] = predicted.double()
        # LabelSpreading gives NaN to an example that no label has reached.
        probs[probs.isnan().any(1)] = 1.0 / size
        blocks.append(probs)
    return torch.cat(blocks, dim=1)
