"""Scores of ranked labels against scikit-learn's, over the known entries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, label_ranking_loss, roc_auc_score

from pyro_ssvae.targets import SeveralLabels, ranking

rng = np.random.default_rng(0)
PROBS = rng.random((40, 4))
Y = (rng.random((40, 4)) < 0.4).astype(float)


def scores(y: np.ndarray) -> dict[str, float]:
    return ranking.scores(torch.from_numpy(PROBS), torch.from_numpy(y))


def test_where_all_is_known_they_are_scikit_learns() -> None:
    assert scores(Y) == pytest.approx({
        "mean_average_precision": average_precision_score(Y, PROBS, average="macro"),
        "macro_auroc": roc_auc_score(Y, PROBS, average="macro"),
        "ranking_loss": label_ranking_loss(Y, PROBS),
    })


def test_a_probability_that_is_none_shows() -> None:
    probs = torch.from_numpy(PROBS).clone()
    probs[3, 1] = torch.nan
    found = ranking.scores(probs, torch.from_numpy(Y))
    assert len(found) == 3 and np.isnan(list(found.values())).all()
    y = torch.from_numpy(Y).clone()
    y[3, 1] = torch.nan
    assert np.isfinite(list(ranking.scores(probs, y).values())).all()


def test_unknown_entries_count_nothing() -> None:
    y = Y.copy()
    y[rng.random(y.shape) < 0.3] = np.nan
    y[0], y[1] = np.nan, [1, np.nan, np.nan, np.nan]  # none known, and none to compare with
    known = ~np.isnan(y)
    columns = [(y[k, j], PROBS[k, j]) for j, k in enumerate(known.T)]
    pairs = [
        [wrong for i in range(4) for j in range(4) if y[n, i] == 1 and y[n, j] == 0
         for wrong in [PROBS[n, i] <= PROBS[n, j]]]
        for n in range(40) if known[n].any()
    ]
    assert scores(y) == pytest.approx({
        "mean_average_precision": np.mean([average_precision_score(*c) for c in columns]),
        "macro_auroc": np.mean([roc_auc_score(*c) for c in columns]),
        "ranking_loss": np.mean([np.mean(each) if each else 0.0 for each in pairs]),
    })


def test_labels_with_one_value_are_left_out_of_the_means_over_labels() -> None:
    y = Y.copy()
    y[:, 0], y[:, 1] = 1.0, np.nan
    assert scores(y)["macro_auroc"] == pytest.approx(roc_auc_score(Y[:, 2:], PROBS[:, 2:]))
    y[:, 2:] = 0.0
    assert scores(y).keys() == {"ranking_loss"}


def test_a_target_of_several_labels_ranks_the_probabilities_of_presence() -> None:
    target = SeveralLabels(tuple("abcd"))
    probs = torch.from_numpy(PROBS)
    blocks = torch.stack([1 - probs, probs], dim=2).flatten(1)
    y = target.encode(torch.from_numpy(Y).long(), torch.double)
    found = target.scores(blocks, y)
    assert found | scores(Y) == pytest.approx(found)
    assert {"accuracy", "macro_f1", "subset_accuracy", "ranking_loss"} <= found.keys()
