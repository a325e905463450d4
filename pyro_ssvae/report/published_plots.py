"""Figures of what was measured beside what was published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from pyro_ssvae.report.drawing import PLAIN, SEVERAL, epoch_axis

PUBLISHED = "#c9a227"  # of what others measured


class Measured(NamedTuple):
    """A number of several draws, beside the published one.

    Attributes:
        found: The values of the draws.
        published: The published mean, or None.
        spread: The published standard deviation, or None.
    """

    found: Sequence[float]
    published: float | None = None
    spread: float | None = None


def dots(values: Mapping[str, Measured], what: str) -> Figure:
    """Every draw and the mean in a row for each name, on a bar of the published mean and deviation.

    Args:
        values: The numbers by what they are of.
        what: What the numbers are, and their unit.
    """
    figure = Figure(figsize=(6.4, 1.2 + 0.27 * len(values)), layout="constrained")
    axes = figure.subplots()
    for row, one in enumerate(values.values()):
        if one.published is not None:
            axes.errorbar(one.published, row, xerr=one.spread or 0, fmt="D", ms=5, lw=7, alpha=0.5,
                          color=PUBLISHED, label="published, ± std", zorder=1)
        axes.scatter(one.found, [row] * len(one.found), color=PLAIN, alpha=0.6, s=16,
                     label="a draw", zorder=2)
        axes.scatter([np.mean(one.found)], [row], color="black", marker="|", s=130, label="mean",
                     zorder=3)
    axes.set(yticks=range(len(values)), yticklabels=list(values), xlabel=what,
             ylim=(len(values) - 0.5, -0.5))
    axes.grid(axis="x", alpha=0.3)
    _legend(figure, axes)
    return figure


def against(
    places: Sequence[str], panels: Mapping[str, Sequence[Measured | None]], what: str,
    axes: Sequence[str],
) -> Figure:
    """A panel for each name: means and standard deviations at places along an axis.

    Args:
        places: The names of the places.
        panels: The numbers at the places by the name of the panel, None where there are none.
        what: What the numbers are, and their unit.
        axes: What the places are values of, in each panel.
    """
    figure = Figure(figsize=(1 + 3 * len(panels), 3.6), layout="constrained")
    row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for panel, (name, values), axis in zip(row, panels.items(), axes):
        shown = [(place, one) for place, one in enumerate(values) if one is not None]
        known = [(place, one) for place, one in shown if one.published is not None]
        if known:
            panel.errorbar(
                [place for place, _ in known], [one.published for _, one in known],
                yerr=[one.spread or 0 for _, one in known], fmt="D--", ms=4, lw=1, capsize=3,
                color=PUBLISHED, label="published, ± std",
            )
        panel.errorbar(
            [place for place, _ in shown], [np.mean(one.found) for _, one in shown],
            yerr=[_deviation(one.found) for _, one in shown], fmt="o-", ms=5, lw=1.5, capsize=3,
            color=PLAIN, label="mean of the draws, ± std",
        )
        _places(panel, places, axis)
        panel.set_title(name, fontsize=10)
    row[0].set_ylabel(what)
    _legend(figure, *row)
    return figure


def together(
    places: Sequence[str], lines: Mapping[str, Sequence[Sequence[float]]], what: str, axis: str
) -> Figure:
    """A line for each name in one panel: means and standard deviations at places along an axis.

    Args:
        places: The names of the places.
        lines: The values of the draws at every place, by the name of the line.
        what: What the values are, and their unit.
        axis: What the places are values of.
    """
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    panel = figure.subplots()
    for i, (name, values) in enumerate(lines.items()):
        beside = 0.12 * (i - (len(lines) - 1) / 2)  # so that no bar hides another
        panel.errorbar(
            [place + beside for place in range(len(places))], [np.mean(of) for of in values],
            yerr=[_deviation(of) for of in values], fmt="o-", ms=4, lw=1.2, capsize=2,
            color=SEVERAL[i], label=name,
        )
    _places(panel, places, axis)
    panel.set_ylabel(what)
    _legend(figure, panel, columns=2)
    return figure


def over_epochs(lines: Mapping[str, Sequence[Sequence[float]]], what: str) -> Figure:
    """The mean and the range over the draws, epoch by epoch, for each name.

    Args:
        lines: The values of the epochs of every draw, equally many, by the name of the line.
        what: What the values are, and their unit.
    """
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    panel = figure.subplots()
    for i, (name, draws) in enumerate(lines.items()):
        values = np.array(draws)
        epochs = range(1, values.shape[1] + 1)
        panel.plot(epochs, values.mean(0), color=SEVERAL[i], label=name,
                   marker="o" if len(epochs) == 1 else None)
        panel.fill_between(epochs, values.min(0), values.max(0), color=SEVERAL[i], alpha=0.2, lw=0)
        epoch_axis(panel, epochs)
    panel.set_ylabel(what)
    panel.grid(alpha=0.3)
    _legend(figure, panel, columns=2)
    return figure


def _places(panel: Any, places: Sequence[str], axis: str) -> None:
    panel.set(xticks=range(len(places)), xlabel=axis, xlim=(-0.5, len(places) - 0.5))
    panel.set_xticklabels(places, rotation=45)
    panel.grid(alpha=0.3)


def _deviation(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _legend(figure: Figure, *axes: Any, columns: int = 3) -> None:
    """One legend of what the axes have, each name once."""
    handles = {
        name: handle for one in axes
        for handle, name in zip(*one.get_legend_handles_labels())
    }
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=columns,
                  frameon=False, fontsize=8)
