"""Jurasinski (2019), section 3, figure 2: analogies of M2, and how well they keep to the label.

M2 is trained with alpha = 1, as in appendix B. The z' of a test image, inferred with its likeliest
label, is decoded with every label in turn. Beside the figure: on how many test images the true
label reconstructs best, where z' is inferred anew with each; how grey the analogies are; and
whether they are of the label asked for by the eye of a classifier that was trained on many labels,
which M2 never sees.

Full scale is 500 epochs on MNIST with 100 labels and five draws. p(x | y, z') is Bernoulli, for its
normal likelihood's sigma^2 on MNIST is not published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from pyro_ssvae.evaluation.importance import class_posteriors
from pyro_ssvae.experiments.setting import loaded
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.report.drawing import PLAIN, color, show
from pyro_ssvae.reproduce import images
from pyro_ssvae.reproduce.draws import above, beyond, difference, greater
from pyro_ssvae.reproduce.findings import Claim, Findings, Picture, Row
from pyro_ssvae.reproduce.work import Work

DATA_SETS = images.DATA
DRAWS = 5
ALPHA = 1.0
IMAGES = 1_000  # test images that numbers are of
MANY = {"digits": 1_000, "mnist": 10_000}  # labels of the classifier that judges
JUDGED = {"digits": 100, "mnist": 5}  # epochs of its training
MOST = 50.0  # % of the images or analogies, more than which are most
GREYER = 1.0  # points of greyness, more than which are seen
SELDOM = 10.0  # points of analogies of the label asked for, more than which a 1 has fewer


def reproduce(work: Work) -> Findings:
    """Run the study."""
    epochs = images.epochs(work)
    items = [
        {"data": data, "seed": seed, "epochs": epochs[data],
         "judged": min(JUDGED[data], epochs[data])}
        for data, seeds in images.draws(work, DRAWS).items() for seed in seeds
    ]
    results = [item | found for item, found in zip(items, work.each(look, items))]
    return Findings(
        "Analogies of M2: one z', every label",
        f"{images.said(work, DRAWS)} alpha = {ALPHA:g}.",
        rows(results), claims(results), pictures(results),
    )


def look(data: str, seed: int, epochs: int, judged: int) -> dict[str, Any]:
    """M2's analogies of test images, and what numbers say of them."""
    split = images.split_of(data, seed)
    objective = images.trained("m2", split, epochs, alpha=ALPHA)
    x, y = split.part("test")
    assert isinstance(x, Tensor)
    x, y = x[:IMAGES], y[:IMAGES]
    shown = images.first_of_each_class(split)
    judge = images.trained(
        "supervised", loaded(data, None).split(MANY[data], seed=seed), judged
    )
    with evaluating(objective):
        best = class_posteriors(
            objective.model, objective.guide, x, y.shape[-1], samples=4
        )["reconstruction"].argmax(-1)
    return {
        "accuracy": images.test_accuracy(objective, split),
        "best": (best == y.argmax(-1)).double().mean().item(),
        "judge": images.test_accuracy(judge, split),
        "x": images.plain(shown),
        "analogies": [images.plain(each) for each in images.analogies(objective, shown)],
        **measures(torch.stack(images.analogies(objective, x)), y, judge),
    }


def measures(every: Tensor, y: Tensor, judge: Any) -> dict[str, Any]:
    """How grey analogies are, and how many are of the label asked for.

    Args:
        every: The analogies of n images with every label, (K, n, 1, H, W).
        y: The true labels of the images, (n, K).
        judge: The objective of a classifier that was trained on many labels.
    """
    own = y.T.bool()  # (K, n): where the label asked for is that of the image
    grey = greyness(every)
    with evaluating(judge):
        seen = torch.stack([judge.guide.classify(rows).probs.argmax(-1) for rows in every])
    right = seen == torch.arange(len(every)).unsqueeze(-1)
    truth = y.argmax(-1)
    return {
        "grey own": grey[own].mean().item(), "grey others": grey[~own].mean().item(),
        "kept own": right[own].double().mean().item(),
        "kept others": right[~own].double().mean().item(),
        "kept by class": [
            right[:, truth == k][~own[:, truth == k]].double().mean().item()
            for k in range(len(every))
        ],
    }


def greyness(x: Tensor) -> Tensor:
    """How far pixels in [0, 1] are from black and white: the mean of 4 p (1 - p), 0 to 1."""
    return (4 * x * (1 - x)).flatten(-3).mean(-1)


def rows(results: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The numbers of each data set."""
    texts = {
        "accuracy": "M2's test accuracy", "best": "images best reconstructed with the true label",
        "kept own": "images with the true label that are of it",
        "kept others": "analogies that are of the label asked for",
        "judge": "test accuracy of the classifier that says so",
        "grey own": "greyness of images with the true label", "grey others": "that of analogies",
        "kept of a 1": "analogies of a 1 that are of the label asked for",
        "kept of the others": "analogies of the other digits that are",
    }
    return [
        Row(f"{images.NAMES[data]}: {text}, %", of(results, data, name))
        for data in images.DATA for name, text in texts.items()
    ]


def claims(results: Sequence[Mapping[str, Any]]) -> list[Claim]:
    """What the thesis says of figure 2, on each data set."""
    return images.on_each(lambda data: claims_on(results, data))


def claims_on(results: Sequence[Mapping[str, Any]], data: str) -> list[Claim]:
    """What the thesis says of figure 2, on one data set."""
    name = images.NAMES[data]
    best, own, others, kept, ones, rest = (of(results, data, what) for what in (
        "best", "grey own", "grey others", "kept others", "kept of a 1", "kept of the others",
    ))
    shares = ", ".join(f"of {k}: {each:.0f} %" for k, each in enumerate(by_class(results, data)))
    return [
        Claim(
            f"On {name}, the true label reconstructs best, where z' is inferred with each, on"
            f" most images: more than {MOST:g} %.", "section 3, figure 2", above(best, MOST),
            f"on {beyond(best, MOST)}",
        ),
        Claim(
            f"On {name}, analogies are less sharp than reconstructions: their greyness is more than"
            f" {GREYER:g} point higher.", "section 3, figure 2",
            greater(others, own, by=GREYER),
            f"{fmean(others):.1f} % against {fmean(own):.1f} %: {difference(others, own)}",
        ),
        Claim(
            f"On {name}, most analogies are of the label asked for: more than {MOST:g} %.",
            "section 3.3, figure 2", above(kept, MOST), f"{beyond(kept, MOST)} are",
        ),
        Claim(
            f"On {name}, a 1 keeps to its own class: of its analogies, fewer are of the label asked"
            f" for than of those of the other digits, by more than {SELDOM:g} points.",
            "section 3.3, figure 2", greater(rest, ones, by=SELDOM),
            f"the others have more by {difference(rest, ones)}; {shares}",
        ),
    ]


def of(results: Sequence[Mapping[str, Any]], data: str, name: str) -> list[float]:
    """A share of all draws in percent."""
    return [
        100 * {**r, **ones_and_others(r["kept by class"])}[name]
        for r in results if r["data"] == data
    ]


def ones_and_others(kept: Sequence[float]) -> dict[str, float]:
    """The share of analogies of the label asked for, of a 1 and of the other digits."""
    return {"kept of a 1": kept[1], "kept of the others": fmean([*kept[:1], *kept[2:]])}


def by_class(results: Sequence[Mapping[str, Any]], data: str) -> list[float]:
    """The share of analogies of the label asked for, by the class of the image, in percent."""
    own = [r["kept by class"] for r in results if r["data"] == data]
    return [100 * fmean(shares) for shares in zip(*own)]


def pictures(results: Sequence[Mapping[str, Any]]) -> list[Picture]:
    """Figure 2, of the first draw of each data set, and the shares by class."""
    found = []
    for data in images.DATA:
        result = next(r for r in results if r["data"] == data)
        stacks = torch.tensor([result["x"], *result["analogies"]]) / 100  # (1 + K, n, H, W)
        found.append(Picture(
            f"analogies-{data}", table(stacks.transpose(0, 1)),
            f"{images.NAMES[data]}. In the left column a test image of every class, and beside it"
            " M2's images of its z' with every label from 0 to 9.",
        ))
    found.append(Picture(
        "kept", shares(results),
        "The share of analogies that are of the label asked for, by the class of the image.",
    ))
    return found


def table(images: Tensor) -> Figure:
    """Images (rows, columns, H, W): the first column apart."""
    _, columns, height, width = images.shape
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1))
    canvas = padded.permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
    figure = Figure(figsize=(5.6, 5.4), layout="constrained")
    axes = figure.subplots()
    show(axes, canvas.unsqueeze(0))
    axes.axvline(width + 1.5, color=PLAIN, lw=1)
    centres = [(width + 2) * (k + 0.5) - 0.5 for k in range(columns)]
    axes.set(xticks=centres, yticks=[])
    axes.set_xticklabels(["x", *map(str, range(columns - 1))])
    axes.tick_params(bottom=False, labelbottom=False, labeltop=True)
    axes.spines[:].set_visible(False)
    return figure


def shares(results: Sequence[Mapping[str, Any]]) -> Figure:
    """Bars by class, side by side for the data sets."""
    figure = Figure(figsize=(5.6, 3.2), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(images.DATA)
    for i, data in enumerate(images.DATA):
        values = by_class(results, data)
        places = [k + width * (i - (len(images.DATA) - 1) / 2) for k in range(len(values))]
        axes.bar(places, values, width, color=color(i), label=images.NAMES[data])
    axes.set(xticks=range(10), xlabel="class of the image", ylabel="of the label asked for (%)",
             ylim=(0, 100))
    axes.grid(axis="y", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8)
    return figure
