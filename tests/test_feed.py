"""Batches from memory and from files: the same ones, whole or in shards."""

from collections.abc import Callable

import made
import pytest
import small
import torch
from torch import Tensor

from pyro_ssvae.contract import Batch
from pyro_ssvae.data import Feed, Split, feed
from pyro_ssvae.data.feed import InMemory, Loaded
from pyro_ssvae.errors import InputError
from pyro_ssvae.targets import ClassSets


def from_files(workers: int = 0) -> Split:
    return made.dataset(made.Rows(120, 1, 2, 3)).split(9).to("cpu", workers)


def from_memory() -> Split:
    return made.in_memory(made.dataset(made.Rows(120, 1, 2, 3))).split(9)


SPLITS = pytest.mark.parametrize("split", [from_files, from_memory])


def same(one: list[Batch], other: list[Batch]) -> bool:
    return all(
        len(a.tensors) == len(b.tensors)
        and all(torch.equal(p, q) for p, q in zip(a.tensors, b.tensors))
        for a, b in zip(one, other, strict=True)
    )


def test_examples_in_memory_are_fed_from_memory_and_others_from_files() -> None:
    assert isinstance(feed(from_memory()), InMemory)
    assert isinstance(feed(from_files()), Loaded)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_from_files_are_those_from_memory(workers: int) -> None:
    expected = list(feed(from_memory(), 4, 20).epoch(3, 1))
    assert same(list(feed(from_files(workers), 4, 20).epoch(3, 1)), expected)


def test_what_is_known_of_unlabelled_examples_comes_along() -> None:
    def sets(split: Split) -> Split:
        masks = torch.nn.functional.one_hot(split.dataset.y, 3).bool()
        masks[split.unlabelled] = True
        object.__setattr__(split.dataset, "y", masks)
        object.__setattr__(split.dataset, "target", ClassSets(small.classes(3).names))
        return split

    expected = list(feed(sets(from_memory()), 4, 20).epoch(0, 0))
    assert expected[0].possible is not None
    assert same(list(feed(sets(from_files()), 4, 20).epoch(0, 0)), expected)


@SPLITS
def test_an_epoch_has_as_many_batches_as_steps(split: Callable[[], Split]) -> None:
    source = feed(split(), 4, 20)
    assert source.steps == 4  # 120 examples, without 24 for testing, 20 for validation, 9 labelled
    assert len(list(source.epoch(0, 0))) == 4


@SPLITS
def test_an_epoch_can_begin_at_any_batch(split: Callable[[], Split]) -> None:
    source = feed(split(), 4, 20)
    whole = list(source.epoch(0, 2))
    for start in range(5):
        assert same(list(source.epoch(0, 2, start)), whole[start:])


def test_nothing_is_read_of_the_batches_before_the_first() -> None:
    split = from_files()
    rows = split.dataset.x.rows
    list(feed(split, 4, 20).epoch(0, 0, 3))
    assert len(rows.seen) == 4 + 67 % 20


@SPLITS
@pytest.mark.parametrize("of", [1, 2, 3, 10])
def test_shards_are_together_the_batches_row_by_row(
    split: Callable[[], Split], of: int
) -> None:
    def woven(parts: list[Tensor]) -> Tensor:
        whole = parts[0].new_empty(sum(map(len, parts)), *parts[0].shape[1:])
        for index, part in enumerate(parts):
            whole[index::of] = part
        return whole

    source = feed(split(), 4, 20)
    shards = [list(source.shard(index, of).epoch(0, 0)) for index in range(of)]
    for step, batch in enumerate(source.epoch(0, 0)):
        for name in ("x", "y", "u"):
            parts = [getattr(shard[step], name) for shard in shards]
            assert torch.equal(woven(parts), getattr(batch, name))


@SPLITS
def test_a_shard_of_a_shard_is_a_smaller_one(split: Callable[[], Split]) -> None:
    source: Feed = feed(split(), 4, 20)
    halved = list(source.shard(1, 2).shard(1, 2).epoch(0, 0))
    assert same(halved, list(source.shard(3, 4).epoch(0, 0)))


def test_a_shard_reads_its_own_rows_alone() -> None:
    split = from_files()
    list(feed(split, 4, 20).shard(0, 2).epoch(0, 0))
    assert len(split.dataset.x.rows.seen) == 4 * 2 + 10 + 10 + 10 + 4


@SPLITS
@pytest.mark.parametrize(("index", "of"), [(2, 2), (-1, 2), (0, 0)])
def test_a_shard_that_is_none_is_refused(
    split: Callable[[], Split], index: int, of: int
) -> None:
    with pytest.raises(InputError, match=f"got index={index} and of={of}"):
        feed(split()).shard(index, of)
