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
from pyro_ssvae.reproduce.draws import alike, all_of, any_of, difference, greater
from pyro_ssvae.reproduce.findings import Claim, Findings, Picture, Row
from pyro_ssvae.reproduce.work import Work

DATA_SETS = images.DATA
DRAWS = 5
ALPHA = 1.0
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "M2": ("m2", {}),
    "M2 with an adversary, both at once": ("adversarialm2", {"game": "reversal"}),
    "M2 with an adversary, in turns": ("adversarialm2", {"game": "alternating"}),
}
DIFFERENCE = 2.0  # points of accuracy, from which on there is one
TAKEN = 10.0  # points of a probe's accuracy, more than which the adversary must take


def reproduce(work: Work) -> Findings:
    """Run the study."""
    results = images.results(work, outcome, DRAWS, [{"arm": arm} for arm in ARMS])
    return Findings(
        "M2 with an adversary on z'",
        f"{images.said(work, DRAWS)} alpha = {ALPHA:g}, and the adversary's weight 1.",
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
    return images.on_each(lambda data: claims_on(results, data))


def claims_on(results: Sequence[Mapping[str, Any]], data: str) -> list[Claim]:
    """What the appendix says, and what it is for, on one data set."""
    plain, *others = ARMS
    accuracy, leaked = (
        {arm: of(results, data, arm, name) for arm in ARMS} for name in ("accuracy", "leakage")
    )
    return [
        Claim(
            f"On {images.NAMES[data]}, the adversary makes no difference to the accuracy, in either"
            f" order of moves, of {DIFFERENCE:g} points or more.", "appendix E",
            all_of(alike(accuracy[arm], accuracy[plain], DIFFERENCE) for arm in others),
            _beside_m2(accuracy),
        ),
        Claim(
            f"On {images.NAMES[data]}, the adversary takes the class out of z', as it is meant to:"
            f" in one order of moves at least, a probe of z' loses more than {TAKEN:g} points.",
            "appendix E, its purpose",
            any_of(greater(leaked[plain], leaked[arm], by=TAKEN) for arm in others),
            _beside_m2(leaked),
        ),
    ]


def _beside_m2(found: Mapping[str, Sequence[float]]) -> str:
    """The means of all, and the points that each has more than M2 alone."""
    plain, *others = ARMS
    return f"{fmean(found[plain]):.1f} % ({plain}), " + ", ".join(
        f"{fmean(found[arm]):.1f} % ({arm}: {difference(found[arm], found[plain])})"
        for arm in others
    )


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
