"""Figures of posterior collapse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pyro_ssvae.report.drawing import SEVERAL, epoch_axis


def training(results: Mapping[str, Sequence[Any]], collapsed: float) -> Figure:
    """The ELBO and the mutual information on validation data against epochs.

    Args:
        results: The runs of every way to train, by its name.
        collapsed: The mutual information below which z says nothing of x.
    """
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    panels = figure.subplots(1, 2)
    for column, (axes, title) in enumerate(zip(panels, (
        "ELBO on validation (nats)", "mutual information of x and z (nats)",
    ))):
        for shade, (way, runs) in zip(SEVERAL, results.items()):
            values = np.array([run["history"] for run in runs])[:, :, column]
            epochs = range(1, values.shape[1] + 1)
            for each in values:
                axes.plot(epochs, each, color=shade, lw=0.6, alpha=0.4)
            axes.plot(epochs, values.mean(0), color=shade, label=None if column else way)
        epoch_axis(axes, list(epochs))
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3)
    panels[1].axhline(collapsed, color="black", lw=0.8, ls="--")
    panels[1].set_yscale("symlog", linthresh=collapsed)
    panels[1].set_ylim(0, None)
    figure.legend(loc="outside lower center", ncols=6, frameon=False, fontsize=8)
    return figure


def ends(results: Mapping[str, Sequence[Any]]) -> Figure:
    """The importance-weighted bound on test data against the mutual information, by way."""
    figure = Figure(figsize=(4.8, 3.6), layout="constrained")
    axes = figure.subplots()
    for shade, (way, runs) in zip(SEVERAL, results.items()):
        axes.scatter([run["mutual_information"] for run in runs], [run["iwae"] for run in runs],
                     color=shade, s=26, label=way)
    axes.set(xlabel="mutual information of x and z (nats)", ylabel="bound on log p(x) (nats)")
    axes.set_xscale("symlog", linthresh=0.1)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure
