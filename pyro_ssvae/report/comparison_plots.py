"""Figures of a comparison: the same colour for a model in all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pyro_ssvae.report.drawing import epoch_axis, legend_columns, plain

WIDTH = 3.6  # inches of a panel
LONGEST_ROW = 40  # letters of the name of a row
MARGIN = 0.5  # points beyond 100 %

PANELS = {
    "val_accuracy": "accuracy", "val_rmse": "RMSE", "val_nll": "NLL (nats)",
    "val_elbo": "ELBO (nats)",
}


def accuracies(values: Mapping[str, Sequence[float]], colors: Mapping[str, Any]) -> Figure:
    """Every run's accuracy, 0 to 1, and the mean, in a row for each name.

    Args:
        values: The accuracies of the runs by the name of the model.
        colors: The colour of each model.
    """
    percent = {name: 100 * np.array(shares) for name, shares in values.items()}
    return _dots(percent, colors, "test accuracy (%)")


def errors(values: Mapping[str, Sequence[float]], colors: Mapping[str, Any]) -> Figure:
    """Every run's RMSE and the mean, in a row for each name; arguments as of :func:`accuracies`."""
    return _dots({name: np.array(of_runs) for name, of_runs in values.items()}, colors, "test RMSE")


def curves(
    histories: Mapping[str, Sequence[Sequence[Mapping[str, float]]]], colors: Mapping[str, Any]
) -> dict[str, Figure]:
    """Mean and range over runs of validation scores, epoch by epoch, as long as all runs went.

    Args:
        histories: The rows of each run's history by the name of the model.
        colors: The colour of each model.

    Returns:
        A figure for each score that some model has, by what the score is.
    """
    result = {}
    for column, title in PANELS.items():
        shown = {
            name: np.array([[row[column] for row in rows] for rows in _as_long(runs)])
            for name, runs in histories.items() if column in runs[0][0]
        }
        if shown:
            result[title] = _panel(shown, colors, title)
    return result


def _dots(
    values: Mapping[str, np.ndarray[Any, Any]], colors: Mapping[str, Any], what: str
) -> Figure:
    figure = Figure(figsize=(5, 0.6 + 0.4 * max(1, len(values))), layout="constrained")
    axes = figure.subplots()
    for row, (name, of_runs) in enumerate(values.items()):
        axes.scatter(of_runs, [row] * len(of_runs), color=colors[name], alpha=0.6, s=24)
        axes.scatter([of_runs.mean()], [row], color="black", marker="|", s=250)
    axes.set(yticks=range(len(values)), yticklabels=[plain(name, None) for name in values],
             xlabel=what, ylim=(len(values) - 0.5, -0.5))
    if what.endswith("(%)"):
        axes.set_xlim(right=min(axes.get_xlim()[1], 100.0 + MARGIN))
    axes.grid(axis="x", alpha=0.3)
    return figure


def _as_long(runs: Sequence[Sequence[Mapping[str, float]]]) -> list[Sequence[Mapping[str, float]]]:
    shortest = min(map(len, runs))
    return [rows[:shortest] for rows in runs]


def _panel(
    shown: Mapping[str, np.ndarray[Any, Any]], colors: Mapping[str, Any], title: str
) -> Figure:
    names = [plain(name, LONGEST_ROW) for name in shown]
    columns = min(3, legend_columns(names, WIDTH))
    height = 2.4 + 0.18 * -(-len(names) // columns)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots()
    styles = cycle(["-", "--", "-.", ":"])  # for whom colours are alike
    for label, style, (name, values) in zip(names, styles, shown.items()):
        epochs = range(1, values.shape[1] + 1)
        axes.plot(epochs, values.mean(0), style, label=label, color=colors[name],
                  marker="o" if len(epochs) == 1 else None)
        axes.fill_between(epochs, values.min(0), values.max(0), alpha=0.2, lw=0,
                          color=colors[name])
    epoch_axis(axes, range(1, max(values.shape[1] for values in shown.values()) + 1))
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=8,
                  handlelength=2, columnspacing=1)
    return figure
