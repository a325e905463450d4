"""What figures have in common: colours, the names of classes, the ticks of epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib import colormaps

from pyro_ssvae.data import Dataset

PLAIN = "#475569"  # of what stands alone: a colour that no model and no class has
SEVERAL = [colormaps["Dark2"](i) for i in range(8)]  # of several lines in one panel
SHOWN = 2_000  # points in a scatter plot


def color(index: int) -> Any:
    """The colour of the model or the class of this index: twenty different ones, dark ones first.
    """
    return colormaps["tab20"](2 * index % 20 + index % 20 // 10)


def label_names(dataset: Dataset) -> list[str]:
    """What figures call the classes, or the labels."""
    # matplotlib reads $ as mathematics
    return [name.replace("$", r"\$") for name in dataset.target.names]


def in_plane(dataset: Dataset) -> bool:
    """Whether the examples are points in the plane."""
    return dataset.columns is None and dataset.x.shape[1] == 2


def epoch_axis(axes: Any, epochs: Sequence[int]) -> None:
    """Ticks at whole epochs only."""
    axes.set_xlabel("epoch")
    if len(epochs) == 1:
        axes.set_xticks(epochs)
    else:
        axes.locator_params(axis="x", integer=True)


def plane_axes(figure: Any, axes: Any) -> None:
    """The same scale both ways, and a figure that is as high as the points drawn so far need."""
    axes.set(xlabel="x 1", ylabel="x 2", aspect="equal")
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    share = min(max((top - bottom) / (right - left), 0.4), 1.2)
    figure.set_figheight(1 + 0.72 * figure.get_figwidth() * share)
