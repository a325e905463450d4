"""The runs that a comparison finds in its folder: kept in its table, or cleared away."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyro_ssvae.errors import InputError
from pyro_ssvae.experiments import zoo
from pyro_ssvae.experiments.folder import (
    METRICS,
    clear,
    read_history,
    read_metrics,
    remove_if_empty,
)
from pyro_ssvae.report.page import RUNS, run_folder
from pyro_ssvae.system.files import locked

# What the runs of one table have in common.
SHARED = ("data", "labels", "hidden_labels", "seed", "batch_labelled", "batch_unlabelled",
          "patience", "aggressive", "precision", "epochs")


def kept(
    out: Path, names: Sequence[str], settings: Sequence[Mapping[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """The metrics of the pairs that an earlier comparison in a folder has trained.

    Args:
        out: The folder.
        names: The names of the pairs that are trained now, which are left out.
        settings: The settings of a run now, for each seed.

    Returns:
        The metrics of each seed's run, by name of the pair. A pair of which no run has ended is
        left out.

    Raises:
        InputError: If a pair has no such run for one of the seeds, a run has other settings, or a
            file is broken. A table with it would not compare like with like.
    """
    result: dict[str, list[dict[str, Any]]] = {}
    for name in zoo.names():
        folders = [run_folder(out, name, wanted["seed"]) for wanted in settings]
        if name not in names and any((folder / METRICS).exists() for folder in folders):
            result[name] = [_fitting(*pair, name) for pair in zip(folders, settings)]
    return result


def _fitting(folder: Path, wanted: Mapping[str, Any], name: str) -> dict[str, Any]:
    if not (folder / METRICS).exists():
        raise InputError(
            f"{folder}: expected a run that has ended, as other seeds of {name} have in this"
            f" comparison, got none; name {name} too, to train it"
        )
    metrics = read_metrics(folder)
    read_history(folder)  # the report shows it
    for key, value in {"model": name, **{key: wanted[key] for key in SHARED}}.items():
        if metrics.get(key) != value:
            hint = f"name {name} too, or " if key == "epochs" else ""
            raise InputError(
                f"{folder}: the run to keep in the table has {key}={metrics.get(key)}, got"
                f" {key}={value}; {hint}give the same settings, or another folder"
            )
    return metrics


def refuse_links(folders: Iterable[Path]) -> None:
    """Raise :class:`InputError` if a folder to overwrite is a symbolic link."""
    for folder in folders:
        if folder.is_symlink():
            raise InputError(
                f"{folder}: expected a folder to overwrite, got a symbolic link; remove it, or"
                " name another folder"
            )


def clear_runs(out: Path) -> None:
    """Delete the runs of comparisons in a folder by the names of their files.

    What else is there stays, with its folders, and so does what symbolic links lead to.
    """
    if not (out / RUNS).is_dir() or (out / RUNS).is_symlink():
        return
    pairs = "|".join(map(re.escape, zoo.names()))
    for folder in sorted((out / RUNS).iterdir()):
        ours = re.fullmatch(rf"({pairs})-seed-(0|[1-9]\d*)", folder.name)
        if ours and folder.is_dir() and not folder.is_symlink():
            with locked(folder):
                clear(folder)
            remove_if_empty(folder)
