"""The names of rows: the pair, and what tells its runs from others of the same pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyro_ssvae.experiments.record import Record

# What differs within a row, and what the pair's name says.
OF_A_RUN = {
    "model", "options", "seed", "split_seed", "split_fingerprint", "data_fingerprint", "capture",
    "hidden_labels",
}


def titles(records: Sequence[Record]) -> list[str]:
    """The name of the row that each run belongs to.

    A pair that all runs have trained in one way is called by its name. One that was trained in
    several has what they differ in beside it: ``"m2 alpha=10.0"``.
    """
    values = [_settings(record) for record in records]
    by_model: dict[str, list[Mapping[str, Any]]] = {}
    for record, own in zip(records, values, strict=True):
        by_model.setdefault(record.model, []).append(own)
    differing = {model: _differing(of_model) for model, of_model in by_model.items()}
    return [
        " ".join([record.model, *(f"{n}={_text(own.get(n))}" for n in differing[record.model])])
        for record, own in zip(records, values, strict=True)
    ]


def _settings(record: Record) -> dict[str, Any]:
    content = record.as_dict()
    own = {name: value for name, value in content.items() if name not in OF_A_RUN}
    return own | content["options"]


def _differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    names = dict.fromkeys(name for values in settings for name in values)
    return [
        name for name in names
        if any(values.get(name) != settings[0].get(name) for values in settings)
    ]


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
