"""Training runs kept in a folder: settings, split, checkpoint, history, metrics and figures."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pyro
import torch

import pyro_ssvae
from pyro_ssvae import data
from pyro_ssvae.data import Split
from pyro_ssvae.engine.precision import Precision
from pyro_ssvae.errors import InputError, named_folder, one_of, positive
from pyro_ssvae.evaluation.evaluate import evaluate, fit_classifier
from pyro_ssvae.experiments import checkpoint, zoo
from pyro_ssvae.experiments import folder as folders
from pyro_ssvae.experiments.checkpoint import CHECKPOINT
from pyro_ssvae.experiments.folder import FIGURES, FILES, HISTORY, METRICS, SPLIT
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.system.files import check_writable, locked, write_text
from pyro_ssvae.system.signals import Interrupted, Signals
from pyro_ssvae.training.aggressive import AggressiveInference
from pyro_ssvae.training.capturing import Capture
from pyro_ssvae.training.epoch import Epoch
from pyro_ssvae.training.fit import fit
from pyro_ssvae.training.loop import Training
from pyro_ssvae.training.optimizers import adam, load_optimizer
from pyro_ssvae.training.stopping import EarlyStopping

__all__ = [
    "FIGURES", "FILES", "HISTORY", "METRICS", "SPLIT", "Prepared", "Run", "check_folder",
    "choose_device", "load", "prepare", "test_metrics", "train", "versions",
]


@dataclass
class Run:
    """A run read back from its folder.

    Attributes:
        settings: what the run was started with.
        objective: the pair, with the trained weights.
        split: the data it was trained on.
    """

    settings: dict[str, Any]
    objective: Objective
    split: Split


def train(
    name: str,
    split: Split,
    out: str | Path,
    *,
    options: Mapping[str, Any] | None = None,
    epochs: int = 50,
    batch_labelled: int = 100,
    batch_unlabelled: int = 100,
    patience: int | None = None,
    aggressive: bool = False,
    capture: Capture = "auto",
    precision: Precision = "fp32",
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    log: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train a pair into a folder.

    Args:
        name: of the pair.
        split: the data; its seed is also that of the weights, the batches and the noise.
        out: the folder; it is left only where something is saved, and locked meanwhile.
        options: values of the pair's options.
        epochs, batch_labelled, batch_unlabelled: as in :func:`pyro_ssvae.fit`.
        patience: stop early after so many epochs without a better validation accuracy (of a pair
            without classifier: ELBO), and keep the best weights; None trains to the end.
        aggressive: begin with aggressive training of the guide, see
            :class:`pyro_ssvae.AggressiveInference`.
        capture, precision: as in :func:`pyro_ssvae.fit`.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for a GPU where there is one.
        resume: go on with the run in the folder, if there is one.
        overwrite: replace the run in the folder, if there is one.
        progress: show a progress bar.
        log: A function that takes a line when a run goes on.

    Returns:
        What ``metrics.json`` holds.

    Raises:
        InputError: if a value is not usable, the folder holds a run and neither resume nor
            overwrite is set, the run to resume was started with other settings, another process
            writes to the folder, or the disk is full.
        Interrupted: At SIGINT or SIGTERM, when the update under way is done and saved; at a second
            signal at once.
    """
    out = named_folder(out)
    with locked(out):
        run = prepare(
            name, split, out, options=options, epochs=epochs, batch_labelled=batch_labelled,
            batch_unlabelled=batch_unlabelled, patience=patience, aggressive=aggressive,
            capture=capture, precision=precision, device=device, resume=resume,
            overwrite=overwrite,
        )
        if run.history:
            log(f"{name}, seed {split.seed}: going on after epoch {len(run.history)} of {epochs}")
        _fit(run, out, epochs, overwrite=overwrite, progress=progress)
        metrics = _metrics(run, epochs, progress)
        folders.write_figures(out, run.objective, run.split, run.history)
        write_text(out / METRICS, json.dumps(metrics, indent=2) + "\n")
    return metrics


@dataclass
class Prepared(Run):
    """A run that can start: new, or read back to go on.

    Attributes:
        optimizer, stopping, aggressive, history: where they stand.
        state: the state of the training to go on with; None begins it.
    """

    optimizer: torch.optim.Optimizer
    stopping: EarlyStopping | None
    aggressive: AggressiveInference | None
    state: dict[str, Any] | None
    history: list[dict[str, float]]


def prepare(
    name: str,
    split: Split,
    out: str | Path,
    *,
    options: Mapping[str, Any] | None = None,
    epochs: int = 50,
    batch_labelled: int = 100,
    batch_unlabelled: int = 100,
    patience: int | None = None,
    aggressive: bool = False,
    capture: Capture = "auto",
    precision: Precision = "fp32",
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
) -> Prepared:
    """Check and build what :func:`train` needs, of which these are the arguments.

    Nothing is written. That the data suit the likelihood is left to :func:`pyro_ssvae.fit`.

    Raises:
        InputError: as :func:`train`.
    """
    out = named_folder(out)
    check_folder(out, *FILES, resume=resume, overwrite=overwrite)
    positive(
        epochs=epochs, batch_labelled=batch_labelled, batch_unlabelled=batch_unlabelled
    )
    one_of("capture", str(capture), ("auto", "on", "off"))
    one_of("precision", precision, get_args(Precision))
    where = choose_device(device)
    values = zoo.resolve(name, split.dataset, options or {})
    settings = {
        "model": name, "data": split.dataset.name, "labels": len(split.labelled),
        "hidden_labels": 0 if split.hidden is None else int(split.hidden.sum()),
        "seed": split.seed, "batch_labelled": batch_labelled,
        "batch_unlabelled": batch_unlabelled, "patience": patience, "aggressive": aggressive,
        "capture": capture, "precision": precision, "decay_epochs": epochs * values["decay"],
        "options": {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()},
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(split.seed)
        objective = zoo.build(name, split.dataset, values).to(where)
    optimizer = adam(objective, values["lr"])
    stopping = None if patience is None else EarlyStopping(patience)
    inference = AggressiveInference() if aggressive else None
    if inference is not None:
        inference.check(objective, split.to(where))
    state, history = None, []
    if (out / CHECKPOINT).exists() and resume:
        saved = checkpoint.read(out, where)
        history = saved["history"]
        checkpoint.check_resumable(out, saved, settings, epochs)
        state = saved["training"]
        with checkpoint.reading(out):
            objective.load_state_dict(saved["objective"])
            load_optimizer(optimizer, state["step"]["optimizer"])
    return Prepared(
        settings, objective, split.to(where), optimizer, stopping, inference, state, history
    )


def load(folder: str | Path, *, root: str | Path | None = None, device: str = "auto") -> Run:
    """Read a run back: the weights that its metrics were measured with.

    Args:
        folder: where :func:`train` wrote it.
        root: folder of data files, as for :func:`pyro_ssvae.data.load`.
        device: as for :func:`train`.

    Raises:
        InputError: if the folder holds no run, or one of its files is broken.
    """
    folder = named_folder(folder)
    if not (folder / CHECKPOINT).is_file():
        raise InputError(f"{folder}: expected a folder written by train, got no {CHECKPOINT} in it")
    where = choose_device(device)
    saved = checkpoint.read(folder, where)
    settings = saved["settings"]
    split = Split.load(folder / SPLIT, data.load(settings["data"], root)).to(where)
    with checkpoint.reading(folder):
        objective = zoo.build(settings["model"], split.dataset, settings["options"]).to(where)
        (stopping,) = saved["training"]["stopping"]
        objective.load_state_dict((stopping or {}).get("weights") or saved["objective"])
    fit_classifier(objective.guide, split)
    return Run(settings, objective, split)


def test_metrics(run: Run, *, progress: bool = False) -> dict[str, float | None]:
    """The metrics of the test part, as in ``metrics.json``; ``progress`` shows how far they are."""
    return evaluate(run.objective.model, run.objective.guide, run.split, "test", progress=progress)


def choose_device(name: str) -> torch.device:
    """The device of this name; ``"auto"`` is the GPU where there is one, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros((), device=device).item()
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"expected a device that torch can use here, such as auto, cpu or cuda, got {name!r}"
        ) from error
    return device


def check_folder(out: Path, *marks: str, resume: bool, overwrite: bool) -> None:
    """Raise :class:`InputError` if ``out`` cannot be written, or holds files named ``marks``."""
    if resume and overwrite:
        raise InputError("expected one of --resume and --overwrite, got both")
    check_writable(out)
    if any((out / mark).exists() for mark in marks) and not (resume or overwrite):
        raise InputError(
            f"{out}: already holds a run; --resume goes on with it, --overwrite replaces it"
        )


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that results depend on."""
    return {
        "python": platform.python_version(), "torch": torch.__version__,
        "pyro": pyro.__version__, "pyro_ssvae": pyro_ssvae.__version__,
    }


def _metrics(run: Prepared, epochs: int, progress: bool) -> dict[str, Any]:
    model, guide, split = run.objective.model, run.objective.guide, run.split
    device = split.dataset.x.device
    return run.settings | {
        "epochs": epochs,
        "epochs_done": len(run.history),
        "best_epoch": None if run.stopping is None else run.stopping.best_epoch,
        "updates": run.history[-1]["updates"],
        "seconds": round(sum(row["seconds"] for row in run.history), 3),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "versions": versions(),
        "validation": evaluate(model, guide, split, "validation", progress=progress),
        "test": evaluate(model, guide, split, "test", progress=progress),
    }


def _fit(run: Prepared, out: Path, epochs: int, *, overwrite: bool, progress: bool) -> None:
    """Train to the end, or to a signal; a checkpoint is saved after every epoch, and then."""
    settings = run.settings
    options = settings["options"]
    with Signals(wait=True) as signals:
        training = fit(
            run.objective, run.split, epochs=epochs, lr=options["lr"], decay=options["decay"],
            batch_labelled=settings["batch_labelled"],
            batch_unlabelled=settings["batch_unlabelled"], seed=run.split.seed,
            optimizer=run.optimizer, stopping=run.stopping, aggressive=run.aggressive,
            pause=lambda: signals.came is not None, capture=settings["capture"],
            precision=settings["precision"], progress=progress,
        )
        if run.state is not None:
            with checkpoint.reading(out):
                training.load_state_dict(run.state)
        for epoch in training:
            run.history.append(epoch.row())
            _save(run, training, out, first=epoch.epoch == 1, overwrite=overwrite)
        if training.paused:
            _save(run, training, out, first=not run.history, overwrite=overwrite)
        if signals.came is not None:
            raise Interrupted(f"{_place(training)}; saved in {out}", signals.came)


def _save(
    run: Prepared, training: Training[Epoch], out: Path, *, first: bool, overwrite: bool
) -> None:
    if first:
        if overwrite:
            folders.clear(out)
        run.split.save(out / SPLIT)
    (out / METRICS).unlink(missing_ok=True)  # it was measured with other weights
    folders.write_history(out, run.history)
    checkpoint.save(out, {
        "settings": run.settings, "history": run.history,
        "objective": run.objective.state_dict(), "training": training.state_dict(),
    })


def _place(training: Training[Epoch]) -> str:
    done, step = training.place.epoch, training.place.step
    epochs = training.epochs
    if not step:
        return f"interrupted after {done} of {epochs} epochs, before the run was evaluated"
    return f"interrupted in epoch {done + 1} of {epochs}, after update {step} of {training.steps}"
