"""The order in which an epoch sees the examples of a split."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pyro_ssvae.data.split import Split
from pyro_ssvae.errors import InputError, positive

MOST_LABELLED = 1_000_000  # a batch repeats the labelled examples, and would fill any memory


def steps_per_epoch(split: Split, unlabelled: int = 100) -> int:
    """The number of batches in one pass over the unlabelled data."""
    positive(unlabelled=unlabelled)
    return -(-len(split.unlabelled) // unlabelled)


def order(
    split: Split, labelled: int, unlabelled: int, *, seed: int, epoch: int
) -> tuple[Tensor, Tensor]:
    """The indices of the labelled and of the unlabelled examples of an epoch, in order.

    They are a pure function of the arguments, see :func:`pyro_ssvae.data.batches`.
    """
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
