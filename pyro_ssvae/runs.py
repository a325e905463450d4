"""Training runs kept in a folder: settings, split, checkpoint, history, metrics and figures."""

from __future__ import annotations

import csv
import io
import json
import platform
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pyro
import torch

import pyro_ssvae
from pyro_ssvae import checkpoint, data, plots, zoo
from pyro_ssvae.aggressive import AggressiveInference
from pyro_ssvae.checkpoint import CHECKPOINT
from pyro_ssvae.data import Split
from pyro_ssvae.errors import InputError, named_folder, one_of, positive
from pyro_ssvae.evaluation import evaluate
from pyro_ssvae.files import replacing, write_text
from pyro_ssvae.objective import Objective
from pyro_ssvae.precision import Precision
from pyro_ssvae.training import Capture, EarlyStopping, adam, fit

HISTORY, METRICS, SPLIT, FIGURES = "history.csv", "metrics.json", "split.json", "figures"
FILES = (CHECKPOINT, HISTORY, METRICS, SPLIT)


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
        out: the folder; made when the first epoch is done.
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
            overwrite is set, or the run to resume was started with other settings.
    """
    prepared = prepare(
        name, split, out, options=options, epochs=epochs, batch_labelled=batch_labelled,
        batch_unlabelled=batch_unlabelled, patience=patience, aggressive=aggressive,
        capture=capture, precision=precision, device=device, resume=resume, overwrite=overwrite,
    )
    out, objective, split = Path(out), prepared.objective, prepared.split
    stopping, history = prepared.stopping, prepared.history
    if history:
        log(f"{name}, seed {split.seed}: going on after epoch {len(history)} of {epochs}")
    for epoch in fit(
        objective, split, epochs=epochs, lr=prepared.settings["options"]["lr"],
        decay=prepared.settings["options"]["decay"], batch_labelled=batch_labelled,
        batch_unlabelled=batch_unlabelled, seed=split.seed, optimizer=prepared.optimizer,
        stopping=stopping, aggressive=prepared.aggressive, capture=capture, precision=precision,
        start=len(history), progress=progress,
    ):
        history.append(epoch.row())
        if epoch.epoch == 1:
            _start(out, overwrite)
            split.save(out / SPLIT)
        (out / METRICS).unlink(missing_ok=True)  # it was measured with other weights
        _write_history(out, history)
        checkpoint.save(out, {
            "settings": prepared.settings, "history": history,
            "objective": objective.state_dict(), "optimizer": prepared.optimizer.state_dict(),
            "stopping": stopping and stopping.state_dict(),
            "aggressive": prepared.aggressive and prepared.aggressive.state_dict(),
        })
    metrics = _metrics(prepared, epochs)
    _write_figures(out, objective, split, history)
    write_text(out / METRICS, json.dumps(metrics, indent=2) + "\n")
    return metrics


@dataclass
class Prepared(Run):
    """A run that can start: new, or read back to go on.

    Attributes:
        optimizer, stopping, aggressive, history: where they stand.
    """

    optimizer: torch.optim.Optimizer
    stopping: EarlyStopping | None
    aggressive: AggressiveInference | None
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
    one_of("capture", capture, get_args(Capture))
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
    history: list[dict[str, float]] = []
    if (out / CHECKPOINT).exists() and resume:
        saved = checkpoint.read(out, where)
        history = saved["history"]
        checkpoint.check_resumable(out, saved, settings, epochs)
        with checkpoint.reading(out):
            objective.load_state_dict(saved["objective"])
            optimizer.load_state_dict(saved["optimizer"])
            if stopping is not None:
                stopping.load_state_dict(saved["stopping"])
            if inference is not None:
                inference.load_state_dict(saved["aggressive"])
    return Prepared(
        settings, objective, split.to(where), optimizer, stopping, inference, history
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
        objective.load_state_dict((saved["stopping"] or {}).get("weights") or saved["objective"])
    return Run(settings, objective, split)


def test_metrics(run: Run) -> dict[str, float | None]:
    """The metrics of the test part, as in ``metrics.json``."""
    return evaluate(run.objective.model, run.objective.guide, run.split, "test")


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
    existing = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise InputError(f"{existing}: expected a folder to write to, got a file")
    try:
        with tempfile.TemporaryDirectory(dir=existing):
            pass
    except OSError as error:
        raise InputError(
            f"{existing}: expected a folder to write to, got one that takes nothing"
            f" ({error.strerror})"
        ) from None
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


def _metrics(run: Prepared, epochs: int) -> dict[str, Any]:
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
        "validation": evaluate(model, guide, split, "validation"),
        "test": evaluate(model, guide, split, "test"),
    }


def _start(out: Path, overwrite: bool) -> None:
    out.mkdir(parents=True, exist_ok=True)
    if overwrite:
        shutil.rmtree(out / FIGURES, ignore_errors=True)
        for name in FILES:
            (out / name).unlink(missing_ok=True)


def _write_history(out: Path, history: Sequence[Mapping[str, float]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_text(out / HISTORY, text.getvalue())


def _write_figures(
    out: Path, objective: Objective, split: Split, history: Sequence[Mapping[str, float]]
) -> None:
    (out / FIGURES).mkdir(exist_ok=True)
    for name, figure in plots.figures(objective, split, history).items():
        with replacing(out / FIGURES / f"{name}.png") as temporary:
            figure.savefig(temporary, dpi=120)
