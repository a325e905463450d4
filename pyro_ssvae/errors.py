"""What this library raises when it cannot do what was asked."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable


class InputError(ValueError):
    """The caller's input cannot be used: the message says what was wanted and what came.

    The command line prints the message on one line and exits with status 2.
    """


class NonFiniteLossError(ArithmeticError):
    """A loss or a gradient is infinite or NaN; the message names what, and the update."""


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not one of ``known``, with the nearest one suggested."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return InputError(f"unknown {kind} {name!r}: expected one of {', '.join(known)}{hint}")


def one_of(kind: str, name: str, known: Iterable[str]) -> None:
    """Raise :class:`InputError` unless ``name`` is one of ``known``."""
    if name not in (choices := list(known)):
        raise unknown(kind, name, choices)


def positive(**numbers: float) -> None:
    """Raise :class:`InputError` unless every named number is finite and greater than zero."""
    for name, number in numbers.items():
        if number == math.inf:
            raise InputError(f"expected a finite {name}, got {number}")
        if not number > 0:
            raise InputError(f"expected {name} > 0, got {number}")
