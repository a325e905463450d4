"""Figures of a classifier."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import small
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from pyro_ssvae.data import Dataset
from pyro_ssvae.report.classifier_plots import (
    confusion,
    figures,
    label_scores,
    mistaken_images,
    mistaken_points,
    reliability,
)
from pyro_ssvae.targets import Classes, SeveralLabels

PROBS = torch.tensor([
    [0.9, 0.1], [0.78, 0.22], [0.3, 0.7], [0.35, 0.65], [0.05, 0.95], [0.58, 0.42],
]).double()
CLASSES = torch.tensor([0, 1, 0, 1, 0, 0])  # mistaken: 1, 2 and 4, of which 4 most confidently
Y = F.one_hot(CLASSES, 2)
X = torch.arange(12.0).reshape(6, 2) / 12


def dataset(x: Tensor, **changes: Any) -> Dataset:
    values: dict[str, Any] = {"name": "six", "x": x, "y": CLASSES, "target": small.classes(2)}
    return Dataset(**values | changes, test=torch.arange(6), validation=1)


@pytest.mark.parametrize("shape, drawn", [
    ((1, 2, 2), {"confusion", "reliability", "mistakes"}),
    ((3, 4, 2), {"confusion", "reliability", "mistakes"}),
    ((2,), {"confusion", "reliability", "mistakes"}),
    ((4,), {"confusion", "reliability"}),
])
def test_mistakes_are_drawn_of_images_and_of_points(
    shape: tuple[int, ...], drawn: set[str]
) -> None:
    x = torch.zeros(6, *shape)
    result = figures(PROBS, x, Y, dataset(x))
    assert set(result) == drawn
    assert all(isinstance(figure, Figure) for figure in result.values())


def test_a_classifier_without_mistakes_has_no_figure_of_them() -> None:
    assert set(figures(Y.double(), X, Y, dataset(X))) == {"confusion", "reliability"}


def test_several_labels_have_scores_of_labels_and_no_classes() -> None:
    y = torch.stack([CLASSES, 1 - CLASSES], dim=1)
    probs, blocks = torch.cat([PROBS, PROBS], dim=1), torch.cat([Y, 1 - Y], dim=1).double()
    result = figures(probs, X, blocks, dataset(X, y=y, target=SeveralLabels(("sad", "calm"))))
    assert set(result) == {"labels", "reliability"}
    (axes,) = result["labels"].axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["sad", "calm"]


# The confusion matrix


def test_the_confusion_matrix_counts_true_against_predicted_classes() -> None:
    true, predicted = torch.tensor([0, 0, 1, 2, 2, 2]), torch.tensor([0, 1, 1, 0, 2, 2])
    (axes,) = confusion(F.one_hot(predicted, 4).float(), F.one_hot(true, 4), [*"abcd"]).axes
    counts = {tuple(map(int, t.get_position())): int(t.get_text()) for t in axes.texts}
    assert counts == {(0, 0): 1, (1, 0): 1, (1, 1): 1, (0, 2): 1, (2, 2): 2}  # (column, row)
    assert np.allclose(axes.images[0].get_array(), [
        [0.5, 0.5, 0, 0], [0, 1, 0, 0], [1 / 3, 0, 2 / 3, 0], [0, 0, 0, 0],
    ])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [text.get_text() for text in ticks] == [*"abcd"]


# Scores of labels

LABELS = torch.tensor([[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 0, 1]]).double()
OF_LABELS = torch.tensor(
    [[0.9, 0.1, 0.8, 0.2], [0.2, 0.8, 0.7, 0.3], [0.3, 0.7, 0.6, 0.4]]
).double()


def bars(axes: Any) -> dict[str, list[float]]:
    """The lengths of horizontal bars by label."""
    return {c.get_label(): [bar.get_width() for bar in c] for c in axes.containers}


def test_several_labels_have_bars_of_accuracy_and_f1() -> None:
    (axes,) = label_scores(OF_LABELS, LABELS, (2, 2), ("sad", "calm")).axes
    # The first label is right, right, wrong: one found of one, with one false; the second is
    # never predicted and there twice.
    assert bars(axes) == {
        "accuracy": pytest.approx([2 / 3, 1 / 3]), "F1": pytest.approx([2 / 3, 0]),
    }
    assert axes.get_title() == "accuracy 50.0%, macro F1 33.3%"


def test_a_label_that_is_known_nowhere_has_no_bar() -> None:
    y = LABELS.clone()
    y[:, :2] = torch.nan
    (axes,) = label_scores(OF_LABELS, y, (2, 2), ("sad", "calm")).axes
    assert bars(axes) == {"accuracy": pytest.approx([1 / 3]), "F1": [0]}
    places = [bar.get_y() + bar.get_height() / 2 for c in axes.containers for bar in c]
    assert places == pytest.approx([0.8, 1.2])  # beside the second name


# The reliability diagram


def test_the_reliability_diagram_shows_accuracy_confidence_and_number_in_15_bins() -> None:
    # In (3/5, 2/3] one of confidence 0.65, right; (2/3, 11/15] one, wrong; (11/15, 4/5] one,
    # wrong; (13/15, 14/15] one, right; (14/15, 1] one, wrong; (8/15, 3/5] one, right.
    above, below = reliability(PROBS, Y).axes
    right = {round(15 * bar.get_x()): bar.get_height() for bar in above.patches}
    expected = {8: 1.0, 9: 1.0, 10: 0.0, 11: 0.0, 13: 1.0, 14: 0.0}
    assert len(right) == 15
    assert {k: v for k, v in right.items() if not np.isnan(v)} == expected
    confidence = {
        round(15 * segment[0, 0]): segment[0, 1]
        for segment in above.collections[0].get_segments() if len(segment)
    }
    assert confidence == pytest.approx({8: 0.58, 9: 0.65, 10: 0.7, 11: 0.78, 13: 0.9, 14: 0.95})
    count = {round(15 * bar.get_x()): bar.get_height() for bar in below.patches}
    assert {k: v for k, v in count.items() if v} == dict.fromkeys(expected, 1)
    gaps = 0.42 + 0.35 + 0.7 + 0.78 + 0.1 + 0.95
    assert above.get_title() == f"expected calibration error {gaps / 6:.1%}"


def test_the_reliability_diagram_of_several_labels_counts_labels() -> None:
    y = LABELS.clone()
    y[0, :2] = torch.nan
    _, below = reliability(OF_LABELS, y, (2, 2)).axes
    assert sum(bar.get_height() for bar in below.patches) == 5
    assert below.get_ylabel() == "labels"


# Mistakes


def test_mistaken_images_begin_with_the_most_confident_one() -> None:
    images = torch.arange(24.0).reshape(6, 1, 2, 2) / 24
    (axes,) = mistaken_images(PROBS, images, Y, ("cat", "dog")).axes
    assert [text.get_text() for text in axes.texts] == [
        "dog (95.0%)\ntruly cat", "cat (78.0%)\ntruly dog", "dog (70.0%)\ntruly cat",
    ]
    for shown, i in zip(axes.images, (4, 1, 2), strict=True):
        assert np.allclose(shown.get_array(), images[i, 0])


def test_no_more_than_16_mistaken_images_are_shown() -> None:
    wrong = PROBS[4:5].expand(40, 2)
    x = torch.zeros(40, 1, 2, 2)
    drawn = mistaken_images(wrong, x, Y[:1].expand(40, 2), ("a", "b"))
    assert len(drawn.axes[0].images) == 16


def test_mistaken_points_are_marked_with_their_confidence_over_all_points() -> None:
    axes = mistaken_points(PROBS, X, Y, ("cat", "dog")).axes[0]
    shown = {c.get_label(): c for c in axes.collections}
    assert np.allclose(shown["class cat"].get_offsets(), X[CLASSES == 0])
    assert np.allclose(shown["class dog"].get_offsets(), X[CLASSES == 1])
    assert np.allclose(shown["mistaken"].get_offsets(), X[[4, 1, 2]])
    assert np.allclose(shown["mistaken"].get_array(), [0.95, 0.78, 0.7])


# Names


def test_names_with_a_dollar_are_shown_as_they_are() -> None:
    names = ("$x^", "a$b$")
    figure = figures(PROBS, X, Y, dataset(X, target=Classes(names)))["confusion"]
    figure.savefig(io.BytesIO())  # a half formula would raise
    shown = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert shown == [name.replace("$", r"\$") for name in names]


def test_a_confusion_matrix_of_many_classes_has_a_size_and_no_counts() -> None:
    names = [str(k) for k in range(300)]
    y = torch.eye(300)
    figure = confusion(y, y, names)
    assert max(figure.get_size_inches()) < 18 and not figure.axes[0].texts
    assert len(figure.axes[0].get_yticklabels()) <= 50


def test_points_are_shown_of_all_of_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyro_ssvae.report.classifier_plots.SHOWN", 4)
    x = torch.arange(40.0).reshape(20, 2)
    y = F.one_hot(torch.arange(20) // 10, 2)  # sorted by class
    figure = mistaken_points(y.flip(-1).double(), x, y, ["a", "b"])
    shown = figure.axes[0].collections[:2]
    assert all(len(points.get_offsets()) for points in shown)
