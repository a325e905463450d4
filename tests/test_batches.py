"""Batches of labelled and unlabelled examples, of any size."""

from collections import Counter

import pytest
import small
import torch
from torch import Tensor

from pyro_ssvae.contract import Batch
from pyro_ssvae.data import Dataset, Split, batches, steps_per_epoch
from pyro_ssvae.errors import InputError

K, VALIDATION, TEST = 3, 10, 60


def make(labels: int, unlabelled: int) -> Split:
    """A split of so many examples; row i of x is (i, -i) and its class is i mod 3."""
    n = labels + unlabelled + VALIDATION + TEST
    data = Dataset(
        name="toy",
        x=torch.stack([torch.arange(float(n)), -torch.arange(float(n))], dim=1),
        y=torch.arange(n) % K,
        target=small.classes(K),
        test=torch.arange(TEST),
        validation=VALIDATION,
    )
    split = data.split(labels)
    assert (len(split.labelled), len(split.unlabelled)) == (labels, unlabelled)
    return split


def index(x: Tensor) -> list[int]:
    return x[:, 0].long().tolist()


def labelled_seen(epoch: list[Batch]) -> list[int]:
    return [i for batch in epoch for i in index(batch.x)]


def unlabelled_seen(epoch: list[Batch]) -> list[int]:
    return [i for batch in epoch for i in index(batch.u)]


SIZES = pytest.mark.parametrize(
    ("labelled", "unlabelled"), [(1, 499), (100, 100), (7, 13), (1, 1), (13, 7), (5, 2_000)]
)


@SIZES
def test_every_batch_has_the_sizes_asked_for_and_the_last_what_is_left(
    labelled: int, unlabelled: int
) -> None:
    epoch = list(batches(make(30, 1_234), labelled, unlabelled))
    full, left = divmod(1_234, unlabelled)
    assert [len(batch.u) for batch in epoch] == [unlabelled] * full + [left] * (left > 0)
    assert {(batch.x.shape, batch.y.shape) for batch in epoch} == {((labelled, 2), (labelled, K))}


@SIZES
def test_an_epoch_is_one_pass_over_the_unlabelled_data(labelled: int, unlabelled: int) -> None:
    split = make(30, 1_234)
    epoch = list(batches(split, labelled, unlabelled))
    assert sorted(unlabelled_seen(epoch)) == split.unlabelled.tolist()


@SIZES
def test_the_labelled_examples_are_seen_equally_often_up_to_one(
    labelled: int, unlabelled: int
) -> None:
    split = make(30, 1_234)
    seen = Counter(labelled_seen(list(batches(split, labelled, unlabelled))))
    times = [seen.pop(i, 0) for i in split.labelled.tolist()]
    assert not seen
    assert max(times) - min(times) <= 1


def test_the_labelled_examples_come_in_a_stream_of_permutations() -> None:
    split = make(30, 1_000)
    seen = labelled_seen(list(batches(split, 7, 50)))
    assert len(seen) == 7 * 20
    for start in range(0, 120, 30):
        assert sorted(seen[start:start + 30]) == split.labelled.tolist()
    assert seen[:30] != seen[30:60]


def test_a_labelled_batch_may_be_larger_than_the_number_of_labelled_examples() -> None:
    split = make(3, 40)
    for batch in batches(split, labelled=10, unlabelled=20):
        times = Counter(index(batch.x))
        assert set(times) == set(split.labelled.tolist())
        assert sum(times.values()) == 10


def test_an_unlabelled_batch_may_be_larger_than_the_number_of_unlabelled_examples() -> None:
    split = make(3, 40)
    (batch,) = batches(split, labelled=2, unlabelled=41)
    assert sorted(index(batch.u)) == split.unlabelled.tolist()


def test_100_of_each_are_drawn_unless_told_otherwise() -> None:
    first, second = batches(make(30, 150))
    assert (len(first.x), len(first.u)) == (100, 100)
    assert (len(second.x), len(second.u)) == (100, 50)


def test_the_labels_in_a_batch_belong_to_its_images() -> None:
    for x, y, _ in batches(make(30, 1_234), 7, 13):
        assert y.dtype == x.dtype
        assert y.sum(1).eq(1).all() and y.max(1).values.eq(1).all()
        assert y.argmax(1).tolist() == [i % K for i in index(x)]


def test_rows_arrive_whole() -> None:
    for x, _, u in batches(make(30, 200), 7, 13):
        assert torch.equal(x[:, 1], -x[:, 0])
        assert torch.equal(u[:, 1], -u[:, 0])


def test_no_validation_or_test_example_is_seen() -> None:
    split = make(30, 200)
    epoch = list(batches(split, 7, 13))
    held_out = {*split.validation.tolist(), *split.test.tolist()}
    assert len(held_out) == VALIDATION + TEST
    assert held_out.isdisjoint(labelled_seen(epoch) + unlabelled_seen(epoch))


def test_the_same_seed_and_epoch_give_the_same_batches() -> None:
    split = make(30, 200)
    one, other = (list(batches(split, 7, 13, seed=2, epoch=5)) for _ in range(2))
    assert labelled_seen(one) == labelled_seen(other)
    assert unlabelled_seen(one) == unlabelled_seen(other)


@pytest.mark.parametrize(("seed", "epoch"), [(0, 1), (1, 0), (1, 1)])
def test_another_seed_or_epoch_gives_other_batches(seed: int, epoch: int) -> None:
    split = make(30, 200)
    one = list(batches(split, 7, 13, seed=0, epoch=0))
    other = list(batches(split, 7, 13, seed=seed, epoch=epoch))
    assert labelled_seen(one) != labelled_seen(other)
    assert unlabelled_seen(one) != unlabelled_seen(other)


def test_an_epoch_of_one_seed_is_not_the_next_epoch_of_the_seed_before() -> None:
    split = make(30, 200)
    one = list(batches(split, 7, 13, seed=0, epoch=1))
    other = list(batches(split, 7, 13, seed=1, epoch=0))
    assert unlabelled_seen(one) != unlabelled_seen(other)


def test_the_unlabelled_data_is_shuffled() -> None:
    split = make(30, 200)
    assert unlabelled_seen(list(batches(split, 7, 13))) != split.unlabelled.tolist()


def test_drawing_batches_does_not_touch_the_global_random_numbers() -> None:
    split = make(30, 200)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    list(batches(split))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("unlabelled", "steps"), [(1, 200), (13, 16), (100, 2), (199, 2), (200, 1), (201, 1)]
)
def test_the_steps_of_an_epoch_count_its_batches(unlabelled: int, steps: int) -> None:
    split = make(30, 200)
    assert steps_per_epoch(split, unlabelled) == steps
    assert len(list(batches(split, 7, unlabelled))) == steps


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_size_that_is_not_positive_is_refused(size: int) -> None:
    split = make(30, 200)
    with pytest.raises(InputError, match=f"expected labelled > 0, got {size}"):
        list(batches(split, labelled=size))
    with pytest.raises(InputError, match=f"expected unlabelled > 0, got {size}"):
        list(batches(split, unlabelled=size))
    with pytest.raises(InputError, match=f"expected unlabelled > 0, got {size}"):
        steps_per_epoch(split, size)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(InputError, match="seed.*-1"):
        list(batches(make(30, 200), seed=-1))


@pytest.mark.parametrize("part", ["labelled", "unlabelled"])
def test_a_split_without_examples_to_train_on_is_refused(part: str) -> None:
    split = make(30, 200)
    parts = {
        "labelled": split.labelled, "unlabelled": split.unlabelled, part: torch.arange(0)
    }
    with pytest.raises(InputError, match=rf"\b{part}\b"):
        list(batches(Split(split.dataset, **parts, validation=split.validation, seed=0)))
