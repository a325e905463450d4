"""Data sets of several labels an example, any of them unknown, and their splits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
import torch
from torch import Tensor

from pyro_ssvae.data import PARTS, Dataset, Split, batches, from_arrays
from pyro_ssvae.errors import InputError

L = 3


def dataset(n: int = 400, **changes: Any) -> Dataset:
    """Examples of 3 labels, absent, present or unknown in turn; row i of x begins with 6 i."""
    i = torch.arange(n)
    arguments: dict[str, Any] = {
        "name": "toy",
        "x": torch.arange(6.0 * n).reshape(n, 6),
        "y": torch.stack([i % 2, i // 2 % 3 - 1, i // 6 % 2], dim=1),
        "target": small.several(3),
        "test": torch.arange(0, n, 5),
        "validation": 40,
    }
    return Dataset(**{**arguments, **changes})


def blocks(y: Tensor) -> list[list[float]]:
    """The blocks (absent, present) of labels (n, L), put together by hand; NaN as -9."""
    table = {0: [1.0, 0.0], 1: [0.0, 1.0], -1: [-9.0, -9.0]}
    return [[number for label in row for number in table[label]] for row in y.tolist()]


def plain(y: Tensor) -> list[list[float]]:
    return y.nan_to_num(nan=-9.0).tolist()


# Data sets


def test_a_data_set_has_a_block_of_two_for_each_of_several_labels_and_one_for_classes() -> None:
    several = dataset().target
    single = dataset(y=torch.arange(400) % 7, target=small.classes(7)).target
    assert (several.exclusive, several.sizes, several.width) == (False, (2, 2, 2), 6)
    assert (single.exclusive, single.sizes, single.width) == (True, (7,), 7)


@pytest.mark.parametrize(("label", "came"), [(-2, "-2 to 1"), (2, "-1 to 2")])
def test_a_label_that_is_neither_0_nor_1_nor_unknown_is_refused(label: int, came: str) -> None:
    y = dataset().y
    y[7, 1] = label
    with pytest.raises(InputError, match=rf"toy: expected labels in 0\.\.1, or -1 .*, got .* {came}$"):
        dataset(y=y)


def test_other_classes_than_two_are_refused_and_one_hot_labels_answered() -> None:
    with pytest.raises(InputError, match=r"expected classes=2 .*got 10; .* y\.argmax\(1\)"):
        dataset(y=torch.eye(10, dtype=torch.int64).repeat(40, 1), classes=10)


@pytest.mark.parametrize("shape", [(399, 3), (400, 0), (400, 3, 2), ()])
def test_labels_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"y of shape \(N,\) or, multi-label, \(N, L\), got"):
        dataset(y=torch.zeros(shape, dtype=torch.int64))


def test_arrays_of_labels_become_a_multi_label_data_set() -> None:
    y = np.array([[0, 1, -1, 1], [1, 1, 0, -1]] * 50, dtype=np.int8)
    data = from_arrays(np.random.default_rng(0).random((100, 6)), y, name="mine")
    assert (data.target.sizes, data.y.dtype) == ((2,) * 4, torch.int64)
    assert np.array_equal(data.y.numpy(), y)
    assert (len(data.test.unique()), data.validation) == (20, 10)


def test_arrays_of_other_labels_are_refused() -> None:
    with pytest.raises(InputError, match=r"mine: expected labels in two dimensions as 1 .*, got 2 at"):
        from_arrays(np.zeros((100, 6)), np.arange(400).reshape(100, 4), name="mine")


# Examples


@pytest.mark.parametrize("part", PARTS)
def test_a_part_has_a_one_hot_block_for_each_known_label_and_nan_for_others(part: str) -> None:
    split = dataset().split(50)
    x, y = split.part(part)
    index = (x[:, 0] / 6).long()
    assert y.dtype == x.dtype and y.shape == (len(x), 6)
    assert torch.equal(index, getattr(split, part))
    assert plain(y) == blocks(split.dataset.y[index])


def test_batches_have_the_blocks_of_the_labels_with_those_hidden() -> None:
    split = dataset().split(50, missing=0.5)
    shown = split.dataset.y.clone()
    assert split.hidden is not None
    shown[split.hidden] = -1
    for batch in batches(split, 13, 100):
        assert plain(batch.y) == blocks(shown[(batch.x[:, 0] / 6).long()])


# Splits


def test_every_example_is_in_exactly_one_part_of_the_size_asked_for() -> None:
    split = dataset().split(53, validation=21)
    parts = [getattr(split, name) for name in PARTS]
    assert [len(part) for part in parts] == [53, 320 - 53 - 21, 21, 80]
    assert sorted(torch.cat(parts).tolist()) == list(range(400))


def test_the_labelled_part_is_drawn_at_random() -> None:
    # Each of 360 examples is drawn with probability 1/9: 0.111 +- 0.022 over 200 draws.
    data = dataset(450, test=torch.arange(0, 450, 5), validation=90)
    drawn = torch.cat([data.split(30, seed=seed).labelled for seed in range(200)])
    share = drawn.bincount(minlength=450) / 200
    assert share[data.test].sum() == 0
    pool = torch.tensor([i for i in range(450) if i % 5])
    assert share[pool].mean().item() == pytest.approx(30 / 360)
    assert share[pool].max() < 30 / 360 + 5 * 0.0196
    assert share[pool].min() > 0


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("labels", [4, 20])
def test_both_values_of_every_label_are_labelled_however_rare(labels: int, seed: int) -> None:
    y = torch.zeros(400, L, dtype=torch.int64)
    y[torch.tensor([11, 12, 13]), 0] = 1
    y[:, 1] = 1
    y[torch.tensor([21, 22, 23]), 1] = 0
    y[torch.tensor([31, 32, 33]), 2] = 1
    split = dataset(y=y, validation=2).split(labels, seed=seed)
    shown = y[split.labelled]
    assert len(shown) == labels
    assert shown.amin(0).tolist() == [0, 0, 0] and shown.amax(0).tolist() == [1, 1, 1]


def test_a_draw_that_has_both_values_of_every_label_is_left_as_it_is() -> None:
    rare = dataset().y.clone()
    one = dataset().split(50, seed=3).labelled
    other = next(i for i in dataset().split(50, seed=3).unlabelled.tolist())
    rare[other] = 1  # of a value that is not rare: the draw is the same
    assert torch.equal(dataset(y=rare).split(50, seed=3).labelled, one)


def test_a_value_that_the_training_part_lacks_is_not_missed() -> None:
    y = torch.zeros(400, L, dtype=torch.int64)
    assert len(dataset(y=y).split(1).labelled) == 1


def test_fewer_labels_than_show_both_values_of_every_label_are_refused() -> None:
    y = torch.zeros(400, L, dtype=torch.int64)
    for label in range(L):
        y[10 * label + 1:10 * label + 5, label] = 1
    with pytest.raises(InputError, match="toy: expected labels >= 3 so that each of 3 labels is"):
        dataset(y=y, validation=1).split(2)


def test_examples_without_any_known_label_are_never_labelled() -> None:
    y = dataset().y.clone()
    y[::2] = -1
    data = dataset(y=y)
    assert all((data.y[data.split(50, seed=s).labelled] >= 0).any(1).all() for s in range(5))
    y[41:] = -1
    with pytest.raises(InputError, match=r"toy: expected labels <= \d+, the examples .* got 50"):
        dataset(y=y).split(50)


def test_no_labelled_examples_are_refused() -> None:
    with pytest.raises(InputError, match="toy: expected at least 1 labelled example, got 0"):
        dataset().split(0)


def test_the_same_seed_gives_the_same_split_and_another_another() -> None:
    one, same, other = (dataset().split(50, seed=s, missing=0.4) for s in (3, 3, 4))
    assert one.hidden is not None and same.hidden is not None and other.hidden is not None
    for name in (*PARTS, "hidden"):
        assert torch.equal(getattr(one, name), getattr(same, name))
    assert not torch.equal(one.labelled, other.labelled)
    assert not torch.equal(one.hidden, other.hidden)


# Missing labels


def test_nothing_is_hidden_unless_asked_for() -> None:
    assert dataset().split(50).hidden is None


@pytest.mark.parametrize("missing", [0.2, 0.9])
def test_each_label_of_the_labelled_part_is_hidden_with_the_probability(missing: float) -> None:
    data = dataset(3_000)
    split = data.split(2_000, missing=missing)
    assert split.hidden is not None and split.hidden.shape == (3_000, L)
    hidden = split.hidden[split.labelled].double()
    assert int(split.hidden.sum()) == int(hidden.sum())  # none elsewhere
    # standard errors at most 0.009 for a label, and 0.022 for a correlation
    assert np.allclose(hidden.mean(0), missing, atol=0.04)
    assert np.allclose(np.corrcoef(hidden.T), np.eye(L), atol=0.1)


def test_the_parts_of_a_split_do_not_depend_on_what_is_missing() -> None:
    whole, partial = dataset().split(50, seed=3), dataset().split(50, seed=3, missing=0.7)
    for name in PARTS:
        assert torch.equal(getattr(whole, name), getattr(partial, name))


def test_hidden_labels_are_unknown_in_the_labelled_part_alone() -> None:
    whole, partial = dataset().split(50), dataset().split(50, missing=0.5)
    for name in ("unlabelled", "validation", "test"):
        assert plain(partial.part(name)[1]) == plain(whole.part(name)[1])
    assert partial.hidden is not None
    shown = partial.dataset.y[partial.labelled].masked_fill(partial.hidden[partial.labelled], -1)
    assert plain(partial.part("labelled")[1]) == blocks(shown)


@pytest.mark.parametrize("missing", [-0.1, 1.0, 1.5, float("nan")])
def test_missing_is_a_probability_below_1(missing: float) -> None:
    with pytest.raises(InputError, match=rf"missing as a probability in \[0, 1\), got {missing}"):
        dataset().split(50, missing=missing)


def test_labels_of_single_label_data_cannot_be_missing() -> None:
    single = dataset(y=torch.arange(400) % 2)
    with pytest.raises(InputError, match="toy: expected missing=0 .* single label, got 0.5; ask"):
        single.split(50, missing=0.5)


@pytest.mark.parametrize(
    ("hidden", "came"),
    [
        (torch.ones(400, 2, dtype=torch.bool), r"torch.bool \(400, 2\) beside \(400, 3\)"),
        (torch.ones(400, dtype=torch.bool), r"torch.bool \(400,\) beside \(400, 3\)"),
        (torch.zeros(400, 3), r"torch.float32 \(400, 3\) beside \(400, 3\)"),
    ],
)
def test_hidden_labels_of_another_shape_or_type_are_refused(hidden: Tensor, came: str) -> None:
    with pytest.raises(InputError, match=f"expected hidden as booleans .* got {came}"):
        replace(dataset().split(50), hidden=hidden)


def test_hidden_labels_of_an_example_that_is_not_labelled_are_refused() -> None:
    split = dataset().split(50)
    example = int(split.unlabelled[0])
    hidden = torch.zeros(400, L, dtype=torch.bool)
    hidden[example, 1] = True
    with pytest.raises(InputError, match=f"of labelled examples only, got .* example {example}$"):
        replace(split, hidden=hidden)


# Saved splits


@pytest.mark.parametrize("missing", [0.0, 1e-9, 0.4])
def test_a_split_is_loaded_as_it_was_saved(tmp_path: Path, missing: float) -> None:
    data = dataset()
    split = data.split(50, seed=3, missing=missing)
    split.save(tmp_path / "split.json")
    came = Split.load(tmp_path / "split.json", data)
    for name in PARTS:
        assert torch.equal(getattr(came, name), getattr(split, name))
        assert plain(came.part(name)[1]) == plain(split.part(name)[1])
    assert (came.hidden is None) == (split.hidden is None) == (missing == 0)
    assert split.hidden is None or torch.equal(came.hidden, split.hidden)


def test_a_saved_split_has_pairs_of_an_example_and_a_label_where_some_are_hidden(
    tmp_path: Path
) -> None:
    for missing in (0.0, 0.4):
        split = dataset().split(50, missing=missing)
        split.save(tmp_path / "split.json")
        content = json.loads((tmp_path / "split.json").read_text())
        assert list(content) == ["data", "seed", *PARTS] + ["hidden"] * (missing > 0)
    assert split.hidden is not None
    assert sorted(content["hidden"]) == [
        [i, label] for i in range(400) for label in range(L) if split.hidden[i, label]
    ]


@pytest.mark.parametrize(
    "hidden", [None, 1, [1], [[1]], [[1, 2, 0]], [[1, "2"]], [[1, 0.5]], {"1": 2}], ids=str
)
def test_hidden_labels_that_are_no_pairs_are_refused(tmp_path: Path, hidden: Any) -> None:
    parts = {"labelled": [0, 1], "unlabelled": [2, 3], "validation": [4], "test": [5]}
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"data": "toy", "seed": 0, **parts, "hidden": hidden}))
    with pytest.raises(InputError, match=r"split\.json: expected a saved split, got"):
        Split.load(path, dataset())


@pytest.mark.parametrize("pair", [[-1, 0], [400, 0], [1, -1], [1, 3]], ids=str)
def test_a_hidden_label_outside_the_data_is_refused(tmp_path: Path, pair: list[int]) -> None:
    parts = {"labelled": [0, 1], "unlabelled": [2, 3], "validation": [4], "test": [5]}
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"data": "toy", "seed": 0, **parts, "hidden": [[0, 1], pair]}))
    with pytest.raises(InputError, match=rf"split\.json: .*hidden .*\(400, 3\), got \[{pair[0]}, "):
        Split.load(path, dataset())


def test_hidden_labels_of_single_label_data_are_refused(tmp_path: Path) -> None:
    dataset().split(50, missing=0.5).save(tmp_path / "split.json")
    with pytest.raises(InputError, match=r"split\.json: expected hidden"):
        Split.load(tmp_path / "split.json", dataset(y=torch.arange(400) % 2))


# Devices


def test_a_split_moves_with_its_hidden_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dataset, "__post_init__", lambda self: None)
    split = dataset().split(50, missing=0.5)
    moved = split.to("meta")
    assert moved.hidden is not None and moved.hidden.device.type == "meta"
    assert moved.dataset.y.device.type == "meta"
    assert split.hidden is not None and split.hidden.device.type == "cpu"
