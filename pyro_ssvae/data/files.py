"""Data sets of one's own in files: arrays in ``.npz``, and tables in ``.csv``."""

from __future__ import annotations

import csv
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from pyro_ssvae.data.arrays import from_arrays
from pyro_ssvae.data.dataset import Dataset
from pyro_ssvae.errors import InputError, unknown

SUFFIXES = (".npz", ".csv")


def is_file(name: str) -> bool:
    """Whether the name of a data set is that of a file of one's own."""
    return name.lower().endswith(SUFFIXES)


def load(path: str | Path, target: str | None = None) -> Dataset:
    """A data set from a file, called by the file's name.

    Args:
        path: ``FILE.npz`` with arrays ``x`` and ``y``, and ``x_test`` and ``y_test`` where there is
            a test set, as :func:`pyro_ssvae.data.from_arrays` takes them; or ``FILE.csv``, a table
            with the names of its columns in the first line. Its empty fields are gaps.
        target: The name of the table's column of labels, in which an empty field is an unknown one.

    Raises:
        InputError: If the file is missing or broken, or lacks the arrays or the column.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: expected a file of data, got none there")
    if path.suffix.lower() == ".npz":
        if target is not None:
            raise InputError(f"{path}: expected no target of arrays, whose labels are y, got"
                             f" {target!r}")
        return _arrays(path)
    if target is None:
        raise InputError(f"{path}: expected the name of the column of labels, as --target NAME;"
                         f" the columns are {', '.join(header(path))}")
    return _table(path, target)


def arrays_in(path: Path) -> dict[str, Any]:
    """The arrays of a file ``.npz`` by name.

    Raises:
        InputError: If it is broken.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    # What numpy raises for a broken file depends on where it breaks.
    except (OSError, ValueError, EOFError, KeyError, NotImplementedError, RuntimeError,
            MemoryError, OverflowError, SyntaxError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path}: expected arrays of numbers or texts as numpy.savez writes them, got"
            f" {' '.join(repr(error).split()):.120}"
        ) from None


def table_in(path: Path) -> Any:
    """The data frame of a file ``.csv``.

    Raises:
        InputError: If it is broken, or its columns have no names that differ.
    """
    header(path)
    return _parsed(path)


def _parsed(path: Path) -> Any:
    import pandas

    try:
        return pandas.read_csv(path, skipinitialspace=True)
    except (OSError, ValueError, OverflowError, MemoryError) as error:
        raise InputError(
            f"{path}: expected a table of comma-separated values, got"
            f" {' '.join(str(error).split())}"
        ) from None


def _arrays(path: Path) -> Dataset:
    arrays = arrays_in(path)
    known = {"x", "y", "x_test", "y_test"}
    for name in sorted(arrays.keys() - known):
        raise unknown(f"array of {path}", name, known)
    for name, other in (("x", "y"), ("y", "x"), ("x_test", "y_test"), ("y_test", "x_test")):
        if name not in arrays and (name in ("x", "y") or other in arrays):
            raise InputError(f"{path}: expected arrays x and y, and x_test and y_test or neither,"
                             f" got {', '.join(sorted(arrays)) or 'none'}")
    test: Any = (arrays["x_test"], arrays["y_test"]) if "x_test" in arrays else 0.2
    return from_arrays(arrays["x"], arrays["y"], name=path.name, test=test)


def _table(path: Path, target: str) -> Dataset:
    columns = header(path)
    if target not in columns:
        raise unknown(f"column of {path}", target, columns)
    frame = _parsed(path)
    return from_arrays(frame.drop(columns=target), _labels(frame[target]), name=path.name)


def _labels(column: Any) -> Any:
    """Labels; whole numbers, which gaps have made floating point ones, as whole numbers."""
    values = column.to_numpy()
    if values.dtype.kind == "f" and np.isnan(values).any():
        known = values[~np.isnan(values)]
        if np.isfinite(known).all() and (known == known.round()).all():
            return [None if np.isnan(value) else int(value) for value in values]
    return values


def header(path: Path) -> list[str]:
    """The names of the columns.

    Raises:
        InputError: If there are none, two columns have one name, or a line has more or fewer.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, strict=True, skipinitialspace=True)
            names = next(lines, [])
            for line in lines:
                if line and len(line) != len(names):
                    raise InputError(
                        f"{path}: expected {len(names)} fields in every line, as in the first, got"
                        f" {len(line)} in line {lines.line_num}"
                    )
    except InputError:
        raise
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(
            f"{path}: expected a table of comma-separated values, got {error}"
        ) from None
    if not names:
        raise InputError(f"{path}: expected the names of the columns in the first line, got none")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{path}: expected columns of different names, got {twice[0]!r} twice")
    return names
