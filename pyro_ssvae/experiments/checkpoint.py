"""The checkpoint of a run: written whole, read safely, resumed by the same run only."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from pyro_ssvae.errors import InputError
from pyro_ssvae.experiments import record
from pyro_ssvae.experiments.folder import CHECKPOINT
from pyro_ssvae.experiments.record import Record
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.system.files import replacing
from pyro_ssvae.training.average import check_average
from pyro_ssvae.training.place import Place
from pyro_ssvae.training.saved import NUMBER, check_tensor, check_types
from pyro_ssvae.training.selections import check_selections

KEYS = ("record", "history", "objective", "training")

# The types of the parts of a checkpoint that are not weights.
STOPPING = {"best": (*NUMBER, type(None)), "best_epoch": int, "weights": dict}
AGGRESSIVE = {"active": bool, "best": NUMBER, "stale": int}
TRAINING = {"place": dict, "step": dict, "stopping": list}


def save(folder: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint, of which the keys are :data:`KEYS`, and ``selections`` if there are."""
    write(folder / CHECKPOINT, content)


def write(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values to a file, whole or not at all."""
    buffer = io.BytesIO()  # torch's own writer does not tell a full disk from other errors
    torch.save(content, buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read(folder: Path, device: torch.device) -> dict[str, Any]:
    """Read the checkpoint in a folder onto a device: its parts, and its :class:`Record`.

    It holds tensors and plain values, no code.

    Raises:
        InputError: If there is none, or it is broken, or holds something else than :func:`save` was
            given.
    """
    if not (folder / CHECKPOINT).is_file():
        raise InputError(f"{folder}: expected a folder written by train, got no {CHECKPOINT} in it")
    saved = loaded(folder / CHECKPOINT, device, KEYS)
    with reading(folder / CHECKPOINT):
        saved["record"] = record.read(saved["record"])
        _check(saved)
    return saved


def loaded(path: Path, device: torch.device, keys: Sequence[str]) -> dict[str, Any]:
    """What :func:`write` has written, onto a device.

    Raises:
        InputError: If the file is broken, holds code, or has not all of these keys.
    """
    with reading(path):
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():  # torch does not look at the checksums
                raise ValueError(f"{damaged} is damaged")
        saved = torch.load(path, map_location=device, weights_only=True)
        if not isinstance(saved, dict):
            raise ValueError("it has no named parts")
        if missing := [key for key in keys if key not in saved]:
            raise ValueError(f"it has no {missing[0]}")
    result: dict[str, Any] = saved
    return result


def best_weights(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The weights that the metrics are measured with: the best ones, where training stops early."""
    (stopping,) = saved["training"]["stopping"]
    return (stopping or {}).get("weights") or saved["objective"]


def check_finite(saved: Mapping[str, Any], objective: Objective) -> None:
    """Raise ValueError unless what a checkpoint has of the parameters of a pair is finite.

    Buffers are not looked at: they may hold what is not, such as a mask of minus infinity.
    """
    (stopping,) = saved["training"]["stopping"]
    selected = [each["weights"] for each in saved.get("selections", {}).values()]
    for weights in (saved["objective"], (stopping or {}).get("weights", {}), *selected):
        for name, _ in objective.named_parameters():
            if name in weights:
                check_tensor(name, weights[name])


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever a damaged checkpoint raises into one :class:`InputError`."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # a damaged file can raise anything while it is unpickled
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        # Torch's message says how to load the file all the same, and run the code in it.
        if isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error):
            reason = "it holds more than tensors and plain values"
        raise InputError(
            f"{path}: expected a checkpoint of train, got a broken file ({reason})"
        ) from None


def check_resumable(folder: Path, saved: dict[str, Any], new: Record) -> None:
    """Raise :class:`InputError` unless a checkpoint is of the same run, and has epochs to go."""
    epochs = new.epochs
    record.check_resumed(folder, saved["record"], new)
    if (done := len(saved["history"])) > epochs:
        raise InputError(f"{folder}: the run to resume has done {done} epochs, got epochs={epochs}")
    if saved["training"]["place"]["step"] and done == epochs:
        raise InputError(
            f"{folder}: the run to resume has begun epoch {done + 1}, got epochs={epochs}"
        )


def _check(saved: dict[str, Any]) -> None:
    _check_history(saved["history"])
    _check_tensors("objective", saved["objective"])
    _check_training(saved["training"])
    if saved["record"].selections:
        check_selections(saved.get("selections"))


def _check_history(history: Any) -> None:
    if not isinstance(history, list) or not all(isinstance(row, dict) for row in history):
        raise ValueError("the history is no list of epochs")
    for number, row in enumerate(history, 1):
        if row.keys() != history[0].keys() or row.get("epoch") != number:
            raise ValueError(f"row {number} of the history is not that of epoch {number}")
        check_types("epochs", row, dict.fromkeys([*row, "updates", "seconds"], NUMBER))


def _check_training(training: Any) -> None:
    check_types("training", training, TRAINING)
    Place.read(training["place"])
    (stopping,) = training["stopping"]
    if stopping is not None:
        check_types("stopping", stopping, STOPPING)
        _check_tensors("stopping", stopping["weights"])
    if "aggressive" in training["step"]:
        check_types("aggressive", training["step"]["aggressive"], AGGRESSIVE)
    if "average" in training["step"]:
        check_average(training["step"]["average"])


def _check_tensors(part: str, content: Any) -> None:
    if not isinstance(content, dict):
        raise ValueError(f"{part} has no named weights")
    for name, value in content.items():
        if not name.endswith("_extra_state"):  # of `get_extra_state`, which may be any plain value
            check_tensor(f"{part}'s {name}", value, finite=False)
