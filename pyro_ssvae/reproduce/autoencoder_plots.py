"""Figures of an autoencoder beside a VAE."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from pyro_ssvae.report.drawing import color, show

COLUMNS = 10
RADII = {0.5: math.sqrt(2 * math.log(2)), 0.99: math.sqrt(2 * math.log(100))}


def planes(runs: Mapping[str, Any]) -> Figure:
    """Codes (N, 2) by class, a panel for each of the runs, with circles of N(0, I)."""
    figure = Figure(figsize=(4.2 * len(runs) + 0.8, 4), layout="constrained")
    for axes, (name, run) in zip(figure.subplots(1, len(runs)), runs.items()):
        codes = torch.tensor(run["figure"]["codes"])
        classes = torch.tensor(run["figure"]["classes"])
        for k in classes.unique().tolist():
            axes.scatter(*codes[classes == k].T, s=8, color=color(k), label=str(k))
        for radius in RADII.values():
            axes.add_patch(Circle((0, 0), radius, fill=False, color="black", lw=0.8))
        axes.set(title=name, xlabel="z 1", ylabel="z 2", aspect="equal")
        axes.autoscale_view()
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=8)
    return figure


def samples(runs: Mapping[str, Any]) -> Figure:
    """Images of z from the prior, and of z from a Gaussian fitted to the autoencoder's codes."""
    return _rows({
        "AE, N(0, I)": runs["AE"]["figure"]["prior"],
        "AE, fitted": runs["AE"]["figure"]["fitted"],
        "VAE, N(0, I)": runs["VAE"]["figure"]["prior"],
    }, COLUMNS)


def interpolations(runs: Mapping[str, Any]) -> Figure:
    """Images on the lines between codes, from left to right, in blocks."""
    steps = len(runs["AE"]["figure"]["between"]) // 6
    return _rows({
        name: torch.tensor(run["figure"]["between"]).unflatten(0, (steps, 6)).transpose(0, 1)
        .flatten(0, 1).tolist()
        for name, run in runs.items()
    }, steps)


def _rows(blocks: Mapping[str, Any], columns: int) -> Figure:
    """Images (N, C, H, W) in blocks side by side, of so many columns each."""
    rows = len(next(iter(blocks.values()))) // columns
    size = 0.42 * columns * len(blocks) + 0.4, 0.42 * rows + 0.5
    figure = Figure(figsize=size, layout="constrained")
    for axes, (name, images) in zip(figure.subplots(1, len(blocks)), blocks.items()):
        show(axes, _sheet(torch.tensor(images), columns))
        axes.set(xticks=[], yticks=[])
        axes.set_title(name, fontsize=10)
    return figure


def _sheet(images: Tensor, columns: int) -> Tensor:
    """One image (C, rows * (H + 1), columns * (W + 1)) of many, with a white line between."""
    framed = torch.nn.functional.pad(images[:len(images) // columns * columns], (0, 1, 0, 1))
    grid = framed.unflatten(0, (-1, columns))  # (rows, columns, C, H, W)
    sheet = grid.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)
    return torch.nn.functional.pad(sheet, (1, 0, 1, 0))
