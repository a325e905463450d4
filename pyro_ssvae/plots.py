"""Figures of a trained pair. Every function returns a matplotlib figure and shows nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.decomposition import PCA
from sklearn.metrics import confusion_matrix
from torch import Tensor
from torch.nn import functional as F

from pyro_ssvae import query
from pyro_ssvae.data import Split
from pyro_ssvae.evaluation import class_probabilities, evaluating, fit_classifier
from pyro_ssvae.metrics import accuracy, macro_f1
from pyro_ssvae.objective import Objective

COLORS = colormaps["tab10"]
OF_EPOCHS = {"epoch", "updates", "seconds"}
SHOWN = 2_000  # points in a scatter plot
NAMES = ("learning_curves", "samples", "analogies", "latent", "confusion", "labels")


def figures(
    objective: Objective, split: Split, history: Sequence[Mapping[str, float]]
) -> dict[str, Figure]:
    """Every figure that the pair and its data allow, by name; several labels have no columns.

    Args:
        objective: the trained pair.
        split: its data; the figures show the test part.
        history: rows of :meth:`pyro_ssvae.Epoch.row`.
    """
    model, guide = objective.model, objective.guide
    x, y = split.part("test")
    sizes, several = split.dataset.sizes, split.dataset.multilabel
    shape = None if several else split.dataset.image_shape
    result = {"learning_curves": learning_curves(history)}
    with evaluating(objective):
        fit_classifier(guide, split)
        has = query.sites(model, x[:1], y[:1])
        if "x" in has and (shape or x.shape[1] == 2) and not several:
            result["samples"] = samples(model, split)
        if {"x", "y", "z"} <= has and shape and _decodes_y(model, guide, x[:1], y[:1]):
            result["analogies"] = analogies(model, guide, x[:8], split)
        if "z" in has:
            result["latent"] = latent(guide, x[:SHOWN], y[:SHOWN], sizes)
        if hasattr(guide, "classify"):
            probs = class_probabilities(guide, x)
            result["labels" if several else "confusion"] = confusion(probs, y, sizes)
    return result


def learning_curves(history: Sequence[Mapping[str, float]]) -> Figure:
    """Validation scores and training losses against epochs, a panel for each kind of quantity."""
    panels = {
        "validation accuracy": ["val_accuracy"],
        "validation ELBO (nats)": ["val_elbo"],
        "validation NLL (nats)": ["val_nll"],
        "training: -ELBO (nats)": ["labelled", "unlabelled"],
        "training: classification (nats)": ["classification"],
    }
    shown = {"loss", *(name for names in panels.values() for name in names)}
    named = [n for n in history[0] if n not in shown | OF_EPOCHS and not n.startswith("val_")]
    panels["training: named terms"] = named
    panels = {
        title: [name for name in names if name in history[0]] for title, names in panels.items()
    }
    panels = {title: names for title, names in panels.items() if names}
    figure = Figure(figsize=(2.9 * len(panels), 2.6), layout="constrained")
    epochs = [row["epoch"] for row in history]
    marker = "o" if len(epochs) == 1 else None
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, names) in zip(grid, panels.items()):
        for name in names:
            axes.plot(epochs, [row[name] for row in history], marker=marker, label=name)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if len(names) > 1:
            axes.legend(frameon=False, fontsize=8)
    return figure


def samples(model: Any, split: Split, rows: int = 8) -> Figure:
    """Draws from the model, by class: mean images in columns, or points where x is in the plane.

    Classes come as the model draws them; a column may have gaps where one is rare.
    """
    shape, classes = split.dataset.image_shape, split.dataset.classes
    if shape is None:
        return _sampled_points(model, split)
    like = split.dataset.x[:1].expand(20 * rows * classes, -1)
    fn, y = query.draw(model, like)
    if y is None:
        return _grid(fn.mean[:rows * classes], shape, classes, None)
    images = like.new_zeros(rows, classes, like.shape[1])
    for k in range(classes):
        of_class = fn.mean[y[:, k] == 1][:rows]
        images[:len(of_class), k] = of_class
    return _grid(images.flatten(0, 1), shape, classes, [str(k) for k in range(classes)])


def analogies(model: Any, guide: Any, x: Tensor, split: Split) -> Figure:
    """Each image of x (N, D) beside the model's images of its z with every class in turn.

    z is its posterior mean, given the likeliest class.

    Kingma et al. (2014), figure 1(b): z holds the style, y the class.
    """
    classes, shape = split.dataset.classes, split.dataset.image_shape
    assert shape is not None
    z = query.posterior_mean(guide, x, _likeliest(guide, x)).repeat_interleave(classes, 0)
    y = _every_class(classes, len(x), x)
    images = query.likelihood(model, x.repeat_interleave(classes, 0), y=y, z=z).mean
    rows = torch.cat([x.unsqueeze(1), images.reshape(len(x), classes, -1)], dim=1).flatten(0, 1)
    return _grid(rows, shape, classes + 1, ["x", *map(str, range(classes))])


def latent(guide: Any, x: Tensor, y: Tensor, sizes: Sequence[int] | None = None) -> Figure:
    """Posterior means of z for x (N, D), given the likeliest class, by true one-hot y (N, K).

    More than two dimensions are shown by their first two principal components, one by a
    histogram for each class. With several labels, in blocks of these sizes, the number of those
    that are known to be present stands in for the class.
    """
    z = query.posterior_mean(guide, x, _likeliest(guide, x, sizes)).cpu().numpy()
    by, names, groups = "true class", range(y.shape[-1]), y.argmax(-1).cpu().numpy()
    if sizes is not None and len(sizes) > 1:
        groups = sum(block[:, 1] == 1 for block in y.split(list(sizes), dim=-1)).cpu().numpy()
        by, names = "number of labels", range(groups.max() + 1)
    if z.shape[1] == 1:
        return _histograms(z[:, 0], groups, len(names), by)
    labels = ["z 1", "z 2"]
    if z.shape[1] > 2:
        pca = PCA(2).fit(z)
        shares = pca.explained_variance_ratio_
        labels = [f"component {i + 1} of z ({share:.0%})" for i, share in enumerate(shares)]
        z = pca.transform(z)
    figure = Figure(figsize=(4.8, 4), layout="constrained")
    axes = figure.subplots()
    for k in names:
        points = z[groups == k]
        axes.scatter(points[:, 0], points[:, 1], s=6, color=COLORS(k % 10), label=str(k), alpha=0.7)
    axes.set(xlabel=labels[0], ylabel=labels[1], title=f"posterior mean of z, by {by}")
    figure.legend(loc="outside right upper", frameon=False, markerscale=2, fontsize=8)
    return figure


def confusion(probs: Tensor, y: Tensor, sizes: Sequence[int] | None = None) -> Figure:
    """Confusion matrix of class probabilities (N, K) and one-hot labels y (N, K), in examples.

    Several labels, in blocks of these sizes, are shown by each one's accuracy and F1.
    """
    if sizes is not None and len(sizes) > 1:
        return _label_scores(probs, y, sizes)
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
    title = f"accuracy {accuracy(probs, y):.1%}; colours: shares of a row"
    axes.set(xlabel="predicted class", ylabel="true class", title=title,
             xticks=range(classes), yticks=range(classes))
    return figure


def _label_scores(probs: Tensor, y: Tensor, sizes: Sequence[int]) -> Figure:
    blocks = [block.split(list(sizes), dim=-1) for block in (probs, y)]
    known = [k for k, t in enumerate(blocks[1]) if not t.isnan().any(-1).all()]
    figure = Figure(figsize=(max(4.4, 1.5 + 0.4 * len(sizes)), 3.2), layout="constrained")
    axes = figure.subplots()
    for shift, (label, score) in zip((-0.2, 0.2), {"accuracy": accuracy, "F1": macro_f1}.items()):
        values = [score(blocks[0][k], blocks[1][k]) for k in known]
        axes.bar(np.array(known) + shift, values, width=0.4, label=label)
    title = f"accuracy {accuracy(probs, y, sizes):.1%}, macro F1 {macro_f1(probs, y, sizes):.1%}"
    axes.set(xlabel="label", title=title, xticks=range(len(sizes)), ylim=(0, 1))
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


def _likeliest(guide: Any, x: Tensor, sizes: Sequence[int] | None = None) -> Tensor | None:
    """The likeliest class of x (N, D), one-hot (N, K), of each block where there are several.

    None where the guide does not classify.
    """
    if not hasattr(guide, "classify"):
        return None
    probs = class_probabilities(guide, x)
    blocks = probs.split(list(sizes or probs.shape[-1:]), dim=-1)
    likeliest = [F.one_hot(block.argmax(-1), block.shape[-1]) for block in blocks]
    return torch.cat(likeliest, dim=-1).to(x.dtype)


def _decodes_y(model: Any, guide: Any, x: Tensor, y: Tensor) -> bool:
    """Whether p(x | y, z) depends on y."""
    images = []
    z = query.posterior_mean(guide, x, y)
    for label in (y, y.roll(1, -1)):
        torch.manual_seed(0)
        images.append(query.likelihood(model, x, y=label, z=z).mean)
    return not torch.equal(*images)


def _histograms(
    z: np.ndarray[Any, Any], groups: np.ndarray[Any, Any], number: int, by: str
) -> Figure:
    figure = Figure(figsize=(4.8, 3.2), layout="constrained")
    axes = figure.subplots()
    bins = np.linspace(z.min(), z.max() + 1e-6, 60).tolist()
    for k in range(number):
        axes.hist(z[groups == k], bins=bins, color=COLORS(k % 10), alpha=0.6, label=str(k))
    axes.set(xlabel="z", ylabel="examples", title=f"posterior mean of z, by {by}")
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


def _every_class(classes: int, times: int, like: Tensor) -> Tensor:
    """One-hot labels (times * classes, classes): 0, 1, ..., K-1, again and again."""
    index = torch.arange(classes, device=like.device).repeat(times)
    return F.one_hot(index, classes).to(like.dtype)


def _sampled_points(model: Any, split: Split) -> Figure:
    data = split.dataset.x[split.unlabelled[:SHOWN]]
    fn, y = query.draw(model, data)
    x = fn.sample().cpu()
    groups = {"model": x} if y is None else {
        f"y = {k}": x[y[:, k].cpu() == 1] for k in range(split.dataset.classes)
    }
    data = data.cpu()
    figure = Figure(figsize=(4.8, 4), layout="constrained")
    axes = figure.subplots()
    axes.scatter(data[:, 0], data[:, 1], s=4, color="silver", label="data")
    for k, (label, points) in enumerate(groups.items()):
        axes.scatter(points[:, 0], points[:, 1], s=4, color=COLORS(k % 10), label=label)
    axes.set(title="draws from the model", xlabel="x 1", ylabel="x 2", aspect="equal")
    figure.legend(loc="outside right upper", frameon=False, markerscale=3, fontsize=8)
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
