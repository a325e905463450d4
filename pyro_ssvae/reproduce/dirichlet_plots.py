"""Figures on what a Dirichlet prior derives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pyro_ssvae.report.drawing import PLAIN, SEVERAL

ROUNDING = 1e-17  # what is drawn in place of a difference that is zero, on a logarithmic axis


def identity(identities: Sequence[Any], wholes: Sequence[Any]) -> Figure:
    """The differences of the objectives during training, and the entropy that tells them apart."""
    figure = Figure(figsize=(8, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    for shade, (what, label) in zip(SEVERAL, {
        "value": "loss, nats", "gradient": "gradient, relative", "weights": "weights",
    }.items()):
        for i, result in enumerate(identities):
            rows = result["rows"]
            left.plot([row["update"] for row in rows],
                      [max(row[what], ROUNDING) for row in rows], color=shade, marker=".",
                      lw=1, label=None if i else label)
    left.set(yscale="log", ylim=(ROUNDING / 2, 1), xlabel="update",
             title="labelled: difference, M2 and derived")
    left.axhline(2.2e-16, color="black", lw=0.8, ls="--", label="rounding of float64")
    for result in wholes:
        rows = result["rows"]
        right.plot([row["update"] for row in rows], [row["entropy"] for row in rows], color=PLAIN)
    right.set(xlabel="update", ylabel="nats", ylim=(0, None),
              title="unlabelled: H[q(y | x)], in M2 alone")
    for axes in (left, right):
        axes.title.set_fontsize(10)
        axes.grid(alpha=0.3)
    left.legend(frameon=False, fontsize=8)
    return figure


def accuracy(lines: Mapping[str, Sequence[Sequence[float]]], weights: Sequence[float]) -> Figure:
    """Accuracies in % against the weight: every draw, and a line through the means.

    Args:
        lines: The accuracies of the draws at every weight, by the name of the line.
        weights: The weights.
    """
    figure = Figure(figsize=(4.8, 3.4), layout="constrained")
    axes = figure.subplots()
    for i, (name, values) in enumerate(lines.items()):
        shifted = np.array(weights) * 1.12 ** (2 * i - 1)
        for x, draws in zip(shifted, values):
            axes.scatter([x] * len(draws), draws, s=14, alpha=0.5, color=SEVERAL[i])
        axes.plot(shifted, [np.mean(draws) for draws in values], color=SEVERAL[i], label=name)
    axes.set(xscale="log", xlabel="weight of log q(y | x), log p(y | pi)",
             ylabel="test accuracy (%)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    return figure


def variants(percent: Mapping[str, Sequence[float]]) -> Figure:
    """Accuracies in % of every draw and the mean, a row for each name."""
    figure = Figure(figsize=(6.4, 0.6 + 0.26 * len(percent)), layout="constrained")
    axes = figure.subplots()
    for row, (name, values) in enumerate(percent.items()):
        shade = SEVERAL[0] if name.startswith("M2") else SEVERAL[1]
        axes.scatter(values, [row] * len(values), color=shade, alpha=0.5, s=16)
        axes.scatter([np.mean(values)], [row], color="black", marker="|", s=140)
    axes.set(yticks=range(len(percent)), yticklabels=list(percent), xlabel="test accuracy (%)",
             ylim=(len(percent) - 0.5, -0.5))
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(axis="x", alpha=0.3)
    return figure
