"""Data sets of one's own in files: arrays in ``.npz``, and tables in ``.csv``."""

from __future__ import annotations

import csv
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from pyro_ssvae.data.arrays import from_arrays
from pyro_ssvae.data.dataset import Dataset
from pyro_ssvae.errors import InputError, few, one_of, unknown
from pyro_ssvae.targets.marks import is_missing

LabelsAre = Literal["classes", "number"]

SUFFIXES = (".npz", ".csv")
FORMS = "FILE.npz with arrays x and y, FILE.csv with a column of labels, or a folder of images"
UNNAMED = re.compile(r"Unnamed: \d+(\.\d+)*")  # what pandas calls a column that has no name
TEST = 0.2  # the share that is set aside for testing
MARKS = ("NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "<NA>", "#N/A")  # of a gap
TEXTS = ("nan", "-1")  # marks of unknown labels, beside others that are texts
WHOLE = re.compile(r"[+-]?\d+")
LONG = re.compile(r"[+-]?\d{16,}")  # whole numbers that floating point may not hold
LED_BY_ZERO = re.compile(r"[+-]?0\d+")  # as codes are, and whole numbers are not
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def is_file(name: str) -> bool:
    """Whether the name of a data set is that of a file of one's own."""
    return name.lower().endswith(SUFFIXES)


def is_path(name: str) -> bool:
    """Whether the name of a data set is that of a place, of whatever form the file there is."""
    path = Path(name)
    return bool(path.suffix) or len(path.parts) > 1 or path.is_file()


def load(
    path: str | Path,
    target: str | None = None,
    *,
    ignore: Sequence[str] = (),
    labels_are: LabelsAre | None = None,
    test: float | None = None,
) -> Dataset:
    """A data set from a file, called by the file's name.

    Args:
        path: ``FILE.npz`` with arrays ``x`` and ``y``, and ``x_test`` and ``y_test`` where there is
            a test set, as :func:`pyro_ssvae.data.from_arrays` takes them; or ``FILE.csv``, a table
            with the names of its columns in the first line. Its empty fields are gaps, and so are
            ``NA`` and the like among numbers; among texts they are texts. A column that has no name
            and numbers the rows, as pandas writes a frame's index, is left out.
        target: The name of the table's column of labels, in which an empty field is an unknown one.
        ignore: The names of columns of the table that are left out.
        labels_are: What labels are that may be either, such as whole numbers: ``"classes"`` or a
            real ``"number"``. None has the values decide.
        test: The share of the examples with a known label that is set aside for testing. None takes
            the test set of the file, or a fifth.

    Raises:
        InputError: If the file is missing or broken, or lacks the arrays or a column.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: expected a file of data, got none there")
    if labels_are is not None:
        one_of("kind of labels", labels_are, get_args(LabelsAre))
    if path.suffix.lower() == ".npz":
        for what, came in (("target", target), ("columns to ignore", ", ".join(ignore) or None)):
            if came is not None:
                raise InputError(f"{path}: expected no {what} of arrays, whose labels are y, got"
                                 f" {came!r}")
        return _arrays(path, labels_are, test)
    if target is None:
        raise InputError(f"{path}: expected the name of the column of labels, as --target NAME;"
                         f" the columns are {', '.join(filter(None, header(path)))}")
    return _table(path, target, ignore, labels_are, TEST if test is None else test)


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


def table_in(path: Path, texts: Sequence[str] = ()) -> Any:
    """The data frame of a file ``.csv``.

    Args:
        path: The file.
        texts: The names of columns whose entries are texts, also where all could be numbers.

    Raises:
        InputError: If it is broken, or its columns have no names that differ.
    """
    import pandas

    several = len(header(path)) > 1  # the only entry of a line may be a gap
    try:
        table = pandas.read_csv(
            path, skipinitialspace=True, keep_default_na=False, na_values=[""], low_memory=False,
            skip_blank_lines=several, dtype=dict.fromkeys(texts, "str"),
        )
        return table.assign(**{
            name: _numbers(table[name]) for name in table.columns.difference(list(texts))
            if table[name].dtype.kind not in "biuf"
        })
    except (OSError, ValueError, OverflowError, MemoryError) as error:
        raise InputError(
            f"{path}: expected a table of comma-separated values, got"
            f" {' '.join(str(error).split())}"
        ) from None


def _numbers(column: Any) -> Any:
    """A column of texts; as numbers, where all are but for marks of a gap."""
    import pandas

    if not column.dropna().map(type).eq(str).all():
        return column
    gaps = column.isna() | column.isin(MARKS)
    numbers = pandas.to_numeric(column.mask(gaps), errors="coerce")
    return column if gaps.all() or not (numbers.notna() | gaps).all() else numbers


def _arrays(path: Path, labels_are: LabelsAre | None, share: float | None) -> Dataset:
    arrays = arrays_in(path)
    known = {"x", "y", "x_test", "y_test"}
    for name in sorted(arrays.keys() - known):
        raise unknown(f"array of {path}", name, known)
    for name, other in (("x", "y"), ("y", "x"), ("x_test", "y_test"), ("y_test", "x_test")):
        if name not in arrays and (name in ("x", "y") or other in arrays):
            raise InputError(f"{path}: expected arrays x and y, and x_test and y_test or neither,"
                             f" got {', '.join(sorted(arrays)) or 'none'}")
    if "x_test" not in arrays:
        test: Any = TEST if share is None else share
    elif share is None:
        test = arrays["x_test"], arrays["y_test"]
    else:
        raise InputError(f"{path}: expected no share for testing beside x_test, got {share}; leave"
                         " one of them out")
    _check_decided(path, arrays["y"], labels_are)
    if "x_test" not in arrays and arrays["y"].ndim == 1 and arrays["y"].dtype.kind in "iufU":
        _check_classes(path, arrays["y"].tolist(), labels_are)
    return from_arrays(arrays["x"], arrays["y"], name=path.name, test=test, target=labels_are)


def _table(
    path: Path, target: str, ignore: Sequence[str], labels_are: LabelsAre | None, test: float
) -> Dataset:
    frame = table_in(path)
    _check_columns(path, list(frame.columns), target, ignore)
    labels = _labels(frame[target], labels_are)
    if labels_are != "number" and frame[target].dtype.kind in "iuf":
        gaps = frame[target].isna()
        texts = table_in(path, [target])[target].mask(gaps, "")
        long = texts.str.fullmatch(LONG) & (texts.str.fullmatch(WHOLE) | gaps).all()
        if (texts.str.fullmatch(LED_BY_ZERO) | (long & gaps.any())).any():
            labels = texts.to_numpy()  # 007 is no 7, and a gap makes one number of two long ones
    _check_decided(path, labels, labels_are)
    _check_classes(path, list(labels), labels_are)
    index = [name for name, column in frame.items() if _is_index(name, column)]
    out = {target, *ignore, *index}
    x = frame[[name for name in frame.columns if name not in out]]
    made = from_arrays(x, labels, name=path.name, test=test, target=labels_are)
    notes = ["ignored: " + ", ".join(ignore)] if ignore else []
    if marks := sum(isinstance(value, str) and value in TEXTS for value in labels):
        notes.append(f"{marks:,} labels that are {' or '.join(map(repr, TEXTS))} count as unknown")
    if index:
        notes.append(f"left out: {', '.join(index)}, which has no name and numbers the rows")
    return replace(made, notes=(*made.notes, *notes))


def _check_columns(path: Path, columns: list[str], target: str, ignore: Sequence[str]) -> None:
    for name in (target, *ignore):
        if name not in columns:
            raise unknown(f"column of {path}", name, columns)
    if target in ignore:
        raise InputError(f"{path}: expected columns to ignore beside the target, got {target!r}")


def _is_index(name: str, column: Any) -> bool:
    """Whether a column is the index of a frame as pandas writes it, in whatever order."""
    numbered = column.dtype.kind in "iu" and column.is_unique
    return bool(numbered and UNNAMED.fullmatch(name))


def _labels(column: Any, labels_are: LabelsAre | None) -> Any:
    """Labels; whole numbers, which gaps have made floating point ones, as whole numbers."""
    values = column.to_numpy()
    if labels_are != "number" and np.isnan(_floats(values)).any() and _whole(values):
        return [None if np.isnan(value) else int(value) for value in values]
    return values


def _check_decided(path: Path, labels: Any, labels_are: LabelsAre | None) -> None:
    """Raise :class:`InputError` if labels may be classes and a real number."""
    if labels_are is None and _whole(labels):
        found = np.unique(labels[~np.isnan(labels)])
        shown = few(f"{value:g}" for value in found)
        raise InputError(
            f"{path}: expected whole numbers without a decimal point for classes, or others for a"
            f" real number, got {shown}; say --labels-are classes or number, in Python"
            " labels_are=..."
        )


def _check_classes(path: Path, labels: list[Any], labels_are: LabelsAre | None) -> None:
    """Raise :class:`InputError` if a class has one example, of which none is left for testing."""
    real = labels_are is None and any(isinstance(v, float) and not is_missing(v) for v in labels)
    if labels_are == "number" or real:
        return
    numbers = Counter(v for v in labels if not is_missing(v) and v not in ("", -1))
    alone = [value for value, number in numbers.items() if number == 1]
    if alone:
        raise InputError(
            f"{path}: expected two examples of each class or more, got one of {few(alone)}; leave"
            " these labels empty, or, if they are no classes, say --labels-are number, in Python"
            ' labels_are="number"'
        )


def _whole(labels: Any) -> bool:
    """Whether labels are floating point, and whole where they are there."""
    values = _floats(labels)
    known = values[~np.isnan(values)]
    return bool(len(known) and np.isfinite(known).all() and (known == known.round()).all())


def _floats(labels: Any) -> Any:
    """Labels (N,) of floating point; none where they are of another kind."""
    floats = isinstance(labels, np.ndarray) and labels.dtype.kind == "f" and labels.ndim == 1
    return labels if floats else np.empty(0)


def header(path: Path) -> list[str]:
    """The names of the columns.

    Raises:
        InputError: If there are none, two columns have one name, or a line has more or fewer.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            _check_separated(path, file.readline())
            file.seek(0)
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


def _check_separated(path: Path, first: str) -> None:
    """Raise :class:`InputError` if the first line has its columns apart by no commas."""
    for separator, name in SEPARATORS.items():
        if first.count(separator) > first.count(","):
            raise InputError(
                f"{path}: expected columns separated by commas, got {name} in the first line; write"
                f" it anew: pandas.read_csv(FILE, sep={separator!r}).to_csv(FILE, index=False)"
            )
