"""Jurasinski (2019), section 3.1, figures 3 and 4: M2 needs good reconstructions, on circles.

For each sigma^2 of p(x | y, z) M2 is trained on 50 labelled and 9,950 unlabelled points, with
alpha = 0.1 as in figure 4, and its classifier's network alone on the 50 labels. What the classifier
says in the plane, where points are reconstructed, the accuracy and the reconstruction error. The
thesis tunes sigma^2; here the validation accuracy of half of the draws chooses among all that are
tried, and the other half compares.

Full scale is 100 epochs of 100 updates, of 50 labelled and 100 unlabelled points each, and ten
draws of points and weights. The thesis says neither these, nor the noise of the circles, nor the
ends of figure 4; here the noise is 0.05, the inner circle half as large, and sigma^2 0.003 to 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from matplotlib.figure import Figure
from scipy.stats import spearmanr

from pyro_ssvae.report import plane_plots
from pyro_ssvae.report.drawing import PLAIN, color
from pyro_ssvae.reproduce import plane
from pyro_ssvae.reproduce import draws as of_draws
from pyro_ssvae.reproduce.draws import (
    above,
    counted,
    difference,
    greater,
    in_words,
    others,
    paired,
)
from pyro_ssvae.reproduce.findings import Claim, Findings, Picture, Row
from pyro_ssvae.reproduce.work import Work

EPOCHS, DRAWS = 100, 10
SIGMA2 = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
ALPHA = 0.1
COMMON = 1.0  # "a common choice"
BOUNDARY = 99.0  # % of the test points, from which on the boundary counts as found
BEHIND = 1  # point, by less than which M2 is behind the classifier alone where it is fixed
RELATED = -0.5  # the rank correlation of error and accuracy that counts as a close relation


def reproduce(work: Work) -> Findings:
    """Run the study."""
    epochs, draws = work.epochs(EPOCHS), work.draws(DRAWS)
    results = work.each(
        sweep, [{"seed": seed, "epochs": epochs, "sigma2s": list(SIGMA2)} for seed in draws]
    )
    return Findings(
        "M2 on circles: accuracy and reconstruction against sigma^2",
        f"Circles with 50 labelled and 9,950 unlabelled points, alpha = {ALPHA}; {epochs} epochs of"
        f" 100 updates. Draws of points and weights: {len(draws)}. Epochs, draws and noise are not"
        " published.",
        rows(results), claims(results), pictures(results),
    )


def sweep(seed: int, epochs: int, sigma2s: Sequence[float]) -> dict[str, Any]:
    """M2 with every sigma^2, and the classifier alone, on one draw."""
    split = plane.points("circles", seed)
    objectives = [plane.m2(seed, sigma2=sigma2, alpha=ALPHA) for sigma2 in sigma2s]
    curves = plane.trained_together(objectives, split, seed, epochs)
    baseline = plane.classifier_alone(split, seed, epochs)
    cells = plane.grid(split, plane.SIDE)
    x, y = split.part("test")
    some = x[:plane.SHOWN]
    return {
        "frame": plane.frame(split),
        "labelled": plane.labelled(split),
        "unlabelled": plane.plain(split.part("unlabelled")[0][:plane.SHOWN]),
        "baseline": {
            "accuracy": plane.test_accuracy(baseline, split),
            "shades": plane.shades(plane.probabilities(baseline, cells)),
        },
        "runs": [
            {
                "accuracy": plane.test_accuracy(each.guide, split),
                "error": plane.squared_error(each, split),
                "curve": curve,
                "shades": plane.shades(plane.probabilities(each.guide, cells)),
                "images": plane.plain(
                    plane.reconstructed(each, some, plane.likeliest(each.guide, some))
                ),
                "classes": y[:plane.SHOWN].argmax(-1).tolist(),
            }
            for each, curve in zip(objectives, curves)
        ],
    }


def rows(results: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The accuracies and the error for every sigma^2."""
    found = [Row("classifier alone: test accuracy, %", _baseline(results))]
    for i, sigma2 in enumerate(SIGMA2):
        own = f"M2, sigma^2 = {sigma2:g}"
        found += [
            Row(f"{own}: validation accuracy, %", _validated(results, i)),
            Row(f"{own}: test accuracy, %", _accuracies(results, i)),
            Row(f"{own}: test reconstruction, E ||x - f||^2",
                [result["runs"][i]["error"] for result in results]),
        ]
    return found


def claims(results: Sequence[Mapping[str, Any]]) -> list[Claim]:
    """What the thesis says of the circles."""
    baseline, common = _baseline(results), _accuracies(results, SIGMA2.index(COMMON))
    limits = [BOUNDARY] * len(baseline)
    return [
        Claim(
            "The classifier, trained on the 50 labelled points alone, finds the boundary: it is"
            f" right on more than {BOUNDARY:g} % of the test points.",
            "section 3.1, figure 3d", above(baseline, BOUNDARY),
            f"{fmean(baseline):.1f} %; points above {BOUNDARY:g} %: {difference(baseline, limits)}",
        ),
        Claim(
            "With sigma^2 = 1 M2's classifier is worse than the same network trained alone.",
            "section 3.1, figure 3e", greater(baseline, common),
            f"{fmean(common):.1f} % against {fmean(baseline):.1f} %; points that M2 loses:"
            f" {difference(baseline, common)}",
        ),
        *tuning(baseline, common, results), *trends(results),
    ]


def tuning(
    baseline: Sequence[float], common: Sequence[float], results: Sequence[Mapping[str, Any]]
) -> list[Claim]:
    """What the thesis says of a sigma^2 that is tuned, and whether z is then of any use."""
    best = chosen(results)
    errors, before = (others(_errors(results, i)) for i in (best, SIGMA2.index(COMMON)))
    tuned, common, baseline = (
        others(values) for values in (_accuracies(results, best), common, baseline)
    )
    with_it = f"{fmean(tuned):.1f} % with sigma^2 = {SIGMA2[best]:g}"
    return [
        Claim(
            "Tuning sigma^2 makes M2 better: with the one of all that validation data of half of"
            " the draws choose it is better than with sigma^2 = 1, on the other half.",
            "section 3.1, figure 3f", greater(tuned, common),
            f"{with_it}, against {fmean(common):.1f} % with 1; points gained:"
            f" {difference(tuned, common)}",
        ),
        Claim(
            "Tuning sigma^2 fixes M2: with the one that validation data of half of the draws choose"
            f" it is, on the other half, less than {counted(BEHIND, 'point')} behind the network"
            " trained alone, if at all.",
            "section 3.1, figures 3d and 3f", greater(tuned, baseline, by=-BEHIND),
            f"{with_it}, against {fmean(baseline):.1f} %; points gained:"
            f" {difference(tuned, baseline)}",
        ),
        Claim(
            "It is better because it models the circles: with the sigma^2 that validation data"
            " of half of the draws choose the error of reconstructions is, on the other half, less"
            " than half of that with sigma^2 = 1.",
            "ours, after section 3.1, figure 4", greater([own / 2 for own in before], errors),
            f"E ||x - f||^2 is {fmean(errors):.3f} with sigma^2 = {SIGMA2[best]:g}, against"
            f" {fmean(before):.3f} with 1",
        ),
    ]


def trends(results: Sequence[Mapping[str, Any]]) -> list[Claim]:
    """What the thesis says of accuracy against sigma^2 and against the error, draw by draw."""
    accuracies = [[run["accuracy"] for run in result["runs"]] for result in results]
    errors = [[run["error"] for run in result["runs"]] for result in results]
    by_sigma2 = [rank_correlation(SIGMA2, own) for own in accuracies]
    by_error = [rank_correlation(*both) for both in zip(errors, accuracies)]
    common = _accuracies(results, SIGMA2.index(COMMON))
    gains = ", ".join(
        f"with {sigma2:g} {difference(_accuracies(results, i), common)}"
        for i, sigma2 in enumerate(SIGMA2) if sigma2 != COMMON
    )
    return [
        Claim(
            "The smaller sigma^2, the better M2 classifies: the rank correlation of sigma^2 and"
            " accuracy is below 0.", "section 3.1, figures 3f and 4",
            greater([0.0] * len(by_sigma2), by_sigma2),
            f"it is {correlation(by_sigma2)}; points gained against sigma^2 = 1: {gains}",
        ),
        Claim(
            "The better M2 reconstructs, the better it classifies: the rank correlation of error"
            f" and accuracy over sigma^2 is below {RELATED:g}.", "section 3.1, figure 4",
            greater([RELATED] * len(by_error), by_error), f"it is {correlation(by_error)}",
        ),
    ]


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's; 0 where one of them is the same throughout, for it has no order to go with."""
    if min(len(set(a)), len(set(b))) < 2:
        return 0.0
    return float(spearmanr(a, b).statistic)


def correlation(found: Sequence[float]) -> str:
    """The mean of the draws' correlations in words, with its interval where there are several."""
    mean = paired(found, [0.0] * len(found))
    return f"{in_words(mean, '.2f')} over {counted(mean.draws, 'draw')}"


def chosen(results: Sequence[Mapping[str, Any]]) -> int:
    """Which sigma^2 has the best validation accuracy at the end, by half of the draws."""
    return of_draws.chosen({i: _validated(results, i) for i in range(len(SIGMA2))})


def pictures(results: Sequence[Mapping[str, Any]]) -> list[Picture]:
    """The figures: one of the first draw's planes, one of all draws' numbers."""
    best = chosen(results)
    return [
        Picture(
            "classifiers", classifiers(results[0], best),
            "Circles. Above: the data, with labelled points rimmed; reconstructions with"
            f" sigma^2 = 1; reconstructions with sigma^2 = {SIGMA2[best]:g}, which validation data"
            " choose. Below: the classifier trained alone; M2's with sigma^2 = 1; M2's with the one"
            " chosen. The background is the classifier's confidence, from one class's colour to the"
            " other's.",
        ),
        Picture(
            "reconstructions", reconstructions(results[0]),
            "Where M2 puts test points of the two circles back, for every sigma^2, over its"
            " classifier.",
        ),
        Picture(
            "sigma2", curves(results),
            "Test accuracy and reconstruction error of M2 against sigma^2, the mean over draws and"
            " each draw; the dashed line is the accuracy of the classifier trained alone.",
        ),
    ]


def classifiers(result: Mapping[str, Any], best: int) -> Figure:
    """Figure 3, six panels."""
    figure = Figure(figsize=(8.4, 5.8), layout="constrained")
    above, below = figure.subplots(2, 3)
    plane_plots.points(above[0], result["unlabelled"], "silver")
    plane_plots.bare(above[0], result["frame"], "data")
    plane_plots.background(below[0], result["baseline"]["shades"], result["frame"])
    accuracy = result["baseline"]["accuracy"]
    plane_plots.bare(below[0], result["frame"], f"labels alone: {accuracy:.1%}")
    for column, i in ((1, SIGMA2.index(COMMON)), (2, best)):
        run, name = result["runs"][i], f"$\\sigma^2 = {SIGMA2[i]:g}$"
        plane_plots.classes(above[column], run["images"], run["classes"])
        plane_plots.bare(above[column], result["frame"], f"reconstructions, {name}")
        plane_plots.background(below[column], run["shades"], result["frame"])
        plane_plots.bare(below[column], result["frame"], f"M2, {name}: {run['accuracy']:.1%}")
    for axes in (above[0], *below):
        plane_plots.labelled(axes, result["labelled"])
    return figure


def reconstructions(result: Mapping[str, Any]) -> Figure:
    """Reconstructed points over the classifier, a panel for every sigma^2."""
    columns = -(-len(SIGMA2) // 2)
    figure = Figure(figsize=(2.6 * columns, 5.6), layout="constrained")
    grid = figure.subplots(2, columns).ravel()
    for axes, sigma2, run in zip(grid, SIGMA2, result["runs"]):
        plane_plots.background(axes, run["shades"], result["frame"])
        plane_plots.classes(axes, run["images"], run["classes"])
        title = f"$\\sigma^2 = {sigma2:g}$: {run['accuracy']:.1%}"
        plane_plots.bare(axes, result["frame"], title)
    for axes in grid[len(SIGMA2):]:
        axes.remove()
    return figure


def curves(results: Sequence[Mapping[str, Any]]) -> Figure:
    """Figure 4: two curves against sigma^2."""
    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    axes = figure.subplots()
    other = axes.twinx()
    accuracies = [_accuracies(results, i) for i in range(len(SIGMA2))]
    errors = [[r["runs"][i]["error"] for r in results] for i in range(len(SIGMA2))]
    for panel, values, shade, title in (
        (axes, accuracies, color(3), "test accuracy (%)"),
        (other, errors, color(0), "test reconstruction error"),
    ):
        panel.plot(SIGMA2, [fmean(own) for own in values], color=shade, marker="o", ms=4)
        for sigma2, own in zip(SIGMA2, values):
            panel.scatter([sigma2] * len(own), own, color=shade, s=8, alpha=0.5, lw=0)
        panel.set_ylabel(title, color=shade)
        panel.tick_params(axis="y", colors=shade)
    axes.axhline(fmean(_baseline(results)), color=PLAIN, ls="--", lw=1)
    axes.set(xscale="log", xlabel="$\\sigma^2$")
    axes.grid(alpha=0.3)
    return figure


def _baseline(results: Sequence[Mapping[str, Any]]) -> list[float]:
    return [100 * result["baseline"]["accuracy"] for result in results]


def _accuracies(results: Sequence[Mapping[str, Any]], i: int) -> list[float]:
    return [100 * result["runs"][i]["accuracy"] for result in results]


def _errors(results: Sequence[Mapping[str, Any]], i: int) -> list[float]:
    return [result["runs"][i]["error"] for result in results]


def _validated(results: Sequence[Mapping[str, Any]], i: int) -> list[float]:
    return [100 * result["runs"][i]["curve"][-1] for result in results]
