"""The runs that a study finds in its folder: kept in its table, gone on with, or cleared away."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pyro_ssvae.errors import InputError
from pyro_ssvae.experiments import checkpoint, pairs, record
from pyro_ssvae.experiments.folder import (
    CHECKPOINT,
    ENSEMBLES,
    METRICS,
    clear,
    clear_events,
    read_history,
    read_metrics,
    remove_if_empty,
    run_folder,
    runs_in,
    safe,
)
from pyro_ssvae.experiments.job import Job, but_seeds
from pyro_ssvae.experiments.record import Record
from pyro_ssvae.system.files import locked


def kept(
    out: Path, todo: Sequence[Job], going_on: Collection[Path] = ()
) -> list[dict[str, Any]]:
    """The metrics of runs that an earlier comparison in a folder has trained.

    Args:
        out: The folder.
        todo: The runs of the comparison now, which are left out.
        going_on: The folders of runs that these go on from, which are left out too.

    Returns:
        The metrics of the runs on the same splits, those of a row together. A pair of which no run
        has ended is left out.

    Raises:
        InputError: If a row would have no run on one of the splits, a run has other settings, or a
            file is broken. A table with it would not compare like with like.
    """
    new = {job.folder: job.record for job in todo}
    seeds = {(record.split_seed, record.seed) for record in new.values()}
    rows: dict[str, dict[tuple[int, int], dict[str, Any]]] = {}
    for folder, name in runs_in(out):
        if folder in new or folder in going_on or not (folder / METRICS).exists():
            continue
        old, metrics = read_metrics(folder)
        if (old.split_seed, old.seed) in seeds:
            _check(folder, old, list(new.values()))
            if folder != run_folder(out, old.model, old.split_seed, old.digest):
                raise InputError(
                    f"{folder}: expected the run that the folder is named by, {name}, got one of"
                    f" {old.model} with other settings; give another folder"
                )
            rows.setdefault(but_seeds(old), {})[old.split_seed, old.seed] = metrics
    for runs in rows.values():
        if missing := sorted(seeds - runs.keys()):
            name = next(iter(runs.values()))["model"]
            raise InputError(
                f"{out}: expected runs that have ended of {name} for all seeds of this comparison,"
                f" got none for seed {missing[0][0]}; name {name} too, to train it"
            )
    return [runs[seed] for runs in rows.values() for seed in sorted(seeds)]


def _check(folder: Path, old: Record, new: Sequence[Record]) -> None:
    same = [each for each in new if (each.split_seed, each.seed) == (old.split_seed, old.seed)]
    alike = [each for each in same if each.labels == old.labels] or same
    read_history(folder)  # the report shows it
    record.check_table(folder, old, alike[0])


def going_on(out: Path, todo: Sequence[Job]) -> dict[Path, Path]:
    """The folders of runs for fewer epochs, and those of the runs that can go on from them.

    Of several runs that one can go on from it is the one that has done the most.

    Args:
        out: The folder of the study.
        todo: The runs that are asked for.
    """
    wanted = {job.folder for job in todo}
    missing = {_but_epochs(job.record): job for job in todo if not job.folder.exists()}
    others = [f for f, _ in runs_in(out) if f not in wanted] if missing else []
    found: dict[Path, Path] = {}
    for folder, old in _longest_first(others):
        job = missing.get(_but_epochs(old))
        if job is not None and old.epochs < job.record.epochs and not old.options.get("decay"):
            found[folder] = missing.pop(_but_epochs(old)).folder
    return found


def _longest_first(folders: Iterable[Path]) -> list[tuple[Path, Record]]:
    """The runs in folders that can be gone on from, those with the most epochs done first."""
    runs = []
    for folder in folders:
        if (folder / CHECKPOINT).exists():
            try:
                saved = checkpoint.read(folder, torch.device("cpu"))
            except InputError:
                continue  # it is of no use here
            runs.append((len(saved["history"]), folder, saved["record"]))
    return [(folder, old) for _, folder, old in sorted(runs, key=lambda run: -run[0])]


def take_over(folders: Mapping[Path, Path]) -> None:
    """Have runs go on from others: each folder is renamed, and its metrics are to come."""
    for old, new in folders.items():
        with locked(old):  # or else another process writes there
            (old / METRICS).unlink(missing_ok=True)
        old.rename(new)


def _but_epochs(record: Record) -> str:
    return replace(record, epochs=0).digest


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
    if not (ensembles := out / ENSEMBLES).is_symlink():
        for path in ensembles.glob("*.pt"):
            path.unlink()
        remove_if_empty(ensembles)
    for folder, name in runs_in(out):
        if name in pairs.names() or _recorded(folder) == name:
            with locked(folder):
                clear(folder)
                clear_events(folder)
            remove_if_empty(folder)


def _recorded(folder: Path) -> str | None:
    """The name, as folders have it, of the pair whose checkpoint is in a folder, if there is one.

    So a folder is told from one of another origin that is named as those of runs are.
    """
    try:
        return safe(checkpoint.read(folder, torch.device("cpu"))["record"].model)
    except InputError:
        return None
