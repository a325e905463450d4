"""Figures of a trained pair. Every function returns a matplotlib figure and shows nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from torch import Tensor
from torch.nn import functional as F

from pyro_ssvae.contract import classifies, predictor, regresses
from pyro_ssvae.data import Part, Split
from pyro_ssvae.data.view import taken
from pyro_ssvae.evaluation.evaluate import fit_classifier, predictions
from pyro_ssvae.evaluation.latents import posterior_means
from pyro_ssvae.inference import query
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.report import classifier_plots, number_plots
from pyro_ssvae.report.drawing import (
    DIFFERENT,
    PLAIN,
    SEVERAL,
    SHOWN,
    color,
    epoch_axis,
    in_colour,
    in_plane,
    label_names,
    plane_axes,
    show,
)
from pyro_ssvae.system.randomness import seeded
from pyro_ssvae.targets import Number, Target

ANALOGIES = 8  # test images, chosen at random
DRAWS = 20  # times that a model draws as many images as are shown, to have some of every class
OF_EPOCHS = {"epoch", "updates", "seconds"}


def figures(
    objective: Objective, split: Split, history: Sequence[Mapping[str, float]]
) -> dict[str, Figure]:
    """Every figure that the pair and its data allow, of :data:`pyro_ssvae.report.names.FIGURES`.

    Args:
        objective: The trained pair.
        split: The data of the pair, whose test part the figures show, or, where there is none, its
            validation part.
        history: The rows of the epochs, see :meth:`pyro_ssvae.Epoch.row`.
    """
    model, guide = objective.model, objective.guide
    x, y = split.part("test" if len(split.test) else "validation")
    target = split.target
    images = split.dataset.images and target.exclusive
    result = {"learning_curves": learning_curves(history)}
    with evaluating(objective):
        fit_classifier(guide, split)
        has = query.sites(model, x[:1], y[:1])
        if "x" in has and (images or in_plane(split.dataset)) and target.exclusive:
            result["samples"] = samples(model, split)
        if {"x", "y", "z"} <= has and images and _decodes_y(model, guide, x[:1], y[:1]):
            few = query.some(len(x), ANALOGIES).to(x.device)
            result["analogies"] = analogies(model, guide, x[few], split)
        if "z" in has and len(x) > 1:
            some = query.some(len(x), SHOWN).to(x.device)
            result["latent"] = latent(guide, taken(x, some), y[some], target)
        if classifies(guide):
            probs = predictions(guide, target, x)
            result |= classifier_plots.figures(probs, x, y, split.dataset)
        if regresses(guide) and isinstance(target, Number):
            predicted = predictions(guide, target, x)
            result["regression"] = number_plots.regression(predicted, y, target)
    return result


def learning_curves(history: Sequence[Mapping[str, float]]) -> Figure:
    """Validation scores and training losses against epochs, a panel for each kind of quantity."""
    panels = {
        "validation accuracy": ["val_accuracy"],
        "validation RMSE": ["val_rmse"],
        "validation ELBO (nats)": ["val_elbo"],
        "validation NLL (nats)": ["val_nll"],
        f"training: {'-ELBO' if 'val_elbo' in history[0] else 'loss'} (nats)": [
            "labelled", "unlabelled",
        ],
        "training: classification (nats)": ["classification"],
    }
    shown = {"loss", *(name for names in panels.values() for name in names)}
    named = [n for n in history[0] if n not in shown | OF_EPOCHS and not n.startswith("val_")]
    panels[f"training: {named[0] if len(named) == 1 else 'named terms'}"] = named
    panels = {
        title: [name for name in names if name in history[0]] for title, names in panels.items()
    }
    panels = {title: names for title, names in panels.items() if names}
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.6 * rows), layout="constrained")
    epochs = [int(row["epoch"]) for row in history]
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (title, names) in zip(grid, panels.items()):
        for name, shade in zip(names, cycle(SEVERAL if len(names) > 1 else [PLAIN])):
            axes.plot(epochs, [row[name] for row in history], color=shade, label=name,
                      marker="o" if len(epochs) == 1 else None)
        axes.set_title(title, fontsize=10)
        epoch_axis(axes, epochs)
        axes.grid(alpha=0.3)
        if len(names) > 1:
            axes.legend(frameon=False, fontsize=8)
    for axes in grid[len(panels):]:
        axes.remove()
    return figure


def samples(model: Any, split: Split, rows: int = 8) -> Figure:
    """Draws from the model, by class: mean images in columns, or points where x is in the plane.

    Classes come as the model draws them; a column may have gaps where one is rare.
    """
    if not split.dataset.images:
        return _sampled_points(model, split)
    classes = len(split.target.names)
    example, _ = split.examples(split.labelled[:1])
    like = example.expand(rows * classes, *example.shape[1:])
    images = torch.zeros_like(like).unflatten(0, (rows, classes))
    drawn = [0] * classes
    for _ in range(DRAWS):
        fn, y = query.draw(model, like)
        mean = fn.mean.reshape(like.shape)
        if y is None:
            return tiled(mean, classes, None)
        for k in range(classes):
            of_class = mean[y[:, k] == 1][:rows - drawn[k]]
            images[drawn[k]:drawn[k] + len(of_class), k] = of_class
            drawn[k] += len(of_class)
        if min(drawn) == rows:
            break
    return tiled(images.flatten(0, 1), classes, label_names(split.target))


def analogies(model: Any, guide: Any, x: Tensor, split: Split) -> Figure:
    """Each image of x (N, C, H, W) beside the model's images of its z with every class in turn.

    z is its posterior mean, given the likeliest class.

    Kingma et al. (2014), figure 1(b): z holds the style, y the class.
    """
    classes = len(split.target.names)
    likeliest = _likeliest(guide, x, split.target)
    z = query.posterior_mean(guide, x, likeliest).repeat_interleave(classes, 0)
    y = _every_class(classes, len(x), x)
    images = query.likelihood(model, x.repeat_interleave(classes, 0), y=y, z=z).mean
    rows = torch.cat([x.unsqueeze(1), images.reshape(len(x), classes, *x.shape[1:])], dim=1)
    return tiled(rows.flatten(0, 1), classes + 1, ["x", *label_names(split.target)])


def latent(guide: Any, x: Part, y: Tensor, target: Target) -> Figure:
    """Posterior means of z, given the likeliest class, by the true class.

    More than two dimensions are shown by their first two principal components, one by a
    histogram for each class. With several labels the number of those that are known to be present
    stands in for the class, and a real number is the colour of its point.

    Args:
        guide: The guide.
        x: The examples, (N, ...).
        y: Their encoded labels, (N, S).
        target: What the labels are.
    """
    means = posterior_means(guide, x, _likeliest(guide, x, target))
    z, labels = _in_the_plane(means.cpu().numpy())
    if isinstance(target, Number):
        return number_plots.latent(z, labels, y, target)
    by, groups, names = _grouped(y, target)
    if z.shape[1] == 1:
        return _histograms(z[:, 0], groups, names, by)
    figure = Figure(figsize=(4.8, 4), layout="constrained")
    axes = figure.subplots()
    for k, name in enumerate(names):
        points = z[groups == k]
        axes.scatter(points[:, 0], points[:, 1], s=6, color=color(k), label=name, alpha=0.7)
    axes.set(xlabel=labels[0], ylabel=labels[1])
    axes.set_title(f"posterior mean of z, by {by}", fontsize=10)
    _legend(figure, len(names), markerscale=2)
    return figure


def _legend(figure: Figure, groups: int, **options: Any) -> None:
    """A legend at the right, of groups whose colours can be told apart."""
    if groups <= DIFFERENT:
        figure.legend(loc="outside right upper", frameon=False, fontsize=8, **options)


def _in_the_plane(z: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], list[str]]:
    """At most two coordinates of z (N, J), its principal components if need be, and their names."""
    if z.shape[1] <= 2:
        return z, ["z 1", "z 2"]
    pca = PCA(2).fit(z)
    shares = pca.explained_variance_ratio_
    names = [f"component {i + 1} of z ({share:.0%})" for i, share in enumerate(shares)]
    return pca.transform(z), names


def _grouped(y: Tensor, target: Target) -> tuple[str, np.ndarray[Any, Any], list[str]]:
    """By what examples are coloured, which group each is of, and the names of the groups."""
    if target.exclusive:
        names = label_names(target)
        by = "true class" if len(names) <= DIFFERENT else f"true class, of {len(names)}"
        return by, y.argmax(-1).cpu().numpy(), names
    groups = (y[:, 1::2] == 1).sum(1).cpu().numpy()
    return "number of labels", groups, [str(k) for k in range(groups.max() + 1)]


def _likeliest(guide: Any, x: Part, target: Target) -> Tensor | None:
    """The encoding (N, S) of the likeliest label of x (N, ...); None where the guide predicts none.
    """
    return None if predictor(guide) is None else target.likeliest(predictions(guide, target, x))


def _decodes_y(model: Any, guide: Any, x: Tensor, y: Tensor) -> bool:
    """Whether p(x | y, z) depends on y."""
    images = []
    z = query.posterior_mean(guide, x, y)
    for label in (y, y.roll(1, -1)):
        with seeded(0, [x.device]):
            images.append(query.likelihood(model, x, y=label, z=z).mean)
    return not torch.equal(*images)


def _histograms(
    z: np.ndarray[Any, Any], groups: np.ndarray[Any, Any], names: Sequence[str], by: str
) -> Figure:
    figure = Figure(figsize=(4.8, 3.2), layout="constrained")
    axes = figure.subplots()
    bins = np.linspace(z.min(), z.max() + 1e-6, 60).tolist()
    for k, name in enumerate(names):
        axes.hist(z[groups == k], bins=bins, color=color(k), alpha=0.6, label=name)
    axes.set(xlabel="z", ylabel="examples")
    axes.set_title(f"posterior mean of z, by {by}", fontsize=10)
    _legend(figure, len(names))
    return figure


def _every_class(classes: int, times: int, like: Tensor) -> Tensor:
    """One-hot labels (times * classes, classes): 0, 1, ..., K-1, again and again."""
    index = torch.arange(classes, device=like.device).repeat(times)
    return F.one_hot(index, classes).to(like.dtype)


def _sampled_points(model: Any, split: Split) -> Figure:
    chosen = query.some(len(split.unlabelled), SHOWN).to(split.unlabelled.device)
    unlabelled, _ = split.examples(split.unlabelled[chosen])
    fn, y = query.draw(model, unlabelled)
    x = fn.sample().cpu().numpy()
    groups = {"model": x} if y is None else {
        f"y = {name}": x[y[:, k].cpu().numpy() == 1]
        for k, name in enumerate(label_names(split.target))
    }
    data = unlabelled.cpu().numpy()
    figure = Figure(figsize=(4.8, 4), layout="constrained")
    axes = figure.subplots()
    axes.scatter(data[:, 0], data[:, 1], s=4, color="silver", label="data")
    for k, (label, points) in enumerate(groups.items()):
        axes.scatter(points[:, 0], points[:, 1], s=4, color=color(k), label=label)
    plane_axes(figure, axes)
    axes.set_title("draws from the model", fontsize=10)
    _legend(figure, len(groups) + 1, markerscale=3)
    return figure


def tiled(images: Tensor, columns: int, titles: Sequence[str] | None) -> Figure:
    """Images (n, C, H, W) row by row, with titles above the columns: one picture, a pixel between.
    """
    channels, height, width = images.shape[1:]
    tiles = F.pad(images, (0, 1, 0, 1), value=float(in_colour(channels)))  # white
    tiles = tiles.unflatten(0, (-1, columns)).permute(2, 0, 3, 1, 4)  # C, row, H, column, W
    canvas = tiles.flatten(3).flatten(1, 2)[:, :-1, :-1]
    longer = max(height, width)
    side = min(max(0.5, longer / 64), 1.0) / longer  # inches of a pixel
    long = max(map(len, titles), default=0) if titles else 0
    beyond = 0.06 * long if long > 4 else 0.0  # what titles at an angle take, to two sides
    size = max(side * width, 0.25) * columns + beyond, side * height * len(images) / columns
    figure = Figure(figsize=(size[0], size[1] + 0.35 + beyond), layout="constrained")
    axes = figure.subplots()
    show(axes, canvas)
    centres = (width - 1) / 2 + (width + 1) * np.arange(columns)
    axes.set(xticks=centres if titles else [], yticks=[])
    if titles:
        turned = long > 4
        axes.set_xticklabels(
            titles, rotation=45 if turned else 0, ha="left" if turned else "center"
        )
    axes.tick_params(top=False, bottom=False, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    return figure
