"""A run under way: trained to its end, or to a signal, and saved after epochs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from pyro_ssvae.data.described import described
from pyro_ssvae.experiments import checkpoint
from pyro_ssvae.experiments import folder as folders
from pyro_ssvae.experiments.folder import CALIBRATION, CHECKPOINT, METRICS, SPLIT
from pyro_ssvae.experiments.plan import Plan
from pyro_ssvae.experiments.prepared import Prepared
from pyro_ssvae.system import processes
from pyro_ssvae.system.signals import Interrupted, Signals
from pyro_ssvae.training.epoch import Epoch
from pyro_ssvae.training.fit import fit
from pyro_ssvae.training.log import tensorboard
from pyro_ssvae.training.loop import Training

SAVE_EVERY = 1.0  # seconds at least between the checkpoints of epochs: some take less than one


def fitted(run: Prepared, out: Path, plan: Plan) -> None:
    """Train to the end, or to a signal; checkpoints are saved then, and after epochs.

    Of several processes all stop after the same update, and the first one saves.
    """
    record, options = run.record, run.record.options
    with Signals(wait=True) as signals:
        training = fit(
            run.objective, run.split, epochs=record.epochs, lr=options["lr"],
            decay=options["decay"], average=options["average"],
            batch_labelled=record.batch_labelled, batch_unlabelled=record.batch_unlabelled,
            seed=record.seed, optimizer=run.optimizer, stopping=run.stopping,
            aggressive=run.aggressive, pause=lambda: signals.came is not None,
            capture=record.alone, precision=record.precision, workers=plan["workers"],
            progress=plan["progress"],
        )
        if run.state is not None:
            with checkpoint.reading(out / CHECKPOINT):
                training.load_state_dict(run.state)
        logged = plan["tensorboard"] and processes.first()
        epochs = tensorboard(training, out, record.row()) if logged else training
        saved = -SAVE_EVERY
        for epoch in epochs:
            run.history.append(epoch.row())
            if run.selections is not None:
                run.selections.update(epoch, run.objective)
            due = training.last or time.monotonic() - saved >= SAVE_EVERY
            if processes.from_first(due):
                _save(run, training, out, first=epoch.epoch == 1, overwrite=plan["overwrite"])
                saved = time.monotonic()
        if training.paused:
            _save(run, training, out, first=not run.history, overwrite=plan["overwrite"])
        if came := processes.largest(signals.came or 0):
            raise Interrupted(f"{place(training)}; saved in {out}", came)


def _save(
    run: Prepared, training: Training[Epoch], out: Path, *, first: bool, overwrite: bool
) -> None:
    with processes.agreed():
        if processes.first():
            write(run, training.state_dict(), out, first=first, overwrite=overwrite)


def write(
    run: Prepared, state: dict[str, Any], out: Path, *, first: bool, overwrite: bool = False
) -> None:
    """Write a run to its folder.

    Args:
        run: The run.
        state: The state of its training.
        out: The folder.
        first: Whether it is written there for the first time.
        overwrite: Whether what is there is cleared away before, at the first time.
    """
    if first:
        if overwrite:
            folders.clear(out)
        run.split.save(out / SPLIT)
        folders.write_description(out, described(run.split.dataset, run.split.target))
    for name in (METRICS, CALIBRATION):
        (out / name).unlink(missing_ok=True)  # it was measured with other weights
    folders.write_history(out, run.history)
    selections = {} if run.selections is None else {"selections": run.selections.state_dict()}
    checkpoint.save(out, {
        "record": run.record.as_dict(), "history": run.history,
        "objective": run.objective.state_dict(), "training": state, **selections,
    })


def place(training: Training[Any]) -> str:
    """Where a training was interrupted, in words."""
    done, step = training.place.epoch, training.place.step
    epochs = training.epochs
    if not step:
        return f"interrupted after {done} of {epochs} epochs, before the run was evaluated"
    return f"interrupted in epoch {done + 1} of {epochs}, after update {step} of {training.steps}"
