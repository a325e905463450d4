"""Semi-supervised classifiers of scikit-learn, as reference rows in comparisons."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from torch import Tensor

from pyro_ssvae.data import Split
from pyro_ssvae.metrics import scores

REFERENCES = ("LabelSpreading", "SelfTraining")
DENSE = 5_000  # examples up to which a full kernel matrix is reasonable


def evaluate_reference(name: str, split: Split) -> dict[str, Any]:
    """Fit a reference on the labelled and unlabelled part and score it on the test part.

    Each candidate setting is fitted, and the one of the best validation accuracy is scored:
    for ``"LabelSpreading"`` graphs of 7 neighbours and, on up to :data:`DENSE` examples, RBF
    kernels; for ``"SelfTraining"`` logistic regressions with two confidence thresholds.

    Returns:
        ``seconds`` that all fitting took, ``options`` chosen, and ``test`` with the scores of
        :func:`pyro_ssvae.metrics.scores`.
    """
    (x, y), (u, _) = split.part("labelled"), split.part("unlabelled")
    features = torch.cat([x, u]).cpu().numpy()
    # -1 is scikit-learn's mark of an unlabelled example.
    labels = np.concatenate([y.argmax(-1).cpu().numpy(), np.full(len(u), -1)])
    held_x, held_y = split.part("validation")
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's notes on convergence
        fitted = [c.fit(features, labels) for c in _candidates(name, len(features))]
        held_classes = held_y.argmax(-1).cpu().numpy()
        best = max(fitted, key=lambda c: c.score(held_x.cpu().numpy(), held_classes))
        seconds = time.perf_counter() - began
        test_x, test_y = split.part("test")
        probs = _probabilities(best, test_x)
    return {"seconds": seconds, "options": repr(best), "test": scores(probs, test_y.cpu().double())}


def _candidates(name: str, examples: int) -> list[Any]:
    if name == "SelfTraining":
        return [SelfTrainingClassifier(LogisticRegression(), threshold=t) for t in (0.75, 0.9)]
    graphs = [
        LabelSpreading(kernel="knn", n_neighbors=7, alpha=a, max_iter=1_000) for a in (0.2, 0.8)
    ]
    kernels = [
        LabelSpreading(kernel="rbf", gamma=g, alpha=a) for g in (5, 20) for a in (0.2, 0.9)
    ]
    return graphs + kernels if examples <= DENSE else graphs


def _probabilities(classifier: Any, x: Tensor) -> Tensor:
    probs = torch.from_numpy(classifier.predict_proba(x.cpu().numpy())).double()
    # LabelSpreading gives NaN to an example that no label has reached.
    return probs.nan_to_num(nan=1.0 / probs.shape[1])
