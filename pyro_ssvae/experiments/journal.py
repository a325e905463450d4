"""Optuna's studies in a journal: opened, checked, and mended where a process was killed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from pyro_ssvae.errors import InputError
from pyro_ssvae.statistics.table import higher_is_better

JOURNAL = "search.log"
# What scores do not depend on; of capture, but for rounding.
NO_SETTING = ("device", "workers", "svg", "tensorboard", "capture", "measures")


@contextmanager
def quietly() -> Iterator[Any]:
    """Optuna, which tells of every study meanwhile only if something is wrong.

    Raises:
        InputError: If it is not installed.
    """
    try:
        import optuna
        import optuna.storages.journal
    except ImportError:
        raise InputError(
            "expected Optuna 4 or newer, which a search needs, got none that can be imported;"
            " install it: pip install optuna"
        ) from None
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield optuna
    finally:
        optuna.logging.set_verbosity(before)


def opened(
    optuna: Any, out: Path, name: str, metric: str, setting: Mapping[str, Any]
) -> Any:
    """Optuna's study of a pair, new or with the trials that are done.

    Args:
        optuna: Optuna.
        out: The folder of the search.
        name: The name of the pair.
        metric: The name of the metric to go by.
        setting: What all trials have in common, as plain data; of that :data:`NO_SETTING` may
            differ from one time to the next.

    Raises:
        InputError: If its trials had other settings, or the journal is broken.
    """
    out.mkdir(parents=True, exist_ok=True)
    _mend(out / JOURNAL)
    try:
        backend = optuna.storages.journal.JournalFileBackend(str(out / JOURNAL))
        study = optuna.create_study(
            study_name=name, storage=optuna.storages.JournalStorage(backend), load_if_exists=True,
            direction="maximize" if higher_is_better(metric) else "minimize",
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{out / JOURNAL}: expected the journal of a search, got a broken file ({error!s:.80});"
            " give another folder"
        ) from None
    data = json.loads(json.dumps(_compared(setting)))
    old = _compared(study.user_attrs.get("setting", data))
    for key in {**old, **data}:
        if old.get(key) != data.get(key):
            raise InputError(
                f"{out}: the search of {name} in it has {key}={old.get(key)!s:.60}, got"
                f" {key}={data.get(key)!s:.60}; give the same settings, or another folder"
            )
    study.set_user_attr("setting", data)
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)  # it was killed: done again
    return study


def _compared(setting: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in setting.items() if key not in NO_SETTING}


def _mend(journal: Path) -> None:
    """Cut off a last line that was not written to its end, for the process was killed."""
    text = journal.read_bytes() if journal.exists() else b""
    if text and not text.endswith(b"\n"):
        journal.write_bytes(text[:text.rfind(b"\n") + 1])


def ended(optuna: Any, study: Any) -> list[Any]:
    """The trials that have ended, with a score or without."""
    states = optuna.trial.TrialState
    return study.get_trials(states=(states.COMPLETE, states.PRUNED))


def seed_of(seed: int, name: str, index: int) -> int:
    """The seed of what a trial tries: a trial that is done again tries the same."""
    sequence = np.random.SeedSequence([seed, crc32(name.encode()), index])
    return int(sequence.generate_state(1)[0])
