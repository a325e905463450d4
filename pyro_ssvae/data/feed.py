"""Where batches come from: memory, or files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol, Self

import torch
from torch import Tensor

from pyro_ssvae.contract import Batch
from pyro_ssvae.data.order import order, steps_per_epoch
from pyro_ssvae.data.reading import Reader
from pyro_ssvae.data.split import Split
from pyro_ssvae.errors import InputError

Indices = tuple[Tensor, Tensor]  # of the labelled and of the unlabelled examples of a batch


class Feed(Protocol):
    """The batches of a split, on its device."""

    @property
    def steps(self) -> int:
        """The number of batches in an epoch."""

    def epoch(self, seed: int, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, which seed and epoch alone determine.

        Args:
            seed: The seed of the order.
            epoch: The number of the epoch.
            start: The number of the first batch to give. Nothing is read of those before.
        """

    def shard(self, index: int, of: int, *, empty: bool = True) -> Feed:
        """Every of-th row of each batch, from row ``index`` on: ``of`` shards are the batches.

        The shards of a last batch may differ by a row, or be empty; where they may not be
        ``empty``, the batch's first row stands in.
        """


@dataclass(frozen=True)
class Batching:
    """Which examples are in the batches of an epoch.

    Attributes:
        split: The split, on the device where the batches are wanted.
        labelled: The number of labelled examples in a batch, L.
        unlabelled: The number of unlabelled examples in a batch, U.
        first: The first row of a batch that is given.
        of: The distance of the rows that are given.
        least: The number of rows to give at least, those from the first on.
    """

    split: Split
    labelled: int = 100
    unlabelled: int = 100
    first: int = 0
    of: int = 1
    least: int = 0

    @property
    def steps(self) -> int:
        """The number of batches in an epoch."""
        return steps_per_epoch(self.split, self.unlabelled)

    def indices(self, seed: int, epoch: int, start: int) -> Iterator[Indices]:
        """The indices of the batches of an epoch, from batch ``start`` on."""
        sizes = self.labelled, self.unlabelled
        seen, unseen = order(self.split, *sizes, seed=seed, epoch=epoch)
        parts = zip(seen.split(self.labelled), unseen.split(self.unlabelled))
        for with_label, without in islice(parts, start, None):
            yield self._own(with_label), self._own(without)

    def shard(self, index: int, of: int, *, empty: bool = True) -> Batching:
        """See :meth:`Feed.shard`."""
        if not 0 <= index < of:
            raise InputError(f"expected 0 <= index < of, got index={index} and of={of}")
        return replace(
            self, first=self.first + index * self.of, of=self.of * of, least=0 if empty else 1
        )

    def _own(self, rows: Tensor) -> Tensor:
        own = rows[self.first::self.of]
        return rows[:self.least] if len(own) < self.least else own


@dataclass(frozen=True)
class InMemory:
    """Batches of examples that are in memory, on the device.

    Attributes:
        batching: The examples that are in them.
    """

    batching: Batching

    @property
    def steps(self) -> int:
        """See :class:`Feed`."""
        return self.batching.steps

    def epoch(self, seed: int, epoch: int, start: int = 0) -> Iterator[Batch]:
        """See :class:`Feed`."""
        split = self.batching.split
        for with_label, without in self.batching.indices(seed, epoch, start):
            x, y = split.examples(with_label)
            yield Batch(x, y, split.dataset.x[without], split.possible(without))

    def shard(self, index: int, of: int, *, empty: bool = True) -> Self:
        """See :class:`Feed`."""
        return replace(self, batching=self.batching.shard(index, of, empty=empty))


@dataclass(frozen=True)
class Loaded:
    """Batches of examples that are read from files, ahead of time.

    Attributes:
        batching: The examples that are in them.
        reader: What reads them.
    """

    batching: Batching
    reader: Reader

    @property
    def steps(self) -> int:
        """See :class:`Feed`."""
        return self.batching.steps

    def epoch(self, seed: int, epoch: int, start: int = 0) -> Iterator[Batch]:
        """See :class:`Feed`."""
        split, indices = self.batching.split, list(self.batching.indices(seed, epoch, start))
        images = self.reader.stream([torch.cat(pair) for pair in indices])
        for (with_label, without), both in zip(indices, images):
            x, u = both.tensor_split([len(with_label)])
            yield Batch(x, split.labels(with_label), u, split.possible(without))

    def shard(self, index: int, of: int, *, empty: bool = True) -> Self:
        """See :class:`Feed`."""
        return replace(self, batching=self.batching.shard(index, of, empty=empty))


def feed(split: Split, labelled: int = 100, unlabelled: int = 100) -> Feed:
    """The batches of a split: from memory, or from files where its examples are there.

    Args:
        split: The split, on the device where the batches are wanted.
        labelled: The number of labelled examples in a batch, at most
            :data:`pyro_ssvae.data.order.MOST_LABELLED`.
        unlabelled: The number of unlabelled examples in a batch.
    """
    batching, x = Batching(split, labelled, unlabelled), split.dataset.x
    return Loaded(batching, x) if isinstance(x, Reader) else InMemory(batching)
