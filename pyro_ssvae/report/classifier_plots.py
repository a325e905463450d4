"""Figures of a classifier: where it is right, how sure it is, and where it errs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix
from torch import Tensor

from pyro_ssvae.data import Dataset, Part
from pyro_ssvae.inference import query
from pyro_ssvae.report.drawing import (
    DIFFERENT,
    PLAIN,
    SHOWN,
    color,
    in_plane,
    label_names,
    legend_columns,
    plane_axes,
    show,
)
from pyro_ssvae.targets.metrics import accuracy, calibration, ece, macro_f1

MISTAKES = 16  # images of mistakes
LARGEST = 16.0  # inches of a side
COUNTED = 50  # classes whose counts and names there is room for
BINS = 15  # of confidence, as in :func:`pyro_ssvae.targets.metrics.ece`


def figures(probs: Tensor, x: Part, y: Tensor, dataset: Dataset) -> dict[str, Figure]:
    """Every figure of a classifier that the data allow, by name.

    Args:
        probs: The class probabilities of the examples, (N, sum(sizes)).
        x: The examples, (N, ...), or images (N, C, H, W).
        y: Their one-hot labels, (N, sum(sizes)).
        dataset: The data set that they are from.
    """
    names, sizes = label_names(dataset.target), dataset.target.sizes
    calibrated = reliability(probs, y, sizes)
    if not dataset.target.exclusive:
        return {"labels": label_scores(probs, y, sizes, names), "reliability": calibrated}
    result = {"confusion": confusion(probs, y, names), "reliability": calibrated}
    if torch.equal(probs.argmax(-1), y.argmax(-1)):
        return result
    if dataset.images:
        result["mistakes"] = mistaken_images(probs, x, y, names)
    elif in_plane(dataset):
        result["mistakes"] = mistaken_points(probs, x, y, names)
    return result


def confusion(probs: Tensor, y: Tensor, names: Sequence[str]) -> Figure:
    """The confusion matrix, in examples.

    Args:
        probs: (N, K) class probabilities.
        y: (N, K) one-hot labels.
        names: The names of the K classes.
    """
    counts = confusion_matrix(
        y.argmax(-1).cpu().numpy(), probs.argmax(-1).cpu().numpy(), labels=range(len(names))
    )
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = min(max(4.0, 1.2 + 0.28 * len(names)), LARGEST)
    step = -(-len(names) // COUNTED)  # from one name that is written to the next
    figure = Figure(figsize=(side + 0.4, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts):
        if count and len(names) <= COUNTED:
            axes.text(j, i, count, ha="center", va="center", fontsize=7,
                      color="white" if shares[i, j] > 0.5 else "black")
    title = f"accuracy {accuracy(probs, y):.1%}; colours: shares of a row"
    ticks, written = range(0, len(names), step), names[::step]
    axes.set(xlabel="predicted class", ylabel="true class", xticks=ticks, yticks=ticks,
             yticklabels=written)
    axes.set_xticklabels(written, rotation=90 if max(map(len, written)) > 3 else 0)
    figure.suptitle(title, fontsize=10)
    return figure


def label_scores(
    probs: Tensor, y: Tensor, sizes: Sequence[int], names: Sequence[str]
) -> Figure:
    """Accuracy and F1 of every label that is known somewhere.

    Args:
        probs: (N, sum(sizes)) probabilities, a block for each label.
        y: (N, sum(sizes)) one-hot labels; a block that is NaN is unknown.
        sizes: The sizes of the blocks.
        names: The names of the labels.
    """
    blocks = [block.split(list(sizes), dim=-1) for block in (probs, y)]
    known = [k for k, t in enumerate(blocks[1]) if not t.isnan().any(-1).all()]
    figure = Figure(figsize=(5.6, 1.2 + 0.4 * len(sizes)), layout="constrained")
    axes = figure.subplots()
    kinds = {"accuracy": (-0.2, accuracy, PLAIN), "F1": (0.2, macro_f1, "#b0bccb")}
    for label, (shift, score, shade) in kinds.items():
        values = [score(blocks[0][k], blocks[1][k]) for k in known]
        axes.barh(np.array(known) + shift, values, height=0.4, label=label, color=shade)
    title = f"accuracy {accuracy(probs, y, sizes):.1%}, macro F1 {macro_f1(probs, y, sizes):.1%}"
    axes.set(yticks=range(len(sizes)), yticklabels=names, xlim=(0, 1),
             ylim=(len(sizes) - 0.4, -0.6))
    axes.set_title(title, fontsize=10)
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


def reliability(probs: Tensor, y: Tensor, sizes: Sequence[int] | None = None) -> Figure:
    """The reliability diagram: accuracy in bins of confidence, over the number in each bin.

    Of several labels all known ones count alike. Guo et al. (2017), On Calibration of Modern
    Neural Networks, figure 1.

    Args:
        probs: (N, sum(sizes)) class probabilities.
        y: (N, sum(sizes)) one-hot labels; a block that is NaN is unknown.
        sizes: The sizes of the blocks; None is a single one.
    """
    confidence, right, count = (
        part.cpu().numpy() for part in calibration(probs, y, sizes, BINS)
    )
    lefts = np.arange(BINS) / BINS
    style = {"width": 1 / BINS, "align": "edge", "edgecolor": "white"}
    figure = Figure(figsize=(4, 4.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.bar(lefts, right, color=PLAIN, label="accuracy", **style)
    above.hlines(confidence, lefts, lefts + 1 / BINS, color="#f43f5e", lw=3, label="confidence")
    above.plot([0, 1], [0, 1], color="black", lw=1, ls="--")
    above.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    above.set_title(f"expected calibration error {ece(probs, y, sizes, BINS):.1%}", fontsize=10)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8)
    below.bar(lefts, count, color=PLAIN, **style)
    below.set(xlabel="confidence", ylabel="examples" if len(sizes or [0]) == 1 else "labels")
    return figure


def mistaken_images(probs: Tensor, x: Part, y: Tensor, names: Sequence[str]) -> Figure:
    """The images that are mistaken with the highest probability, the most confident first.

    Args:
        probs: (N, K) class probabilities, of which at least one is mistaken.
        x: (N, C, H, W) images, 0 to 1.
        y: (N, K) one-hot labels.
        names: The names of the K classes.
    """
    index = _mistaken(probs, y)[:MISTAKES]
    columns, height = min(8, len(index)), x.shape[2] / x.shape[3]
    longest = max(map(len, names)) + len(" (99.9%)")
    across = max(1.3, 0.085 * longest)  # from one image, of width 1, to the next, with its text
    down = height + 0.6
    rows = -(-len(index) // columns)
    figure = Figure(figsize=(max(2.0, 0.85 * across * columns), 0.85 * down * rows))
    axes = figure.add_axes((0, 0, 1, 1))
    for k, i in enumerate(index.tolist()):
        left, top = k % columns * across, k // columns * down
        show(axes, x[i], extent=(left, left + 1, top + height, top))
        said, true = names[int(probs[i].argmax())], names[int(y[i].argmax())]
        axes.text(left + 0.5, top - 0.06, f"{said} ({probs[i].max():.1%})\ntruly {true}",
                  ha="center", va="bottom", fontsize=8)
    margin = (across - 1) / 2
    axes.set(xlim=(-margin, columns * across - margin), ylim=(rows * down - 0.55, -0.55))
    axes.axis("off")
    return figure


def mistaken_points(probs: Tensor, x: Part, y: Tensor, names: Sequence[str]) -> Figure:
    """The points of the plane that are mistaken, over all points by their class.

    Args:
        probs: (N, K) class probabilities, of which at least one is mistaken.
        x: (N, 2) points.
        y: (N, K) one-hot labels.
        names: The names of the K classes.
    """
    index = _mistaken(probs, y)[:SHOWN]
    some = query.some(len(x), SHOWN).to(y.device)
    points, classes = x[some].cpu().numpy(), y[some].argmax(-1).cpu().numpy()
    figure = Figure(figsize=(5.6, 4), layout="constrained")
    axes = figure.subplots()
    for k, name in enumerate(names):
        of_class = points[classes == k]
        axes.scatter(of_class[:, 0], of_class[:, 1], s=4, color=color(k), alpha=0.3,
                     label=f"class {name}")
    wrong, confidence = x[index].cpu().numpy(), probs[index].amax(-1).cpu().numpy()
    shown = axes.scatter(wrong[:, 0], wrong[:, 1], c=confidence, s=20, marker="x", lw=1.2,
                         cmap="Reds", vmin=0, vmax=1, label="mistaken")
    figure.colorbar(shown, label="confidence of the mistake", shrink=0.8)
    plane_axes(figure, axes)
    if len(names) <= DIFFERENT:
        columns = legend_columns([f"class {name}" for name in names], figure.get_figwidth())
        figure.legend(loc="outside upper center", ncols=min(3, columns), frameon=False, fontsize=8,
                      markerscale=2)
    return figure


def _mistaken(probs: Tensor, y: Tensor) -> Tensor:
    """The indices of the examples classified wrongly, the most confident first."""
    (wrong,) = torch.nonzero(probs.argmax(-1) != y.argmax(-1), as_tuple=True)
    return wrong[probs[wrong].amax(-1).argsort(descending=True, stable=True)]
