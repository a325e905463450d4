"""Multi-label data in Mulan's format: an ARFF file, and an XML file that names its labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from scipy.io import arff
from sklearn.preprocessing import StandardScaler

from pyro_ssvae.data.arrays import from_arrays
from pyro_ssvae.data.dataset import Dataset
from pyro_ssvae.data.root import data_root, find
from pyro_ssvae.errors import InputError
from pyro_ssvae.recipes import KIND_OF

# Examples, features and labels: a file cut off after a whole line reads like a smaller one.
SHAPES = {"yeast": (2_417, 103, 14), "scene": (2_407, 294, 6), "emotions": (593, 72, 6)}
SOURCE = "they are among the multi-label data sets of mulan.sourceforge.net"
LABELS = {b"0": 0, b"1": 1, b"?": -1}

Array = np.ndarray[Any, Any]


def load(name: str, root: Path | None = None) -> Dataset:
    """One of the data sets of :data:`SHAPES`, its features of mean 0 and variance 1."""
    x, y, names = read_mulan(name, root)
    x = StandardScaler().fit_transform(x)
    return from_arrays(x, y, name=name, kind=KIND_OF[name], class_names=names)


def read_mulan(name: str, root: str | Path | None = None) -> tuple[Array, Array, list[str]]:
    """One of the data sets of :data:`SHAPES`, from ``NAME.arff`` and ``NAME.xml``.

    The two files are looked for in ``root/multilabel`` and in ``root`` itself. The attributes
    that the XML file names are the labels, wherever they stand; all others are features.

    Returns:
        x (N, D) float64, y (N, L) int64, 0, 1 or -1 for unknown, and the names of the labels, all
        in the ARFF file's order.

    Raises:
        InputError: if a file is missing, corrupt or truncated, or holds other data.
    """
    files = f"{name}.arff", f"{name}.xml"
    folder = find(data_root(root), "multilabel", files, SOURCE)
    path = folder / files[0]
    names = _label_names(folder / files[1])
    examples, kinds = _read(path)
    for key in sorted(names - kinds.keys()):
        raise InputError(f"{path}: expected an attribute for every label, got none for {key!r}")
    features = [key for key in kinds if key not in names]
    for key in features:
        if kinds[key] != "numeric":
            raise InputError(f"{path}: expected numeric features, got {kinds[key]} {key!r}")
    came = (len(examples), len(features), len(names))
    if came != SHAPES[name]:
        wanted = "{} examples of {} features and {} labels".format(*SHAPES[name])
        raise InputError(f"{path}: expected {wanted}, got {came[0]} of {came[1]} and {came[2]};"
                         " the file is truncated or holds a part of the data")
    for key in features:
        if np.isinf(examples[key]).any():
            row = int(np.isinf(examples[key]).argmax())
            raise InputError(f"{path}: expected finite features, got {examples[key][row]} as"
                             f" {key!r} of the example at index {row}")
    labels = {key: _labels(path, key, examples[key]) for key in kinds if key in names}
    x = np.stack([examples[key] for key in features], axis=1)
    return x, np.stack(list(labels.values()), axis=1), list(labels)


def _label_names(path: Path) -> set[str]:
    try:
        tags = ElementTree.parse(path).findall(".//{*}label")
    # A LookupError is an encoding that Python does not know.
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{path}: expected an XML file of label names, got {error!r}") from None
    names = {tag.get("name", "") for tag in tags}
    if not names:
        raise InputError(f"{path}: expected <label name=...> for every label, got none")
    return names


def _read(path: Path) -> tuple[Array, dict[str, str]]:
    """The examples as a structured array (N,), and each attribute's kind by its name."""
    try:
        examples, meta = arff.loadarff(path)
    # What scipy raises for a broken file depends on where it breaks.
    except (OSError, ValueError, LookupError, StopIteration, NotImplementedError) as error:
        raise InputError(
            f"{path}: corrupt or truncated ARFF file ({' '.join(repr(error).split())})"
        ) from None
    return np.atleast_1d(examples), dict(zip(meta.names(), meta.types()))


def _labels(path: Path, key: str, column: Array) -> Array:
    """A label's column of bytes (N,) as int64."""
    values, index = np.unique(column, return_inverse=True)
    for value in values.tolist():
        if value not in LABELS:
            raise InputError(f"{path}: expected label {key!r} as 0 or 1, or ? where it is unknown,"
                             f" got {value!r}")
    return np.array([LABELS[value] for value in values.tolist()], dtype=np.int64)[index]
