"""Scores of how several labels are ranked by the probability that they are present.

Every score takes probabilities of presence ``probs`` (N, L) and labels ``y`` (N, L), 1, 0, or NaN
where one is unknown, which counts nothing. Where a probability of a known label is NaN, so is the
score.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

Array = np.ndarray[Any, Any]


def mean_average_precision(probs: Tensor, y: Tensor) -> float | None:
    """Average precision of every label over the examples where it is known, averaged over labels.

    Labels with one value only are left out; None where there is no other.
    """
    from sklearn.metrics import average_precision_score  # here: it takes two seconds to import

    return _mean_over_labels(average_precision_score, probs, y)


def macro_auroc(probs: Tensor, y: Tensor) -> float | None:
    """Area under the ROC curve of every label, averaged as :func:`mean_average_precision` does."""
    from sklearn.metrics import roc_auc_score

    return _mean_over_labels(roc_auc_score, probs, y)


def ranking_loss(probs: Tensor, y: Tensor) -> float | None:
    """Share of the pairs of a present and an absent label of an example that are ranked wrongly.

    A mean over the examples with a known label; one without such pairs has 0, as in scikit-learn.
    None where no label is known.

    Example:
        >>> import torch
        >>> from pyro_ssvae.targets.ranking import ranking_loss
        >>> ranking_loss(torch.tensor([[0.9, 0.4, 0.6]]), torch.tensor([[1.0, 1.0, 0.0]]))
        0.5
    """
    from sklearn.metrics import label_ranking_loss

    p, t = _arrays(probs, y)
    if np.isnan(p[~np.isnan(t)]).any():
        return math.nan
    patterns, which = np.unique(~np.isnan(t), axis=0, return_inverse=True)
    total, examples = 0.0, 0
    for number, known in enumerate(patterns):
        rows = np.flatnonzero(which.ravel() == number)
        examples += len(rows) if known.any() else 0
        if known.sum() > 1:
            part = np.ix_(rows, np.flatnonzero(known))
            total += len(rows) * label_ranking_loss(t[part].astype(int), p[part])
    return total / examples if examples else None


def scores(probs: Tensor, y: Tensor) -> dict[str, float]:
    """The scores that there are, by name."""
    chosen = (mean_average_precision, macro_auroc, ranking_loss)
    values = {score.__name__: score(probs, y) for score in chosen}
    return {name: value for name, value in values.items() if value is not None}


def _mean_over_labels(
    score: Callable[[Array, Array], float], probs: Tensor, y: Tensor
) -> float | None:
    values = []
    for p, t in zip(*(array.T for array in _arrays(probs, y))):
        known = ~np.isnan(t)
        if np.isnan(p[known]).any():
            return math.nan
        if len(np.unique(t[known])) == 2:
            values.append(float(score(t[known], p[known])))
    return sum(values) / len(values) if values else None


def _arrays(probs: Tensor, y: Tensor) -> tuple[Array, Array]:
    return probs.double().cpu().numpy(), y.double().cpu().numpy()
