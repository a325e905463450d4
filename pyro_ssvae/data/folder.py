"""A folder of images, with a folder in it for every class."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from pyro_ssvae.data import images
from pyro_ssvae.data.arrays import test_part
from pyro_ssvae.data.dataset import Dataset
from pyro_ssvae.data.image_files import (
    SUFFIXES,
    Corrupt,
    Header,
    ImageFiles,
    each,
    header,
    left_out,
    pixels,
)
from pyro_ssvae.data.images import LARGEST_BYTE
from pyro_ssvae.data.reading import Reader
from pyro_ssvae.errors import InputError, one_of, positive, unknown
from pyro_ssvae.targets import Classes

UNLABELLED = "unlabelled"
TRAIN, TEST = "train", "test"
IN_MEMORY = 2**28  # numbers: a gigabyte

T = TypeVar("T")


class File(NamedTuple):
    """An image of a folder.

    Attributes:
        name: The path of the file below the folder.
        label: The name of the class, or ``"unlabelled"``.
        test: Whether it lies in the test part.
    """

    name: str
    label: str
    test: bool


def is_folder(name: str) -> bool:
    """Whether the name of a data set is that of a folder of one's own."""
    return bool(name) and Path(name).is_dir()


def load(
    path: str | Path,
    *,
    size: int | None = None,
    corrupt: Corrupt = "error",
    in_memory: int = IN_MEMORY,
) -> Dataset:
    """A data set of images in a folder, called by the folder's name.

    The images of a class lie in the folder ``FOLDER/train/CLASS``, and those of a test part in
    ``FOLDER/test/CLASS``; or all of them in ``FOLDER/CLASS``, of which a fifth is then set aside
    for testing. The images in a folder called ``unlabelled`` have no label. Images of 8 bits are
    read, by the names ``.png``, ``.jpg``, ``.bmp``, ``.gif``, ``.tif``, ``.webp`` and the like;
    where some have colour, all are read in colour.

    Args:
        path: The folder.
        size: The height and width that the square in the middle of every image is resized to. None
            leaves images as they are, and they must have one size.
        corrupt: What to do about broken images. ``"error"`` raises an error that names the file,
            on loading if its first bytes are broken, and else when it is read. ``"skip"`` reads
            every image once on loading, and leaves those out that are broken; the data set's notes
            say how many. None is left out later: its label would go with another image.
        in_memory: The number of channels times pixels in all up to which the images are kept in
            memory. More are read from their files whenever they are wanted.

    Raises:
        InputError: If there is no folder, no class or no image; if images have different sizes; if
            the test part has another class than the training part; or if an image is broken.
    """
    folder = Path(path)
    one_of("way with corrupt images", corrupt, ("error", "skip"))
    if size is not None:
        positive(size=size)
    notes: list[str] = []
    files = _files(folder, notes)
    headers, files, broken = _good(files, [
        _try(lambda: header(folder / file.name), corrupt) for file in files
    ])
    if not headers:
        raise InputError(f"{folder}: expected images, got {len(broken)} broken files alone")
    shape = _shape(folder, files, headers, size, notes)
    x: Any
    if len(files) * int(np.prod(shape)) <= in_memory:
        arrays, files, later = _good(files, each(lambda file: _try(
            lambda: pixels(folder / file.name, shape[0], size), corrupt), files))
        x = images.joined([np.stack(arrays)]) if arrays else None
    else:
        x = _in_files(folder, files, shape, size)
        fails = set(x.broken()) if corrupt == "skip" else set()
        later = [file.name for index, file in enumerate(files) if index in fails]
        files = [file for index, file in enumerate(files) if index not in fails]
        x = _in_files(folder, files, shape, size) if fails else x
        notes.append("the images are read from their files when they are wanted")
    broken += later
    if not files:
        raise InputError(f"{folder}: expected images, got {len(broken)} broken files alone")
    notes += left_out(broken)
    return _dataset(folder, files, Reader(x) if isinstance(x, ImageFiles) else x, notes)


def _dataset(folder: Path, files: list[File], x: Tensor | Reader, notes: list[str]) -> Dataset:
    classes = _in_order({file.label for file in files if not file.test} - {UNLABELLED})
    if not classes:
        raise InputError(f"{folder}: expected a folder of images for each class, got none but"
                         f" {UNLABELLED!r}")
    for file in files:
        if file.test and file.label not in classes:
            raise unknown(f"class in the test part of {folder}", file.label, classes)
    index = {name: place for place, name in enumerate(classes)} | {UNLABELLED: -1}
    y = torch.tensor([index[file.label] for file in files])
    test = torch.tensor([file.test for file in files])
    known = ~test & (y >= 0)
    if not test.any():
        test = _set_aside(folder, known, y)
    return Dataset(
        name=folder.resolve().name, x=x, y=y, target=Classes(tuple(classes)),
        test=test.nonzero().squeeze(1), validation=round(0.1 * int(known.sum())),
        divisor=LARGEST_BYTE, kind="images", notes=tuple(notes),
    )


def _set_aside(folder: Path, known: Tensor, y: Tensor) -> Tensor:
    """Which images are for testing, (N,) bool: a fifth of those with a label."""
    test = torch.zeros(len(y), dtype=torch.bool)
    try:
        test[torch.from_numpy(test_part(0.2, known.numpy(), y))] = True
    except InputError:
        raise InputError(
            f"{folder}: expected images enough to set a fifth of every class aside for testing, got"
            f" {int(known.sum())} with a label; put some in {TEST}/CLASS beside {TRAIN}/CLASS"
        ) from None
    return test


def _in_order(names: Iterable[str]) -> list[str]:
    """Names in their order, which is that of numbers where all are."""
    listed = sorted(names)
    return sorted(listed, key=int) if all(name.isdecimal() for name in listed) else listed


def _files(folder: Path, notes: list[str]) -> list[File]:
    """The images below a folder, in the order of their names."""
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of images, got none there")
    inside = _folders(folder)
    parts = [TRAIN, TEST] if TRAIN in inside else [""]
    left = [name for name in inside if name not in (TRAIN, TEST)] if TRAIN in inside else []
    others, result = 0, []
    for part in parts:
        for label in _folders(folder / part) if (folder / part).is_dir() else []:
            for place, below, names in os.walk(folder / part / label):
                below.sort()
                found = sorted(name for name in names if name.lower().endswith(SUFFIXES))
                others += len(names) - len(found)
                within = os.path.relpath(place, folder)
                result += [File(os.path.join(within, n), label, part == TEST) for n in found]
    if not result:
        raise InputError(
            f"{folder}: expected images in {folder / 'CLASS'} or {folder / TRAIN / 'CLASS'}, got"
            " none"
        )
    if left:
        notes.append(f"folders beside train and test are left out: {', '.join(left)}")
    if others:
        notes.append(f"{others:,} files that are no images by their names are left out")
    return result


def _folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))


def _shape(
    folder: Path, files: list[File], headers: list[Header], size: int | None, notes: list[str]
) -> tuple[int, int, int]:
    """The shape (C, H, W) that all images have, or are brought to."""
    grey = sum(one.grey for one in headers)
    channels = 1 if grey == len(headers) else 3
    if 0 < grey < len(headers):
        notes.append(f"{grey:,} grey images of {len(headers):,} are read in colour, as the others")
    transparent = sum(one.transparent for one in headers)
    if transparent:
        notes.append(f"the transparency of {transparent:,} images is left out")
    if size is not None:
        notes.append(f"the square in the middle of every image was resized to {size} x {size}"
                     " pixels")
        return channels, size, size
    first = headers[0]
    for file, one in zip(files, headers):
        if one[:2] != first[:2]:
            raise InputError(
                f"{folder}: expected images of one size, got {first.height} x {first.width} pixels"
                f" in {files[0].name} and {one.height} x {one.width} in {file.name}; have them"
                " resized: --size 32, or data.load(FOLDER, size=32)"
            )
    return channels, first.height, first.width


def _try(function: Callable[[], T], corrupt: Corrupt) -> T | None:
    """What a function of a file gives, or None if it is broken and that is no error."""
    try:
        return function()
    except InputError:
        if corrupt == "error":
            raise
        return None


def _good(files: list[File], results: list[T | None]) -> tuple[list[T], list[File], list[str]]:
    """The results that there are, their files, and the names of the others."""
    pairs = list(zip(files, results))
    return (
        [result for _, result in pairs if result is not None],
        [file for file, result in pairs if result is not None],
        [file.name for file, result in pairs if result is None],
    )


def _in_files(
    folder: Path, files: list[File], shape: tuple[int, int, int], size: int | None
) -> ImageFiles:
    names = [file.name for file in files]
    sizes = [os.stat(os.path.join(folder, name)).st_size for name in names]
    return ImageFiles(folder, names, sizes, shape, size)
