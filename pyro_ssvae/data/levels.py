"""Whether the texts in a column are a category's levels, or something else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pyro_ssvae.errors import InputError

MOST = 0.9  # the share of entries from which on they say what a column is
FEW = 20  # rows in which every entry may be a level of its own

Array = np.ndarray[Any, Any]


def check(name: str, texts: Sequence[str | None], index: Array) -> None:
    """Refuse a column of texts that are nearly all numbers, or that name the rows.

    Args:
        name: The name of the column.
        texts: The distinct texts, None for a gap.
        index: The place of each entry among these, (N,).

    Raises:
        InputError: If it is one of these; what is to be done about it stands there.
    """
    index = index[np.array([text is not None for text in texts])[index]]
    strange = np.array([text is not None and not _is_number(text) for text in texts])
    if strange.any() and (~strange[index]).mean() >= MOST:
        came = texts[int(strange.argmax())]
        raise InputError(
            f"column {name!r} has numbers and {came!r}: leave these entries empty, or, if they are"
            " codes of categories, write all as texts, such as c7"
        )
    levels = len({text for text in texts if text is not None})
    if len(index) >= FEW and levels >= MOST * len(index):
        raise InputError(
            f"column {name!r}: expected a category whose levels come again, got {levels:,} levels"
            f" in {len(index):,} rows; leave the column out, of a file also by --ignore {name!r}"
        )


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
