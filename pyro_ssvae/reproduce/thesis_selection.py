"""Jurasinski 2019, supplement 3.2 and figure 12: the epoch chosen by accuracy, or by the loss.

The thesis trains classifiers on MNIST with 100 labels and reports each at the epoch of its best
accuracy on validation data, or of its lowest loss, for there are seldom labels to spare; figure 12
compares the two, and has no numbers in the text. Which loss it is, and of which data, is not said.
Here M2 is trained for each alpha of table 1, as :mod:`pyro_ssvae.reproduce.thesis_table_1` says and
with the same settings, and chosen by validation accuracy, by the NLL of the validation labels, and
by the ELBO of the validation images, which needs no labels; the last epoch stands beside them. Full
scale: 500 epochs, 10 label draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyro_ssvae.report.published_plots import together
from pyro_ssvae.reproduce import selected
from pyro_ssvae.reproduce.draws import (
    above,
    alike,
    all_of,
    counted,
    deviation,
    difference,
    greater,
)
from pyro_ssvae.reproduce.findings import Claim, Findings, Picture, Row
from pyro_ssvae.reproduce.thesis_table_1 import (
    DRAWS,
    EPOCHS,
    FIRST,
    LABELS,
    M2,
    WEIGHTS,
    Cell,
    setting,
)
from pyro_ssvae.reproduce.work import Work

LAST = "the last epoch"
WAYS = {**selected.BY, "last": LAST}

# The accuracies in %, by the way of choosing an epoch and by alpha, of all draws.
Found = Mapping[str, Mapping[float, Sequence[float]]]


def reproduce(work: Work) -> Findings:
    """Train M2 for every alpha, and compare the accuracies at epochs chosen in several ways."""
    epochs, draws = work.epochs(EPOCHS), work.draws(DRAWS)
    jobs = [(alpha, seed) for seed in draws for alpha in FIRST]
    settings = [setting(Cell(M2, alpha), seed, epochs) for alpha, seed in jobs]
    metrics = work.train(settings)
    chosen = [_tested(run) for run in metrics]
    found: Found = {
        way: {
            alpha: [one[way] for (at, _), one in zip(jobs, chosen) if at == alpha]
            for alpha in WEIGHTS
        }
        for way in WAYS
    }
    return Findings(
        title="Figure 12 of Jurasinski (2019): choosing an epoch by accuracy or by loss",
        setting=(
            f"M2, MNIST, {LABELS} labels, {counted(epochs, 'epoch')} of {EPOCHS},"
            f" {counted(len(draws), 'label draw')}, 10,000 validation images."
        ),
        rows=[
            Row(f"alpha = {alpha:g}, {name}: test accuracy, %", found[way][alpha],
                source="figure 12, a curve")
            for alpha in WEIGHTS for way, name in WAYS.items()
        ],
        claims=claims(found),
        pictures=[picture(found)],
    )


def _tested(run: Mapping[str, Any]) -> dict[str, float]:
    chosen = {by: selected.tested(run, by) for by in selected.BY}
    return {**chosen, "last": 100 * float(run["test"]["accuracy"])}


def claims(found: Found) -> list[Claim]:
    """What the supplement says of figure 12, of a loss without labels and of one of labels."""
    return [
        *(_better(found, by) for by in ("elbo", "nll")),
        *(_close(found, by) for by in ("elbo", "nll")),
        *(_alike(found, by) for by in ("elbo", "nll")),
    ]


def _all(found: Found, way: str) -> list[float]:
    """The means over all alphas, draw by draw."""
    return [sum(draw) / len(draw) for draw in zip(*found[way].values())]


def _better(found: Found, by: str) -> Claim:
    one, other = _all(found, "accuracy"), _all(found, by)
    return Claim(
        f"Choosing by validation accuracy is better than by {WAYS[by]}, on average over all alphas",
        "supplement 3.2", greater(one, other), f"points: {difference(one, other)}",
    )


def _close(found: Found, by: str) -> Claim:
    one, other = _all(found, "accuracy"), _all(found, by)
    spread = _mean([deviation(draws) for draws in found["accuracy"].values()])
    return Claim(
        f"The difference between choosing by accuracy and by {WAYS[by]} is not large: less than"
        " the standard deviation over label draws, both on average over all alphas",
        "supplement 3.2", alike(one, other, spread),
        f"points: {difference(one, other)}; deviation {spread:.1f} points",
    )


def _alike(found: Found, by: str) -> Claim:
    low, high = 0.0, max(WEIGHTS)
    gains = {
        way: [b - a for a, b in zip(found[way][low], found[way][high])]
        for way in ("accuracy", by)
    }
    return Claim(
        f"A large classification loss, alpha = {high:g} in place of 0, helps whether chosen by"
        f" accuracy or by {WAYS[by]}", "supplement 3.2",
        all_of(above(of_way, 0.0) for of_way in gains.values()),
        f"it adds {_mean(gains['accuracy']):+.1f} points by accuracy and"
        f" {_mean(gains[by]):+.1f} by {WAYS[by]}",
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def picture(found: Found) -> Picture:
    """The accuracies by alpha, a line for each way of choosing."""
    lines = {
        f"chosen by {name}" if way in selected.BY else name: [found[way][at] for at in WEIGHTS]
        for way, name in WAYS.items()
    }
    figure = together(
        [f"{alpha:g}" for alpha in WEIGHTS], lines, "test accuracy (%)", "alpha"
    )
    return Picture(
        "selection", figure,
        "The test accuracy of M2 by alpha, mean and deviation over the label draws, at the epoch"
        " chosen by validation accuracy, by the NLL of validation labels, by the ELBO of validation"
        " images, and at the last one.",
    )
