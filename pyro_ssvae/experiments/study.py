"""Studies: many runs, each kept in a folder named by its digest, and one long table of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

import pyro_ssvae
from pyro_ssvae.errors import InputError, NonFiniteLossError, enough_memory, named_folder, positive
from pyro_ssvae.experiments import checkpoint, earlier, ensembles, runs, table
from pyro_ssvae.experiments import folder as folders
from pyro_ssvae.experiments.code import changed
from pyro_ssvae.experiments.folder import (
    CHECKPOINT,
    METRICS,
    RESULTS,
    RUNS,
    STATISTICS,
    STUDY,
    TIMES,
)
from pyro_ssvae.experiments.job import Job, jobs_of, once
from pyro_ssvae.experiments.parallel import Backend, Failure, check, unordered
from pyro_ssvae.experiments.plan import Plan, completed, silent
from pyro_ssvae.experiments.setting import Setting
from pyro_ssvae.system.files import locked, write_text
from pyro_ssvae.system.progress import Progress

Metrics = dict[str, Any]
Log = Callable[[str], None]


def study(
    settings: Sequence[Setting],
    out: str | Path,
    *,
    jobs: int = 1,
    backend: Backend = "loky",
    address: str | None = None,
    together: int = 1,
    root: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    log: Log = silent,
) -> list[Metrics]:
    """Train a run for each setting into a folder, and tabulate them all.

    Each run is a function of its setting alone, in a folder that is named by its digest. So a study
    that was ended goes on with ``resume``: runs that have ended are not done again, those under way
    go on from their checkpoints, and one whose files are damaged is set aside and done anew.

    Args:
        settings: The settings, as :func:`pyro_ssvae.experiments.grid.grid` gives them.
        out: The folder for ``results.csv``, a row a run with every setting and every metric,
            ``statistics.md``, which tells what they say, ``times.csv``, and the folders of the
            runs.
        jobs: The number of processes, which share the cores. With 1 it is this process.
        backend: What the processes are of: ``"loky"`` of this machine, ``"dask"`` or ``"ray"`` of a
            cluster whose machines see the same folders.
        address: The address of the cluster's scheduler. None starts one of this machine.
        together: The number of runs, at most, that are trained side by side as one program, as by
            :func:`pyro_ssvae.fit_ensemble`. Many keep a GPU busy. They are those that differ in
            seeds, label draws and numbers alone, and each gives what it would have given alone, up
            to rounding.
        root: The folder of data files, as for :func:`pyro_ssvae.data.load`.
        resume: Whether to go on with the study in the folder, if there is one. More settings may
            join those of before.
        overwrite: Whether to replace the study in the folder, if there is one.
        progress: Whether to show the progress and the time left.
        log: A function that takes lines on what goes on and ends.

    Returns:
        What ``metrics.json`` holds of each setting's run, in the order of the settings.

    Raises:
        InputError: If a setting is not usable, before any training; or the folder holds a study of
            other settings, a process was killed, or a cluster cannot be reached.
        NonFiniteLossError: When all other runs have ended, if the loss of a run was not finite.
    """
    out = named_folder(out)
    check(jobs, backend, address)
    positive(together=together)
    with locked(out):
        folders.check_free(out, STUDY, RUNS, resume=resume, overwrite=overwrite)
        asked = jobs_of(settings, out, root, processes=jobs)
        todo = once(asked)
        if overwrite:
            earlier.refuse_links([out / RUNS, *(job.folder for job in todo)])
            earlier.clear_runs(out)
        left_out = _begin(out, todo, resume=resume)
        if left_out:
            log(f"{left_out} runs of before are of no setting: they stay, and are in no table")
        if resume:
            earlier.take_over(earlier.going_on(out, todo))
        with Progress("studying", len(todo), "runs", show=progress) as done:
            found = carried_out(
                todo, done, jobs=jobs, backend=backend, address=address, together=together, log=log
            )
        rows = [table.row(job, found[job.folder]) for job in todo]
        write_text(out / RESULTS, table.csv(rows))
        write_text(out / STATISTICS, table.statistics(rows))
        write_text(out / TIMES, table.csv(
            [table.times(job, found[job.folder]) for job in todo]
        ))
    return [found[job.folder] for job in asked]


def carried_out(
    todo: Sequence[Job],
    done: Progress,
    *,
    jobs: int = 1,
    backend: Backend = "loky",
    address: str | None = None,
    together: int = 1,
    log: Log = silent,
) -> dict[Path, Metrics]:
    """The metrics of runs by folder, each trained unless it has ended.

    Args:
        todo: The runs.
        done: The progress, which is advanced by each run.
        jobs: The number of processes, as for :func:`study`.
        backend: What the processes are of, likewise.
        address: The address of a cluster's scheduler, likewise.
        together: The number of runs that are trained side by side, likewise.
        log: A function that takes a line as each run ends.

    Raises:
        InputError: When all others have ended, if a run has failed; or as :func:`study`.
        NonFiniteLossError: Likewise.
    """
    found: dict[Path, Metrics] = {}

    def take(job: Job, metrics: Metrics) -> None:
        found[job.folder] = metrics
        log(line(job.name, metrics))

    left, failures = set(), []
    for job in todo:
        metrics = _ended(job, log)
        if metrics is None:
            left.add(job.folder)
        else:
            take(job, metrics)
            done.advance()
    here = jobs == 1 and backend == "loky"
    told: Plan = {"progress": done.show, "log": log} if here else {}
    units = ensembles.begun([job for job in todo if job.folder in left], log)
    left -= {job.folder for unit in units for job in unit}
    units += [
        own for unit in ensembles.units(todo, together)
        if (own := [job for job in unit if job.folder in left])
    ]
    items = [(unit, told) for unit in units]
    for place, outcomes in unordered(_train, items, jobs=jobs, backend=backend, address=address):
        if isinstance(outcomes, (InputError, NonFiniteLossError)):
            outcomes = [outcomes] * len(units[place])
        for job, outcome in zip(units[place], outcomes, strict=True):
            if isinstance(outcome, (InputError, NonFiniteLossError)):
                failures.append((job, outcome))
                log(f"{job.name}: {outcome}")
            else:
                take(job, outcome)
        done.advance(len(units[place]))  # at once: the time left goes by all of them
    if failures:
        raise _all(failures, len(todo))
    return found


def _train(item: tuple[Sequence[Job], Plan]) -> list[Metrics | Failure]:
    """Train runs, or go on with them: side by side where there are several, and evaluate each."""
    jobs, told = item
    if len(jobs) > 1:
        ensembles.train(jobs, told)
    outcomes: list[Metrics | Failure] = []
    for job in jobs:
        try:
            outcomes.append(_train_one(job, told))
        except (InputError, NonFiniteLossError) as error:
            outcomes.append(error)
    return outcomes


def _train_one(job: Job, told: Plan) -> Metrics:
    """Train a run to its end, or go on with it, and evaluate it."""
    setting = job.setting
    going_on = (job.folder / CHECKPOINT).exists()
    plan: Plan = {
        **setting.whole_plan, **told, "resume": True,
        "capture": "auto" if going_on else job.record.alone,  # as it began
    }
    split = job.split()
    with enough_memory(**setting.options):
        return runs.train(
            setting.pair, split, job.folder, options=setting.options, figures=job.figures,
            **plan,
        )


def _ended(job: Job, log: Log) -> Metrics | None:
    """The metrics of a run that has ended, if they and its figures are all that is asked for.

    A run that is damaged is set aside. One without weights has no further figures to draw.
    """
    weightless = not (job.folder / CHECKPOINT).exists()
    try:
        if (job.folder / METRICS).exists():
            record, metrics = folders.read_metrics(job.folder)
            folders.read_history(job.folder)
            if record.digest != job.record.digest:
                raise InputError(f"{job.folder}: expected the run of its digest, got another")
            enough = "all", completed(job.setting.plan)["measures"]
            if (told := changed(record.model, record.code, job.record.code)) is not None:
                log(f"{job.name}: {told}, which is kept as it is")
            measured = metrics.get("measures", "all") in enough
            return metrics if measured and (weightless or _drawn(job)) else None
        if not weightless:
            checkpoint.read(job.folder, torch.device("cpu"))
    except InputError as error:
        aside = _free(job.folder)
        job.folder.rename(aside)
        log(f"{error}; set aside as {aside.name}, and done anew")
    return None


def _drawn(job: Job) -> bool:
    """Whether there are figures of a run in all formats that are asked for, if any are."""
    formats = ("png", "svg") if completed(job.setting.plan)["svg"] else ("png",)
    return not job.figures or all(
        any((job.folder / folders.FIGURES).glob(f"*.{each}")) for each in formats
    )


def _free(folder: Path) -> Path:
    """A folder beside a damaged one to set it aside in."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}-damaged-{number}")).exists():
        number += 1
    return aside


def _begin(out: Path, todo: Sequence[Job], *, resume: bool) -> int:
    """Write what the study is of, which a study that goes on must have in common.

    Returns:
        The number of runs that are of a study that goes on, and of no setting.
    """
    version, path = pyro_ssvae.__version__, out / STUDY
    runs = {job.folder.name: job.record.as_dict() for job in todo}
    if resume and path.exists():
        runs = _checked(path, version, runs) | runs
    (out / RUNS).mkdir(parents=True, exist_ok=True)
    for name in (RESULTS, STATISTICS, TIMES):
        (out / name).unlink(missing_ok=True)
    write_text(path, json.dumps({"version": version, "runs": runs}, indent=1) + "\n")
    return len(runs) - len(todo)


def _checked(path: Path, version: str, runs: dict[str, Any]) -> dict[str, Any]:
    """The runs of the study that is gone on with."""
    hint = "give another folder, or --overwrite to start anew"
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        known, made_by = dict(before["runs"]), before["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected the file of a study, got: {error}; {hint}") from None
    if made_by != version:
        raise InputError(
            f"{path}: expected a study of pyro_ssvae {version}, got one of {made_by}, whose runs"
            f" may be others; {hint}"
        )
    if known and known.keys().isdisjoint(runs):
        (one, *_), (other, *_) = known.values(), runs.values()
        differ = next(name for name in other if one.get(name) != other[name])
        raise InputError(
            f"{path}: expected the study to go on with, got one of other settings, such as {differ}"
            f"={_short(one.get(differ))} in place of {_short(other[differ])}; {hint}"
        )
    return known


def _short(value: Any) -> str:
    return f"{value}" if len(f"{value}") < 40 else f"{value}"[:40] + "..."


def line(name: str, metrics: Metrics) -> str:
    """What to say of a run that has ended."""
    texts = {"accuracy": "accuracy {:.1%}", "rmse": "RMSE {:.4g}", "elbo": "ELBO {:.2f}"}
    scores = metrics["test"] or metrics["validation"]
    shown = [
        text.format(scores[metric]) for metric, text in texts.items()
        if scores.get(metric) is not None
    ]
    return f"{name}: {', '.join(shown) or 'done'} in {metrics['seconds']:.1f} s"


def _all(failures: Sequence[tuple[Job, Failure]], number: int) -> Failure:
    """One error for all runs that have failed."""
    job, first = failures[0]
    return type(first)(
        f"{len(failures)} of {number} runs failed, the others have ended; the first is {job.name}:"
        f" {first}"
    )
