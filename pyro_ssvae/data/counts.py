"""Numbers of examples as users give them: whole ones, in all or by class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pyro_ssvae.errors import InputError, whole


def number_asked(what: str, given: Any, total: int) -> Any:
    """A number of examples as one of Python, or that of each class by its name, which is a text.

    Args:
        what: The name of the number, for messages.
        given: The number, or the numbers by class.
        total: The number of examples that there are.

    Raises:
        InputError: If one is no whole number; of a share it says which number this is.
    """
    if isinstance(given, Mapping):
        return {
            str(name): whole(f"{what} of class {name}", number) for name, number in given.items()
        }
    if isinstance(given, (float, np.floating)) and 0 < given < 1:
        raise InputError(
            f"expected {what} as a number of examples, got {given:g}; this share of the"
            f" {total:,} to draw from is {int(given * total):,}"
        )
    return whole(what, given)
