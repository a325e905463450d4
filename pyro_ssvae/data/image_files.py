"""Images in files, which are read when they are wanted."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Size, Tensor

from pyro_ssvae.errors import InputError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm",
)
MODES = {1: "L", 3: "RGB"}  # by the number of channels
GREY = ("1", "L", "LA")  # modes of images without colour
CHUNK = 100  # images that a thread reads before it takes others
SHOWN = 3  # files that a note names

Array = np.ndarray[Any, Any]
Corrupt = Literal["error", "skip"]
S = TypeVar("S")
T = TypeVar("T")


class Header(NamedTuple):
    """What the first bytes of an image's file say.

    Attributes:
        width: The width in pixels.
        height: The height in pixels.
        grey: Whether the image has no colour.
        transparent: Whether the image has an alpha channel, which is left out.
    """

    width: int
    height: int
    grey: bool
    transparent: bool


class ImageFiles:
    """Images in files of a folder; they stand where a tensor (N, C, H, W) would.

    See :class:`pyro_ssvae.data.rows.Rows`. The names are kept end to end: so they take few bytes,
    and a worker process gets 200,000 of them in an instant.

    Attributes:
        folder: The folder of the files.
        shape: The shape of all images, (N, C, H, W).
        size: The height and width that every image is brought to, see :func:`pixels`; None leaves
            images as they are.
        fingerprint: The SHA-256 sum of the names and sizes of the files, and of their form here.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        sizes: Sequence[int],
        shape: tuple[int, int, int],
        size: int | None = None,
    ) -> None:
        """
        Args:
            folder: The folder of the files.
            names: The paths of the files below it, N of them.
            sizes: The numbers of bytes of the files.
            shape: The shape of an image, (C, H, W), of 1 or 3 channels.
            size: The height and width that every image is brought to.
        """
        encoded = [name.encode("utf-8", "surrogateescape") for name in names]
        self.folder, self.size = folder, size
        self.shape = Size((len(names), *shape))
        self._names = b"".join(encoded)
        self._ends = np.cumsum([0, *map(len, encoded)])
        about = f"{tuple(self.shape)} {size};".encode()
        content = self._names + self._ends.tobytes() + np.asarray(sizes, np.int64).tobytes()
        self.fingerprint = hashlib.sha256(about + content).hexdigest()

    def __len__(self) -> int:
        return self.shape[0]

    def path(self, index: int) -> Path:
        """The file of an image."""
        name = self._names[self._ends[index]:self._ends[index + 1]]
        return self.folder / name.decode("utf-8", "surrogateescape")

    def read(self, index: int) -> Tensor:
        """One image, (C, H, W) uint8.

        Raises:
            InputError: If its file is missing or broken, or has images of another size by now.
        """
        path, shape = self.path(index), tuple(self.shape[1:])
        image = pixels(path, shape[0], self.size)
        if image.shape != shape:
            raise InputError(
                f"{path}: expected an image of {shape[1]} x {shape[2]} pixels, as when the data"
                f" were loaded, got {image.shape[1]} x {image.shape[2]}"
            )
        return torch.from_numpy(image)

    def broken(self) -> list[int]:
        """The indices of images that cannot be read. All are tried, which takes a while."""
        def fails(index: int) -> bool:
            try:
                self.read(index)
            except InputError:
                return True
            return False

        return [index for index, fail in enumerate(each(fails, range(len(self)))) if fail]


def each(function: Callable[[S], T], items: Sequence[S]) -> list[T]:
    """What a function gives of each item, in threads; decoding leaves Python's lock to others."""
    def of(start: int) -> list[T]:
        return [function(item) for item in items[start:start + CHUNK]]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(chain.from_iterable(pool.map(of, range(0, len(items), CHUNK))))


def header(path: Path | str) -> Header:
    """What the first bytes of a file say of its image.

    Raises:
        InputError: If it is no image, or one of more than 8 bits a number.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            mode, (width, height) = image.mode, image.size
    except Exception as error:  # a damaged file can raise anything
        raise _broken(path, error) from None
    if mode[0] in "IF":
        raise InputError(f"{path}: expected an image of 8 bits a number, got mode {mode}")
    return Header(width, height, mode in GREY, mode.endswith(("A", "a")))


def pixels(path: Path | str, channels: int, size: int | None = None) -> Array:
    """The pixels of an image, (C, H, W) uint8.

    Args:
        path: The file.
        channels: The number of channels, 1 (grey) or 3 (colour), that it is brought to.
        size: The height and width that the square in the middle, as large as the image has room
            for, is resized to. None leaves the image as it is.

    Raises:
        InputError: If the file is missing, or no image, or a broken one.
    """
    mode = MODES[channels]
    try:
        with Image.open(path, formats=FORMATS) as image:
            if size is not None:
                image.draft(mode, (2 * size, 2 * size))  # of JPEG: no more pixels than are needed
            result = image.convert(mode)
    except Exception as error:  # a damaged file can raise anything
        raise _broken(path, error) from None
    if size is not None:
        side = min(result.size)
        left, top = ((length - side) / 2 for length in result.size)
        square = left, top, left + side, top + side
        result = result.resize((size, size), Image.Resampling.BILINEAR, box=square)
    array = np.array(result)
    return array[None] if channels == 1 else np.ascontiguousarray(np.moveaxis(array, 2, 0))


def left_out(names: Sequence[str]) -> list[str]:
    """A note on broken images that are left out, none where there are none."""
    some = ", ".join(names[:SHOWN]) + ", ..." * (len(names) > SHOWN)
    return [f"{len(names):,} broken images are left out: {some}"] if names else []


def _broken(path: Path | str, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path}: expected an image, got no such file")
    reason = " ".join(str(error).split()).replace(f" {str(path)!r}", "")
    return InputError(f"{path}: expected an image, got a broken file or another ({reason:.120})")
