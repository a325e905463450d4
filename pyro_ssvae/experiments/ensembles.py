"""Runs of a study that are trained side by side, as ensembles, each into a folder of its own."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from pyro_ssvae.engine.program import CaptureError, constants
from pyro_ssvae.errors import InputError, NonFiniteLossError
from pyro_ssvae.experiments import checkpoint, underway
from pyro_ssvae.experiments.folder import ENSEMBLES, remove_if_empty
from pyro_ssvae.experiments.job import Job, program_of
from pyro_ssvae.experiments.plan import Plan, completed
from pyro_ssvae.experiments.prepared import Prepared, prepare
from pyro_ssvae.experiments.record import ENSEMBLE
from pyro_ssvae.system.files import locked
from pyro_ssvae.system.signals import Interrupted, Signals
from pyro_ssvae.training.epoch import Epoch
from pyro_ssvae.training.fit import fit_ensemble
from pyro_ssvae.training.loop import Training

Ensemble = Training[list[Epoch | None]]
KEYS = ("members", "histories", "objectives", "selections", "training")


class Member(NamedTuple):
    """A run of an ensemble."""

    job: Job
    run: Prepared


def units(jobs: Sequence[Job], together: int) -> list[list[Job]]:
    """The runs of a study, those that may be trained side by side in one list.

    These are runs of one program on the same data, for as many epochs: they differ in seeds, splits
    and numbers.

    Args:
        jobs: All runs of the study.
        together: The number of runs in a list, at most.
    """
    alike: dict[Any, list[list[Job]]] = {}
    result: list[list[Job]] = []
    for job in jobs:
        lists = alike.setdefault(_kind(job), [])
        if not lists or len(lists[-1]) >= together:
            lists.append([])
            result.append(lists[-1])
        lists[-1].append(job)
    return result


def begun(jobs: Sequence[Job], log: Callable[[str], None]) -> list[list[Job]]:
    """The runs of a study whose training side by side was interrupted, those of each in one list.

    They go on together, in the order in which they began, whatever has joined the study since. What
    is damaged is deleted, and so are its runs' common weights: they begin anew.

    Args:
        jobs: The runs that have not ended.
        log: A function that takes a line on what is damaged.
    """
    by_digest = {job.record.digest: job for job in jobs}
    result: list[list[Job]] = []
    for path in sorted(_folder(jobs[0]).glob("*.pt")) if jobs else []:
        try:
            members = checkpoint.loaded(path, torch.device("cpu"), KEYS)["members"]
        except InputError as error:
            log(f"{error}; its runs begin anew")
            path.unlink()
            continue
        if by_digest.keys() >= set(members):
            result.append([by_digest.pop(digest) for digest in members])
    return result


def _folder(job: Job) -> Path:
    """The folder of what is saved of ensembles, of the study that a run is of."""
    return job.folder.parents[1] / ENSEMBLES


def _path(members: Sequence[Member]) -> Path:
    """The file of an ensemble of these runs."""
    names = "".join(sorted(member.run.record.digest for member in members))
    digest = hashlib.sha256(names.encode()).hexdigest()
    return _folder(members[0].job) / f"{digest[:12]}.pt"


def _kind(job: Job) -> Any:
    record, plan = job.record, completed(job.setting.plan)
    if record.aggressive or plan["tensorboard"] or plan["capture"] not in ("auto", "on"):
        return job.folder  # it is trained alone
    return (
        program_of(record), record.epochs, record.patience, record.selections, job.unlabelled,
        plan["device"], plan["workers"],
    )


def train(jobs: Sequence[Job], told: Plan) -> None:
    """Train runs side by side to their last epoch, or to a signal, each into its own folder.

    Those that have begun alone, and those that are not the same program after all, are left as they
    are. So are all of an ensemble in which something was not finite: a line says so. What is left
    is to be trained alone, and what is trained to be evaluated.

    Args:
        jobs: The runs, one of the lists of :func:`begun` or :func:`units`.
        told: Whether to show the progress, and the function for lines on what goes on.

    Raises:
        InputError: If the data have changed, or the disk is full.
        Interrupted: At a signal, when all is saved.
    """
    whole = completed(told)
    for members in _programs(_prepared(jobs, told)):
        saved = _read(members)
        own = members if saved else [m for m in members if m.run.state is None]
        if len(own) > 1:
            _train(own, saved, whole)


def _prepared(jobs: Sequence[Job], told: Plan) -> list[Member]:
    """The runs, which have one data set on one device."""
    members: list[Member] = []
    for job in jobs:
        setting = job.setting
        plan: Plan = {**setting.whole_plan, **told, "resume": True}
        run = prepare(setting.pair, job.split(), job.folder, options=setting.options, **plan)
        if members:  # each would hold a copy of its own on a GPU
            run.split = replace(run.split, dataset=members[0].run.split.dataset)
        members.append(Member(job, run))
    return members


def _programs(members: Sequence[Member]) -> list[list[Member]]:
    """Those whose objectives are the same program, which moves all parameters at once."""
    result: list[list[Member]] = []
    kept: list[dict[str, Any]] = []
    for member in members:
        if len(member.run.objective.turns()) > 1:
            continue
        own = constants(member.run.objective)
        if own not in kept:
            kept.append(own)
            result.append([])
        result[kept.index(own)].append(member)
    return result


def _read(members: Sequence[Member]) -> dict[str, Any] | None:
    """What is saved of an ensemble of these runs, in this order, if anything."""
    if not (path := _path(members)).exists():
        return None
    saved = checkpoint.loaded(path, members[0].run.split.dataset.y.device, KEYS)
    in_order = saved["members"] == [member.run.record.digest for member in members]
    return saved if in_order else None


def _train(members: Sequence[Member], saved: dict[str, Any] | None, told: Plan) -> None:
    log, path = told["log"], _path(members)
    try:
        with ExitStack() as stack:
            for member in members:
                stack.enter_context(locked(member.job.folder))
            _fitted(members, path, saved, told)
    except (CaptureError, NonFiniteLossError) as error:
        log(f"{members[0].job.name} and {len(members) - 1} more are trained one by one: {error}")
    path.unlink(missing_ok=True)
    remove_if_empty(path.parent)


def _fitted(
    members: Sequence[Member], path: Path, saved: dict[str, Any] | None, told: Plan
) -> None:
    """Train to the end, or to a signal; all is saved then, and after epochs."""
    runs = [member.run for member in members]
    with Signals(wait=True) as signals:
        training = _begun(members, lambda: signals.came is not None, told)
        if saved is not None:
            _load(runs, training, path, saved)
        for run in runs:
            run.record = run.record.captured(ENSEMBLE)
        due = 0.0
        for epochs in training:
            _heed(members, training, epochs)
            if training.last or time.monotonic() >= due:
                _save(runs, training, path)
                due = time.monotonic() + underway.SAVE_EVERY
        if training.paused:
            _save(runs, training, path)
        if signals.came:
            where = f"{underway.place(training)}, {len(runs)} runs side by side"
            raise Interrupted(f"{where}; saved in {path.parent}", signals.came)


def _begun(members: Sequence[Member], pause: Callable[[], bool], told: Plan) -> Ensemble:
    first, runs = members[0], [member.run for member in members]
    record, options = first.run.record, first.run.record.options
    stopping = [run.stopping for run in runs if run.stopping is not None]
    return fit_ensemble(
        [run.objective for run in runs], [run.split for run in runs],
        lr=[run.record.options["lr"] for run in runs], seeds=[run.record.seed for run in runs],
        stopping=stopping or None, compile=first.job.record.capture == "on",
        epochs=record.epochs, decay=options["decay"], average=options["average"],
        batch_labelled=record.batch_labelled, batch_unlabelled=record.batch_unlabelled,
        precision=record.precision, workers=completed(first.job.setting.plan)["workers"],
        pause=pause, progress=told["progress"],
    )


def _heed(
    members: Sequence[Member], training: Ensemble, epochs: Sequence[Epoch | None]
) -> None:
    """Take an epoch into account; a run of which it is the last is written to its folder."""
    number = sum(epoch is not None for epoch in epochs)
    for i, ((job, run), epoch) in enumerate(zip(members, epochs)):
        if epoch is None:
            continue
        run.history.append(replace(epoch, seconds=epoch.seconds / number).row())
        if run.selections is not None:
            run.selections.update(epoch, run.objective)
        if training.ends(i):
            underway.write(run, training.state_of(i), job.folder, first=True)


def _save(runs: Sequence[Prepared], training: Ensemble, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.write(path, {
        "members": [run.record.digest for run in runs],
        "histories": [run.history for run in runs],
        "objectives": [run.objective.state_dict() for run in runs],
        "selections": [
            {} if run.selections is None else run.selections.state_dict() for run in runs
        ],
        "training": training.state_dict(),
    })


def _load(
    runs: Sequence[Prepared], training: Ensemble, path: Path, saved: dict[str, Any]
) -> None:
    with checkpoint.reading(path):
        parts = (saved[name] for name in ("histories", "objectives", "selections"))
        for run, history, weights, selections in zip(runs, *parts, strict=True):
            run.history[:] = history
            run.objective.load_state_dict(weights)
            if run.selections is not None:
                run.selections.load_state_dict(selections)
        training.load_state_dict(saved["training"])
