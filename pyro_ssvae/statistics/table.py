"""What a table of runs has of one metric: by configuration, label draw and training seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pyro_ssvae.errors import InputError, unknown

LOWER = frozenset({
    "brier", "ece", "hamming_loss", "nll", "ranking_loss", "rmse", "seconds",
})  # beside the KL divergences, the better the lower; of the others, higher counts as better
NEITHER = ("coverage", "leakage")  # too much of it is no better
MODEL = "model"  # the column that a configuration is called by first


class Seeds(NamedTuple):
    """What two runs of one configuration differ in.

    Attributes:
        draw: The seed that the labels were drawn with.
        training: The seed of the weights, the batches and the noise.
    """

    draw: int
    training: int


Values = Mapping[Seeds, float]  # what each run of a configuration measured


def configurations(
    rows: Sequence[Mapping[str, Any]], metric: str, settings: Sequence[str] = (MODEL,)
) -> dict[str, dict[Seeds, float]]:
    """What each run measured, by the name of its configuration, in the table's order.

    A configuration is what is left of the settings of a run once its two seeds are taken away. It
    is called by its model, and by the settings in which configurations of this model differ:
    ``"m2, alpha=10"``.

    Args:
        rows: The table, a mapping for each run, with the columns ``split_seed`` and ``seed``.
        metric: The name of the column that is compared, such as ``"test.accuracy"``. A run that
            has no finite number there is left out.
        settings: The names of the columns that are settings; the seeds among them count as seeds.

    Raises:
        InputError: If no run has the metric, or two runs have the same settings and seeds.
    """
    measured = [row for row in rows if _number(row.get(metric)) is not None]
    if not measured:
        numbers = {name for row in rows for name in row if _number(row[name]) is not None}
        raise unknown("metric", metric, numbers - {"seed", "split_seed"})
    columns = [name for name in settings if name not in ("seed", "split_seed")]
    result: dict[str, dict[Seeds, float]] = {}
    for name, row in zip(names(measured, columns), measured):
        seeds = Seeds(int(row["split_seed"]), int(row["seed"]))
        runs = result.setdefault(name, {})
        if seeds in runs:
            raise InputError(
                f"expected one run of {name} with split_seed={seeds.draw} and"
                f" seed={seeds.training}, got two; name the columns that tell them apart as"
                " settings"
            )
        runs[seeds] = float(row[metric])
    return result


def by_draw(values: Values) -> dict[int, list[float]]:
    """What was measured in each label draw, one number for each training seed."""
    result: dict[int, list[float]] = {}
    for seeds, value in values.items():
        result.setdefault(seeds.draw, []).append(value)
    return result


def draw_means(values: Values) -> dict[int, float]:
    """The mean over the training seeds, for each label draw."""
    return {draw: statistics.fmean(own) for draw, own in by_draw(values).items()}


def higher_is_better(metric: str) -> bool:
    """Whether the higher values of a metric are the better ones, by its name: ``"test.nll"``."""
    name = metric.rpartition(".")[2]
    return name not in LOWER and not name.startswith(("kl_", "nll_"))


def names(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[str]:
    """The name of each row's configuration: its model, and what tells this from others of it.

    Args:
        rows: The table, a mapping for each run.
        columns: The names of the columns that are settings, without the seeds.
    """
    values: dict[str, dict[str, set[str]]] = {}  # what each column says, by model
    for row in rows:
        own = values.setdefault(_text(row.get(MODEL)), {})
        for column in columns:
            own.setdefault(column, set()).add(_text(row.get(column)))
    return [_name(row, columns, values[_text(row.get(MODEL))]) for row in rows]


def _name(
    row: Mapping[str, Any], columns: Sequence[str], values: Mapping[str, set[str]]
) -> str:
    shown = [_text(row.get(MODEL))] if MODEL in columns else []
    shown += [
        f"{column.removeprefix('option.')}={_text(row.get(column))}"
        for column in columns if column != MODEL and len(values[column]) > 1
    ]
    return ", ".join(shown) or "all runs"


def _text(value: Any) -> str:
    """A setting as text: of one value the same, as it is and as a file has it."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(_text, value))
    if value is None or str(value) in ("", "nan", "<NA>"):  # as files and frames have it
        return "none"
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return str(value)


def _number(value: Any) -> float | None:
    """A finite number, or None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
