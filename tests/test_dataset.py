"""Data sets and their splits."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
import torch
from torch import Tensor

from pyro_ssvae.data import PARTS, Dataset, Split
from pyro_ssvae.errors import InputError

K = 10


def dataset(**changes: Any) -> Dataset:
    """400 examples of 10 classes, of which every fifth is for testing; row i begins with i."""
    n = changes.pop("n", 400)
    arguments: dict[str, Any] = {
        "name": "toy",
        "x": torch.arange(6.0 * n).reshape(n, 6),
        "y": torch.arange(n) // 3 % K,
        "target": small.classes(K),
        "test": torch.arange(0, n, 5),
        "validation": 40,
    }
    return Dataset(**{**arguments, **changes})


def labels(split: Split) -> list[int]:
    """How many labelled examples there are of each class."""
    return split.dataset.y[split.labelled].bincount(minlength=K).tolist()


def changed(x: Tensor, index: tuple[int, ...], value: float) -> Tensor:
    x = x.clone()
    x[index] = value
    return x


# What a data set may be


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_x_that_is_not_finite_is_refused_with_its_index(value: float) -> None:
    x = changed(changed(dataset().x, (7, 2), value), (390, 0), value)
    with pytest.raises(
        InputError, match="toy: expected finite x.* in 2 of 400 examples, the first at index 7$"
    ):
        dataset(x=x)


@pytest.mark.parametrize(("label", "came"), [(-2, "-2 to 9"), (10, "0 to 10")])
def test_a_label_outside_the_classes_is_refused(label: int, came: str) -> None:
    y = changed(dataset().y, (7,), label)
    message = rf"toy: expected labels in 0\.\.9, or -1 where unknown, got .* {came}"
    with pytest.raises(InputError, match=message):
        dataset(y=y)


@pytest.mark.parametrize(
    ("x", "y"), [((400, 6), (399,)), ((400, 6), (399, 10)), ((400,), (400,)), ((4, 2, 3), (4,))]
)
def test_shapes_that_disagree_are_refused(x: tuple[int, ...], y: tuple[int, ...]) -> None:
    with pytest.raises(
        InputError,
        match=r"expected x of shape \(N, D\) or \(N, C, H, W\) and y with a row for each example,"
        f" got {re.escape(str(x))} and {re.escape(str(y))}$",
    ):
        dataset(x=torch.zeros(x), y=torch.zeros(y, dtype=torch.int64))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (torch.uint8, torch.int64),
        (torch.int64, torch.int64),
        (torch.float32, torch.int32),
        (torch.float32, torch.float32),
    ],
)
def test_other_types_than_floating_point_x_and_int64_y_are_refused(
    x: torch.dtype, y: torch.dtype
) -> None:
    wanted, came = ("int64 classes y", y) if x.is_floating_point else ("floating point x", x)
    with pytest.raises(InputError, match=f"toy: expected {wanted}.*, got {came}"):
        dataset(x=torch.zeros(400, 6).to(x), y=torch.zeros(400).to(y))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_either_floating_point_precision_is_kept(dtype: torch.dtype) -> None:
    split = dataset(x=torch.zeros(400, 6, dtype=dtype)).split(50)
    x, y = split.part("labelled")
    assert x.dtype == y.dtype == dtype


@pytest.mark.parametrize("shape, images", [((6,), False), ((1, 2, 3), True), ((3, 2, 1), True)])
def test_examples_have_a_shape_and_images_are_known_by_it(
    shape: tuple[int, ...], images: bool
) -> None:
    data = dataset(x=dataset().x.reshape(-1, *shape))
    assert (data.shape, data.images) == (shape, images)
    assert data.split(50).part("labelled")[0].shape == (50, *shape)


@pytest.mark.parametrize("index", [-1, 400])
def test_a_test_index_outside_the_data_is_refused(index: int) -> None:
    with pytest.raises(InputError, match=rf"toy: expected .*\btest\b.* {index}\b"):
        dataset(test=torch.tensor([3, index]))


def test_a_test_index_that_comes_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"toy: expected .*\btest\b"):
        dataset(test=torch.tensor([3, 3]))


# Splits


def test_every_example_is_in_exactly_one_part() -> None:
    split = dataset().split(50)
    everything = torch.cat([getattr(split, name) for name in PARTS])
    assert sorted(everything.tolist()) == list(range(400))


def test_the_parts_have_the_sizes_asked_for() -> None:
    split = dataset().split(53, validation=21)
    assert [len(getattr(split, name)) for name in PARTS] == [53, 320 - 53 - 21, 21, 80]


def test_the_validation_part_has_the_data_sets_default_size_unless_told_otherwise() -> None:
    assert len(dataset(validation=33).split(50).validation) == 33


def test_50_labels_of_10_classes_are_5_of_each() -> None:
    assert labels(dataset().split(50)) == [5] * 10


@pytest.mark.parametrize("seed", range(5))
def test_53_labels_of_10_classes_are_5_or_6_of_each(seed: int) -> None:
    assert sorted(labels(dataset().split(53, seed=seed))) == [5] * 7 + [6] * 3


def test_the_labels_left_over_go_to_classes_drawn_by_the_seed() -> None:
    extra = [labels(dataset().split(11, seed=seed)).index(2) for seed in range(20)]
    assert len(set(extra)) > 3


def test_one_label_a_class_is_enough() -> None:
    assert labels(dataset().split(10)) == [1] * 10


def test_labels_are_balanced_where_the_classes_are_not() -> None:
    rare = torch.where(torch.arange(400) % 20 < 10, torch.arange(400) % 20, 0)
    split = dataset(y=rare, test=torch.arange(0), validation=1).split(100)
    assert labels(split) == [10] * 10


def test_the_test_part_is_the_same_for_every_seed() -> None:
    data = dataset()
    for seed in range(3):
        assert data.split(50, seed=seed).test.tolist() == list(range(0, 400, 5))


def test_the_same_seed_gives_the_same_split() -> None:
    one, other = dataset().split(53, seed=3), dataset().split(53, seed=3)
    for name in PARTS:
        assert torch.equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("part", ["labelled", "unlabelled", "validation"])
def test_another_seed_gives_another_split(part: str) -> None:
    one, other = dataset().split(50, seed=0), dataset().split(50, seed=1)
    assert getattr(one, part).tolist() != getattr(other, part).tolist()


def test_a_split_does_not_touch_the_global_random_numbers() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    dataset().split(50)
    assert torch.equal(torch.rand(3), expected)


def test_a_split_remembers_its_data_and_seed() -> None:
    data = dataset()
    split = data.split(50, seed=7)
    assert split.dataset is data
    assert split.seed == 7


@pytest.mark.parametrize("part", PARTS)
def test_a_part_has_the_examples_and_one_hot_labels_at_its_indices(part: str) -> None:
    split = dataset().split(50)
    x, y = split.part(part)
    index = getattr(split, part)
    assert (x[:, 0] / 6).tolist() == index.tolist()
    assert y.shape == (len(index), K)
    assert y.sum(1).eq(1).all() and y.max(1).values.eq(1).all()
    assert y.argmax(1).tolist() == [i // 3 % K for i in index.tolist()]


def test_fewer_labels_than_classes_are_refused() -> None:
    with pytest.raises(InputError, match="at least one label for each of 10 classes, got labels=9"):
        dataset().split(9)


@pytest.mark.parametrize("validation", [0, -1])
def test_a_split_without_validation_is_refused(validation: int) -> None:
    with pytest.raises(InputError, match=f"at least 1 validation example, got {validation}"):
        dataset().split(50, validation=validation)


def test_so_many_labels_that_nothing_is_left_unlabelled_are_refused() -> None:
    with pytest.raises(InputError, match=r"expected labels \+ validation < 320 .* got 280 \+ 40$"):
        dataset().split(280)


def test_a_single_example_left_unlabelled_is_enough() -> None:
    y, test = torch.arange(400) % 2, torch.arange(0)
    data = dataset(y=y, target=small.classes(2), test=test, validation=1)
    assert len(data.split(398, validation=1).unlabelled) == 1


def test_a_class_with_too_few_examples_is_named() -> None:
    y = torch.where(torch.arange(400) < 4, 7, torch.arange(400) % 7)
    data = dataset(y=y, target=small.classes(8), test=torch.arange(0), validation=1)
    with pytest.raises(
        InputError, match="labels=80 needs 10 examples of class 7, and .* has [34]; ask for fewer"
    ):
        data.split(80)


def test_a_class_without_examples_is_named() -> None:
    y = torch.arange(400) % 7
    with pytest.raises(InputError, match="examples of class 7, and the training part has none"):
        dataset(y=y, target=small.classes(8)).split(80)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(InputError, match="seed.*-1"):
        dataset().split(50, seed=-1)


# Saved splits


def test_a_split_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    data = dataset()
    split = data.split(53, seed=3)
    split.save(tmp_path / "split.json")
    came = Split.load(tmp_path / "split.json", data)
    assert came.seed == 3
    for name in PARTS:
        assert getattr(came, name).dtype == torch.int64
        assert torch.equal(getattr(came, name), getattr(split, name))
    assert torch.equal(came.dataset.x, data.x)
    assert torch.equal(came.dataset.y, data.y)


@pytest.mark.parametrize("seed", [0, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_split_of_every_seed_is_loaded(seed: int, tmp_path: Path) -> None:
    data = dataset()
    split = data.split(53, seed=seed)
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json", data).fingerprint == split.fingerprint


def test_a_saved_split_is_json_with_the_indices_by_name(tmp_path: Path) -> None:
    split = dataset().split(50, seed=3)
    split.save(tmp_path / "split.json")
    content = json.loads((tmp_path / "split.json").read_text())
    assert content == {
        "data": "toy", "seed": 3, **{name: getattr(split, name).tolist() for name in PARTS}
    }


def test_a_loaded_split_keeps_its_own_test_part(tmp_path: Path) -> None:
    dataset().split(50).save(tmp_path / "split.json")
    other = dataset(test=torch.arange(1, 400, 5))
    assert Split.load(tmp_path / "split.json", other).test.tolist() == list(range(0, 400, 5))


def test_a_split_of_another_data_set_is_refused(tmp_path: Path) -> None:
    dataset().split(50).save(tmp_path / "split.json")
    with pytest.raises(InputError, match=r"split\.json: expected a split of other, got one of toy"):
        Split.load(tmp_path / "split.json", dataset(name="other"))


def test_a_split_of_a_larger_data_set_is_refused(tmp_path: Path) -> None:
    dataset().split(50).save(tmp_path / "split.json")
    with pytest.raises(InputError, match=r"split\.json: expected .* indices below 300"):
        Split.load(tmp_path / "split.json", dataset(n=300))


def test_a_missing_split_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"split\.json: expected a saved split, got FileNotFound"):
        Split.load(tmp_path / "split.json", dataset())


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "1", '"labelled"', "{}", '{"data": "toy", "seed": 0}', "\xff"],
)
def test_a_file_that_holds_no_split_is_refused_with_its_path(tmp_path: Path, text: str) -> None:
    path = tmp_path / "split.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"split\.json: expected a saved split, got"):
        Split.load(path, dataset())


PARTS_GIVEN = {"labelled": [0, 1], "unlabelled": [2, 3], "validation": [4], "test": [5]}


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": "zero"},
        {"seed": None},
        {"seed": math.inf},
        {"seed": math.nan},
        {"seed": 1.5},
        {"seed": True},
        {"seed": -1},
        {"labelled": None},
        {"labelled": "01"},
        {"labelled": 0},
        {"labelled": ["0", "1"]},
        {"labelled": [[0, 1]]},
        {"labelled": [0.5, 1.5]},
        {"labelled": [0, 2**70]},
        {"labelled": {"0": 1}},
    ],
    ids=str,
)
def test_a_part_that_is_no_list_of_indices_is_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"data": "toy", "seed": 0, **PARTS_GIVEN, **changes}))
    with pytest.raises(InputError, match=r"split\.json: expected a saved split, got"):
        Split.load(path, dataset())


@pytest.mark.parametrize("text", [
    "[" * 200_000, '{"data": ' * 200_000, '{"data": "toy", "seed": ' + "[" * 200_000,
], ids=["lists", "names", "a seed"])
def test_a_split_nested_without_end_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "split.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"split\.json: expected a saved split, got"):
        Split.load(path, dataset())


@pytest.mark.parametrize("part", ["labelled", "unlabelled"])
def test_a_saved_split_without_examples_to_train_on_is_refused(tmp_path: Path, part: str) -> None:
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"data": "toy", "seed": 0, **PARTS_GIVEN, part: []}))
    with pytest.raises(InputError, match=rf"split\.json: expected .*\b{part}\b"):
        Split.load(path, dataset())


@pytest.mark.parametrize(
    "changes",
    [{"labelled": [0, 0]}, {"labelled": [0, 5]}, {"validation": [2]}, {"unlabelled": [1, 2]}],
    ids=str,
)
def test_parts_that_overlap_are_refused(tmp_path: Path, changes: dict[str, list[int]]) -> None:
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"data": "toy", "seed": 0, **PARTS_GIVEN, **changes}))
    with pytest.raises(InputError, match=r"split\.json: expected disjoint indices"):
        Split.load(path, dataset())


@pytest.mark.parametrize("index", [-1, 400])
def test_an_index_outside_the_data_is_refused_and_named(tmp_path: Path, index: int) -> None:
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"data": "toy", "seed": 0, **PARTS_GIVEN, "validation": [index]}))
    with pytest.raises(InputError, match=rf"indices .*400, got.* {index}\b"):
        Split.load(path, dataset())


# Devices


def test_a_split_moves_whole_to_another_device(monkeypatch: pytest.MonkeyPatch) -> None:
    # A tensor on the meta device has a shape and no values: nothing to check there.
    monkeypatch.setattr(Dataset, "__post_init__", lambda self: None)
    split = dataset().split(50, seed=3)
    moved = split.to("meta")
    tensors = [moved.dataset.x, moved.dataset.y, *(getattr(moved, name) for name in PARTS)]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert [len(getattr(moved, p)) for p in PARTS] == [len(getattr(split, p)) for p in PARTS]
    assert (moved.seed, moved.dataset.name, moved.dataset.target) == (3, "toy", small.classes(K))
    assert split.dataset.x.device.type == "cpu"


def test_a_split_that_is_where_it_should_be_stays_the_same() -> None:
    split = dataset(x=dataset().x.unflatten(1, (1, 2, 3)), kind="digits").split(50)
    same = split.to("cpu")
    for part in PARTS:
        for came, expected in zip(same.part(part), split.part(part)):
            assert torch.equal(came, expected)
    assert same.dataset.shape == (1, 2, 3)
    assert same.dataset.kind == "digits"


# Fingerprints


def test_data_are_told_apart_by_all_that_pairs_see() -> None:
    one = dataset()
    assert dataset().fingerprint == one.fingerprint
    swapped = one.x.clone()
    swapped[[0, 1]] = swapped[[1, 0]]
    others = [
        dataset(x=swapped), dataset(y=one.y.flip(0)), dataset(x=one.x.double()),
        dataset(x=one.x.unflatten(1, (1, 2, 3))), dataset(target=small.classes(K + 1)),
    ]
    assert len({one.fingerprint, *(other.fingerprint for other in others)}) == len(others) + 1


def test_a_name_does_not_change_the_fingerprint() -> None:
    assert dataset(name="another").fingerprint == dataset().fingerprint


def test_numbers_of_another_shape_are_other_data() -> None:
    zeros = [torch.zeros(2, 6), torch.zeros(3, 4)]
    prints = {
        Dataset(
            name="zeros", x=x, y=torch.zeros(len(x), dtype=torch.int64), target=small.classes(1),
            test=torch.tensor([0]), validation=1,
        ).fingerprint for x in zeros
    }
    assert len(prints) == 2


def test_splits_are_told_apart_by_every_part_and_by_the_hidden_labels() -> None:
    one = dataset().split(50, seed=0)
    assert dataset().split(50, seed=0).fingerprint == one.fingerprint
    assert dataset().split(50, seed=1).fingerprint != one.fingerprint
    exchanged = replace(one, validation=one.unlabelled, unlabelled=one.validation)
    assert exchanged.fingerprint != one.fingerprint
    y = torch.arange(400).reshape(200, 2) % 2
    several = Dataset(
        name="several", x=torch.zeros(200, 1), y=y, target=small.several(2),
        test=torch.tensor([0]),
        validation=5,
    )
    whole = several.split(9, seed=0)
    hidden = replace(whole, hidden=torch.zeros(200, 2, dtype=torch.bool))
    assert hidden.fingerprint != whole.fingerprint


def test_the_seed_of_a_split_may_be_numpys_and_is_a_whole_number() -> None:
    split = dataset().split(50, seed=np.int64(3))
    assert type(split.seed) is int
    assert split.fingerprint == dataset().split(50, seed=3).fingerprint
    with pytest.raises(InputError, match="expected seed as a whole number, got 0.5"):
        dataset().split(50, seed=0.5)
