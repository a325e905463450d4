"""Figures of a pair that infers a real number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from pyro_ssvae.inference import query
from pyro_ssvae.report.drawing import PLAIN, plain
from pyro_ssvae.targets import Number
from pyro_ssvae.targets.normals import WIDTH, coverage, rmse

BARS = 300  # examples whose intervals can be told apart in a figure


def regression(predicted: Tensor, y: Tensor, target: Number) -> Figure:
    """Predicted means with their central 90 % intervals against the true numbers.

    The title has the scores of all examples; :data:`BARS` of them are drawn.

    Args:
        predicted: The means and standard deviations of the examples, standardised, (N, 2).
        y: Their numbers, standardised, (N, 1).
        target: What the number is.
    """
    moments, numbers = target.moments(predicted), target.decode(y)
    some = query.some(len(numbers), BARS).to(numbers.device)
    mean, deviation = moments[some].cpu().numpy().T
    true = numbers[some].cpu().numpy()
    figure = Figure(figsize=(4.8, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.errorbar(true, mean, WIDTH * deviation, fmt="o", ms=3, color=PLAIN, ecolor="#b0bccb",
                  elinewidth=1, label="mean, 90 % interval")
    ends = [min(true.min(), mean.min()), max(true.max(), mean.max())]
    axes.plot(ends, ends, color="black", lw=1, ls="--", label="predicted = true")
    axes.set(xlabel=f"true {_name(target)}", ylabel=f"predicted {_name(target)}")
    title = f"RMSE {rmse(moments, numbers):.4g}, {coverage(moments, numbers):.1%} in the interval"
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure


def latent(
    z: np.ndarray[Any, Any], names: Sequence[str], y: Tensor, target: Number
) -> Figure:
    """Points z (N, 2), coloured by the true number; a z (N, 1) against it.

    Args:
        z: The points.
        names: What the axes of a plane are called.
        y: The numbers of the examples, standardised, (N, 1).
        target: What the number is.
    """
    numbers = target.decode(y).cpu().numpy()
    figure = Figure(figsize=(4.8, 4), layout="constrained")
    axes = figure.subplots()
    if z.shape[1] == 1:
        axes.scatter(z[:, 0], numbers, s=6, color=PLAIN, alpha=0.7)
        axes.set(xlabel="z", ylabel=f"true {_name(target)}")
    else:
        shown = axes.scatter(z[:, 0], z[:, 1], s=6, c=numbers, cmap="viridis")
        figure.colorbar(shown, label=f"true {_name(target)}", shrink=0.8)
        axes.set(xlabel=names[0], ylabel=names[1])
    axes.set_title(f"posterior mean of z, by true {_name(target)}", fontsize=10)
    return figure


def _name(target: Number) -> str:
    return plain(target.name)
