"""Mediamill: frames of news broadcasts with 101 labels, in the files of scikit-multilearn."""

from __future__ import annotations

import bz2
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler

from pyro_ssvae.data import pickled
from pyro_ssvae.data.dataset import Dataset
from pyro_ssvae.data.root import data_root, find
from pyro_ssvae.errors import InputError
from pyro_ssvae.recipes import KIND_OF
from pyro_ssvae.targets import SeveralLabels

# The files and their numbers of examples.
EXAMPLES = {"mediamill-train.dump.bz2": 30_993, "mediamill-test.dump.bz2": 12_914}
FEATURES, LABELS = 120, 101
SOURCE = (
    "they are in skmultilearn/data of the source distribution of scikit-multilearn 0.0.1 on"
    " pypi.org"
)
LARGEST = 300_000_000  # bytes: the larger file has 183 million when it is unpacked

Array = np.ndarray[Any, Any]


def load(name: str, root: Path | None = None) -> Dataset:
    """The 43,907 examples, of which the test file's 12,914 are for testing.

    The features have mean 0 and variance 1 in the training file. The files do not name the labels;
    they are called by their numbers, from 0.
    """
    (x, y), (test_x, test_y) = read_mediamill(root)
    scaler = StandardScaler().fit(x)
    scaled = np.concatenate([scaler.transform(x), scaler.transform(test_x)])
    return Dataset(
        name=name,
        x=torch.from_numpy(scaled.astype(np.float32)),
        y=torch.from_numpy(np.concatenate([y, test_y])),
        target=SeveralLabels(tuple(map(str, range(LABELS)))),
        test=torch.arange(len(x), len(scaled)),
        validation=round(0.1 * len(x)),
        kind=KIND_OF[name],
    )


def read_mediamill(root: str | Path | None = None) -> list[tuple[Array, Array]]:
    """The training and the test examples of Snoek et al. (2006), as the files have them.

    The two files are looked for in ``root/multilabel`` and in ``root`` itself. They are pickles, of
    which the contents of arrays are read; no function or class that they name is called.

    Returns:
        x (N, 120) float64 and y (N, 101) int64 of 0 and 1, of either file.

    Raises:
        InputError: if a file is missing, corrupt or truncated, or holds other data.
    """
    folder = find(data_root(root), "multilabel", tuple(EXAMPLES), SOURCE)
    return [_read(folder / name, number) for name, number in EXAMPLES.items()]


def _read(path: Path, number: int) -> tuple[Array, Array]:
    try:
        with bz2.open(path) as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ValueError(f"more than {LARGEST} bytes")
        parts = pickled.read(content)
        x, y = pickled.array(parts[b"X"], "f8"), pickled.array(parts[b"y"], "i8")
    except Exception as error:  # a damaged file can raise anything while it is unpickled
        raise InputError(
            f"{path}: expected a pickle of two arrays, packed by bzip2, got another or a broken"
            f" file ({' '.join(repr(error).split())})"
        ) from None
    wanted = (number, FEATURES), (number, LABELS)
    if (x.shape, y.shape) != wanted:
        raise InputError(f"{path}: expected arrays of shapes {wanted[0]} and {wanted[1]},"
                         f" got {x.shape} and {y.shape}")
    if not np.isfinite(x).all():
        row = int((~np.isfinite(x)).any(axis=1).argmax())
        raise InputError(f"{path}: expected finite features, got {x[row][~np.isfinite(x[row])][0]}"
                         f" in the example at index {row}")
    if not np.isin(y, (0, 1)).all():
        raise InputError(f"{path}: expected labels of 0 and 1, got {y[~np.isin(y, (0, 1))][0]}")
    return x, y
