"""What is drawn from data of one's own: numbers of labels, unlabelled and foreign examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
import torch

from pyro_ssvae.data import PARTS, Dataset, Split, from_arrays, long_tail
from pyro_ssvae.errors import InputError
from pyro_ssvae.experiments import runs
from pyro_ssvae.experiments.compare import compare
from pyro_ssvae.experiments.pairs import pair
from pyro_ssvae.targets import Classes

RARE = np.array(["a"] * 120 + ["b"] * 60 + ["c"] * 20)


def dataset(y: Any = RARE, **arguments: Any) -> Dataset:
    x = np.random.default_rng(0).random((len(y), 3))
    return from_arrays(x, y, name="mine", **arguments)


def counts(data: Dataset, index: torch.Tensor) -> list[int]:
    """How many examples of each class there are at indices."""
    y = data.y[index]
    return y[y >= 0].bincount(minlength=len(data.target.names)).tolist()


def sizes(split: Split) -> list[int]:
    return [len(getattr(split, part)) for part in PARTS]


# How many labels


def test_balanced_stratified_and_by_number_are_what_was_asked_for() -> None:
    data = dataset()
    assert counts(data, data.split(9).labelled) == [3, 3, 3]
    assert counts(data, data.split(20, draw="stratified").labelled) == [12, 6, 2]
    assert counts(data, data.split({"a": 7, "c": 2}).labelled) == [7, 0, 2]


def test_numbers_of_numpy_and_classes_that_are_numbers_are_taken_as_they_read() -> None:
    data = dataset((RARE == "a").astype(int))
    assert counts(data, data.split(np.int64(10)).labelled) == [5, 5]
    assert counts(data, data.split({0: 3, 1: np.int64(7)}).labelled) == [3, 7]
    drawn = data.split(10, unlabelled={0: 4})
    assert counts(data, drawn.unlabelled) == [4, 0]


@pytest.mark.parametrize("wanted, message", [
    ({"labels": 0.1}, "labels as a number of examples, got 0.1; this share of the 160 .* is 16$"),
    ({"labels": 20.0}, "labels as a whole number, got 20.0$"),
    ({"labels": "20"}, "labels as a whole number, got '20'$"),
    ({"labels": {"a": 0.5}}, "labels of class a as a whole number, got 0.5$"),
    ({"labels": 20, "unlabelled": 0.5}, "unlabelled as a number of .* is 80$"),
    ({"labels": 20, "validation": 0.25}, "validation as a number of .* is 40$"),
])
def test_a_share_in_place_of_a_number_is_refused_with_the_number_that_it_is(
    wanted: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=f"^mine: expected {message}"):
        dataset().split(**wanted)


def test_a_class_without_labels_is_still_a_class() -> None:
    data = dataset()
    split = data.split({"a": 7, "b": 2})
    assert split.part("labelled")[1].shape == (9, 3)
    assert counts(data, split.test)[2] > 0


def test_a_long_tail_falls_geometrically() -> None:
    assert long_tail("abc", most=100, ratio=100) == {"a": 100, "b": 10, "c": 1}
    assert long_tail("ab", most=3, ratio=1) == {"a": 3, "b": 3}
    data = dataset()
    split = data.split(long_tail(data.target.names, most=16, ratio=4))
    assert counts(data, split.labelled) == [16, 8, 4]
    for most, ratio in ((0, 2), (5, 0.5)):
        with pytest.raises(InputError, match="expected most >= 1 and ratio >= 1"):
            long_tail("abc", most=most, ratio=ratio)


def test_without_a_number_all_known_labels_are_kept_but_for_validation_and_test() -> None:
    y = np.where(np.arange(200) % 4 == 0, RARE, None)
    data = dataset(y)
    assert (data.fully_known, data.validation, len(data.test)) == (False, 5, 10)
    split = data.split()
    assert sizes(split) == [35, 150, 5, 10]
    for part in ("labelled", "validation", "test"):
        assert (data.y[getattr(split, part)] >= 0).all()
    assert (data.y[split.unlabelled] == -1).all()
    assert sizes(small.split().dataset.split())[0] == 100


def test_labels_are_drawn_from_those_that_are_known() -> None:
    data = dataset(np.where(np.arange(200) % 2 == 0, RARE, None))
    for seed in range(3):
        split = data.split(9, seed=seed)
        assert counts(data, split.labelled) == [3, 3, 3]
        assert sizes(split) == [9, 200 - 9 - 10 - 20, 10, 20]


def test_real_numbers_are_drawn_at_random() -> None:
    data = dataset(np.random.default_rng(1).normal(size=200))
    one, other = data.split(20, seed=0), data.split(20, seed=1)
    assert sizes(one) == [20, 120, 20, 40]
    assert one.labelled.tolist() != other.labelled.tolist()
    y = one.part("labelled")[1]
    assert y.mean().item() == pytest.approx(0, abs=1e-5)
    assert y.std(correction=0).item() == pytest.approx(1, abs=1e-5)


# How many unlabelled


def test_unlabelled_examples_are_as_many_as_asked_for() -> None:
    data = dataset()
    assert len(data.split(9, unlabelled=30).unlabelled) == 30
    split = data.split(9, unlabelled={"a": 10, "b": 20})
    assert counts(data, split.unlabelled) == [10, 20, 0]


def test_examples_whose_class_nobody_knows_stay_unlabelled() -> None:
    data = dataset(np.where(np.arange(200) % 2 == 0, RARE, None))
    split = data.split(9, unlabelled={"a": 10})
    assert counts(data, split.unlabelled) == [10, 0, 0]
    assert len(split.unlabelled) == 110


def test_foreign_examples_make_up_the_share_asked_for() -> None:
    data = dataset().only("b", "c")
    assert data.target == Classes(("b", "c"))
    assert data.foreign is not None and len(data.foreign) == 120
    for share in (0.0, 0.25, 0.5):
        split = data.split(6, unlabelled=32, foreign=share)
        foreign = torch.isin(split.unlabelled, data.foreign)
        assert (int(foreign.sum()), len(foreign)) == (32 * share, 32)
    assert torch.isin(data.foreign, data.split(6).unlabelled).all()
    for part in ("labelled", "validation", "test"):
        assert not torch.isin(getattr(data.split(6), part), data.foreign).any()


def test_other_values_than_the_classes_asked_for_are_foreign() -> None:
    data = dataset(classes=["c", "b"])
    assert data.target == Classes(("c", "b"))
    assert data.foreign is not None
    assert data.foreign.tolist() == list(range(120))


def test_drawn_by_one_seed_splits_are_the_same_for_all_and_are_loaded_as_saved(
    tmp_path: Path,
) -> None:
    data = dataset().only("b", "c")
    asked: dict[str, Any] = {"labels": {"b": 5, "c": 1}, "unlabelled": 40, "foreign": 0.5}
    one, other = data.split(seed=3, **asked), data.split(seed=3, **asked)
    one.save(tmp_path / "split.json")
    loaded = Split.load(tmp_path / "split.json", data)
    assert one.fingerprint == other.fingerprint == loaded.fingerprint
    assert one.fingerprint != data.split(seed=4, **asked).fingerprint


# Test sets


def test_a_test_set_of_ones_own_is_the_test_part() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.random((10, 3)), np.array(["b", "a"] * 5)
    data = dataset(test=(x, y))
    assert data.test.tolist() == list(range(200, 210))
    np.testing.assert_allclose(data.x[200:].numpy(), x, rtol=1e-6)
    assert data.y[200:].tolist() == [1, 0] * 5
    assert sizes(data.split(9)) == [9, 171, 20, 10]


def test_there_may_be_no_test_part() -> None:
    data = dataset(test=None)
    assert len(data.test) == 0
    assert sizes(data.split(9)) == [9, 171, 20, 0]


# What is refused


@pytest.mark.parametrize(("arguments", "message"), [
    ({"labels": 2}, "at least one label for each of 3 classes, got labels=2"),
    ({"labels": 90}, "labels=90 needs 30 examples of class c, and the training part has 1"),
    ({"labels": {"c": 99}}, "labels=99 needs 99 examples of class c"),
    ({"labels": {"d": 1}}, "unknown class 'd'"),
    ({"labels": {"a": -1}}, "expected a number >= 0 of class a, got -1"),
    ({"labels": {"a": 0}}, "expected at least 1 labelled example, got 0 of every class"),
    ({"labels": 9, "draw": "random"}, "unknown draw 'random'"),
    ({"labels": 9, "unlabelled": 0}, "expected at least 1 unlabelled example, got 0"),
    ({"labels": 9, "unlabelled": 999}, "expected at most .* unlabelled examples, got 999"),
    ({"labels": 9, "unlabelled": {"c": 99}}, "expected unlabelled <= .* of class c"),
    ({"labels": 9, "foreign": 0.5}, "expected at most 0 foreign examples"),
    ({"labels": 9, "foreign": 2.0}, r"expected foreign as a share in \[0, 1\], got 2.0"),
    ({"labels": 9, "foreign": 1.0}, "foreign=1 .*: give unlabelled"),
    ({"labels": 9, "validation": 160}, "so that examples are left unlabelled, got 9 "),
    ({"labels": {"a": 1}, "validation": 160}, "expected fewer validation examples than the 160"),
    ({"labels": 9, "missing": 0.5}, "expected missing=0 where an example has a single label"),
], ids=str)
def test_a_draw_that_is_not_to_be_had_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^mine: .*{message}"):
        dataset().split(**arguments)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"test": 2.0}, "expected test as a share between 0 and 1, .* got 2.0"),
    ({"test": (np.zeros((2, 4)), ["a", "b"])}, "a test set of 3 columns .*, got 4"),
    ({"test": (np.zeros((2, 3)), ["a", "d"])}, "training labels, got 'd' at index 1"),
    ({"test": (np.zeros((2, 3)), ["a"])}, "each example of the test set, got 2 examples and 1"),
    ({"test": (np.zeros((2, 3)), ["a", None])}, "test examples with known labels"),
    ({"test": (np.zeros((2, 3)),)}, r"expected test as a share or as \(x, y\), got 1 values"),
])
def test_a_test_part_that_cannot_be_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^mine: .*{message}"):
        dataset(**arguments)


def test_labelled_examples_of_a_split_have_known_labels() -> None:
    data = dataset(np.where(np.arange(200) % 2 == 0, RARE, None), test=None)
    with pytest.raises(InputError, match="labelled examples with a known label, got .* index 1$"):
        Split(data, torch.tensor([0, 1]), torch.tensor([3]), torch.tensor([2]), seed=0)


def test_only_data_of_classes_are_reduced_to_some() -> None:
    with pytest.raises(InputError, match="unknown class 'd'"):
        dataset().only("a", "d")
    with pytest.raises(InputError, match="expected two classes or more, got a"):
        dataset().only("a")
    with pytest.raises(InputError, match="mine: expected data of classes"):
        dataset(np.random.default_rng(0).normal(size=200)).only("a", "b")


# What is said of the data


def test_data_are_described_in_a_few_lines() -> None:
    y = np.where(np.arange(200) % 4 == 0, RARE, None)
    x = np.arange(600, dtype=np.uint8).reshape(200, 3)
    assert str(from_arrays(x, y, name="mine")).splitlines() == [
        "mine:",
        "  200 examples, 50 of them with a known label, of which 10 for testing",
        "  3 classes: a 30, b 15, c 5",
        "  150 of 200 labels unknown (75.0%)",
        "  3 numbers an example, from 0 to 1",
        "  whole numbers from 0 to 255 were divided by 255",
    ]
    assert "120 examples of other classes, unlabelled" in str(dataset().only("b", "c"))


@pytest.mark.parametrize(("x", "divisor"), [
    (np.array([[0, 255], [3, 128]], dtype=np.uint8), 255),
    (np.array([[0, 16], [3, 8]]), 16),
    (np.array([[0, 1], [1, 1]]), 1),
    (np.array([[-2, 5], [1, 1]]), 1),
    (np.array([[0.0, 5.0], [1.0, 1.0]]), 1),
    (np.array([[[0.0, 16.0]], [[3.0, 8.0]]]), 16),
    (np.array([[[0.0, 5.0]], [[1.5, 1.0]]]), 1),
    (np.array([[[0.0, 1.0]], [[1.0, 1.0]]]), 1),
], ids=str)
def test_whole_numbers_are_scaled_and_further_examples_likewise(
    x: np.ndarray, divisor: int
) -> None:
    data = from_arrays(np.concatenate([x] * 20), ["a", "b"] * 20)
    for scaled in (data.x[:2], data.encoded(x)):
        np.testing.assert_allclose(scaled.reshape(x.shape), x / divisor, rtol=1e-6)


def test_further_examples_of_another_width_are_refused() -> None:
    with pytest.raises(InputError, match="expected examples of 3 columns .*, got 2"):
        dataset().encoded(np.zeros((4, 2)))
    assert small.split().dataset.encoded(np.zeros((4, 8, 8))).shape == (4, 1, 8, 8)


def test_a_run_without_a_test_part_is_measured_by_validation_and_drawn(tmp_path: Path) -> None:
    metrics = runs.train(
        "m2", dataset(test=None).split(9), tmp_path / "run", options={"hidden": (4,)}, epochs=1,
        device="cpu",
    )
    assert metrics["test"] == {} and 0 <= metrics["validation"]["accuracy"] <= 1
    assert (tmp_path / "run" / "figures" / "confusion.png").is_file()
    with pytest.raises(InputError, match="mine: expected a test part, by which a comparison is"):
        compare(["m2"], dataset(test=None), tmp_path / "both")


def test_further_pixels_may_be_scaled_already() -> None:
    images = np.tile(np.arange(256).reshape(1, 16, 16), (20, 1, 1))
    data = from_arrays(images.astype(float), ["a", "b"] * 10)
    assert data.divisor == 255
    for further in (images, images.astype(float), images / 255):
        np.testing.assert_allclose(data.encoded(further), data.x, rtol=1e-6)


@pytest.mark.parametrize(("x", "advice"), [
    (np.full((20, 3), 1680.5), "standardise each column, or give a data frame"),
    (np.full((20, 3), 255.0), "give them as integers, which are scaled, unless they are tokens"),
    (np.full((20, 4, 4), 254.5), "divide them by the largest that there may be"),
])
def test_numbers_that_networks_do_not_learn_from_are_told_of(x: np.ndarray, advice: str) -> None:
    data = from_arrays(x, ["a", "b"] * 10)
    assert advice in str(data)
    with pytest.warns(UserWarning, match=f"networks learn from about -3 to 3: {advice}"):
        pair("m2").on(data, hidden=(4,))


@pytest.mark.parametrize("share", [0.1, 0.2])
def test_a_share_of_foreign_examples_is_of_all_unlabelled_ones(share: float) -> None:
    x = np.random.default_rng(0).random((400, 2))
    data = from_arrays(x, np.arange(400) % 4).only("0", "1", "2")
    split = data.split(6, foreign=share)
    foreign = torch.isin(split.unlabelled, data.foreign)
    assert foreign.double().mean().item() == pytest.approx(share, abs=0.005)
    assert int((~foreign).sum()) == len(data.split(6, foreign=0.0).unlabelled)


def test_few_unlabelled_examples_have_foreign_ones_among_them_as_all_have() -> None:
    x = np.random.default_rng(0).random((300, 2))
    data = from_arrays(x, np.arange(300) % 3).only("0", "1")  # a third is foreign
    some = data.split(4, unlabelled=60).unlabelled
    assert 0.2 < torch.isin(some, data.foreign).double().mean() < 0.65
