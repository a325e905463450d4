"""Panels of figures in the plane: a classifier as a background, points, and vector fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pyro_ssvae.report.drawing import color

Points = Sequence[Sequence[float]]
Frame = Sequence[float]


def background(axes: Any, shades: Sequence[float], frame: Frame) -> None:
    """The probability of class 1, from class 0's colour at 0 to class 1's at 1.

    Args:
        axes: The panel.
        shades: The probabilities in the cells of a square grid, row by row from below.
        frame: The left, right, lower and upper edge.
    """
    side = round(len(shades) ** 0.5)
    share = np.array(shades).reshape(side, side, 1)
    colours = [np.array(color(k))[:3] for k in range(2)]
    image = 0.45 + 0.55 * ((1 - share) * colours[0] + share * colours[1])
    axes.imshow(image, extent=tuple(frame), origin="lower", interpolation="bilinear")


def points(axes: Any, x: Points, shade: Any, size: float = 5) -> None:
    """Points of one colour."""
    if len(x):
        axes.scatter(*np.array(x).T, s=size, color=shade, lw=0)


def classes(axes: Any, x: Points, of_class: Sequence[int], size: float = 5) -> None:
    """Points in the colours of their classes."""
    for k in range(2):
        points(axes, [row for row, own in zip(x, of_class) if own == k], color(k), size)


def labelled(axes: Any, x: Sequence[Points]) -> None:
    """Labelled points of each class, rimmed."""
    for k, own in enumerate(x):
        axes.scatter(*np.array(own).T, s=14, color=color(k), edgecolor="black", lw=0.5)


def arrows(axes: Any, starts: Points, ends: Points, shade: Any) -> None:
    """Arrows from points towards where they are reconstructed, a third of the way."""
    x, moves = np.array(starts), np.array(ends) - np.array(starts)
    axes.quiver(
        *x.T, *moves.T, color=shade, angles="xy", scale_units="xy", scale=3, width=0.004,
        headwidth=4, minlength=0.1,
    )


def bare(axes: Any, frame: Frame, title: str) -> None:
    """The frame and the title of a panel, without ticks."""
    left, right, lower, upper = frame
    axes.set(xlim=(left, right), ylim=(lower, upper), xticks=[], yticks=[], aspect="equal")
    axes.set_title(title, fontsize=10)
