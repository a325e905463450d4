"""Figures of a trained pair. Every function returns a matplotlib figure and shows nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.metrics import confusion_matrix
from torch import Tensor
from torch.nn import functional as F

from pyro_ssvae import query
from pyro_ssvae.data import Split
from pyro_ssvae.evaluation import class_probabilities, evaluating
from pyro_ssvae.objective import Objective

COLORS = colormaps["tab10"]
SHOWN = 2_000  # points in a scatter plot


def figures(
    objective: Objective, split: Split, history: Sequence[Mapping[str, float]]
) -> dict[str, Figure]:
    """Every figure that the pair allows, by name.

    Args:
        objective: the trained pair.
        split: its data; the figures show the test part.
        history: rows of :meth:`pyro_ssvae.Epoch.row`.
    """
    model, guide = objective.model, objective.guide
    x, y = split.part("test")
    result = {"learning_curves": learning_curves(history)}
    with evaluating(objective):
        has = query.sites(model, x[:1], y[:1])
        if "x" in has:
            result["samples"] = samples(model, split)
        if {"x", "y", "z"} <= has and split.dataset.image_shape:
            result["analogies"] = analogies(model, guide, x[:8], split)
        if "z" in has:
            result["latent"] = latent(guide, x[:SHOWN], y[:SHOWN])
        if hasattr(guide, "classify"):
            result["confusion"] = confusion(class_probabilities(guide, x), y)
    return result


def learning_curves(history: Sequence[Mapping[str, float]]) -> Figure:
    """Losses and validation scores against epochs, a panel for each quantity."""
    panels = {"accuracy": ["val_accuracy"], "ELBO (nats per example)": ["val_elbo"],
              "NLL (nats)": ["val_nll"],
              "training terms (nats)": ["labelled", "unlabelled", "classification"]}
    shown = {
        title: [name for name in names if name in history[0]] for title, names in panels.items()
    }
    shown = {title: names for title, names in shown.items() if names}
    figure = Figure(figsize=(3.4 * len(shown), 2.8), layout="constrained")
    epochs = [row["epoch"] for row in history]
    grid = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, (title, names) in zip(grid, shown.items()):
        for name in names:
            label = name.removeprefix("val_") + (" (validation)" if "val_" in name else "")
            axes.plot(epochs, [row[name] for row in history], label=label)
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    return figure


def samples(model: Any, split: Split, rows: int = 8) -> Figure:
    """Images drawn from the model, a column for each class; points where x is in the plane."""
    classes, like = split.dataset.classes, split.dataset.x
    if not split.dataset.image_shape:
        return _sampled_points(model, split)
    y = _every_class(classes, rows, like)
    images = query.likelihood(model, like[:len(y)], y=y).mean
    labelled = "y" in query.sites(model, like[:1], y[:1])
    titles = [str(k) for k in range(classes)] if labelled else None
    return _grid(images, split.dataset.image_shape, classes, titles)


def analogies(model: Any, guide: Any, x: Tensor, split: Split) -> Figure:
    """Each image of x (N, D) beside the model's images of its z with every class in turn.

    Kingma et al. (2014), figure 1(b): z holds the style, y the class.
    """
    classes, shape = split.dataset.classes, split.dataset.image_shape
    assert shape is not None
    z = query.posterior_mean(guide, x).repeat_interleave(classes, 0)
    y = _every_class(classes, len(x), x)
    images = query.likelihood(model, x.repeat_interleave(classes, 0), y=y, z=z).mean
    rows = torch.cat([x.unsqueeze(1), images.reshape(len(x), classes, -1)], dim=1).flatten(0, 1)
    return _grid(rows, shape, classes + 1, ["x", *map(str, range(classes))])


def latent(guide: Any, x: Tensor, y: Tensor) -> Figure:
    """Posterior means of z for x (N, D), coloured by one-hot y (N, K).

    More than two dimensions are shown by their first two principal components.
    """
    z, classes = query.posterior_mean(guide, x).cpu().numpy(), y.argmax(-1).cpu().numpy()
    labels = ["z 1", "z 2"]
    if z.shape[1] > 2:
        pca = PCA(2).fit(z)
        shares = pca.explained_variance_ratio_
        labels = [f"component {i + 1} of z ({share:.0%})" for i, share in enumerate(shares)]
        z = pca.transform(z)
    elif z.shape[1] == 1:
        z, labels[1] = np.column_stack([z[:, 0], classes]), "class"
    figure = Figure(figsize=(4.8, 4), layout="constrained")
    axes = figure.subplots()
    for k in range(y.shape[-1]):
        points = z[classes == k]
        axes.scatter(points[:, 0], points[:, 1], s=6, color=COLORS(k % 10), label=str(k), alpha=0.7)
    axes.set(xlabel=labels[0], ylabel=labels[1], title="posterior mean of z, by true class")
    figure.legend(loc="outside right upper", frameon=False, markerscale=2, fontsize=8)
    return figure


def confusion(probs: Tensor, y: Tensor) -> Figure:
    """Confusion matrix of class probabilities (N, K) and one-hot labels y (N, K), in examples."""
    classes = y.shape[-1]
    counts = confusion_matrix(
        y.argmax(-1).cpu(), probs.argmax(-1).cpu(), labels=range(classes)
    )
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure = Figure(figsize=(4.4, 4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts):
        if count:
            axes.text(j, i, count, ha="center", va="center", fontsize=7,
                      color="white" if shares[i, j] > 0.5 else "black")
    axes.set(xlabel="predicted class", ylabel="true class", title="confusion matrix",
             xticks=range(classes), yticks=range(classes))
    return figure


def _every_class(classes: int, times: int, like: Tensor) -> Tensor:
    """One-hot labels (times * classes, classes): 0, 1, ..., K-1, again and again."""
    index = torch.arange(classes, device=like.device).repeat(times)
    return F.one_hot(index, classes).to(like.dtype)


def _sampled_points(model: Any, split: Split) -> Figure:
    like, classes = split.dataset.x, split.dataset.classes
    y = _every_class(classes, SHOWN // classes, like)
    x = query.likelihood(model, like[:len(y)], y=y).mean.cpu()
    if "y" in query.sites(model, like[:1], y[:1]):
        groups = {f"y = {k}": x[y[:, k].cpu() == 1] for k in range(classes)}
    else:
        groups = {"model": x}
    data = like[split.unlabelled[:SHOWN]].cpu()
    figure = Figure(figsize=(4.8, 4), layout="constrained")
    axes = figure.subplots()
    axes.scatter(data[:, 0], data[:, 1], s=3, color="lightgrey", label="data")
    for k, (label, points) in enumerate(groups.items()):
        axes.scatter(points[:, 0], points[:, 1], s=4, color=COLORS(k % 10), label=label)
    axes.set(title="means of x, given latents drawn from the prior", xlabel="x 1", ylabel="x 2")
    figure.legend(loc="outside right upper", frameon=False, markerscale=2, fontsize=8)
    return figure


def _grid(
    images: Tensor, shape: tuple[int, int], columns: int, titles: Sequence[str] | None
) -> Figure:
    """Images (n, D) row by row, with titles above the columns: one picture, a pixel between."""
    height, width = shape
    tiles = images.reshape(-1, columns, height, width).cpu()
    canvas = F.pad(tiles, (0, 1, 0, 1)).transpose(1, 2).flatten(2).flatten(0, 1)[:-1, :-1]
    figure = Figure(figsize=(0.5 * columns, 0.5 * len(tiles) + 0.3), layout="constrained")
    axes = figure.subplots()
    axes.imshow(canvas.numpy(), cmap="gray_r", vmin=0, vmax=1)
    centres = (width - 1) / 2 + (width + 1) * np.arange(columns)
    axes.set(xticks=centres if titles else [], yticks=[])
    if titles:
        axes.set_xticklabels(titles)
    axes.tick_params(top=False, bottom=False, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    return figure
