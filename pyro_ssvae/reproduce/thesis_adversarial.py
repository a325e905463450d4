"""Jurasinski (2019), appendix E: an adversary that reads the class off z' makes no difference.

M2 is trained alone, and with an adversary f(y | z') on the labelled images whose loss its encoder
is to raise, in both orders of moves; alpha = 1. Test accuracy, and how well a linear classifier
reads the true class off z' after training.

Full scale is 500 epochs on MNIST with 100 labels and five draws. The appendix gives no numbers, no
setting and no order of moves. p(x | y, z') is Bernoulli, for its normal likelihood's sigma^2 on
MNIST is not published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from matplotlib.figure import Figure

from pyro_ssvae.evaluation.probes import leakage
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.report.drawing import color
from pyro_ssvae.reproduce import images
from pyro_ssvae.reproduce.findings import Claim, Findings, Picture, Row
from pyro_ssvae.reproduce.work import Work

DRAWS = 5
ALPHA = 1.0
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "M2": ("m2", {}),
    "M2 with an adversary, both at once": ("adversarialm2", {"game": "reversal"}),
    "M2 with an adversary, in turns": ("adversarialm2", {"game": "alternating"}),
}
DIFFERENCE = 2.0  # points of accuracy that count as one


def reproduce(work: Work) -> Findings:
    """Run the study."""
    draws = work.draws(DRAWS)
    results = images.results(work, outcome, draws, [{"arm": arm} for arm in ARMS])
    return Findings(
        "M2 with an adversary on z'",
        f"{images.said(work, len(draws))} alpha = {ALPHA:g}, and the adversary's weight 1.",
        rows(results), claims(results), [picture(results)],
    )


def outcome(data: str, seed: int, arm: str, epochs: int) -> dict[str, Any]:
    """The accuracy of M2 with or without an adversary, and of a probe of its z'."""
    name, options = ARMS[arm]
    split = images.split_of(data, seed)
    objective = images.trained(name, split, epochs, alpha=ALPHA, **options)
    with evaluating(objective):
        leaked = leakage(objective.guide, split)
    return {"accuracy": images.test_accuracy(objective, split), "leakage": leaked}


def rows(results: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The accuracies and what z' tells."""
    texts = {"accuracy": "test accuracy", "leakage": "accuracy of a linear probe of z'"}
    return [
        Row(f"{images.NAMES[data]}, {arm}: {text}, %", of(results, data, arm, name))
        for data in images.DATA for arm in ARMS for name, text in texts.items()
    ]


def claims(results: Sequence[Mapping[str, Any]]) -> list[Claim]:
    """What the appendix says, and what it is for, on each data set."""
    found = []
    plain, *others = ARMS
    for data in images.DATA:
        mean = {
            name: {arm: fmean(of(results, data, arm, name)) for arm in ARMS}
            for name in ("accuracy", "leakage")
        }
        gaps = [mean["accuracy"][arm] - mean["accuracy"][plain] for arm in others]
        kept = ", ".join(f"{value:.1f} % ({arm})" for arm, value in mean["leakage"].items())
        found += [
            Claim(
                f"On {images.NAMES[data]}, the adversary makes no difference to the accuracy, of"
                f" {DIFFERENCE:g} points or more.", "appendix E",
                max(map(abs, gaps)) < DIFFERENCE,
                ", ".join(
                    f"{value:.1f} % ({arm})" for arm, value in mean["accuracy"].items()
                ),
            ),
            Claim(
                f"On {images.NAMES[data]}, the adversary takes the class out of z', as it is meant"
                " to: a probe of z' loses ten points or more.", "appendix E, its purpose",
                min(mean["leakage"][arm] for arm in others) <= mean["leakage"][plain] - 10, kept,
            ),
        ]
    return found


def of(results: Sequence[Mapping[str, Any]], data: str, arm: str, name: str) -> list[float]:
    """A share of all draws in percent."""
    return [100 * r[name] for r in results if (r["data"], r["arm"]) == (data, arm)]


def picture(results: Sequence[Mapping[str, Any]]) -> Picture:
    """Both accuracies of all draws, a panel for each data set."""
    figure = Figure(figsize=(4.2 * len(images.DATA), 3.4), layout="constrained")
    for axes, data in zip(figure.subplots(1, len(images.DATA), squeeze=False)[0], images.DATA):
        for k, arm in enumerate(ARMS):
            axes.scatter(of(results, data, arm, "leakage"), of(results, data, arm, "accuracy"),
                         color=color(k), s=24, label=arm)
        axes.set(xlabel="accuracy of a probe of z' (%)", ylabel="test accuracy (%)")
        axes.set_title(images.NAMES[data], fontsize=10)
        axes.grid(alpha=0.3)
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=1, frameon=False, fontsize=8)
    return Picture(
        "adversary", figure,
        "Test accuracy of M2 without and with an adversary, against the accuracy of a linear probe"
        " of the class from z', each draw a point.",
    )
