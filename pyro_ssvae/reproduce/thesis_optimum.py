"""Jurasinski (2019), section 3.1: M2 leaves the optimum that its classifier begins in, on circles.

The classifier is first trained on 5,000 true labels, and then M2 with it, with
sigma^2 = 1 and alpha from 0 to 1,000, and with sigma^2 = 0.01. The accuracy after every epoch. M2
has stayed where it has lost two points of test accuracy or less.

Full scale is 100 epochs of 100 updates, of 50 labelled and 100 unlabelled points each, and five
draws of points and weights. The thesis says neither, nor how the optimum was found, nor its alphas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import torch
from matplotlib.figure import Figure

from pyro_ssvae import data
from pyro_ssvae.report import plane_plots
from pyro_ssvae.report.drawing import PLAIN, color, epoch_axis
from pyro_ssvae.reproduce import plane
from pyro_ssvae.reproduce.draws import all_of, any_of, difference, greater
from pyro_ssvae.reproduce.findings import Claim, Findings, Picture, Row
from pyro_ssvae.reproduce.work import Work

EPOCHS, DRAWS = 100, 5
FOUND = 50  # epochs in which the optimum is found
# (sigma^2, alpha); the first is the generative loss alone.
SETTINGS = (
    (1.0, 0.0), (1.0, 0.1), (1.0, 1.0), (1.0, 10.0), (1.0, 100.0), (1.0, 1000.0), (0.01, 0.1),
    (0.01, 1.0),
)
LOST = 2.0  # points of accuracy within which it has stayed
OWN = {0.1: "figure 4's alpha", 1.0: "appendix B's alpha"}  # which may be those of section 3.1


def reproduce(work: Work) -> Findings:
    """Run the study."""
    epochs, found, draws = work.epochs(EPOCHS), work.epochs(FOUND), work.draws(DRAWS)
    results = work.each(departures, [
        {"seed": seed, "epochs": epochs, "found": found, "settings": [list(s) for s in SETTINGS]}
        for seed in draws
    ])
    return Findings(
        "M2 on circles, its classifier started at its optimum",
        f"Circles with 50 labelled and 9,950 unlabelled points; {found} epochs for the optimum,"
        f" from 5,000 true labels, then {epochs} of M2, of 100 updates each. Draws"
        f" of points and weights: {len(draws)}. Epochs, draws and alphas are not published.",
        rows(results), claims(results), pictures(results),
    )


def departures(
    seed: int, epochs: int, found: int, settings: Sequence[Sequence[float]]
) -> dict[str, Any]:
    """M2 from the optimum on with every setting on one draw; the first is apart, of alpha = 0."""
    split = plane.points("circles", seed, validation=250)
    everything = data.load("circles").split(5_000, seed=seed)
    optimum = plane.classifier_alone(everything, seed, found)
    start = plane.test_accuracy(optimum, split)
    objectives = [plane.m2(seed, sigma2=sigma2, alpha=alpha) for sigma2, alpha in settings]
    for each in objectives:
        each.guide.classifier.load_state_dict(optimum.classifier.state_dict())
    first, others = objectives[:1], objectives[1:]
    curves = [
        *plane.trained_together(first, split, seed, epochs),
        *plane.trained_together(others, split, seed, epochs),
    ]
    cells = plane.grid(split, plane.SIDE)
    return {
        "start": start, "frame": plane.frame(split), "labelled": plane.labelled(split),
        "begun": plane.shades(plane.probabilities(optimum, cells)),
        "runs": [
            {
                "accuracy": plane.test_accuracy(each.guide, split), "curve": curve,
                "error": plane.squared_error(each, split),
                "shades": plane.shades(plane.probabilities(each.guide, cells)),
            }
            for each, curve in zip(objectives, curves)
        ],
    }


def rows(results: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The accuracy at the start and after training with every setting."""
    return [
        Row("the optimum: test accuracy, %", starts(results)),
        *(
            Row(f"M2 from there, sigma^2 = {sigma2:g}, alpha = {alpha:g}: test accuracy, %",
                ends(results, i))
            for i, (sigma2, alpha) in enumerate(SETTINGS)
        ),
    ]


def claims(results: Sequence[Mapping[str, Any]]) -> list[Claim]:
    """What the thesis says of the optimum."""
    lost = f"more than {LOST:g} points of accuracy are lost"
    return [
        Claim(
            f"The generative loss with sigma^2 = 1 draws M2 away from the optimum: {lost}.",
            "section 3.1", left(results, (1.0, 0.0)), _losses(results, [(1.0, 0.0)]),
        ),
        *(
            Claim(
                f"It does so even with a discriminative loss, alpha = {alpha:g}: {lost}.",
                f"section 3.1; {where}", left(results, (1.0, alpha)),
                _losses(results, [(1.0, alpha)]),
            )
            for alpha, where in OWN.items()
        ),
        *staying(results),
    ]


def staying(results: Sequence[Mapping[str, Any]]) -> list[Claim]:
    """What keeps M2 at its optimum: a heavy discriminative loss, or a good reconstruction."""
    heavy = [each for each in SETTINGS if each[0] == 1 and each[1] > max(OWN)]
    good = [each for each in SETTINGS if each[0] == 0.01]
    kept = f"{LOST:g} points of accuracy or less are lost"
    return [
        Claim(
            "A discriminative loss that is heavy enough keeps M2 there: with some alpha above"
            f" {max(OWN):g}, {kept}.", "section 3.1",
            any_of(stayed(results, each) for each in heavy), _losses(results, heavy),
        ),
        Claim(
            "Where reconstruction is good, with sigma^2 = 0.01, M2 stays (ours to ask): with every"
            f" alpha, {kept}.", "section 3.1, its explanation",
            all_of(stayed(results, each) for each in good), _losses(results, good),
        ),
    ]


def left(results: Sequence[Mapping[str, Any]], setting: tuple[float, float]) -> bool | None:
    """Whether M2 has lost more than it may where it counts as having stayed at the optimum."""
    return greater(starts(results), ends(results, SETTINGS.index(setting)), by=LOST)


def stayed(results: Sequence[Mapping[str, Any]], setting: tuple[float, float]) -> bool | None:
    """Whether M2 has not."""
    return greater(ends(results, SETTINGS.index(setting)), starts(results), by=-LOST)


def _losses(
    results: Sequence[Mapping[str, Any]], settings: Sequence[tuple[float, float]]
) -> str:
    begun = starts(results)
    return "points lost: " + ", ".join(
        f"with alpha = {alpha:g}"
        f" {difference(begun, ends(results, SETTINGS.index((sigma2, alpha))))}"
        for sigma2, alpha in settings
    )


def starts(results: Sequence[Mapping[str, Any]]) -> list[float]:
    """The accuracy of every draw's optimum in percent."""
    return [100 * result["start"] for result in results]


def ends(results: Sequence[Mapping[str, Any]], i: int) -> list[float]:
    """The accuracy of every draw after training with one setting, in percent."""
    return [100 * result["runs"][i]["accuracy"] for result in results]


def pictures(results: Sequence[Mapping[str, Any]]) -> list[Picture]:
    """The curves of all draws, and the planes of the first."""
    return [
        Picture(
            "departures", departing(results),
            "Validation accuracy of M2 from the optimum on, the mean over draws, for every alpha"
            " with sigma^2 = 1 and, dashed, with sigma^2 = 0.01; at 0 the test accuracy of the"
            " optimum.",
        ),
        Picture(
            "classifiers", classifiers(results[0]),
            "What the classifier says in the plane of the circles at its optimum, and after M2 was"
            " trained from there with every setting.",
        ),
    ]


def departing(results: Sequence[Mapping[str, Any]]) -> Figure:
    """Accuracy against epochs."""
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = figure.subplots()
    epochs = range(len(results[0]["runs"][0]["curve"]) + 1)
    axes.axhline(fmean(starts(results)), color=PLAIN, ls=":", lw=1)
    for i, (sigma2, alpha) in enumerate(SETTINGS):
        curves = torch.tensor([[r["start"], *r["runs"][i]["curve"]] for r in results])
        axes.plot(epochs, 100 * curves.mean(0), color=color(i), ls="-" if sigma2 == 1 else "--",
                  label=f"$\\sigma^2$ = {sigma2:g}, $\\alpha$ = {alpha:g}")
    epoch_axis(axes, epochs)
    axes.set_ylabel("validation accuracy (%)")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


def classifiers(result: Mapping[str, Any]) -> Figure:
    """The plane at the optimum and after every setting."""
    figure = Figure(figsize=(8.4, 9), layout="constrained")
    grid = figure.subplots(3, 3).ravel()
    panels = [
        (result["begun"], f"the optimum: {result['start']:.1%}"),
        *(
            (run["shades"],
             f"$\\sigma^2$ = {sigma2:g}, $\\alpha$ = {alpha:g}: {run['accuracy']:.1%}")
            for run, (sigma2, alpha) in zip(result["runs"], SETTINGS)
        ),
    ]
    for axes, (shades, title) in zip(grid, panels):
        plane_plots.background(axes, shades, result["frame"])
        plane_plots.labelled(axes, result["labelled"])
        plane_plots.bare(axes, result["frame"], title)
    return figure
