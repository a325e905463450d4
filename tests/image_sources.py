"""Files of images in the formats of the data sets that have them, made small."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)


def bytes_of(*shape: int) -> Array:
    """Random bytes of a shape."""
    return RNG.integers(256, size=shape, dtype=np.uint8)


def idx(array: Array) -> bytes:
    """An array of bytes in LeCun's idx format."""
    return struct.pack(f">{1 + array.ndim}i", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def python_2(content: dict[str, Any]) -> bytes:
    """A dictionary of strings, whole numbers, lists of them and arrays of bytes, by Python 2.

    Its pickles are of protocol 2, in which strings are bytes.
    """
    return b"\x80\x02" + _pickled(content) + b"."


def _pickled(value: Any) -> bytes:
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"T" + struct.pack("<i", len(value)) + value
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, list):
        return b"](" + b"".join(map(_pickled, value)) + b"e"
    if isinstance(value, dict):
        pairs = (_pickled(key) + _pickled(item) for key, item in value.items())
        return b"}(" + b"".join(pairs) + b"u"
    by_columns = not value.flags.c_contiguous
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85" + _pickled(b"b")
    dtype = (
        b"cnumpy\ndtype\n(" + _pickled(b"u1") + b"K\x00K\x01tR(K\x03" + _pickled(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    shape = b"(" + b"".join(map(_pickled, map(int, value.shape))) + b"t"
    state = b"\x88" if by_columns else b"\x89"
    return made + b"tR(K\x01" + shape + dtype + state + _pickled(value.tobytes("A")) + b"tb"


def python_3(content: dict[str, Any]) -> bytes:
    """The same as Python 3 pickles it."""
    return pickle.dumps(content, protocol=4)


def image(path: Path, pixels: Array, **options: Any) -> Array:
    """Write an image (H, W) or (H, W, 3); returns its pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return pixels
