"""ELPV: images of solar cells that work, that are defective, and that perhaps are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from sklearn.model_selection import train_test_split

from pyro_ssvae.data.dataset import Dataset
from pyro_ssvae.data.images import LARGEST_BYTE
from pyro_ssvae.data.root import data_root, find
from pyro_ssvae.errors import InputError, one_of
from pyro_ssvae.recipes import KIND_OF
from pyro_ssvae.targets import Classes

CELLS = 2_624
SIDE, SHRUNK = 300, 30  # pixels; each of the fewer is the mean of 10 x 10
PROBABILITIES = {"0.0": 0.0, "0.3333333333333333": 1 / 3, "0.6666666666666666": 2 / 3, "1.0": 1.0}
TYPES = ("mono", "poly")
CLASSES = ("functional", "defective")
SOURCE = (
    "they are in elpv_dataset/data of the package elpv-dataset on pypi.org, and of"
    " github.com/zae-bayern/elpv-dataset"
)

Array = np.ndarray[Any, Any]
Uncertain = Literal["unknown", "nearest"]


def load(name: str, root: Path | None = None, uncertain: Uncertain = "unknown") -> Dataset:
    """The 2,624 images, shrunk to 30 x 30 pixels, which are means of 10 x 10.

    A fifth of the cells of which the experts were certain is for testing, in the proportions of
    classes and types of cells.

    Args:
        name: The name to call the data set by.
        root: The folder to find files in, see :func:`pyro_ssvae.data.load`.
        uncertain: What to make of cells whose probability of a defect is 1/3 or 2/3:
            ``"unknown"``, unlabelled examples, or ``"nearest"``, functional and defective ones.
            Irvin et al. (2019), CheXpert, compare such policies.
    """
    one_of("policy for uncertain labels", uncertain, ("unknown", "nearest"))
    x, probability, types = read_elpv(root)
    nearest = np.rint(probability).astype(np.int64)
    certain = nearest == probability
    candidates = np.flatnonzero(certain)
    _, test = train_test_split(
        candidates, test_size=0.2, random_state=0,
        stratify=2 * nearest[candidates] + (types[candidates] == "poly"),
    )
    fate = "are unlabelled" if uncertain == "unknown" else "have the nearest class as their label"
    return Dataset(
        name=name,
        x=torch.from_numpy(x),
        y=torch.from_numpy(np.where(certain | (uncertain == "nearest"), nearest, -1)),
        target=Classes(CLASSES),
        test=torch.from_numpy(np.sort(test)),
        validation=round(0.1 * len(candidates)),
        divisor=LARGEST_BYTE,
        kind=KIND_OF[name],
        notes=(
            ", ".join(f"{(types == kind).sum():,} {kind}crystalline cells" for kind in TYPES),
            f"{(~certain).sum():,} cells of an uncertain state {fate}",
        ),
    )


def read_elpv(root: str | Path | None = None) -> tuple[Array, Array, Array]:
    """The images of Deitsch et al. (2019), shrunk, with what the experts said of them.

    ``labels.csv`` and the folder ``images`` are looked for in ``root/elpv`` and in ``root`` itself.

    Returns:
        x (N, 1, 30, 30) float32 in [0, 1]; the probabilities that the cells are defective (N,), 0,
        1/3, 2/3 or 1; and their types (N,), ``"mono"`` or ``"poly"``.

    Raises:
        InputError: if a file is missing, corrupt or truncated, or holds other data.
    """
    folder = find(data_root(root), "elpv", ("labels.csv", "images"), SOURCE)
    names, probability, types = _labels(folder / "labels.csv")
    x = np.stack([_shrunk(folder / name) for name in names])
    return x, np.array(probability), np.array(types)


def _labels(path: Path) -> tuple[list[str], list[float], list[str]]:
    """The names of the images, the probabilities and the types."""
    try:
        rows = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a text file of labels, got {error!r}") from None
    for number, row in enumerate(rows, start=1):
        if not (len(row) == 3 and row[1] in PROBABILITIES and row[2] in TYPES
                and Path(row[0]).parent == Path("images")):
            raise InputError(
                f"{path}: expected the path of an image, 0, 1/3, 2/3 or 1, and mono or poly in line"
                f" {number}, got {' '.join(row)!r:.60}"
            )
    names = [row[0] for row in rows]
    if len(set(names)) != CELLS or len(names) != CELLS:
        raise InputError(f"{path}: expected {CELLS:,} images, each once, got {len(set(names)):,} in"
                         f" {len(names):,} lines; the file is truncated or another")
    return names, [PROBABILITIES[row[1]] for row in rows], [row[2] for row in rows]


def _shrunk(path: Path) -> Array:
    """The pixels of an image (1, 30, 30), averaged."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if (image.mode, image.size) != ("L", (SIDE, SIDE)):
                raise ValueError(f"mode {image.mode}, {image.size[0]} x {image.size[1]} pixels")
            pixels = np.asarray(image, dtype=np.float32)
    except Exception as error:  # a damaged image can raise anything while it is read
        raise InputError(
            f"{path}: expected a grey PNG image of {SIDE} x {SIDE} pixels, got"
            f" {' '.join(repr(error).split())}"
        ) from None
    block = SIDE // SHRUNK
    means = pixels.reshape(SHRUNK, block, SHRUNK, block).mean(axis=(1, 3))
    return means[None] / 255
