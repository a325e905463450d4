"""The runs that a comparison finds in its folder: kept in its table, or cleared away."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from pyro_ssvae.errors import InputError
from pyro_ssvae.experiments import checkpoint, pairs, record
from pyro_ssvae.experiments.folder import (
    METRICS,
    clear,
    read_history,
    read_metrics,
    remove_if_empty,
    run_folder,
    runs_in,
    safe,
)
from pyro_ssvae.experiments.record import Record
from pyro_ssvae.system.files import locked


def kept(
    out: Path, names: Collection[str], records: Sequence[Record]
) -> dict[str, list[dict[str, Any]]]:
    """The metrics of the pairs that an earlier comparison in a folder has trained.

    Args:
        out: The folder.
        names: The names of the pairs that are trained now, which are left out.
        records: The records of the runs of one of them, one for each seed.

    Returns:
        The metrics of each seed's run, by name of the pair. A pair of which no run has ended is
        left out.

    Raises:
        InputError: If a pair has no such run for one of the seeds, a run has other settings, or a
            file is broken. A table with it would not compare like with like.
    """
    trained = {safe(name) for name in names}
    seeds = {new.split_seed for new in records}
    ended = [
        (folder, name) for folder, name, seed in runs_in(out)
        if name not in trained and seed in seeds and (folder / METRICS).exists()
    ]
    result: dict[str, list[dict[str, Any]]] = {}
    for folder, name in ended:
        model = read_metrics(folder)[0].model
        if safe(model) != name:
            raise InputError(
                f"{folder}: the run to keep in the table has model={model}, got model={name}; give"
                " another folder"
            )
        if model not in result:
            folders = [run_folder(out, model, new.split_seed) for new in records]
            result[model] = [_fitting(*run, model) for run in zip(folders, records)]
    return result


def _fitting(folder: Path, new: Record, name: str) -> dict[str, Any]:
    if not (folder / METRICS).exists():
        raise InputError(
            f"{folder}: expected a run that has ended, as other seeds of {name} have in this"
            f" comparison, got none; name {name} too, to train it"
        )
    old, metrics = read_metrics(folder)
    read_history(folder)  # the report shows it
    record.check_table(folder, old, new)
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
    for folder, name, _ in runs_in(out):
        if name in pairs.names() or _recorded(folder) == name:
            with locked(folder):
                clear(folder)
            remove_if_empty(folder)


def _recorded(folder: Path) -> str | None:
    """The name, as folders have it, of the pair whose checkpoint is in a folder, if there is one.

    So a folder is told from one of another origin that is named as those of runs are.
    """
    try:
        return safe(checkpoint.read(folder, torch.device("cpu"))["record"].model)
    except InputError:
        return None
