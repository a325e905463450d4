"""The split that an estimator is trained on: all of its rows, of which some may be held out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyro_ssvae.data import Dataset, Split
from pyro_ssvae.errors import InputError
from pyro_ssvae.estimators.inputs import Inputs
from pyro_ssvae.targets import Target

AUTO = 500  # labelled rows from which on some are held out: a tenth of fewer says little

Stops = bool | str


def holds_out(early_stopping: Stops, labelled: int) -> bool:
    """Whether rows are held out for early stopping: as asked for, or where there are many."""
    if isinstance(early_stopping, (bool, np.bool_)):
        return bool(early_stopping)
    if early_stopping != "auto":
        raise InputError(f"expected early_stopping as True, False or auto, got {early_stopping!r}")
    return labelled >= AUTO


def checked_fraction(share: object) -> float:
    """The share of the labelled rows to hold out.

    Raises:
        InputError: If it is none.
    """
    if not (isinstance(share, (int, float, np.number)) and 0 < share < 1):
        raise InputError(f"expected validation_fraction between 0 and 1, got {share!r}")
    return float(share)


def split_of(
    x: Tensor, y: Tensor, target: Target, inputs: Inputs, *, share: float | None, seed: int
) -> Split:
    """All rows in a split: those with a known label are labelled, a share of them held out.

    An epoch is a pass over the unlabelled part. Where fewer rows are unlabelled than labelled, the
    labelled ones are in it too, without their labels. A split has a validation part: where none is
    held out, the first labelled row stands there again, which decides nothing.

    Args:
        x: The rows, as the pair takes them.
        y: Their labels, as the target keeps them.
        target: What the labels are.
        inputs: What the rows are made of.
        share: The share of the labelled rows to hold out; with None none is.
        seed: The seed of what is held out.
    """
    known = target.known(y)
    labelled, unlabelled = known.nonzero().squeeze(1), (~known).nonzero().squeeze(1)
    validation = torch.empty(0, dtype=torch.int64)
    if share is not None:
        validation = held_out(labelled, target.classes(y), share, seed)
        labelled = labelled[~torch.isin(labelled, validation)]
    again = labelled if len(unlabelled) < len(labelled) else labelled[:0]
    if share is None:
        again = torch.cat([again, labelled[:1]])
    place = torch.arange(len(x), len(x) + len(again))
    if share is None:
        place, validation = place[:-1], place[-1:]
    dataset = Dataset(
        name="X", x=torch.cat([x, x[again]]), y=torch.cat([y, y[again]]), target=target,
        test=torch.empty(0, dtype=torch.int64), validation=len(validation), columns=inputs.columns,
        kind=inputs.kind,
    )
    return Split(dataset, labelled, torch.cat([unlabelled, place]), validation, seed)


def held_out(labelled: Tensor, classes: Tensor | None, share: float, seed: int) -> Tensor:
    """Labelled rows to hold out, at random, of each class its share, and never its last row.

    Raises:
        InputError: If nothing can be held out.
    """
    rng = np.random.default_rng(seed)
    rows = rng.permutation(labelled.numpy())
    groups = [rows] if classes is None else [
        rows[classes.numpy()[rows] == k] for k in range(int(classes.max()) + 1)
    ]
    chosen: list[Any] = [
        group[:min(math.ceil(share * len(group)), len(group) - 1)] for group in groups if len(group)
    ]
    result = np.sort(np.concatenate(chosen))
    if not len(result):
        raise InputError(
            "expected two labelled rows of a class to hold one out for early stopping, got one"
            " each; use early_stopping=False"
        )
    return torch.from_numpy(result)
