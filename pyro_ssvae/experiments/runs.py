"""Training runs kept in a folder: record, split, checkpoint, history, metrics and figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack

import torch

from pyro_ssvae.data import Dataset, Split, steps_per_epoch
from pyro_ssvae.data.described import described
from pyro_ssvae.data.draws import check_seed
from pyro_ssvae.errors import named_folder
from pyro_ssvae.evaluation.evaluate import evaluate, fit_classifier
from pyro_ssvae.experiments import calibration, checkpoint, machine, recorded, selected
from pyro_ssvae.experiments import folder as folders
from pyro_ssvae.experiments.folder import CALIBRATION, CHECKPOINT, FILES, METRICS, SPLIT
from pyro_ssvae.experiments.pairs import Pair, chosen
from pyro_ssvae.experiments.plan import Plan, completed
from pyro_ssvae.experiments.predictor import Predictor
from pyro_ssvae.experiments.record import Record, started
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.system.files import locked
from pyro_ssvae.system.signals import Interrupted, Signals
from pyro_ssvae.training.aggressive import AggressiveInference
from pyro_ssvae.training.capturing import Way, decided
from pyro_ssvae.training.epoch import Epoch
from pyro_ssvae.training.fit import fit
from pyro_ssvae.training.how import settled
from pyro_ssvae.training.log import check_tensorboard, tensorboard
from pyro_ssvae.training.loop import Training
from pyro_ssvae.training.optimizers import adam, load_optimizer
from pyro_ssvae.training.selections import Selections
from pyro_ssvae.training.stopping import EarlyStopping


@dataclass
class Run:
    """A run read back from its folder.

    Attributes:
        record: What the run was started with.
        objective: The pair, with the trained weights.
        split: The data it was trained on.
        temperatures: Those that it was calibrated with, if it was.
    """

    record: Record
    objective: Objective
    split: Split
    temperatures: tuple[float, ...] = field(default=(), kw_only=True)

    @property
    def predictor(self) -> Predictor:
        """The pair to predict the labels of new examples with."""
        return Predictor(self.objective, self.split.dataset, self.split.target, self.temperatures)


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


@dataclass
class Prepared(Run):
    """A run that can start: new, or read back to go on.

    Attributes:
        optimizer: The optimizer, with its averages where the run goes on.
        stopping: The early stopping, if any.
        aggressive: The rule of aggressive training, if any.
        state: The state of the training to go on with. With None it begins.
        history: The rows of the epochs that are done.
        selections: The weights that measures of validation have selected, if they are kept.
    """

    optimizer: torch.optim.Optimizer
    stopping: EarlyStopping | None
    aggressive: AggressiveInference | None
    state: dict[str, Any] | None
    history: list[dict[str, float]]
    selections: Selections | None


def prepare(
    pair: str | Pair,
    split: Split,
    out: str | Path,
    *,
    options: Mapping[str, Any] | None = None,
    **plan: Unpack[Plan],
) -> Prepared:
    """Check and build what :func:`train` needs, of which these are the arguments.

    Nothing is written. That the data suit the likelihood is left to :func:`pyro_ssvae.fit`.

    Raises:
        InputError: As :func:`train`.
    """
    out, whole, which = named_folder(out), completed(plan), chosen(pair)
    folders.check_free(out, *FILES, resume=whole["resume"], overwrite=whole["overwrite"])
    where = _checked(whole)
    saved = None
    if whole["resume"] and (out / CHECKPOINT).exists():
        saved = checkpoint.read(out, where)
    values = which.resolve(split.dataset, options or {})
    seed = split.seed if whole["seed"] is None else whole["seed"]
    check_seed(seed)
    moved = split.to(where, whole["workers"])
    captured = _decided(whole, moved, saved)
    # Of the data as they came, which keep their fingerprint for the next run.
    record = started(which.name, values, split, whole, seed=seed, capture=captured)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        objective = which.build(moved.dataset, values).to(where)
    optimizer = adam(objective, values["lr"])
    stopping = None if record.patience is None else EarlyStopping(record.patience)
    selections = Selections() if record.selections else None
    inference = AggressiveInference() if record.aggressive else None
    if inference is not None:
        inference.check(objective, moved)
    state, history = None, []
    if saved is not None:
        history = saved["history"]
        checkpoint.check_resumable(out, saved, record)
        state = saved["training"]
        with checkpoint.reading(out):
            objective.load_state_dict(saved["objective"])
            load_optimizer(optimizer, state["step"]["optimizer"])
        if selections is not None:
            selections.load_state_dict(saved["selections"])
    return Prepared(
        record, objective, moved, optimizer, stopping, inference, state, history, selections
    )


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


def _checked(plan: Plan) -> torch.device:
    """The device of a plan whose values are usable."""
    settled({
        "epochs": plan["epochs"], "batch_labelled": plan["batch_labelled"],
        "batch_unlabelled": plan["batch_unlabelled"], "precision": plan["precision"],
        "workers": plan["workers"],
    }, fit)
    if plan["tensorboard"]:
        check_tensorboard()
    return machine.choose_device(plan["device"])


def _decided(plan: Plan, split: Split, saved: Mapping[str, Any] | None) -> Way:
    """How updates are computed: as asked for, as the run to resume does, or as it is worth."""
    if saved is not None and plan["capture"] == "auto":
        before: Way = saved["record"].capture
        return before
    updates = plan["epochs"] * steps_per_epoch(split, plan["batch_unlabelled"])
    return decided(plan["capture"], updates, split.dataset.y.device)


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
    """Train to the end, or to a signal; a checkpoint is saved after every epoch, and then."""
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
        for epoch in epochs:
            run.history.append(epoch.row())
            if run.selections is not None:
                run.selections.update(epoch, run.objective)
            _save(run, training, out, first=epoch.epoch == 1, overwrite=plan["overwrite"])
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
