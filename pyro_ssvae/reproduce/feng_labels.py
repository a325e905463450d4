"""Feng (2019), slides 4 to 12: many labels at a linear cost, some of them missing.

The slides have no results in numbers ("We have tried our method in the MNIST, SVHN and CheXpert
dataset" ends the text), so that what they claim is measured on data that are to be had:

- the cost of an update, and the decoded images counted, against the number of labels (slides 5 and
  11: O(k^c) of the traditional bound, O(k c) of the factored one);
- what accuracy that costs, on canvases of several MNIST digits with a label each, 200 labelled and
  4,000 not: relaxed, enumerated, and a logistic regression for each label;
- uncertain labels, made on canvases: half of the labels, of which half are wrong; and solar cells
  whose state experts were unsure of;
- both sides of eq. 14, with and without the capacity of eq. 16;
- yeast, scene, emotions and mediamill with 5 to 50 % of their rows labelled, and with single labels
  missing.

Full scale is 3 draws of 15 epochs on canvases and of 60 on tables. Of mediamill 2,000 training rows
are used. What needs files that are not there is left out, and the setting says so.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pyro_ssvae.data import elpv
from pyro_ssvae.data.root import data_root, find
from pyro_ssvae.errors import InputError
from pyro_ssvae.experiments.setting import loaded
from pyro_ssvae.reproduce import feng_figures as figures
from pyro_ssvae.reproduce import feng_parts as parts
from pyro_ssvae.reproduce.findings import Claim, Findings, Picture, Row
from pyro_ssvae.reproduce.work import Work

DRAWS, EPOCHS, EPOCHS_OF_TABLES, EPOCHS_OF_CELLS = 3, 15, 60, 30
COUNTED = {"relaxed": (1, 2, 3, 4, 5), "enumerated": (1, 2, 3)}  # numbers of labels
READ = {"relaxed": (1, 2, 3, 4, 5), "enumerated": (1, 2), "logistic": (1, 2, 3, 4, 5)}
POLICIES = ("unknown", "believed", "rows left out")
CAPACITIES = (None, 2.0)  # nats of z
TABLES = ("emotions", "scene", "yeast", "mediamill")
SHARES = ((0.05, 0.0), (0.1, 0.0), (0.2, 0.0), (0.5, 0.0), (0.5, 0.2), (0.5, 0.5), (0.5, 0.8))
SCORES = {
    "hamming": "Hamming loss", "ranking": "ranking loss", "map": "mAP", "macro_f1": "macro F1",
    "micro_f1": "micro F1", "auroc": "macro AUROC",
}
CELLS = 300  # labelled solar cells
Results = Mapping[tuple[Any, ...], Sequence[Mapping[str, float]]]


class Measured(NamedTuple):
    """What was measured, by part: the results of all draws by what was varied.

    Attributes:
        costs: The cost of an update, by the way to infer labels and their number.
        read: How many digits are read, by the same.
        doubtful: The same with uncertain labels, by policy and way.
        told: Both sides of eq. 14, by capacity and epochs.
        tables: The scores of tables, by data, share of rows, share of missing labels, and way.
        solar: The scores of solar cells, by policy.
        missing: The names of the data that are not there.
    """

    costs: Results
    read: Results
    doubtful: Results
    told: Results
    tables: Results
    solar: Results
    missing: Sequence[str]


def reproduce(work: Work) -> Findings:
    """Measure all parts, and compare."""
    found = measured(work)
    tables = ", ".join(dict.fromkeys(name for name, *_ in found.tables)) or "no tables"
    missing = f" Left out, for lack of files: {', '.join(found.missing)}." if found.missing else ""
    return Findings(
        "Many labels, some of them missing: Feng (2019), semi-supervised multi-label learning",
        f"Canvases of MNIST digits, 200 labelled and 4,000 not, {work.epochs(EPOCHS)} epochs;"
        f" {tables}, {work.epochs(EPOCHS_OF_TABLES)} epochs, 2,000 rows of mediamill;"
        f" {len(work.draws(DRAWS))} draws.{missing}",
        rows=rows(found), claims=claims(found), pictures=pictures(found),
    )


def measured(work: Work) -> Measured:
    """Compute all parts."""
    epochs = work.epochs(EPOCHS)
    there = [name for name in (*TABLES, "elpv") if _there(name, work)]

    def each(function: Callable[..., dict[str, Any]], own: int, **item: Any) -> Sequence[Any]:
        root = {} if work.root is None else {"root": str(work.root)}
        return work.each(function, [
            {**item, "seed": seed, "epochs": own, **root} for seed in work.draws(DRAWS)
        ])

    return Measured(
        {(how, c): work.each(parts.cost, [{"labels": c, "how": how}])
         for how, numbers in COUNTED.items() for c in numbers},
        {(how, c): each(parts.quality, epochs, labels=c, how=how)
         for how, numbers in READ.items() for c in numbers},
        {(policy, how): each(parts.uncertain, epochs, policy=policy, how=how)
         for policy in POLICIES for how in ("relaxed", "logistic")},
        {(capacity, done): each(parts.information, done, capacity=capacity)
         for capacity in CAPACITIES for done in sorted({1, max(1, epochs // 5), epochs})},
        {(name, share, gone, how): each(
            parts.several, work.epochs(EPOCHS_OF_TABLES), data=name, how=how, share=share,
            missing=gone,
        ) for name in TABLES if name in there for share, gone in SHARES
         for how in ("factored", "logistic")},
        {(policy,): each(parts.cells, work.epochs(EPOCHS_OF_CELLS), policy=policy, labels=CELLS)
         for policy in ("unknown", "nearest") if "elpv" in there},
        sorted({*TABLES, "elpv"} - {*there}),
    )


def pictures(found: Measured) -> list[Picture]:
    """The figures."""
    result = [
        Picture("cost", figures.cost(found.costs), (
            "Milliseconds of the processor for an update of 20 labelled and 20 unlabelled canvases,"
            " and decoded images for each unlabelled one, against the number of labels."
        )),
        Picture("canvases", figures.read(found.read), (
            "The share of digits read correctly on test canvases against the number of digits"
            " side by side, mean and range over the draws."
        )),
    ]
    if found.tables:
        result.append(Picture("tables", figures.tables(found.tables), (
            "mAP against the share of labelled rows, and against the share of missing labels"
            " where half of the rows are labelled, of each table: the factored pair and a"
            " logistic regression for each label."
        )))
    return result


def claims(found: Measured) -> list[Claim]:
    """What the slides claim, and what was found."""
    costs, read, doubtful, told, tables, *_ = found
    decoded = {key: found[0]["decoded"] for key, found in costs.items()}
    exact = {c: decoded["enumerated", c] for c in COUNTED["enumerated"]}
    both = [c for c in READ["enumerated"] if c > 1]
    relaxed, summed = (
        [one["digits"] for c in both for one in read[how, c]] for how in ("relaxed", "enumerated")
    )
    gaps = [100 * (a - b) for a, b in zip(relaxed, summed)]
    unknown, believed = (
        _mean(doubtful[policy, "relaxed"], "digits") for policy in ("unknown", "believed")
    )
    shared = [_mean(found, "information") for (capacity, _), found in told.items()
              if capacity is None]
    errors = [abs(one["rest"] - one["marginal"]) for found in told.values() for one in found]
    wins = [
        _mean(found, "map") > _mean(tables[(*key[:3], "logistic")], "map")
        for key, found in tables.items() if key[3] == "factored" and key[1] <= 0.1
    ]
    result = [
        Claim("The traditional bound costs k^c, the factored one is linear in the labels",
              "slides 5 and 11; O(kc) of slide 5 is O(k^c)",
              all(n == 10**c for c, n in exact.items())
              and all(decoded["relaxed", c] == 1 for c in COUNTED["relaxed"]),
              f"decoded images for an unlabelled one: enumerated {[*exact.values()]}, relaxed"
              f" {[decoded['relaxed', c] for c in COUNTED['relaxed']]}"),
        Claim("One relaxed sample costs at most a point of accuracy against the sum over all"
              " labels", "not in the slides",
              statistics.fmean(gaps) > -1, f"{statistics.fmean(gaps):+.2f} points of digits read"),
        Claim("I(x; z) can be viewed as a constant", "slide 9, eq. 15",
              max(shared) < 1.1 * min(shared) if len(shared) > 1 else None,
              f"{min(shared):.2f} to {max(shared):.2f} nats in the course of one training"),
        Claim("The KL divergence of q(z | x) is I(x; z) and that of q(z)", "slide 9, eq. 14",
              max(errors) < 0.1, f"both sides differ by {max(errors):.3f} nats at most"),
        Claim("Uncertain labels are better taken for unknown than believed", "not in the slides",
              unknown > believed, f"{100 * unknown:.1f} against {100 * believed:.1f} % of digits"),
    ]
    if wins:
        result.append(Claim(
            "With a tenth of the rows labelled or less, unlabelled rows help: a higher mAP than of"
            " logistic regressions", "not in the slides", sum(wins) > len(wins) / 2,
            f"in {sum(wins)} of {len(wins)} settings",
        ))
    return result


def rows(measured: Measured) -> list[Row]:
    """The numbers."""
    costs, read, doubtful, told, tables, solar, _ = measured
    result = [
        Row(f"{c} labels, {how}: {what}", [found[0][score]])
        for (how, c), found in costs.items()
        for score, what in (("milliseconds", "an update, ms"), ("decoded", "decoded images"))
    ]
    result += [
        Row(f"{c} digits, {how}: {what} read correctly, %", [100 * one[score] for one in found])
        for (how, c), found in read.items()
        for score, what in (("digits", "digits"), ("canvases", "whole canvases"))
    ]
    result += [
        Row(f"uncertain labels {policy}, {how}: digits read correctly, %",
            [100 * one["digits"] for one in found])
        for (policy, how), found in doubtful.items()
    ]
    result += [
        Row(f"solar cells, uncertain ones {policy}: accuracy, %",
            [100 * one["accuracy"] for one in found]) for (policy,), found in solar.items()
    ]
    names = {
        "kl": "mean KL[q(z | x) || p(z)]", "information": "I(x; z)", "rest": "their difference",
        "marginal": "KL[q(z) || p(z)] by samples",
    }
    result += [
        Row(f"eq. 14, {'no capacity' if capacity is None else f'capacity {capacity:g}'},"
            f" {epochs} epochs: {name}, nats", [one[score] for one in found])
        for (capacity, epochs), found in told.items() for score, name in names.items()
    ]
    return result + [
        Row(f"{name}, {share:.0%} of rows, {missing:.0%} of labels missing, {how}: {what}",
            [one[score] for one in found])
        for (name, share, missing, how), found in tables.items() for score, what in SCORES.items()
    ]


def _there(name: str, work: Work) -> bool:
    """Whether the files of a data set are there: none of these is downloaded."""
    try:
        if name == "elpv":  # its images take long to read
            find(data_root(work.root), name, ("labels.csv", "images"), elpv.SOURCE)
        else:
            loaded(name, None if work.root is None else str(work.root))
    except InputError:
        return False
    return True


def _mean(found: Sequence[Mapping[str, float]], score: str) -> float:
    return statistics.fmean(one[score] for one in found)
