"""LeCun's idx files of bytes, packed by gzip or not: MNIST's format."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from pyro_ssvae.errors import InputError

SIDE = 28  # pixels
EXAMPLES = 60_000  # in the largest file

Array = np.ndarray[Any, Any]


def path(folder: Path, name: str) -> Path | None:
    """The file of a name in a folder, as it is or packed; None where there is neither."""
    return next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)


def read(folder: Path, name: str) -> Array:
    """The bytes in a file: images (N, 28, 28), or labels (N,), as its name says.

    Raises:
        InputError: If the file is missing, corrupt or truncated, or its header says other sizes.
    """
    file_path = path(folder, name)
    if file_path is None:
        raise InputError(f"{folder}: expected a file {name}, packed (.gz) or not")
    magic, dims = (2051, 3) if "images" in name else (2049, 1)
    try:
        with (gzip.open if file_path.suffix == ".gz" else open)(file_path, "rb") as file:
            header = file.read(4 * (dims + 1))
            shape = _shape(file_path, header, magic, dims)
            size = math.prod(shape)
            content = file.read(size + 1)  # one is too many; a gzip file may hold gigabytes
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{file_path}: corrupt or truncated gzip file ({error})") from None
    except OSError as error:
        raise InputError(f"{file_path}: expected a readable file ({error.strerror})") from None
    if len(content) != size:
        came = "more" if len(content) > size else len(header + content)
        raise InputError(f"{file_path}: expected {len(header) + size} bytes for the shape in its"
                         f" header, got {came}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _shape(file_path: Path, header: bytes, magic: int, dims: int) -> tuple[int, ...]:
    """The shape that a header says."""
    if len(header) < 4 * (dims + 1):
        raise InputError(
            f"{file_path}: expected an idx header of {4 * (dims + 1)} bytes, got {len(header)}"
        )
    number, *shape = struct.unpack(f">{dims + 1}i", header)
    if number != magic:
        raise InputError(f"{file_path}: expected idx magic number {magic}, got {number}")
    if dims == 3 and shape[1:] != [SIDE, SIDE]:
        raise InputError(
            f"{file_path}: expected images of {SIDE} x {SIDE} pixels, got {tuple(shape[1:])}"
        )
    if not 1 <= shape[0] <= EXAMPLES:
        raise InputError(f"{file_path}: expected 1 to {EXAMPLES} examples, got {shape[0]}")
    return tuple(shape)
