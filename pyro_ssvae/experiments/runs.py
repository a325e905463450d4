"""Training runs kept in a folder: record, split, checkpoint, history, metrics and figures."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from pyro_ssvae.data import Dataset, Split
from pyro_ssvae.data.described import described
from pyro_ssvae.errors import named_folder
from pyro_ssvae.evaluation.evaluate import evaluate, fit_classifier
from pyro_ssvae.experiments import calibration, checkpoint, machine, recorded, selected
from pyro_ssvae.experiments import folder as folders
from pyro_ssvae.experiments.folder import CALIBRATION, METRICS, SPLIT
from pyro_ssvae.experiments.pairs import Pair
from pyro_ssvae.experiments.plan import Plan, completed
from pyro_ssvae.experiments.prepared import Prepared, Run, prepare
from pyro_ssvae.experiments.record import Record
from pyro_ssvae.system.files import locked
from pyro_ssvae.system.signals import Interrupted, Signals
from pyro_ssvae.training.epoch import Epoch
from pyro_ssvae.training.fit import fit
from pyro_ssvae.training.log import tensorboard
from pyro_ssvae.training.loop import Training

SAVE_EVERY = 1.0  # seconds at least between the checkpoints of epochs: some take less than one


def train(
    pair: str | Pair,
    split: Split,
    out: str | Path,
    *,
    options: Mapping[str, Any] | None = None,
    figures: bool = True,
    **plan: Unpack[Plan],
) -> dict[str, Any]:
    """Train a pair into a folder.

    Args:
        pair: The pair, or its name, see :func:`pyro_ssvae.pair`.
        split: The data.
        out: The folder. It is left only where something is saved, and locked meanwhile.
        options: The values of the pair's options.
        figures: Whether to draw figures of what was trained.
        plan: How to train, see :class:`pyro_ssvae.experiments.plan.Plan`.

    Returns:
        What ``metrics.json`` holds.

    Raises:
        InputError: If a value is not usable, the folder holds a run and neither ``resume`` nor
            ``overwrite`` is set, the run to resume was started with other settings or on other
            data, another process writes to the folder, or the disk is full.
        Interrupted: At SIGINT or SIGTERM, when the update under way is done and saved; at a second
            signal at once.
    """
    out, whole = named_folder(out), completed(plan)
    with locked(out):
        run = prepare(pair, split, out, options=options, **plan)
        record = run.record
        if whole["overwrite"]:
            folders.clear_events(out)
        if run.history:
            whole["log"](
                f"{record.model}, seed {record.seed}: going on after epoch {len(run.history)} of"
                f" {record.epochs}"
            )
        _fit(run, out, whole)
        metrics = _metrics(run, whole["progress"])
        if run.selections is not None:
            metrics["selected"] = selected.measured(run.objective, run.split, run.selections, out)
        if figures:
            folders.write_figures(out, run.objective, run.split, run.history, svg=whole["svg"])
        folders.write_metrics(out, metrics)
    return metrics


def load(
    folder: str | Path,
    *,
    pair: Pair | None = None,
    dataset: Dataset | None = None,
    root: str | Path | None = None,
    device: str = "auto",
) -> Run:
    """Read a run back: the weights that its metrics were measured with.

    Args:
        folder: The folder that :func:`train` wrote it to.
        pair: The pair, where it cannot be found by its name.
        dataset: The data that it was trained on, where they are data of one's own.
        root: The folder of data files, as for :func:`pyro_ssvae.data.load`.
        device: The device to put it on, as :func:`train` takes it.

    Raises:
        InputError: If the folder holds no run, one of its files is broken, the run is of another
            pair, or it was trained on other data.
    """
    folder = named_folder(folder)
    where = machine.choose_device(device)
    saved = checkpoint.read(folder, where)
    record: Record = saved["record"]
    split = recorded.split_of(folder, record, dataset, root).to(where)
    which = recorded.pair_of(folder, record, pair)
    with checkpoint.reading(folder):
        objective = which.build(split.dataset, record.values).to(where)
        objective.load_state_dict(checkpoint.best_weights(saved))
    fit_classifier(objective.guide, split)
    temperatures = calibration.temperatures_of(folder, split.target)
    return Run(record, objective, split, temperatures=temperatures)


def test_metrics(run: Run, *, progress: bool = False) -> dict[str, float | None]:
    """The metrics of the test part, as in ``metrics.json``; ``progress`` shows how far they are."""
    return evaluate(run.objective.model, run.objective.guide, run.split, "test", progress=progress)


def _metrics(run: Prepared, progress: bool) -> dict[str, Any]:
    model, guide, split = run.objective.model, run.objective.guide, run.split
    return run.record.as_dict() | {
        "digest": run.record.digest,
        "epochs_done": len(run.history),
        "best_epoch": None if run.stopping is None else run.stopping.best_epoch,
        "updates": run.history[-1]["updates"],
        "seconds": round(sum(row["seconds"] for row in run.history), 3),
        "device": machine.device_name(split.dataset.y.device),
        "versions": machine.versions(),
        "validation": evaluate(model, guide, split, "validation", progress=progress),
        # Data may have no test part.
        "test": evaluate(model, guide, split, "test", progress=progress) if len(split.test) else {},
    }


def _fit(run: Prepared, out: Path, plan: Plan) -> None:
    """Train to the end, or to a signal; checkpoints are saved then, and after epochs."""
    record, options = run.record, run.record.options
    with Signals(wait=True) as signals:
        training = fit(
            run.objective, run.split, epochs=record.epochs, lr=options["lr"],
            decay=options["decay"], average=options["average"],
            batch_labelled=record.batch_labelled, batch_unlabelled=record.batch_unlabelled,
            seed=record.seed, optimizer=run.optimizer, stopping=run.stopping,
            aggressive=run.aggressive, pause=lambda: signals.came is not None,
            capture=record.capture, precision=record.precision, workers=plan["workers"],
            progress=plan["progress"],
        )
        if run.state is not None:
            with checkpoint.reading(out):
                training.load_state_dict(run.state)
        epochs = tensorboard(training, out, record.row()) if plan["tensorboard"] else training
        saved = -SAVE_EVERY
        for epoch in epochs:
            run.history.append(epoch.row())
            if run.selections is not None:
                run.selections.update(epoch, run.objective)
            if training.last or time.monotonic() - saved >= SAVE_EVERY:
                _save(run, training, out, first=epoch.epoch == 1, overwrite=plan["overwrite"])
                saved = time.monotonic()
        if training.paused:
            _save(run, training, out, first=not run.history, overwrite=plan["overwrite"])
        if signals.came is not None:
            raise Interrupted(f"{_place(training)}; saved in {out}", signals.came)


def _save(
    run: Prepared, training: Training[Epoch], out: Path, *, first: bool, overwrite: bool
) -> None:
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
        "objective": run.objective.state_dict(), "training": training.state_dict(), **selections,
    })


def _place(training: Training[Epoch]) -> str:
    done, step = training.place.epoch, training.place.step
    epochs = training.epochs
    if not step:
        return f"interrupted after {done} of {epochs} epochs, before the run was evaluated"
    return f"interrupted in epoch {done + 1} of {epochs}, after update {step} of {training.steps}"
