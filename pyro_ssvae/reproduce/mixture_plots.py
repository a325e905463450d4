"""Figures of inference on a mixture, and of elimination on a chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pyro_ssvae.report.drawing import SEVERAL

WAYS = {"em": "EM", "svi": "Adam, all examples", "batches": "Adam, batches of 100"}
LEAST = 1e-8  # nats, the end of the axis


def inference(runs: Mapping[float, Any]) -> Figure:
    """Nats from the optimum against iterations, above, and the processor's seconds, below."""
    figure = Figure(figsize=(2.2 * len(runs), 4.6), layout="constrained")
    grid = figure.subplots(2, len(runs), sharey=True, squeeze=False)
    for column, (share, run) in enumerate(runs.items()):
        for shade, (way, label) in zip(SEVERAL, WAYS.items()):
            gaps = np.maximum(np.abs(run[way]["gaps"]), LEAST)
            steps = np.arange(len(gaps))
            grid[0, column].plot(steps, gaps, color=shade, lw=1.2, label=None if column else label)
            grid[1, column].plot(run[way]["seconds"], gaps, color=shade, lw=1.2)
        grid[0, column].set(title=f"{share:.0%} labels", xlabel="iteration", xscale="symlog",
                            yscale="log", xlim=(0, None), ylim=(LEAST, 3))
        grid[1, column].set(xlabel="processor's seconds", xscale="log", yscale="log",
                            xlim=(1e-3, None), xticks=(1e-2, 1e-1, 1, 10))
    for row in grid:
        row[0].set_ylabel("nats from the optimum")
        for axes in row:
            axes.grid(alpha=0.3)
            axes.title.set_fontsize(10)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def shares(results: Mapping[float, Sequence[Any]]) -> Figure:
    """EM's iterations, accuracy and distance from the truth, against the share of labels."""
    figure = Figure(figsize=(8.4, 2.8), layout="constrained")
    panels = figure.subplots(1, 3)
    values = {
        "iterations of EM to the end": lambda run: len(run["em"]["gaps"]) - 1,
        "test accuracy (%)": lambda run: 100 * run["accuracy"],
        "distance of the means": lambda run: run["distance"],
    }
    for axes, (title, value) in zip(panels, values.items()):
        for i, runs in enumerate(results.values()):
            axes.scatter([i] * len(runs), [value(run) for run in runs], color=SEVERAL[0], s=14,
                         alpha=0.5)
        axes.plot([np.mean([value(run) for run in runs]) for runs in results.values()],
                  color=SEVERAL[0])
        axes.set(xticks=range(len(results)), xticklabels=[f"{s:.0%}" for s in results],
                 xlabel="share of labels")
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3)
    return figure


def chain(
    by_k: Sequence[Any], by_n: Sequence[Any], small: Sequence[Any], n: int, k: int
) -> Figure:
    """Operations of elimination against k at a length n, against n at a number of values k."""
    figure = Figure(figsize=(9.6, 3), layout="constrained")
    of_k, of_n, both = figure.subplots(1, 3)
    ks = np.array([each["k"] for each in by_k])
    counts = [each["operations"] for each in by_k]
    of_k.plot(ks, counts, "o", ms=4, color=SEVERAL[0], label="counted")
    of_k.plot(ks, counts[-1] * (ks / ks[-1]) ** 2.0, color="black", lw=0.8, label="as k²")
    of_k.set(xscale="log", yscale="log", xlabel="k", title=f"n = {n}: operations")
    of_k.set_xticks(ks, [str(value) for value in ks])
    of_k.minorticks_off()
    of_k.legend(frameon=False, fontsize=8)
    edges = [each["operations"] / (each["n"] - 1) / k**2 for each in by_n]
    of_n.plot([each["n"] for each in by_n], edges, "o-", ms=4, lw=0.8, color=SEVERAL[0])
    of_n.set(xlabel="n", ylim=(0, None), title=f"k = {k}: operations an edge, in k²")
    places = range(len(small))
    for shade, (way, label) in zip(SEVERAL, {
        "eliminated": "elimination", "joint": "table of all values",
    }.items()):
        both.plot(places, [each[way]["operations"] for each in small], "o", ms=5, color=shade,
                  label=label)
    both.set(yscale="log", xticks=places, title="operations, short chains",
             xticklabels=[f"{each['k']}, {each['n']}" for each in small], xlabel="k, n")
    both.legend(frameon=False, fontsize=8)
    for axes in (of_k, of_n, both):
        axes.title.set_fontsize(10)
        axes.grid(alpha=0.3)
    return figure
