"""What replicas of an ensemble have in common, and their batches side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor

from pyro_ssvae.contract import Batch
from pyro_ssvae.data import Dataset, Split
from pyro_ssvae.data.order import order
from pyro_ssvae.data.reading import Reader
from pyro_ssvae.engine.program import constants
from pyro_ssvae.errors import InputError
from pyro_ssvae.inference.objective import Objective


def check_replicas(objectives: Sequence[Objective], splits: Sequence[Split]) -> None:
    """Raise :class:`InputError` unless the replicas differ in nothing but what they may."""
    check_programs(objectives)
    for i, split in enumerate(splits):
        if not _same(split.dataset, splits[0].dataset):
            raise InputError(f"expected splits of one data set, got another in replica {i}")
        if len(split.unlabelled) != len(splits[0].unlabelled):
            raise InputError(
                f"expected equally many unlabelled examples, got {len(splits[0].unlabelled)} in"
                f" replica 0 and {len(split.unlabelled)} in replica {i}"
            )


def check_programs(objectives: Sequence[Objective]) -> None:
    """Raise :class:`InputError` unless objectives differ in weights alone, and move all at once."""
    if len({id(objective) for objective in objectives}) < len(objectives):
        raise InputError("expected one object for each replica, got the same twice")
    settings = [constants(objective) for objective in objectives]
    for i, (objective, own) in enumerate(zip(objectives, settings)):
        for name in sorted(settings[0].keys() | own.keys()):
            if settings[0].get(name) != own.get(name):
                raise InputError(
                    f"expected replicas that differ in weights alone, got {name} ="
                    f" {settings[0].get(name)} in replica 0 and {own.get(name)} in replica {i}"
                    "; what is no number, text, tensor or function, nor a list, a dictionary or an"
                    " object of these, must be one object for all"
                )
        if len(objective.turns()) > 1:
            raise InputError(
                "expected a pair whose parameters move all at once, got one that takes turns:"
                ' train its replicas one by one, or use game="reversal"'
            )


def side_by_side(
    splits: Sequence[Split],
    labelled: int,
    unlabelled: int,
    seeds: Sequence[int],
    epoch: int,
    start: int = 0,
) -> Iterator[Batch]:
    """The replicas' batches of :func:`pyro_ssvae.data.batches`, stacked."""
    orders = [
        order(split, labelled, unlabelled, seed=seed, epoch=epoch)
        for split, seed in zip(splits, seeds)
    ]
    seen, unseen = (torch.stack(parts) for parts in zip(*orders))
    parts = zip(seen.split(labelled, dim=1), unseen.split(unlabelled, dim=1))
    indices = list(islice(parts, start, None))
    alike = all(split.hidden is None and split.target == splits[0].target for split in splits)
    for (with_labels, without), (x, u) in zip(indices, _examples(splits[0].dataset, indices)):
        if alike:
            y = splits[0].labels(with_labels)
        else:
            y = torch.stack([split.labels(own) for split, own in zip(splits, with_labels)])
        yield Batch(x, y, u, splits[0].possible(without))


def _examples(
    dataset: Dataset, indices: Sequence[tuple[Tensor, Tensor]]
) -> Iterable[Sequence[Tensor]]:
    """The labelled and the unlabelled examples (R, ...) of every batch."""
    x = dataset.x
    if not isinstance(x, Reader):
        return ((x[seen], x[unseen]) for seen, unseen in indices)
    images = x.stream([torch.cat(pair, dim=1) for pair in indices])
    return (
        both.tensor_split([seen.shape[1]], dim=1) for both, (seen, _) in zip(images, indices)
    )


def _same(dataset: Dataset, other: Dataset) -> bool:
    if dataset is other:
        return True
    if isinstance(dataset.x, Tensor) and isinstance(other.x, Tensor):
        return torch.equal(dataset.x, other.x) and torch.equal(dataset.y, other.y)
    return dataset.fingerprint == other.fingerprint
