"""The tables of a comparison: means for people and for programs, and every run in a row."""

from __future__ import annotations

import csv
import io
import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pyro_ssvae.evaluation.importance import IWAE_SAMPLES
from pyro_ssvae.evaluation.references import FLOOR

# The metrics of each run, by the name of the pair or the reference.
Results = Mapping[str, Sequence[Mapping[str, Any]]]
MARK = "†"  # of an NLL that a footnote belongs to


class Column(NamedTuple):
    """What a column shows, of what the rows have.

    Attributes:
        heading: What stands above it.
        metric: The name of the metric.
        factor: What the metric is multiplied with.
        decimals: How many of them are shown.
        meaning: What it is and which direction is better.
    """

    heading: str
    metric: str
    factor: int
    decimals: int
    meaning: str


COLUMNS = (
    Column("accuracy %", "accuracy", 100, 1,
           "the share of the test labels that q(y | x) finds likeliest; higher is better."),
    Column("NLL", "nll", 1, 3,
           "-log q(y | x) of an example's true labels, in nats; lower is better."),
    Column("RMSE", "rmse", 1, 3,
           "the root of the mean squared distance between the mean of q(y | x) and the true number,"
           " in its units; lower is better."),
    Column("90 % interval %", "coverage", 100, 1,
           "the share of the true numbers within the central 90 % interval of q(y | x): 90 is best,"
           " lower where it is too sure, higher where it is not sure enough."),
    Column("Brier", "brier", 1, 3,
           "the squared distance between probabilities and true labels; lower is better, 0 is"
           " perfect."),
    Column("ECE %", "ece", 100, 1,
           "the expected calibration error, the gap between confidence and accuracy; lower is"
           " better."),
    Column("macro F1 %", "macro_f1", 100, 1,
           "F1 of every label, averaged over the labels; higher is better."),
    Column("mAP %", "mean_average_precision", 100, 1,
           "the average precision of every label, averaged over the labels; higher is better."),
    Column("macro AUROC %", "macro_auroc", 100, 1,
           "the area under the ROC curve of every label, averaged over the labels; higher is"
           " better."),
    Column("ranking loss %", "ranking_loss", 100, 1,
           "the share of the pairs of a present and an absent label of an example that q(y | x)"
           " ranks wrongly; lower is better."),
    Column("ELBO", "elbo", 1, 2,
           "the lower bound on log p(x) of test examples without their labels, in nats; higher is"
           " better, and only models of the same x compare."),
    Column("IWAE", "iwae", 1, 2,
           f"the importance-weighted bound on log p(x), tighter, of K = {IWAE_SAMPLES} samples;"
           " higher is better."),
    Column("leakage %", "leakage", 100, 1,
           "the accuracy of a linear classifier of the class from z: lower where y is to carry the"
           " class and z the style, higher where z is all that a classifier has."),
    Column("seconds", "seconds", 1, 1,
           "the time of training, or of fitting all candidates of a reference; lower is better."),
)


def summary(metrics: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float] | None]:
    """Mean and sample standard deviation over runs of each of the table's metrics.

    None where the runs have no such metric; the deviation of a single run is NaN.
    """
    result: dict[str, tuple[float, float] | None] = {}
    for column in COLUMNS:
        measured = [{"seconds": m["seconds"], **m["test"]}.get(column.metric) for m in metrics]
        values = [float(value) for value in measured if value is not None]
        if len(values) < len(measured):
            result[column.metric] = None
        else:
            spread = statistics.stdev(values) if len(values) > 1 else math.nan
            result[column.metric] = (statistics.fmean(values), spread)
    return result


def shown_columns(results: Results) -> list[Column]:
    """The columns that some row has a value for."""
    rows = [summary(runs) for runs in results.values()]
    return [column for column in COLUMNS if any(row[column.metric] is not None for row in rows)]


def cells(results: Results) -> list[list[str]]:
    """The table's text: headings, then a row for each name with mean ± standard deviation."""
    columns = shown_columns(results)
    lines = [["model", *(column.heading for column in columns)]]
    for name, runs in results.items():
        means = summary(runs)
        line = [_cell(means[column.metric], column) for column in columns]
        if _clipped(runs):
            line[[column.metric for column in columns].index("nll")] += f" {MARK}"
        lines.append([name, *line])
    return lines


def footnotes(results: Results) -> list[str]:
    """What has to be known of the numbers in the table, a line for each row."""
    clipped = [
        f"{MARK} {name} gives {_share(share)} of the test labels a probability under {FLOOR:f},"
        f" which counts as {FLOOR:f} in the NLL."
        for name, runs in results.items() if (share := _clipped(runs))
    ]
    return clipped + _without(results) + [
        f"{name} predicts no distribution: its NLL and its interval are those of a normal as wide"
        " as its residuals on the validation part."
        for name, runs in results.items() if any("deviation" in run for run in runs)
    ]


def _share(share: float) -> str:
    return f"{share:.2%}" if share >= 5e-5 else "less than 0.01%"


def _without(results: Results) -> list[str]:
    """The metrics that some runs of a row have, and others of it have not."""
    lines = []
    for name, runs in results.items():
        for column in COLUMNS[:-1]:
            missing = sum(run["test"].get(column.metric) is None for run in runs)
            if 0 < missing < len(runs):
                lines.append(
                    f"{name}: {missing} of {len(runs)} runs have no finite {column.heading}; it has"
                    " no mean."
                )
    return lines


def markdown(results: Results) -> str:
    """The table of means and its footnotes."""
    return ruled(cells(results)) + "".join(f"\n{line}\n" for line in footnotes(results))


def ruled(lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown: headings, then rows, the first column to the left, others to the right.
    """
    lines = [[cell(text) for text in line] for line in lines]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [
        [line[0].ljust(widths[0]), *(text.rjust(w) for text, w in zip(line[1:], widths[1:]))]
        for line in lines
    ]
    rows = [f"| {' | '.join(line)} |\n" for line in (padded[0], rule, *padded[1:])]
    return "".join(rows)


def cell(text: str) -> str:
    """A text as a cell of a table in Markdown: one line, whose bars end no cell."""
    return " ".join(text.split()).replace("|", "&#124;")


def csv_of_means(results: Results) -> str:
    """A row for each name: mean and standard deviation of every column, empty where it has none."""
    metrics = [column.metric for column in COLUMNS]
    head = ["model", *(f"{m}_{kind}" for m in metrics for kind in ("mean", "std"))]
    means = {name: summary(runs) for name, runs in results.items()}
    return _csv(head, (
        [name, *(number for m in metrics for number in row[m] or ("", ""))]
        for name, row in means.items()
    ))


def csv_of_runs(results: Results) -> str:
    """A row for each run: its seeds, what it took, its metrics, and its options as JSON.

    Those of the test part have their names, those of the validation part ``validation.`` before.
    What a run does not have is empty; ``clipped`` is that of
    :func:`pyro_ssvae.evaluation.references.evaluate_reference`.
    """
    rows = [
        {
            "model": name, "seed": run["seed"], "split_seed": run["split_seed"],
            "epochs_done": run.get("epochs_done"), "updates": run.get("updates"),
            "seconds": run["seconds"], **run["test"],
            **{f"validation.{name}": value for name, value in run.get("validation", {}).items()},
            "clipped": run.get("clipped"), "options": json.dumps(run["options"]),
        }
        for name, runs in results.items() for run in runs
    ]
    head = list(dict.fromkeys(key for row in rows for key in row))
    return _csv(head, ([row.get(key) for key in head] for row in rows))


def _cell(value: tuple[float, float] | None, column: Column) -> str:
    if value is None:
        return "–"
    mean, spread = (f"{number * column.factor:.{column.decimals}f}" for number in value)
    return mean if math.isnan(value[1]) else f"{mean} ± {spread}"


def _clipped(runs: Sequence[Mapping[str, Any]]) -> float:
    return statistics.fmean(run.get("clipped", 0.0) for run in runs)


def _csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()
