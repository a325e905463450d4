"""What this library raises when it cannot do what was asked."""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import SupportsIndex, cast

LARGEST = 2**31 - 1  # of sizes and counts: products of two of them are within 64 bits


class InputError(ValueError):
    """The caller's input cannot be used: the message says what was wanted and what came.

    The command line prints the message on one line and exits with status 2.
    """


class NonFiniteLossError(ArithmeticError):
    """A loss or a gradient is infinite or NaN; the message names what, and the update."""


class LostProcessError(RuntimeError):
    """Of several processes that train together one has ended, or cannot be reached."""


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not one of ``known``, with the nearest one suggested."""
    known = sorted(known)
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(f'"{each}"' if "," in each else each for each in known)
    return InputError(f"unknown {kind} {name!r}: expected one of {listed}{hint}")


def one_of(kind: str, name: str, known: Iterable[str]) -> None:
    """Raise :class:`InputError` unless ``name`` is one of ``known``."""
    if name not in (choices := list(known)):
        raise unknown(kind, name, choices)


def positive(**numbers: float) -> None:
    """Raise :class:`InputError` unless every named number is finite and greater than zero.

    Whole numbers are :data:`LARGEST` at most.
    """
    for name, number in numbers.items():
        if isinstance(number, int) and number > LARGEST:
            raise InputError(f"expected {name} <= {LARGEST}, got {number}")
        if number == math.inf:
            raise InputError(f"expected a finite {name}, got {number}")
        if not number > 0:
            raise InputError(f"expected {name} > 0, got {number}")


def not_negative(**numbers: float) -> None:
    """Raise :class:`InputError` unless every named number is finite and at least zero."""
    for name, number in numbers.items():
        if not (number >= 0 and math.isfinite(number)):
            raise InputError(f"expected a finite {name} >= 0, got {number}")


def few(values: Iterable[object]) -> str:
    """The first five of some values in words, and dots where there are more."""
    texts = list(map(str, values))
    return ", ".join(texts[:5]) + ", ..." * (len(texts) > 5)


def whole(name: str, number: object) -> int:
    """A whole number, of Python or of NumPy, as one of Python.

    Raises:
        InputError: If it is none. True and False are none either.
    """
    try:
        if isinstance(number, bool):
            raise TypeError
        return operator.index(cast(SupportsIndex, number))
    except TypeError:
        raise InputError(f"expected {name} as a whole number, got {number!r:.60}") from None


def positive_whole(**numbers: object) -> dict[str, int]:
    """The named numbers, all of them whole and greater than zero.

    Raises:
        InputError: If one of them is not, or is greater than :data:`LARGEST`.
    """
    result = {name: whole(name, number) for name, number in numbers.items()}
    positive(**result)
    return result


def named_folder(folder: str | Path) -> Path:
    """The folder's path; :class:`InputError` where it is empty, which would be the current one."""
    if not str(folder):
        raise InputError('expected the name of a folder, got ""; "." is the current one')
    return Path(folder)


@contextmanager
def enough_memory(**sizes: object) -> Iterator[None]:
    """Turn the refusal to allocate memory into an :class:`InputError`.

    Args:
        sizes: What the caller asked for, by name. The message names the largest whole number.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        refusal = "allocate memory|enough memory|out of memory|size .* overflow|integer .* overflow"
        if isinstance(error, RuntimeError) and not re.search(refusal, str(error)):
            raise
        numbers = {
            number: name for name, value in sizes.items()
            for number in (value if isinstance(value, tuple) else (value,))
            if type(number) is int
        }
        came = f"{numbers[max(numbers)]}={max(numbers)}" if numbers else "too large ones"
        raise InputError(
            f"expected sizes for which there is memory, got {came}; smaller layers or batches"
            " need less"
        ) from None
