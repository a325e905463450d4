"""CheXpert: radiographs of chests with 14 labels, of which many are uncertain or not mentioned."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyro_ssvae.data.dataset import Dataset
from pyro_ssvae.data.image_files import Corrupt, ImageFiles, left_out
from pyro_ssvae.data.images import LARGEST_BYTE
from pyro_ssvae.data.reading import Reader
from pyro_ssvae.data.root import data_root, find
from pyro_ssvae.errors import InputError, one_of, positive, unknown
from pyro_ssvae.recipes import KIND_OF
from pyro_ssvae.targets import SeveralLabels

FILES = ("train.csv", "valid.csv")
FOLDERS = ("CheXpert-v1.0-small", "CheXpert-v1.0", "chexpert")
LABELS = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion",
    "Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion",
    "Pleural Other", "Fracture", "Support Devices",
)
UNCERTAIN, BLANK = -1, -2
SOURCE = "they are given out by stanfordmlgroup.github.io/competitions/chexpert"
TRIED = 1_000  # rows of a table of which one has to have an image

Array = np.ndarray[Any, Any]
View = Literal["frontal", "lateral", "both"]
Uncertain = Literal["unknown", "positive", "negative"]
Blank = Literal["unknown", "negative"]


class CheXpert(NamedTuple):
    """The images and the labels as the files have them.

    Attributes:
        x: The images, (N, 1, H, W) where a tensor is wanted, read from their files.
        labels: The labels, (N, 14) int8, of :data:`LABELS`: 1 (present), 0 (absent),
            :data:`UNCERTAIN`, -1, and :data:`BLANK`, -2, where the report does not mention it.
        test: The indices (T,) of the images in ``valid.csv``.
        missing: The paths of the images that the tables name and that are not there.
        broken: The paths of the images that are left out because they are broken.
    """

    x: ImageFiles
    labels: Array
    test: Tensor
    missing: list[str]
    broken: list[str]


def load(
    name: str,
    root: Path | None = None,
    *,
    size: int = 64,
    view: View = "frontal",
    uncertain: Uncertain = "unknown",
    blank: Blank = "unknown",
    corrupt: Corrupt = "error",
) -> Dataset:
    """The radiographs in grey, of which those of ``valid.csv`` are for testing.

    They are read from their files when they are wanted. Images of one patient may be in several
    parts of a split, but for the test part, which has other patients.

    Args:
        name: The name to call the data set by.
        root: The folder to find files in, see :func:`pyro_ssvae.data.load`.
        size: The height and width that the square in the middle of every image is resized to.
        view: The images that are taken: ``"frontal"``, ``"lateral"`` or ``"both"``.
        uncertain: What to make of labels that the reports are uncertain of, -1: ``"unknown"``
            ones, or the policies of Irvin et al. (2019), ``"positive"`` (U-Ones) and
            ``"negative"`` (U-Zeroes).
        blank: What to make of labels that the reports do not mention: ``"unknown"`` or, as Irvin
            et al. do, ``"negative"`` ones.
        corrupt: What to do about broken images. ``"error"`` raises an error that names the file
            when it is read. ``"skip"`` reads every image once on loading, and leaves those out that
            are broken; the data set's notes say how many.

    Raises:
        InputError: If a table is missing or broken, or none of its images is there.
    """
    one_of("policy for uncertain labels", uncertain, ("unknown", "positive", "negative"))
    one_of("policy for labels not mentioned", blank, ("unknown", "negative"))
    data = read_chexpert(root, size, view, corrupt)
    made = {"unknown": -1, "positive": 1, "negative": 0}
    y = data.labels.astype(np.int64)
    y[data.labels == UNCERTAIN] = made[uncertain]
    y[data.labels == BLANK] = made[blank]
    known = (y >= 0).any(1)
    in_test = np.zeros(len(y), bool)
    in_test[data.test] = True
    return Dataset(
        name=name,
        x=Reader(data.x),
        y=torch.from_numpy(y),
        target=SeveralLabels(LABELS),
        test=data.test[torch.from_numpy(known)[data.test]],
        validation=min(5_000, round(0.1 * int((known & ~in_test).sum()))),
        divisor=LARGEST_BYTE,
        kind=KIND_OF[name],
        notes=(
            f"{'all' if view == 'both' else view} images, resized to {size} x {size} pixels when"
            " they are read",
            *_missing(data),
            *left_out(data.broken),
            f"uncertain labels are {_words(uncertain)}, labels not mentioned are {_words(blank)}:",
            *(f"  {label}: {_counts(data.labels[:, place])}" for place, label in enumerate(LABELS)),
        ),
    )


def read_chexpert(
    root: str | Path | None = None,
    size: int = 64,
    view: View = "frontal",
    corrupt: Corrupt = "error",
) -> CheXpert:
    """The images and labels of Irvin et al. (2019), as the files have them.

    The tables ``train.csv`` and ``valid.csv`` are looked for in ``root/CheXpert-v1.0-small``,
    ``root/CheXpert-v1.0``, ``root/chexpert`` and ``root`` itself. Their column ``Path`` has the
    paths of images below this folder or beside it. The names of labels may have spaces or
    underscores. Images that are not there are left out. The arguments are those of ``load``.

    Raises:
        InputError: If a table is missing or broken, or none of its images is there.
    """
    one_of("view", view, ("frontal", "lateral", "both"))
    one_of("way with corrupt images", corrupt, ("error", "skip"))
    positive(size=size)
    base = data_root(root)
    place = next((name for name in FOLDERS if (base / name).is_dir()), FOLDERS[0])
    folder = find(base, place, FILES, SOURCE)
    parts = [_part(folder, file, view) for file in FILES]
    in_test = np.repeat([False, True], [len(part[0]) for part in parts])
    names = [name for part in parts for name in part[0]]
    sizes = [number for part in parts for number in part[1]]
    labels = np.concatenate([part[2] for part in parts])
    missing = [name for part in parts for name in part[3]]
    x = ImageFiles(folder, names, sizes, (1, size, size), size)
    fails = x.broken() if corrupt == "skip" else []
    broken = [names[index] for index in fails]
    if fails:
        good = np.delete(np.arange(len(x)), fails)
        names, sizes = [names[index] for index in good], [sizes[index] for index in good]
        x = ImageFiles(folder, names, sizes, (1, size, size), size)
        labels, in_test = labels[good], in_test[good]
    return CheXpert(x, labels, torch.from_numpy(in_test.nonzero()[0]), missing, broken)


def _part(folder: Path, file: str, view: View) -> tuple[list[str], list[int], Array, list[str]]:
    """The names, sizes and labels of the images of a table, and the names of missing ones."""
    paths, labels = _table(folder / file, view)
    names = _below(folder, paths)
    sizes = [_size(os.path.join(folder, name)) for name in names]
    there = np.array([size is not None for size in sizes], bool)
    if not there.any():
        came = f"none of {len(paths):,} {view} images" if paths else f"no {view} image"
        where = f", such as {folder / names[0]}" if names else ""
        raise InputError(f"{folder / file}: expected the images that it names, got {came}{where}")
    return (
        [name for name, size in zip(names, sizes) if size is not None],
        [size for size in sizes if size is not None],
        labels[there],
        [name for name, size in zip(names, sizes) if size is None],
    )


def _table(path: Path, view: View) -> tuple[list[str], Array]:
    """The paths of images and their labels (n, 14) int8."""
    import pandas

    try:
        frame = pandas.read_csv(path)
    except (OSError, ValueError, OverflowError, MemoryError) as error:
        raise InputError(f"{path}: expected a table of comma-separated values, got"
                         f" {' '.join(str(error).split()):.120}") from None
    columns = {name.strip().replace("_", " ").lower(): name for name in frame.columns}
    for wanted in ("Path", *LABELS):
        if wanted.lower() not in columns:
            raise unknown(f"column of {path}, which lacks it,", wanted, frame.columns)
    paths = frame[columns["path"]].astype(str)
    side = frame[columns["frontal/lateral"]].astype(str) if "frontal/lateral" in columns else paths
    wanted_rows = np.ones(len(frame), bool)
    if view != "both":
        wanted_rows = side.str.lower().str.contains(view).to_numpy()
    labels = frame[[columns[label.lower()] for label in LABELS]]
    return paths[wanted_rows].tolist(), _labels(path, labels)[wanted_rows]


def _labels(path: Path, frame: Any) -> Array:
    import pandas

    values = frame.apply(pandas.to_numeric, errors="coerce").to_numpy(np.float64)
    gaps = frame.isna().to_numpy()
    wrong = ~(np.isin(values, (0, 1, -1)) | gaps)
    if wrong.any():
        row, place = (int(index) for index in np.argwhere(wrong)[0])
        raise InputError(f"{path}: expected 1, 0, -1 or nothing as {LABELS[place]} in line"
                         f" {row + 2}, got {frame.iloc[row, place]!r:.40}")
    return np.where(gaps, BLANK, values).astype(np.int8)


def _below(folder: Path, paths: list[str]) -> list[str]:
    """The paths of a table as paths below a folder: as they are, or without their first folder."""
    def there(names: list[str]) -> bool:
        return any(os.path.exists(os.path.join(folder, name)) for name in names[:TRIED])

    without = [path.split("/", 1)[-1] for path in paths]
    beside = [os.path.join("..", path) for path in paths]
    return next((names for names in (without, paths, beside) if there(names)), without)


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return None


def _missing(data: CheXpert) -> list[str]:
    if not data.missing:
        return []
    number = len(data.missing) + len(data.broken) + len(data.x)
    return [f"{len(data.missing):,} of {number:,} images are missing and left out, the first"
            f" {data.missing[0]}"]


def _counts(labels: Array) -> str:
    names = {1: "present", 0: "absent", UNCERTAIN: "uncertain", BLANK: "not mentioned"}
    return ", ".join(f"{(labels == value).sum():,} {name}" for value, name in names.items())


def _words(policy: str) -> str:
    return {"unknown": "unknown", "positive": "present", "negative": "absent"}[policy]
