"""Batches of labelled and unlabelled examples."""

from __future__ import annotations

from collections.abc import Iterator

from pyro_ssvae.contract import Batch
from pyro_ssvae.data.feed import feed
from pyro_ssvae.data.split import Split


def batches(
    split: Split,
    labelled: int = 100,
    unlabelled: int = 100,
    *,
    seed: int = 0,
    epoch: int = 0,
    start: int = 0,
) -> Iterator[Batch]:
    """One epoch: a pass over the unlabelled data in random order, labelled data beside it.

    Every batch has ``labelled`` labelled examples and ``unlabelled`` unlabelled ones, the last
    one what is left of these. The labelled examples come in a stream of permutations, so that
    each is seen equally often, and more than once in a batch that is larger than their number.

    Args:
        split: The split, on the device where the batches are wanted.
        labelled: The number of labelled examples in a batch, L, at most
            :data:`pyro_ssvae.data.order.MOST_LABELLED`.
        unlabelled: The number of unlabelled examples in a batch, U.
        seed: The seed of the order.
        epoch: The number of the epoch. The same seed and epoch give the same batches.
        start: The number of the first batch to give. Nothing is read of those before.
    """
    return feed(split, labelled, unlabelled).epoch(seed, epoch, start)
