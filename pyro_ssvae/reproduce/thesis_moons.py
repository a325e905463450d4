"""Jurasinski (2019), supplement, figures 8 to 11: M2's generative loss alone, on two moons.

M2 is trained with alpha = 0, and the KL divergence of z comes into the loss linearly until epoch
100. At epoch 70 and at the end: what q(y | x) says in the plane, what the softmax of minus the
reconstruction losses of the two classes says, and to where every point is reconstructed given each.

Full scale is 150 epochs of 100 updates, of 50 labelled and 9,950 unlabelled points, and five
draws. The thesis does not say the number of labels, sigma^2, the noise or the networks: labels and
networks are those of its circles, the noise is 0.1, and sigma^2 is 0.03 to 1. What the supplement
says of its one unnamed sigma^2 is asked of some of ours, and what it says of the loss in general of
all. Figures show the first draw with sigma^2 = 0.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure

from pyro_ssvae.data import Split
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.report import plane_plots
from pyro_ssvae.report.drawing import color
from pyro_ssvae.reproduce import plane
from pyro_ssvae.reproduce.draws import above, all_of, any_of, beyond, difference, greater
from pyro_ssvae.reproduce.findings import Claim, Findings, Picture, Row
from pyro_ssvae.reproduce.work import Work
from pyro_ssvae.targets.metrics import accuracy

EPOCHS, DRAWS, WARMUP = 150, 5, 100
EARLY = 0.7  # of the warm-up: epoch 70
SIGMA2 = (0.03, 0.1, 0.3, 1.0)
DRAWN = 0.3  # the sigma^2 of the figures
MOMENTS = {"early": "KL on its way in", "end": "KL wholly in"}
PERFECT = 97.0  # % of the test points, from which on a classifier counts as almost perfect
DRAMATIC = 5.0  # points of accuracy, more than which a changed boundary must cost or gain
AGREEING = 90.0  # % of the test points, of which both classifiers must say the same


def reproduce(work: Work) -> Findings:
    """Run the study."""
    epochs, warmup, draws = work.epochs(EPOCHS), work.epochs(WARMUP), work.draws(DRAWS)
    results = work.each(moons, [
        {"seed": seed, "epochs": epochs, "warmup": warmup, "sigma2s": list(SIGMA2)}
        for seed in draws
    ])
    return Findings(
        "M2 on two moons: q(y | x) against the classifier by reconstruction",
        "Moons with 50 labelled and 9,950 unlabelled points, the generative loss alone; the KL"
        f" divergence of z comes in over {warmup} epochs of {epochs}, of 100 updates each. Draws"
        f" of points and weights: {len(draws)}. Labels, sigma^2, noise and networks are not"
        " published.",
        rows(results), claims(results), pictures(results[0]),
    )


def moons(seed: int, epochs: int, warmup: int, sigma2s: Sequence[float]) -> dict[str, Any]:
    """M2 with every sigma^2 on one draw, looked at twice."""
    split = plane.points("moons", seed, validation=250)
    objectives = [
        plane.m2(seed, sigma2=sigma2, alpha=0.0, warmup=warmup) for sigma2 in sigma2s
    ]
    looks: dict[str, list[dict[str, Any]]] = {}
    early = max(1, round(EARLY * warmup))

    def after(epoch: int) -> None:
        for moment, when in (("early", early), ("end", epochs)):
            if epoch == when:
                looks[moment] = [
                    look(each, split, sigma2) for each, sigma2 in zip(objectives, sigma2s)
                ]

    curves = plane.trained_together(objectives, split, seed, epochs, after)
    return {
        "frame": plane.frame(split), "labelled": plane.labelled(split),
        "unlabelled": plane.plain(split.part("unlabelled")[0][:plane.SHOWN]),
        "starts": plane.plain(plane.grid(split, plane.ARROWS)), "curves": curves, **looks,
    }


def look(objective: Objective, split: Split, sigma2: float) -> dict[str, Any]:
    """The two classifiers and the reconstructions of a pair as it is now."""
    guide = objective.guide
    x, y = split.part("test")
    assert isinstance(x, torch.Tensor)
    by_guide = plane.probabilities(guide, x)
    by_error = plane.reconstruction_classifier(objective, x, sigma2)
    cells, some = plane.grid(split, plane.SIDE), x[:plane.SHOWN]
    starts = plane.grid(split, plane.ARROWS)
    return {
        "accuracy": accuracy(by_guide, y),
        "accuracy by reconstruction": accuracy(by_error, y),
        "agreement": (by_guide.argmax(-1) == by_error.argmax(-1)).double().mean().item(),
        "error": plane.squared_error(objective, split),
        "shades": plane.shades(plane.probabilities(guide, cells)),
        "shades by reconstruction": plane.shades(
            plane.reconstruction_classifier(objective, cells, sigma2)
        ),
        "images": plane.plain(plane.reconstructed(objective, some, plane.likeliest(guide, some))),
        "classes": y[:plane.SHOWN].argmax(-1).tolist(),
        "ends": [
            plane.plain(plane.reconstructed(objective, starts, plane.label(k, starts)))
            for k in range(2)
        ],
    }


def rows(results: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The accuracies of both classifiers, for every sigma^2 and at both moments."""
    near = "the supplement's figure 8, not said for which sigma^2"
    return [
        Row(f"sigma^2 = {sigma2:g}, {when}: {text}, %", values(results, moment, i, name),
            *((100.0, None, near) if (moment, name) == ("early", "accuracy") else ()))
        for i, sigma2 in enumerate(SIGMA2) for moment, when in MOMENTS.items()
        for name, text in (
            ("accuracy", "test accuracy of q(y | x)"),
            ("accuracy by reconstruction", "test accuracy by reconstruction"),
            ("agreement", "test points on which both agree"),
        )
    ]


def claims(results: Sequence[Mapping[str, Any]]) -> list[Claim]:
    """What the supplement says of the moons."""
    agreement = {
        when: [values(results, moment, i, "agreement") for i in range(len(SIGMA2))]
        for moment, when in MOMENTS.items()
    }
    return [
        *changes(*(
            [values(results, moment, i, "accuracy") for i in range(len(SIGMA2))]
            for moment in MOMENTS
        )),
        Claim(
            "The generative loss leads to a classifier by reconstruction: with every sigma^2, and"
            f" at both moments, both agree on more than {AGREEING:g} % of the test points.",
            "supplement, section 3.1, figures 8 and 10",
            all_of(above(own, AGREEING) for each in agreement.values() for own in each),
            "; ".join(
                f"{when}, {_by_sigma(each, AGREEING)}" for when, each in agreement.items()
            ),
        ),
    ]


def changes(early: Sequence[Sequence[float]], late: Sequence[Sequence[float]]) -> list[Claim]:
    """What the supplement says of the accuracy, before and after the KL divergence is in.

    Args:
        early: The accuracies of all draws before, for every sigma^2.
        late: Those after.
    """
    falls = [greater(before, after, by=DRAMATIC) for before, after in zip(early, late)]
    rises = [greater(after, before, by=DRAMATIC) for before, after in zip(early, late)]
    changed = "points gained: " + ", ".join(
        f"with sigma^2 = {sigma2:g} {difference(after, before)}"
        for sigma2, before, after in zip(SIGMA2, early, late)
    )
    return [
        Claim(
            "While the KL divergence is on its way in, the generative loss alone classifies almost"
            f" perfectly: with some sigma^2 more than {PERFECT:g} % of the test points are right.",
            "supplement, section 3.1, figure 8", any_of(above(own, PERFECT) for own in early),
            _by_sigma(early, PERFECT),
        ),
        Claim(
            "With the KL divergence wholly in, the boundary changes dramatically: with some"
            f" sigma^2 the accuracy changes by more than {DRAMATIC:g} points, up or down.",
            "supplement, section 3.1, figure 10", any_of([*falls, *rises]), changed,
        ),
        Claim(
            "It changes for the worse, as it must from almost perfect: with some sigma^2 the"
            f" accuracy falls by more than {DRAMATIC:g} points.",
            "supplement, section 3.1, figures 8 and 10", any_of(falls), changed,
        ),
    ]


def values(
    results: Sequence[Mapping[str, Any]], moment: str, i: int, name: str
) -> list[float]:
    """A share of every draw in percent, at a moment, for one sigma^2."""
    return [100 * result[moment][i][name] for result in results]


def pictures(result: Mapping[str, Any]) -> list[Picture]:
    """Figures 8 to 11, of the first draw."""
    found = []
    for moment, when in MOMENTS.items():
        found += [
            Picture(
                f"classifiers-{moment}", classifiers(result, moment),
                f"Two moons, {when}: the data, with labelled points rimmed; test points where M2"
                " reconstructs them; the confidence of q(y | x) as the background; that of the"
                " classifier by reconstruction.",
            ),
            Picture(
                f"field-{moment}", field(result, moment),
                f"Two moons, {when}: arrows from points of the plane towards where M2 reconstructs"
                " them, a third of the way, given the one class, the other, and both together.",
            ),
        ]
    return found


def classifiers(result: Mapping[str, Any], moment: str) -> Figure:
    """Figures 8 and 10: data, reconstructions, and two classifiers."""
    run, frame = result[moment][SIGMA2.index(DRAWN)], result["frame"]
    figure = Figure(figsize=(10.8, 2.1), layout="constrained")
    data, images, guide, by_error = figure.subplots(1, 4)
    plane_plots.points(data, result["unlabelled"], "silver")
    plane_plots.bare(data, frame, "data")
    plane_plots.classes(images, run["images"], run["classes"])
    plane_plots.bare(images, frame, "reconstructions")
    plane_plots.background(guide, run["shades"], frame)
    plane_plots.bare(guide, frame, f"q(y | x): {run['accuracy']:.1%}")
    plane_plots.background(by_error, run["shades by reconstruction"], frame)
    title = f"by reconstruction: {run['accuracy by reconstruction']:.1%}"
    plane_plots.bare(by_error, frame, title)
    for axes in (data, guide, by_error):
        plane_plots.labelled(axes, result["labelled"])
    return figure


def field(result: Mapping[str, Any], moment: str) -> Figure:
    """Figures 9 and 11: where points are reconstructed, given each class."""
    ends, frame = result[moment][SIGMA2.index(DRAWN)]["ends"], result["frame"]
    figure = Figure(figsize=(11.4, 2.8), layout="constrained")
    panels = figure.subplots(1, 3)
    for axes, shown, title in zip(panels, ((0,), (1,), (0, 1)), ("class 0", "class 1", "both")):
        plane_plots.points(axes, result["unlabelled"], "silver")
        for k in shown:
            plane_plots.arrows(axes, result["starts"], ends[k], color(k))
        plane_plots.bare(axes, frame, title)
    return figure


def _by_sigma(shares: Sequence[Sequence[float]], limit: float) -> str:
    """The means for every sigma^2, and how far above a limit they are."""
    return ", ".join(
        beyond(own, limit, f" with sigma^2 = {sigma2:g}") for sigma2, own in zip(SIGMA2, shares)
    )
