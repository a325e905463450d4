"""Batches of labelled and unlabelled examples."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from pyro_ssvae.contract import Batch
from pyro_ssvae.data.split import Split
from pyro_ssvae.errors import InputError, positive

MOST_LABELLED = 1_000_000  # a batch repeats the labelled examples, and would fill any memory


def steps_per_epoch(split: Split, unlabelled: int = 100) -> int:
    """The number of batches in one pass over the unlabelled data."""
    positive(unlabelled=unlabelled)
    return -(-len(split.unlabelled) // unlabelled)


def batches(
    split: Split, labelled: int = 100, unlabelled: int = 100, *, seed: int = 0, epoch: int = 0
) -> Iterator[Batch]:
    """One epoch: a pass over the unlabelled data in random order, labelled data beside it.

    Every batch has ``labelled`` labelled examples and ``unlabelled`` unlabelled ones, the last
    one what is left of these. The labelled examples come in a stream of permutations, so that
    each is seen equally often, and more than once in a batch that is larger than their number.

    Args:
        split: The split, on the device where the batches are wanted.
        labelled: The number of labelled examples in a batch, L, at most :data:`MOST_LABELLED`.
        unlabelled: The number of unlabelled examples in a batch, U.
        seed: The seed of the order.
        epoch: The number of the epoch. The same seed and epoch give the same batches.
    """
    seen, unseen = order(split, labelled, unlabelled, seed=seed, epoch=epoch)
    for with_label, without in zip(seen.split(labelled), unseen.split(unlabelled)):
        x, y = split.examples(with_label)
        yield Batch(x, y, split.dataset.x[without], split.possible(without))


def order(
    split: Split, labelled: int, unlabelled: int, *, seed: int, epoch: int
) -> tuple[Tensor, Tensor]:
    """The indices of the labelled and of the unlabelled examples of :func:`batches`, in order."""
    steps = steps_per_epoch(split, unlabelled)
    positive(labelled=labelled)
    if labelled > MOST_LABELLED:
        raise InputError(f"expected a labelled batch of <= {MOST_LABELLED}, got {labelled}")
    if seed < 0 or epoch < 0:
        raise InputError(f"expected seed >= 0 and epoch >= 0, got seed={seed} and epoch={epoch}")
    rng = np.random.default_rng([seed, epoch])
    device = split.unlabelled.device
    unseen = torch.from_numpy(rng.permutation(len(split.unlabelled))).to(device)
    passes = -(-steps * labelled // len(split.labelled))
    stream = np.concatenate([rng.permutation(len(split.labelled)) for _ in range(passes)])
    seen = torch.from_numpy(stream[:steps * labelled]).to(device)
    return split.labelled[seen], split.unlabelled[unseen]
