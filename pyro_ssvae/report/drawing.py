"""What figures have in common: colours, the names of classes, the ticks of epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from torch import Tensor

from pyro_ssvae.data import Dataset
from pyro_ssvae.targets import Target

PLAIN = "#475569"  # of what stands alone: a colour that no model and no class has
SEVERAL = [colormaps["Dark2"](i) for i in range(8)]  # of several lines in one panel
SHOWN = 2_000  # points in a scatter plot
LONGEST = 24  # letters of a name
DIFFERENT = 20  # colours of classes


def color(index: int) -> Any:
    """The colour of the model or the class of this index: twenty different ones, dark ones first.
    """
    return colormaps["tab20"](2 * index % 20 + index % 20 // 10)


def plain(name: str, longest: int | None = LONGEST) -> str:
    """A name as figures show it: in one line, as long as there is room for, each letter itself.

    Args:
        name: The name.
        longest: The number of letters, at most. None leaves no letter out.
    """
    text = " ".join(name.split())
    if longest is not None and len(text) > longest:
        text = text[:longest - 1].rstrip() + "…"
    text = text.replace("$", r"\$")  # matplotlib reads $ as mathematics
    return f" {text}" if text.startswith("_") else text  # and leaves _ out of legends


def label_names(target: Target) -> list[str]:
    """What figures call the classes, or the labels."""
    return [plain(name) for name in target.names]


def legend_columns(names: Sequence[str], inches: float) -> int:
    """How many of these names a legend of this width has side by side."""
    return max(1, min(len(names), int(inches / (0.45 + 0.075 * max(map(len, names), default=1)))))


def in_plane(dataset: Dataset) -> bool:
    """Whether the examples are points in the plane."""
    return dataset.columns is None and dataset.shape == (2,)


def in_colour(channels: int) -> bool:
    """Whether images of so many channels are drawn in colour: red, green, blue, and alpha."""
    return channels in (3, 4)


def show(axes: Any, image: Tensor, **options: Any) -> None:
    """Draw an image (C, H, W) of values in [0, 1]; others are drawn as the nearest of them.

    Of three channels, or four with alpha, the image is drawn in colour; of any other number the
    first channel is drawn in grey, from white at 0 to black at 1.
    """
    pixels = image.detach().cpu().clamp(0, 1)
    if in_colour(len(pixels)):
        axes.imshow(np.moveaxis(pixels.numpy(), 0, 2), **options)
    else:
        axes.imshow(pixels[0].numpy(), cmap="gray_r", vmin=0, vmax=1, **options)


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
