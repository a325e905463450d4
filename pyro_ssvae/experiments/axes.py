"""Ready-made axes of a grid: how many labels, how many others, and how foreign these are."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pyro_ssvae.data import Dataset
from pyro_ssvae.errors import InputError
from pyro_ssvae.targets import Classes

A_CLASS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
SHARES = (0.01, 0.03, 0.1, 0.3, 1.0)
FOREIGN = (0.0, 0.25, 0.5, 0.75, 1.0)


def label_counts(dataset: Dataset, a_class: Sequence[int] = A_CLASS) -> list[int]:
    """Numbers of labelled examples, for ``grid(..., labels=label_counts(dataset))``.

    Args:
        dataset: The data, whose labels are classes.
        a_class: The numbers of labels of each class. Those are taken that half of the rarest
            class's examples allow: the other half is left for validation and unlabelled.

    Raises:
        InputError: If the labels are no classes.
    """
    if not isinstance(dataset.target, Classes):
        raise InputError(
            f"expected data whose labels are classes, got {dataset.name}; give the numbers of"
            " labels as a list"
        )
    left = torch.ones(len(dataset.y), dtype=torch.bool)
    left[dataset.test] = False
    known = dataset.target.known(dataset.y) & left
    classes = dataset.target.classes(dataset.y[known])
    rarest = int(classes.bincount(minlength=dataset.target.width).min())
    return [dataset.target.width * number for number in a_class if 2 * number <= rarest]


def unlabelled_counts(dataset: Dataset, shares: Sequence[float] = SHARES) -> dict[str, list[int]]:
    """Numbers of unlabelled examples, for ``grid(..., drawing=unlabelled_counts(dataset))``.

    Args:
        dataset: The data.
        shares: The shares of half of the examples that are not for testing, in (0, 1]: so many are
            left whatever the numbers of labels and of validation examples.
    """
    half = (len(dataset.y) - len(dataset.test)) // 2
    return {"unlabelled": sorted({max(1, round(share * half)) for share in shares})}


def mismatch(
    unlabelled: int, shares: Sequence[float] = FOREIGN
) -> dict[str, list[int] | list[float]]:
    """Class mismatch, for ``grid(..., drawing=mismatch(1000))`` on a :meth:`Dataset.only`.

    The protocol of Oliver et al. (2018), section 4.4: equally many unlabelled examples each time,
    of which a share is of classes that no label is of.

    Args:
        unlabelled: The number of unlabelled examples.
        shares: The shares of foreign examples among them, in [0, 1].
    """
    return {"unlabelled": [unlabelled], "foreign": list(shares)}
