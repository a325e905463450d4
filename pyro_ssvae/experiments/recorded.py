"""The pair and the data that a record names, found again."""

from __future__ import annotations

import json
from pathlib import Path

from pyro_ssvae import data
from pyro_ssvae.data import Dataset, Split
from pyro_ssvae.data.described import without_examples
from pyro_ssvae.errors import InputError
from pyro_ssvae.experiments.folder import DATA, SPLIT
from pyro_ssvae.experiments.pairs import Pair, chosen
from pyro_ssvae.experiments.record import Record
from pyro_ssvae.targets import Classes


def pair_of(folder: Path, record: Record, given: Pair | None) -> Pair:
    """The pair of a run in a folder: the one that is given, or found by its name.

    Raises:
        InputError: If it cannot be found, or is another pair than is given.
    """
    if given is not None and given.name != record.model:
        raise InputError(f"{folder}: expected the pair {record.model}, got {given.name}")
    try:
        return given or chosen(record.model)
    except InputError as error:
        raise InputError(
            f"{folder}: {error}; a pair of one's own that has no such place is given by"
            " predictor.load(FOLDER, pair=...) or runs.load(FOLDER, pair=...)"
        ) from None


def split_of(
    folder: Path, record: Record, given: Dataset | None, root: str | Path | None
) -> Split:
    """The split that a run in a folder was trained on, of data that are given or found by name.

    Where it was trained to tell some of their classes apart, the others are foreign here too.

    Raises:
        InputError: If they cannot be found, or are other data than the run was trained on.
    """
    if given is None and record.data not in data.SOURCES:
        raise InputError(
            f"{folder}: the run is of data named {record.data!r}, which are none of"
            f" {', '.join(data.SOURCES)}; give them: runs.load(FOLDER, dataset=...), or"
            " --data FILE on the command line"
        )
    dataset = data.load(record.data, root) if given is None else given
    if dataset.fingerprint != record.data_fingerprint:
        dataset = _with_classes_of(folder, dataset)
    if dataset.fingerprint != record.data_fingerprint:
        raise InputError(
            f"{folder}: expected the data named {record.data!r} that the run was trained on (of"
            f" data_fingerprint {record.data_fingerprint:.12}), got other data"
            f" ({dataset.fingerprint:.12}) named {dataset.name!r}; give those it was trained on:"
            " runs.load(FOLDER, dataset=...), or --data FILE on the command line"
        )
    split = Split.load(folder / SPLIT, dataset)
    if split.fingerprint != record.split_fingerprint:
        raise InputError(
            f"{folder / SPLIT}: expected the split that the run was trained on (of"
            f" split_fingerprint {record.split_fingerprint:.12}), got another one"
            f" ({split.fingerprint:.12})"
        )
    return split


def read_description(folder: Path) -> Dataset:
    """The data set that a run was trained on, without its examples.

    Raises:
        InputError: If there is no description, or it is broken.
    """
    path = folder / DATA
    try:
        return without_examples(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected the data of a run, got: {error!s:.200}") from None


def _with_classes_of(folder: Path, dataset: Dataset) -> Dataset:
    """The data with the classes of the run in a folder alone, where these are some of theirs."""
    if not isinstance(dataset.target, Classes) or not (folder / DATA).exists():
        return dataset
    target = read_description(folder).target
    chosen = isinstance(target, Classes) and set(target.names) <= set(dataset.target.names)
    return dataset.only(*target.names) if chosen else dataset
