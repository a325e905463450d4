"""The record of a run: what it was started with, as plain data."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from pyro_ssvae.data import Split
from pyro_ssvae.engine.precision import Precision
from pyro_ssvae.errors import InputError
from pyro_ssvae.experiments.code import changed
from pyro_ssvae.experiments.options import plain
from pyro_ssvae.experiments.plan import Plan
from pyro_ssvae.system.places import place_of
from pyro_ssvae.training.capturing import Way

ENSEMBLE: Literal["ensemble"] = "ensemble"
Updates = Way | Literal["ensemble"]

PROLONGED = "epochs"  # what may differ between a run and one that goes on with it
# What may differ between the runs of one row of a table.
OF_A_RUN = (
    "seed", "split_seed", "split_fingerprint", "data_fingerprint", "hidden_labels", "capture",
)
NO_SETTINGS = ("capture", "code")
OF_ONE_PAIR = ("model", "capture")  # what may differ between the runs of one table, and options


@dataclass(frozen=True)
class Record:
    """What a run was started with.

    Attributes:
        model: The name of the pair.
        data: The name of the data set.
        data_fingerprint: The fingerprint of the examples and labels, :attr:`Dataset.fingerprint`.
        labels: The number of labelled examples.
        hidden_labels: The number of their labels that are hidden.
        seed: The seed of the weights, the batches and the noise.
        split_seed: The seed that the split was drawn with.
        split_fingerprint: The fingerprint of the split's indices and hidden labels,
            :attr:`Split.fingerprint`.
        epochs: The number of epochs, those of a run that was prolonged at last.
        batch_labelled: The size of the labelled batch.
        batch_unlabelled: The size of the unlabelled batch.
        patience: The number of epochs without improvement after which to stop, or None.
        aggressive: Whether training begins aggressively.
        capture: How updates are computed, as was decided at the start: see
            :func:`pyro_ssvae.training.capturing.decided`; ``"ensemble"`` side by side with
            others, by :func:`pyro_ssvae.fit_ensemble`.
        precision: The precision of matrix products.
        options: The values of all options of the pair, sequences as lists.
        selections: Whether the weights of the best epochs by several measures are kept. A record
            that does not say so, for it is older, has none.
        code: The fingerprint of the files that a pair of one's own is written in, else ``""``.
    """

    model: str
    data: str
    data_fingerprint: str
    labels: int
    hidden_labels: int
    seed: int
    split_seed: int
    split_fingerprint: str
    epochs: int
    batch_labelled: int
    batch_unlabelled: int
    patience: int | None
    aggressive: bool
    capture: Updates
    precision: Precision
    options: dict[str, Any]
    selections: bool = False
    code: str = ""

    @property
    def digest(self) -> str:
        """The SHA-256 sum of everything here but ``capture``, which changes the rounding alone.

        Runs of one digest are the same run. ``code`` is not in it either, for it is no setting.
        """
        content = {name: v for name, v in self.as_dict().items() if name not in NO_SETTINGS}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def captured(self, capture: Updates) -> Record:
        """The record of the same run with updates that are computed in another way."""
        return replace(self, capture=capture)

    @property
    def alone(self) -> Way:
        """How updates are computed where the run is trained alone."""
        return "on" if self.capture == ENSEMBLE else self.capture

    @property
    def values(self) -> dict[str, Any]:
        """The options as pairs take them, sequences as tuples."""
        return {k: tuple(v) if isinstance(v, list) else v for k, v in self.options.items()}

    def row(self) -> dict[str, Any]:
        """The record as a row of a table, an option under ``option.NAME``."""
        content = self.as_dict()
        options = content.pop("options")
        del content["code"]
        return content | {f"option.{name}": value for name, value in options.items()}

    def as_dict(self) -> dict[str, Any]:
        """The record as files have it, to be read by ``read``."""
        return asdict(self)


def started(
    model: str,
    values: Mapping[str, Any],
    split: Split,
    plan: Plan,
    *,
    seed: int,
    capture: Updates,
    code: str = "",
) -> Record:
    """The record of a run that starts now.

    Args:
        model: The name of the pair.
        values: The values of its options.
        split: The data.
        plan: The whole plan.
        seed: The seed of training.
        capture: How updates are computed.
        code: The fingerprint of the pair's code.

    Raises:
        InputError: If the value of an option is no plain data.
    """
    dataset = split.dataset
    return Record(
        model=model,
        data=dataset.name,
        data_fingerprint=dataset.fingerprint,
        labels=len(split.labelled),
        hidden_labels=0 if split.hidden is None else int(split.hidden.sum()),
        seed=seed,
        split_seed=split.seed,
        split_fingerprint=split.fingerprint,
        epochs=plan["epochs"],
        batch_labelled=plan["batch_labelled"],
        batch_unlabelled=plan["batch_unlabelled"],
        patience=plan["patience"],
        aggressive=plan["aggressive"],
        capture=capture,
        precision=plan["precision"],
        options={name: _as_data(name, value) for name, value in values.items()},
        selections=plan["selections"],
        code=code,
    )


def _as_data(name: str, value: Any) -> Any:
    """The value of an option as plain data: of a class or function of one's own its place."""
    if callable(value) and not isinstance(value, torch.nn.Module):
        return place_of(value)
    if not plain(value):
        raise InputError(
            f"option {name}: expected a number, a text, none or a sequence of these, for runs are"
            f" kept as plain data, got {' '.join(repr(value).split()):.60}; of a network give the"
            " class, or a function that makes it"
        )
    return list(value) if isinstance(value, tuple) else value


# The types of what is not a text; of flags, numbers are none.
_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,), "int": (int,), "bool": (bool,), "int | None": (int, type(None)),
    "Precision": (str,), "Updates": (str,), "dict[str, Any]": (dict,),
}


def read(content: Any) -> Record:
    """A record from what a file has of it, which may have more.

    Raises:
        ValueError: If something is missing, or is of another kind.
    """
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ValueError("the record has no named values")
    values: dict[str, Any] = {}
    for field in fields(Record):
        value = content.get(field.name, None if field.default is MISSING else field.default)
        wanted = _TYPES[str(field.type)]
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise ValueError(f"the record has no usable {field.name}")
        values[field.name] = value
    if values["capture"] not in (*get_args(Way), ENSEMBLE):
        raise ValueError("the record has no usable capture")
    for name, value in values["options"].items():
        if not isinstance(name, str) or not plain(value):
            raise ValueError(f"the option {name} is no number, text or list of these")
    return Record(**values)


def check_resumed(folder: Path, old: Record, new: Record) -> None:
    """Raise :class:`InputError` unless a run may go on with the run in a folder.

    That the code of its pair has changed is warned of: nothing tells whether it matters.

    Args:
        folder: The folder.
        old: The record of the run in it.
        new: The record of the run that is to go on, perhaps for more epochs.
    """
    hint = "--overwrite to start anew"
    if (told := changed(old.model, old.code, new.code)) is not None:
        warnings.warn(f"{folder}: {told}; it goes on with the new code; use {hint}", stacklevel=2)
    for name, one, other in _settings(old, new) + _options(old, new):
        if name.endswith("fingerprint"):
            what = "other data" if name == "data_fingerprint" else "another split of the data"
            raise InputError(
                f"{folder}: the run to resume was trained on {what} named {old.data!r} (of"
                f" {name} {one:.12}, got {other:.12}); give what it was trained on, or {hint}"
            )
        if name == PROLONGED:
            if old.options.get("decay"):
                raise InputError(
                    f"{folder}: the run to resume has decay=True and epochs={one}, over which its"
                    f" learning rate falls, got epochs={other}; give the same, or {hint}"
                )
            continue
        raise InputError(
            f"{folder}: the run to resume has {name}={one}, got {name}={other}; give the same"
            f" settings, or {hint}"
        )


def check_table(folder: Path, old: Record, new: Record) -> None:
    """Raise :class:`InputError` unless a run that is kept compares with a run of another pair.

    Args:
        folder: The folder of the run that is kept.
        old: Its record.
        new: The record of a run of another pair on the same split.
    """
    for name, one, other in _settings(old, new):
        if name in OF_ONE_PAIR:
            continue
        hint = f"name {old.model} too, or " if name == PROLONGED else ""
        raise InputError(
            f"{folder}: the run to keep in the table has {name}={one}, got {name}={other};"
            f" {hint}give the same settings, or another folder"
        )


def _settings(old: Record, new: Record) -> list[tuple[str, Any, Any]]:
    """What two records differ in beside the options: the name, the old value and the new one."""
    names = [field.name for field in fields(Record) if field.name not in ("options", "code")]
    return _different((name, getattr(old, name), getattr(new, name)) for name in names)


def _options(old: Record, new: Record) -> list[tuple[str, Any, Any]]:
    """The options that differ: the name, the old value and the new one."""
    names = dict.fromkeys([*old.options, *new.options])
    return _different((name, old.options.get(name), new.options.get(name)) for name in names)


def _different(values: Iterable[tuple[str, Any, Any]]) -> list[tuple[str, Any, Any]]:
    return [(name, old, new) for name, old, new in values if old != new]
