"""Arrays of numbers in pickles, read without running anything that a pickle names."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

# What makes an empty array is called by the first name up to numpy 1, and by the second since.
ARRAY = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
TYPE = "numpy.dtype"
ADMITTED = (*ARRAY, TYPE, "numpy.ndarray")

Array = np.ndarray[Any, Any]


class Piece:
    """What stands for a function, a class or an array that a pickle names."""

    def __init__(self, name: str, *arguments: Any) -> None:
        self.name, self.arguments, self.state = name, arguments, ()

    def __call__(self, *arguments: Any) -> Piece:
        return Piece(self.name, *arguments)

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Pieces(pickle._Unpickler):  # that of C takes gigabytes where a damaged file says so
    """Reads a pickle of arrays; what it names is admitted by its name, and never imported."""

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in ADMITTED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return Piece(f"{module}.{name}")


def read(content: bytes) -> Any:
    """What a pickle holds, with a :class:`Piece` in the place of every array.

    A damaged pickle can raise anything. Strings that Python 2 wrote are bytes.
    """
    return _Pieces(io.BytesIO(content), encoding="bytes").load()


def array(piece: Any, code: str) -> Array:
    """An array of numbers of a type, such as ``"f8"``, from its piece of a pickle.

    It may lie in memory row by row or column by column.
    """
    _, shape, dtype, by_columns, content = piece.state
    came = dtype.name, _text(dtype.arguments[0]), _text(dtype.state[1])
    if piece.name not in ARRAY or came != (TYPE, code, "|" if code == "u1" else "<"):
        raise ValueError(f"no array of {code}")
    values = np.frombuffer(content, came[2] + code)
    return values.reshape(shape, order="F" if by_columns else "C")


def _text(value: Any) -> str:
    """A string, which is bytes where Python 2 wrote it."""
    return value.decode("latin-1") if isinstance(value, bytes) else value
