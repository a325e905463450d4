"""Data sets of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pyro_ssvae.data.dataset import Dataset
from pyro_ssvae.errors import InputError


def from_arrays(
    x: Any,
    y: Any,
    *,
    name: str = "arrays",
    test: float = 0.2,
    validation: float = 0.1,
    image_shape: tuple[int, int] | None = None,
    kind: str = "",
    class_names: Sequence[str] | None = None,
) -> Dataset:
    """A data set of your own.

    Args:
        x: An array (N, D) of finite numbers. Scale pixels to [0, 1] for a Bernoulli likelihood.
        y: An array (N,) of class indices 0..K-1; or for L labels that each are there or not (N, L)
            of 1 (present), 0 (absent) and -1 (unknown). One-hot classes are ``y.argmax(1)``.
        name: The name to call it by.
        test: The fraction of the examples that is set aside for testing: class by class, and of
            multi-label data, where that cannot be, at random.
        validation: The fraction of the examples that a split sets aside for validation.
        image_shape: The (height, width) of images, for the figures.
        kind: The kind of data that they are like, whose options pairs are built with unless told
            otherwise: ``"digits"``, ``"mnist"``, ``"plane"`` or ``"features"``.
        class_names: The names of the K classes, or of the L labels, for the figures.

    Raises:
        InputError: if shapes disagree, x is not finite, y are no class indices or, in two
            dimensions, other than -1, 0 and 1, or there is another number of names.
    """
    from sklearn.model_selection import train_test_split

    try:
        images, labels = np.asarray(x), np.asarray(y)
        numbers = np.issubdtype(images.dtype, np.number) or images.dtype == bool
    except ValueError:
        numbers = False
    if not numbers or np.iscomplexobj(images):
        raise InputError(f"{name}: expected x as an array (N, D) of real numbers, got {x!r:.60}")
    if not 0 < test < 1:
        raise InputError(f"{name}: expected test as a fraction between 0 and 1, got {test}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{name}: expected integer labels, got {labels.dtype}")
    if images.ndim != 2 or labels.ndim not in (1, 2) or len(labels) != len(images):
        raise InputError(
            f"{name}: expected x of shape (N, D) and y of shape (N,) or, multi-label, (N, L),"
            f" got {images.shape} and {labels.shape}"
        )
    try:
        _, test_index = train_test_split(
            np.arange(len(labels)), test_size=test, random_state=0,
            stratify=labels if labels.ndim == 1 else None,
        )
    except ValueError as error:
        raise InputError(f"{name}: cannot set a test part of {test} aside: {error}") from None
    return Dataset(
        name=name,
        x=torch.from_numpy(images.astype(np.float32)),
        y=torch.from_numpy(labels.astype(np.int64)),
        classes=int(labels.max()) + 1 if labels.ndim == 1 else 2,
        test=torch.from_numpy(np.sort(test_index)),
        validation=round(validation * len(labels)),
        image_shape=image_shape,
        kind=kind,
        class_names=None if class_names is None else tuple(map(str, class_names)),
    )
