"""Scores against scikit-learn's, and against sums written out by hand."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, hamming_loss, log_loss
from torch import Tensor
from torch.nn import functional as F

from pyro_ssvae.errors import InputError
from pyro_ssvae.targets.metrics import (
    accuracy,
    brier,
    calibration,
    ece,
    macro_f1,
    nll,
    scores,
    subset_accuracy,
)


def exactly(value: float) -> object:
    return pytest.approx(value, rel=1e-12, abs=1e-12)


def tensor(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


@pytest.fixture(params=[(500, 10), (200, 2), (7, 3)], ids=str)
def predictions(request: pytest.FixtureRequest) -> tuple[Tensor, Tensor]:
    """Random class probabilities, and one-hot labels that are often the likeliest class."""
    n, k = request.param
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(k, 0.5), size=n)
    y = np.where(rng.random(n) < 0.7, probs.argmax(1), rng.integers(k, size=n))
    return torch.from_numpy(probs), F.one_hot(torch.from_numpy(y), k).double()


def test_accuracy_is_scikit_learns(predictions: tuple[Tensor, Tensor]) -> None:
    probs, y = predictions
    expected = accuracy_score(y.numpy().argmax(1), probs.numpy().argmax(1))
    assert 0 < expected < 1
    assert accuracy(probs, y) == exactly(expected)


def test_nll_is_scikit_learns_log_loss(predictions: tuple[Tensor, Tensor]) -> None:
    probs, y = predictions
    expected = log_loss(y.numpy().argmax(1), probs.numpy(), labels=range(probs.shape[1]))
    assert nll(probs, y) == exactly(expected)


def test_the_brier_score_is_the_mean_squared_distance(predictions: tuple[Tensor, Tensor]) -> None:
    probs, y = (array.tolist() for array in predictions)
    distances = [sum((p - t) ** 2 for p, t in zip(*rows)) for rows in zip(probs, y)]
    assert brier(*predictions) == exactly(sum(distances) / len(distances))


@pytest.mark.parametrize("bins", [1, 4, 15])
def test_ece_weighs_each_bins_gap_by_its_size(
    predictions: tuple[Tensor, Tensor], bins: int
) -> None:
    probs, y = (array.numpy() for array in predictions)
    confidence, right = probs.max(1), probs.argmax(1) == y.argmax(1)
    expected = 0.0
    for m in range(1, bins + 1):
        inside = ((m - 1) / bins < confidence) & (confidence <= m / bins)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert ece(*predictions, bins=bins) == exactly(expected)


PROBS = tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
LABELS = tensor([[1, 0], [1, 0], [1, 0]])


@pytest.mark.parametrize(
    ("bins", "expected"),
    [
        # all three in one bin: 2/3 right, sure of 2.3/3
        (1, 0.3 / 3),
        # (1/2, 3/4]: one, right, sure of 0.6; (3/4, 1]: two, half right, sure of 0.85
        (4, 1 / 3 * 0.4 + 2 / 3 * 0.35),
        # each in a bin of its own
        (10, (0.1 + 0.8 + 0.4) / 3),
    ],
)
def test_ece_of_three_predictions(bins: int, expected: float) -> None:
    assert ece(PROBS, LABELS, bins=bins) == exactly(expected)


def test_ece_has_15_bins_unless_told_otherwise() -> None:
    # 0.87 and 0.93 share one of 15 bins, (13/15, 14/15], and lie in two of 10, of 14 or of 16.
    probs, y = tensor([[0.87, 0.13], [0.07, 0.93]]), tensor([[1, 0], [1, 0]])
    assert ece(probs, y) == exactly(0.9 - 0.5)
    for bins in (10, 14, 16):
        assert ece(probs, y, bins=bins) == exactly((0.13 + 0.93) / 2)


def test_a_confidence_on_an_edge_is_in_the_bin_below_it() -> None:
    # Guo et al. (2017), section 2: bin m is ((m - 1) / M, m / M].
    probs, y = tensor([[0.5, 0.5], [0.75, 0.25]]), tensor([[1, 0], [0, 1]])
    assert ece(probs, y, bins=2) == exactly((0.5 + 0.75) / 2)


def test_calibration_tells_confidence_accuracy_and_number_of_each_bin() -> None:
    # None in (0, 1/4] and (1/4, 1/2]; 0.6 in (1/2, 3/4], right; 0.9 and 0.8 above, one right.
    confidence, right, count = calibration(PROBS, LABELS, bins=4)
    assert confidence.tolist() == pytest.approx([math.nan] * 2 + [0.6, 0.85], nan_ok=True)
    assert right.tolist() == pytest.approx([math.nan] * 2 + [1.0, 0.5], nan_ok=True)
    assert count.tolist() == [0, 0, 1, 2]


def test_calibration_of_several_labels_counts_the_known_ones_alike() -> None:
    probs = tensor([[0.9, 0.1, 0.2, 0.8], [0.7, 0.3, 0.6, 0.4]])
    y = tensor([[1, 0, 0, 1], [0, 1, math.nan, math.nan]])
    confidence, right, count = calibration(probs, y, (2, 2), bins=2)
    assert count.tolist() == [0, 3]
    assert (confidence[1].item(), right[1].item()) == (exactly(0.8), exactly(2 / 3))


def test_scores_of_three_predictions() -> None:
    assert scores(PROBS, LABELS) == {
        "accuracy": exactly(2 / 3),
        "nll": exactly(-math.log(0.9 * 0.2 * 0.6) / 3),
        "brier": exactly((2 * 0.1**2 + 2 * 0.8**2 + 2 * 0.4**2) / 3),
        "ece": exactly((0.1 + 0.8 + 0.4) / 3),
    }


def test_sure_and_right_is_best() -> None:
    y = torch.eye(3, dtype=torch.float64)
    assert scores(y, y) == {"accuracy": 1, "nll": 0, "brier": 0, "ece": 0}


@pytest.mark.parametrize(("dtype", "exponent"), [(torch.float32, 126), (torch.float64, 1022)])
def test_sure_and_wrong_is_worst_and_finite(dtype: torch.dtype, exponent: int) -> None:
    y = torch.eye(3, dtype=dtype)
    came = scores(y.roll(1, 0), y)
    assert came["nll"] == pytest.approx(exponent * math.log(2), rel=1e-6)
    assert (came["accuracy"], came["brier"], came["ece"]) == (0, 2, 1)


def test_one_impossible_label_does_not_hide_the_others() -> None:
    probs, y = tensor([[0, 1], [0.5, 0.5]]), tensor([[1, 0], [1, 0]])
    assert nll(probs, y) == exactly((1022 * math.log(2) + math.log(2)) / 2)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_knowing_nothing_costs_the_logarithm_of_the_classes(classes: int) -> None:
    y = torch.eye(classes, dtype=torch.float64)
    assert nll(torch.full_like(y, 1 / classes), y) == exactly(math.log(classes))


@pytest.mark.parametrize("score", [accuracy, nll, brier, ece])
def test_scores_of_single_precision_are_close_to_those_of_double(
    score: Callable[[Tensor, Tensor], float], predictions: tuple[Tensor, Tensor]
) -> None:
    probs, y = predictions
    assert score(probs.float(), y.float()) == pytest.approx(score(probs, y), rel=1e-5)


# Several labels


def side_by_side(present: Any, y: Any) -> tuple[Tensor, Tensor]:
    """Probabilities and labels (N, 2 L) from those of presence (N, L); y of -1 is unknown."""
    present, y = np.asarray(present), np.asarray(y)
    probs = np.stack([1 - present, present], axis=2).reshape(len(y), -1)
    labels = np.stack([y == 0, y == 1], axis=2).astype(float)
    labels[y < 0] = np.nan
    return torch.from_numpy(probs), torch.from_numpy(labels.reshape(len(y), -1))


@pytest.fixture(params=[(300, 5), (50, 14), (20, 2)], ids=str)
def labels(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    """Random probabilities of presence (N, L), and labels that often agree with them."""
    rng = np.random.default_rng(0)
    present = rng.random(request.param)
    return present, np.where(rng.random(present.shape) < 0.7, present > 0.5, present < 0.5) * 1


@pytest.fixture
def partial(labels: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The same with a third of the labels unknown, and all those of the first example."""
    present, y = labels
    y = np.where(np.random.default_rng(1).random(y.shape) < 1 / 3, -1, y)
    y[0] = -1
    return present, y


def test_with_every_label_known_the_scores_are_scikit_learns(
    labels: tuple[np.ndarray, np.ndarray]
) -> None:
    present, y = labels
    n, number = y.shape
    came = scores(*side_by_side(present, y), (2,) * number)
    predicted = (present > 0.5) * 1
    losses = [log_loss(y[:, k], present[:, k], labels=[0, 1]) for k in range(number)]
    assert came == {
        "accuracy": exactly(1 - hamming_loss(y, predicted)),
        "nll": exactly(sum(losses)),
        "brier": exactly(2 * ((present - y) ** 2).sum() / n),
        "ece": exactly(ece(*side_by_side(present.reshape(-1, 1), y.reshape(-1, 1)))),
        "macro_f1": exactly(f1_score(y, predicted, average="macro")),
        "subset_accuracy": exactly(accuracy_score(y, predicted)),
    }


def test_unknown_labels_do_not_count(partial: tuple[np.ndarray, np.ndarray]) -> None:
    present, y = partial
    known, n = y >= 0, int((y >= 0).any(1).sum())
    assert 0 < n < len(y)
    right = (present > 0.5) == (y == 1)
    of_truth = np.where(y == 1, present, 1 - present)
    f1 = [f1_score(y[known[:, k], k], present[known[:, k], k] > 0.5) for k in range(y.shape[1])]
    all_right = [right[i][known[i]].all() for i in range(len(y)) if known[i].any()]
    came = scores(*side_by_side(present, y), (2,) * y.shape[1])
    assert came == {
        "accuracy": exactly(right[known].mean()),
        "nll": exactly(-np.log(of_truth[known]).sum() / n),
        "brier": exactly(2 * ((1 - of_truth[known]) ** 2).sum() / n),
        "ece": exactly(ece(*side_by_side(present[known][:, None], y[known][:, None]))),
        "macro_f1": exactly(np.mean(f1)),
        "subset_accuracy": exactly(np.mean(all_right)),
    }


def test_probabilities_of_unknown_labels_change_no_score(
    partial: tuple[np.ndarray, np.ndarray]
) -> None:
    present, y = partial
    sizes = (2,) * y.shape[1]
    other = np.where(y < 0, 1 - present, present)
    assert scores(*side_by_side(present, y), sizes) == scores(*side_by_side(other, y), sizes)


def test_scores_of_three_labels_of_two_examples() -> None:
    probs, y = side_by_side([[0.9, 0.2, 0.6], [0.3, 0.1, 0.8]], [[1, 1, -1], [0, -1, 1]])
    assert scores(probs, y, (2, 2, 2)) == {
        "accuracy": exactly(3 / 4),
        "nll": exactly(-(math.log(0.9 * 0.2) + math.log(0.7 * 0.8)) / 2),
        "brier": exactly(2 * (0.1**2 + 0.8**2 + 0.3**2 + 0.2**2) / 2),
        # (11/15, 12/15]: 0.8 is wrong once and right once; 0.9 and 0.7 are alone and right
        "ece": exactly((0.1 + 0.3 + (2 * 0.8 - 1)) / 4),
        "macro_f1": exactly((1 + 0 + 1) / 3),
        "subset_accuracy": exactly(1 / 2),
    }


def test_blocks_may_have_any_sizes() -> None:
    probs = tensor([[0.2, 0.3, 0.5, 0.9, 0.1], [0.6, 0.3, 0.1, 0.4, 0.6]])
    y = tensor([[0, 0, 1, 0, 1], [0, 1, 0, 0, 1]])
    assert accuracy(probs, y, (3, 2)) == exactly(2 / 4)
    assert nll(probs, y, (3, 2)) == exactly(-math.log(0.5 * 0.1 * 0.3 * 0.6) / 2)
    assert macro_f1(probs, y, (3, 2)) == exactly(((0 + 0 + 1) / 3 + 2 / 3) / 2)
    assert subset_accuracy(probs, y, (3, 2)) == 0


def test_f1_is_that_of_presence_and_0_for_a_label_never_there_nor_predicted() -> None:
    probs, y = side_by_side([[0.9, 0.1], [0.8, 0.2], [0.1, 0.3]], [[1, 0], [0, 0], [0, 0]])
    assert macro_f1(probs, y, (2, 2)) == exactly((2 * 0.5 * 1 / 1.5 + 0) / 2)


def test_a_label_that_is_known_nowhere_is_left_out_of_macro_f1() -> None:
    probs, y = side_by_side([[0.9, 0.1], [0.1, 0.2]], [[1, -1], [0, -1]])
    assert macro_f1(probs, y, (2, 2)) == 1


@pytest.mark.filterwarnings("error")
def test_one_block_is_scored_as_without_sizes(predictions: tuple[Tensor, Tensor]) -> None:
    came = scores(*predictions, (predictions[0].shape[1],))
    assert came == scores(*predictions)
    assert came.keys() == {"accuracy", "nll", "brier", "ece"}


def test_probabilities_that_are_nan_show() -> None:
    probs, y = side_by_side([[math.nan, 0.5]], [[1, -1]])
    assert math.isnan(nll(probs, y, (2, 2))) and math.isnan(brier(probs, y, (2, 2)))


def test_labels_that_are_all_unknown_are_refused() -> None:
    with pytest.raises(InputError, match="expected a known label to score, got none in 2 examples"):
        scores(*side_by_side([[0.5, 0.5]] * 2, [[-1, -1]] * 2), (2, 2))


@pytest.mark.parametrize("sizes", [(2,), (2, 2, 2), (3, 2)])
def test_sizes_that_do_not_add_up_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=rf"shape \(N, {sum(sizes)}\) for blocks .*\(1, 4\)"):
        accuracy(*side_by_side([[0.5, 0.5]], [[0, 1]]), sizes)


def test_a_confidence_rounded_above_one_is_in_the_last_bin() -> None:
    probs = torch.tensor([[1.0000001, 0.0], [0.0, 1.0000001]])
    assert probs.max() > 1
    assert ece(probs, torch.eye(2)) == pytest.approx(0.0, abs=1e-6)
