"""What labels are: read as users have them, encoded, named and scored."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pyro_ssvae.errors import InputError
from pyro_ssvae.labels import OneHots
from pyro_ssvae.targets import (
    FOREIGN,
    Classes,
    ClassSets,
    Number,
    SeveralLabels,
    metrics,
    read,
    read_as,
)

NAN = math.nan


# Reading


@pytest.mark.parametrize(("y", "names", "values"), [
    ([0, 1, -1, 2], ("0", "1", "2"), [0, 1, -1, 2]),
    ([7, 3, 3, -1], ("3", "7"), [1, 0, 0, -1]),
    (["dog", "cat", None, ""], ("cat", "dog"), [1, 0, -1, -1]),
    (["dog", "cat", NAN], ("cat", "dog"), [1, 0, -1]),
    (np.array(["b", "a"]), ("a", "b"), [1, 0]),
    ([True, False, None], ("False", "True"), [1, 0, -1]),
    ([10, 9, None], ("9", "10"), [1, 0, -1]),
    (torch.tensor([2, -1, 4]), ("2", "4"), [0, -1, 1]),
    (pd.array([2, None, 4], dtype="Int64"), ("2", "4"), [0, -1, 1]),
    (pd.Series(pd.Categorical(["b", None, "a"])), ("a", "b"), [1, -1, 0]),
], ids=str)
def test_classes_are_any_values_and_some_may_be_unknown(
    y: Any, names: tuple[str, ...], values: list[int]
) -> None:
    target, labels = read(y)
    assert target == Classes(names)
    assert labels.tolist() == values and labels.dtype == torch.int64


def test_classes_that_are_named_have_that_order_and_others_are_foreign() -> None:
    target, labels = read(["b", "c", "a", None], classes=["c", "b"])
    assert target == Classes(("c", "b"))
    assert labels.tolist() == [1, 0, FOREIGN, -1]


def test_names_are_given_to_classes_counted_from_0() -> None:
    target, labels = read([0, 2, -1], names=("cat", "dog", "eel"))
    assert target == Classes(("cat", "dog", "eel"))
    assert labels.tolist() == [0, 2, -1]
    assert read(["dog", "eel"], names=("eel", "cat", "dog"))[1].tolist() == [2, 0]


@pytest.mark.parametrize(("y", "options"), [
    (np.array([0.0, 1.0, -1.0]), {"kind": "classes"}),
    (np.array([0.0, 2.0, -1.0]), {"classes": [0, 2]}),
    (np.array(["cat", "dog", -1]), {}), (np.array(["cat", "dog", np.nan]), {}),
])
def test_marks_of_unknown_labels_are_known_in_the_types_that_numpy_gives_them(y, options) -> None:
    target, labels = read(y, **options)
    assert len(target.names) == 2
    assert labels.tolist() == [0, 1, -1]


@pytest.mark.parametrize("y", [
    [[1, 0], [0, -1]], [[1.0, 0.0], [0.0, NAN]], np.array([[1, 0], [0, None]], dtype=object),
], ids=str)
def test_several_labels_are_present_absent_or_unknown(y: Any) -> None:
    target, labels = read(y, names=("sad", "calm"))
    assert target == SeveralLabels(("sad", "calm"))
    assert labels.tolist() == [[1, 0], [0, -1]] and labels.dtype == torch.int64


def test_real_numbers_are_floating_point_and_nan_is_unknown() -> None:
    target, labels = read([0.5, NAN, 2.25])
    assert isinstance(target, Number)
    assert labels.isnan().tolist() == [False, True, False]
    assert labels[[0, 2]].tolist() == [0.5, 2.25]
    assert isinstance(read([1, 2, 3], kind="number")[0], Number)


def test_sets_are_of_the_classes_that_may_be() -> None:
    target, labels = read([{1, 2}, 3, {2}, None])
    assert target == ClassSets(("1", "2", "3"))
    assert labels.int().tolist() == [[1, 1, 0], [0, 0, 1], [0, 1, 0], [1, 1, 1]]
    assert read([{"a"}, "b"], classes=["b", "a", "c"])[1].int().tolist() == [[0, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize(("y", "arguments", "message"), [
    ([-1, -1], {}, "expected a label that is known, got 2 that are unknown"),
    ([[-1, -1]], {}, "expected a label that is known, got 2 that are unknown"),
    ([None, {1, 2}], {}, "expected a label that is known, got 2 that are unknown"),
    ([1.0, 2.0, NAN], {}, 'labels 1, 2 are floating point, .* say target="classes" or'),
    ([1, -1, 1], {}, "two classes or more, got only 1; if -1 is a class"),
    (["a", 1, "b"], {}, "expected labels of one type, got 'a' and 1"),
    ([[2, 0]], {}, r"in two dimensions as 1 .*, got 2 at \(0, 0\); one-hot classes are y.argmax"),
    ([0, 3], {"names": ("a", "b")}, "class_names for classes counted from 0, got 2 names"),
    (["a", "x"], {"names": ("a", "b")}, "expected labels among class_names, got 'x'"),
    ([[1, 0]], {"names": ("a",)}, "expected class_names for 2 labels, got 1"),
    (["a", "b"], {"classes": ["c", "d"]}, r"expected labels among \['c', 'd'\], got"),
    (["a", "b"], {"kind": "number"}, "expected real numbers as labels, got 'a'"),
    ([0.5, math.inf], {}, "expected finite labels, got inf at index 1"),
    ([0, 1], {"kind": "label"}, "unknown kind of target 'label'.*did you mean 'labels'"),
    ([0, 1], {"kind": "labels"}, r"expected y of shape \(N, L\) for several labels, got \(2,\)"),
    ([{1, 2}, 5], {"classes": [1, 2]}, r"expected sets of the classes \[1, 2\], got 5"),
    (None, {}, "expected a label for each example, got None; a pair without labels, such as vae"),
    ("abc", {}, "expected a label for each example, got 'abc'"),
    (np.zeros((2, 2, 2)), {}, r"expected y of shape \(N,\) or \(N, L\), got \(2, 2, 2\)"),
], ids=str)
def test_labels_that_cannot_be_used_are_refused(
    y: Any, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read(y, **arguments)


def test_test_labels_are_read_in_the_terms_of_training() -> None:
    assert read_as(["b", "a"], Classes(("a", "b"))).tolist() == [1, 0]
    assert read_as([2, 1], Classes(("1", "2"))).tolist() == [1, 0]
    assert read_as([[1, 0]], SeveralLabels(("x", "y"))).tolist() == [[1, 0]]
    assert read_as([0.5], Number()).tolist() == [0.5]
    with pytest.raises(InputError, match="among the classes of the training labels, got 'c' at in"):
        read_as(["a", "c"], Classes(("a", "b")))


# Targets


@pytest.mark.parametrize(("names", "message"), [
    ((), "the name of at least one class, got none"),
    (("a", "b", "a"), "class names that differ, got 'a' more than once"),
])
def test_names_differ(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Classes(names)


def test_an_encoding_is_one_hot_and_nan_where_unknown() -> None:
    encoded = Classes(("a", "b")).encode(torch.tensor([1, -1]), torch.float64)
    assert encoded.dtype == torch.float64
    assert encoded[0].tolist() == [0, 1] and encoded[1].isnan().all()
    encoded = SeveralLabels(("a", "b")).encode(torch.tensor([[1, -1]]), torch.float32)
    assert encoded[0, :2].tolist() == [0, 1] and encoded[0, 2:].isnan().all()


def test_a_set_is_encoded_where_it_is_one_class_and_possible_where_it_is_more() -> None:
    target, y = read([{0}, {0, 1}, None, 2])
    assert isinstance(target, ClassSets)
    assert target.known(y).tolist() == [True, False, False, True]
    assert target.classes(y).tolist() == [0, -1, -1, 2]
    assert target.encode(y, torch.float32).isnan().all(1).tolist() == [False, True, True, False]
    possible = target.possible(y, torch.float32)
    assert possible.tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 1]]


def test_a_real_number_is_standardised_by_the_labels_that_are_learnt_from() -> None:
    y = torch.tensor([1.0, 3.0, NAN, 100.0])
    target = Number().standardised(y[:2])
    assert (target.loc, target.scale) == (2.0, 1.0)
    assert target.encode(y[[0, 3]], torch.float64).tolist() == [[-1.0], [98.0]]


def test_predictions_are_named() -> None:
    probs = torch.tensor([[0.2, 0.8], [0.9, 0.1]])
    assert Classes(("a", "b")).named(probs) == ["b", "a"]
    several = SeveralLabels(("x", "y"))
    assert several.named(torch.tensor([[0.1, 0.9, 0.8, 0.2], [0.4, 0.6, 0.3, 0.7]])) == [
        ("x",), ("x", "y"),
    ]
    assert Number(loc=10, scale=2).named(torch.tensor([[0.5, 1.0]])) == [11.0]


def test_the_likeliest_labels_are_encoded() -> None:
    assert Classes(("a", "b")).likeliest(torch.tensor([[0.2, 0.8]])).tolist() == [[0, 1]]
    probs = torch.tensor([[0.1, 0.9, 0.8, 0.2]])
    assert SeveralLabels(("x", "y")).likeliest(probs).tolist() == [[0, 1, 1, 0]]


@pytest.mark.parametrize(("target", "y"), [
    (Classes(("a", "b", "c")), torch.tensor([0, 2, 1])),
    (SeveralLabels(("a", "b")), torch.tensor([[0, 1], [1, -1], [0, 0]])),
], ids=["classes", "several"])
def test_scores_are_those_of_the_metrics(target: Any, y: torch.Tensor) -> None:
    torch.manual_seed(0)
    predicted = target.predicted(OneHots(torch.randn(3, target.width).double(), target.sizes))
    encoded = target.encode(y, torch.float64)
    sizes = target.sizes
    scores = target.scores(predicted, encoded)
    assert scores["accuracy"] == metrics.accuracy(predicted, encoded, sizes)
    assert scores["nll"] == metrics.nll(predicted, encoded, sizes)
    few = target.validation(predicted, encoded)
    assert few == {"accuracy": scores["accuracy"], "nll": scores["nll"]}


def test_a_summary_counts_classes_and_what_is_unknown() -> None:
    target, y = read(["a", "b", "b", None])
    assert target.summary(y) == ["2 classes: a 1, b 2", "1 of 4 labels unknown (25.0%)"]
    target, y = read([{0}, {0, 1}, None, {2}])
    assert target.summary(y) == [
        "3 classes: 0 1, 1 0, 2 1", "1 of 4 labels known to be in a set of classes",
        "1 of 4 labels unknown (25.0%)",
    ]
    target, y = read([[1, 0], [1, -1]])
    assert target.summary(y)[0].startswith("2 labels an example, 1.0 of them present")
    assert target.summary(y)[1:] == ["1 of 4 labels unknown (25.0%)"]
    target, y = read([0.5, NAN])
    assert target.summary(y) == [
        "a real number from 0.5 to 0.5", "1 of 2 labels unknown (50.0%)",
    ]


def test_a_summary_of_many_classes_names_the_first_of_them() -> None:
    target, y = read(list(range(30)))
    assert target.summary(y)[0].endswith("11 1, and 18 more")


def test_a_number_that_is_alone_has_a_scale_of_one() -> None:
    target = Number().standardised(torch.tensor([7.0]))
    assert (target.loc, target.scale) == (7.0, 1.0)
