"""The checkpoint of a run: written whole, read safely, resumed with the same settings only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from pyro_ssvae.errors import InputError
from pyro_ssvae.files import replacing

CHECKPOINT = "checkpoint.pt"
KEYS = ("settings", "history", "objective", "optimizer", "stopping", "aggressive")


def save(folder: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint, of which the keys are :data:`KEYS`."""
    with replacing(folder / CHECKPOINT) as temporary:
        torch.save(content, temporary)


def read(folder: Path, device: torch.device) -> dict[str, Any]:
    """Read the checkpoint in a folder onto a device; tensors and plain values, no code."""
    with reading(folder):
        saved = torch.load(folder / CHECKPOINT, map_location=device, weights_only=True)
        for key in ("model", "data", "options"):
            saved["settings"][key]
        return {key: saved[key] for key in KEYS}


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Turn whatever a damaged checkpoint raises into one :class:`InputError`."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # a damaged file can raise anything while it is unpickled
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{folder / CHECKPOINT}: expected a checkpoint of train, got a broken file ({reason})"
        ) from None


def check_resumable(
    folder: Path, saved: dict[str, Any], settings: dict[str, Any], epochs: int
) -> None:
    """Raise :class:`InputError` unless a checkpoint has the same settings, and epochs to go."""
    old, new = ({**s, **s["options"]} for s in (saved["settings"], settings))
    for key in (key for key in old if key != "options"):
        if old[key] != new.get(key):
            raise InputError(
                f"{folder}: the run to resume has {key}={old[key]}, got {key}={new.get(key)};"
                " give the same settings, or --overwrite to start anew"
            )
    if (done := len(saved["history"])) > epochs:
        raise InputError(f"{folder}: the run to resume has done {done} epochs, got epochs={epochs}")
