"""The figures of the study of Feng's factored pair."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from pyro_ssvae.report.drawing import SEVERAL

Results = Mapping[tuple[Any, ...], Sequence[Mapping[str, float]]]
MARKS = {"relaxed": "o", "enumerated": "s", "logistic": "^", "factored": "o"}
SHADES = dict(zip(("relaxed", "enumerated", "logistic"), SEVERAL)) | {"factored": SEVERAL[0]}
NAMES = {"logistic": "logistic regression a label", "factored": "factored"}


def cost(costs: Results) -> Figure:
    """The time and the decoded images of an update against the number of labels."""
    figure = Figure(figsize=(7, 2.9), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, score, title in zip(panels, ("milliseconds", "decoded"), (
        "an update, ms", "decoded images",
    )):
        for how in ("relaxed", "enumerated"):
            own = {c: found[0][score] for (which, c), found in costs.items() if which == how}
            axes.plot(list(own), list(own.values()), MARKS[how] + "-", color=SHADES[how], label=how)
        axes.set(xlabel="labels of 10 classes each", yscale="log")
        axes.set_title(title, fontsize=10)
        axes.locator_params(axis="x", integer=True)
        axes.grid(alpha=0.3)
    panels[1].legend(frameon=False, fontsize=8)
    return figure


def read(found: Results) -> Figure:
    """The share of digits read against their number."""
    figure = Figure(figsize=(4.8, 3.1), layout="constrained")
    axes = figure.subplots()
    for how in ("relaxed", "enumerated", "logistic"):
        own = {c: [100 * one["digits"] for one in results]
               for (which, c), results in found.items() if which == how}
        _line(axes, how, own)
    axes.set(xlabel="digits side by side", ylabel="digits read correctly, %")
    axes.locator_params(axis="x", integer=True)
    axes.legend(frameon=False, fontsize=8)
    return figure


def tables(found: Results) -> Figure:
    """The mean average precision, a row of two panels for each table."""
    names = list(dict.fromkeys(name for name, *_ in found))
    figure = Figure(figsize=(7, 2.1 * len(names) + 0.3), layout="constrained")
    for line, name in zip(figure.subplots(len(names), 2, squeeze=False, sharey="row"), names):
        for how in ("factored", "logistic"):
            own = {key: [one["map"] for one in results] for key, results in found.items()
                   if (key[0], key[3]) == (name, how)}
            _line(line[0], how, {100 * k[1]: v for k, v in own.items() if k[2] == 0})
            _line(line[1], how, {100 * k[2]: v for k, v in own.items() if k[1] == 0.5})
        line[0].set_ylabel(f"{name}: mAP")
        for axes in line:
            axes.tick_params(labelsize=8)
    line[0].set_xlabel("rows labelled, %")
    line[1].set_xlabel("labels missing, %, of half of the rows")
    line[1].legend(frameon=False, fontsize=8)
    return figure


def _line(axes: Any, how: str, values: Mapping[float, Sequence[float]]) -> None:
    """Means with ranges."""
    places = sorted(values)
    means = [statistics.fmean(values[place]) for place in places]
    below = [mean - min(values[place]) for mean, place in zip(means, places)]
    above = [max(values[place]) - mean for mean, place in zip(means, places)]
    axes.errorbar(places, means, [below, above], fmt=MARKS[how] + "-", color=SHADES[how],
                  markersize=4, capsize=2, linewidth=1.2, label=NAMES.get(how, how))
    axes.grid(alpha=0.3)
