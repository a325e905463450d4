"""The epoch whose weights a study reports: the last, or the one that validation data choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pyro_ssvae.experiments.plan import Plan

# The measures of validation data by which an epoch is chosen, and what tables call them.
BY: Mapping[str, str] = {
    "accuracy": "validation accuracy", "nll": "validation NLL of the labels",
    "elbo": "validation ELBO",
}


def plan(epochs: int, **further: Any) -> Plan:
    """The plan of a run whose best epochs, by each measure of :data:`BY`, are tested as well."""
    return cast(Plan, {"epochs": epochs, "selections": True, "measures": "few", **further})


def tested(metrics: Mapping[str, Any], by: str = "accuracy") -> float:
    """The test accuracy of a run in %, at the epoch that a measure chooses.

    Args:
        metrics: What ``metrics.json`` holds of the run.
        by: The measure, one of :data:`BY`.
    """
    return 100 * float(metrics["selected"][by]["test"]["accuracy"])


def validated(
    metrics: Mapping[str, Any], history: Sequence[Mapping[str, float]], by: str = "accuracy"
) -> float:
    """The validation accuracy of a run in %, at the epoch whose test accuracy is :func:`tested`.

    Args:
        metrics: What ``metrics.json`` holds of the run.
        history: Its history, a row for each epoch.
        by: The measure, one of :data:`BY`.
    """
    return 100 * history[metrics["selected"][by]["epoch"] - 1]["val_accuracy"]
