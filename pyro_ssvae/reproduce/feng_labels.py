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
  missing, beside logistic regressions; and with 5 and 10 % the same networks, trained by as many
  updates, with no weight on the unlabelled rows: what these rows are worth is the difference.

Full scale is 5 draws of 15 epochs on canvases and of 60 on tables. Of mediamill 2,000 training rows
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
from pyro_ssvae.reproduce.draws import difference, greater
from pyro_ssvae.reproduce.findings import Claim, Findings, Picture, Row
from pyro_ssvae.reproduce.work import Work

DRAWS, EPOCHS, EPOCHS_OF_TABLES, EPOCHS_OF_CELLS = 5, 15, 60, 30
COUNTED = {"relaxed": (1, 2, 3, 4, 5), "enumerated": (1, 2, 3)}  # numbers of labels
READ = {"relaxed": (1, 2, 3, 4, 5), "enumerated": (1, 2), "logistic": (1, 2, 3, 4, 5)}
POLICIES = ("unknown", "believed", "rows left out")
CAPACITIES = (None, 2.0)  # nats of z
TABLES = ("emotions", "scene", "yeast", "mediamill")
SHARES = ((0.05, 0.0), (0.1, 0.0), (0.2, 0.0), (0.5, 0.0), (0.5, 0.2), (0.5, 0.5), (0.5, 0.8))
FEW = 0.1  # the share of labelled rows up to which unlabelled ones are said to help
NEAR, CONSTANT = 0.1, 0.1  # nats up to which both sides are equal, and a share of what is constant
SCORES = {
    "hamming": "Hamming loss", "ranking": "ranking loss", "map": "mAP", "macro_f1": "macro F1",
    "micro_f1": "micro F1", "auroc": "macro AUROC",
}
CELLS = 300  # labelled solar cells
OURS = "ours"
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
        whole=not found.missing,
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
         for how in _ways(share, gone)},
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
    """What the slides claim, and what this study does."""
    return [
        *_of_costs(found), *_of_information(found.told), _of_uncertain(found.doubtful),
        *([_of_tables(found.tables, "logistic", (
            "the factored pair has a higher mAP than logistic regressions of the labelled rows,"
            " whatever it owes that to"
        )), _of_tables(found.tables, parts.LABELS_ALONE, (
            "unlabelled rows help: a higher mAP than of the same networks, by as many updates,"
            " with no weight on them"
        ))] if found.tables else []),
    ]


def _of_costs(found: Measured) -> list[Claim]:
    """What labels cost, in decoded images and in accuracy."""
    decoded = {key: each[0]["decoded"] for key, each in found.costs.items()}
    exact = {c: decoded["enumerated", c] for c in COUNTED["enumerated"]}
    relaxed, summed = (
        _over([found.read[how, c] for c in READ["enumerated"] if c > 1], "digits")
        for how in ("relaxed", "enumerated")
    )
    return [
        Claim("The traditional bound costs k^c, in the images that it decodes for an unlabelled"
              " one of c labels; the factored one decodes a single image",
              "slides 5 and 11; O(kc) of slide 5 is O(k^c)",
              all(n == 10**c for c, n in exact.items())
              and all(decoded["relaxed", c] == 1 for c in COUNTED["relaxed"]),
              f"decoded images for an unlabelled one: enumerated {[*exact.values()]}, relaxed"
              f" {[decoded['relaxed', c] for c in COUNTED['relaxed']]}"),
        Claim("One relaxed sample costs less than a point of accuracy against the sum over all"
              " labels", OURS, greater(relaxed, summed, by=-1.0),
              f"relaxed less enumerated, points of digits read: {difference(relaxed, summed)}"),
    ]


def _of_information(told: Results) -> list[Claim]:
    """What eq. 14 and eq. 15 say, of the information in the course of a training."""
    shared = [each for (capacity, _), each in told.items() if capacity is None]
    draws = [*zip(*([one["information"] for one in each] for each in shared))]
    changes = [max(values) - min(values) for values in draws]
    means = [_mean(each, "information") for each in shared]
    errors = [abs(one["rest"] - one["marginal"]) for each in told.values() for one in each]
    return [
        Claim(f"I(x; z) can be viewed as a constant: in the course of a training it changes by less"
              f" than {CONSTANT:.0%} of its largest value", "slide 9, eq. 15",
              greater([CONSTANT * max(values) for values in draws], changes)
              if len(shared) > 1 else None,
              f"{min(means):.2f} to {max(means):.2f} nats in the mean over the draws; on a draw it"
              f" changes by {min(changes):.2f} nats at least"),
        Claim(f"The KL divergence of q(z | x) is I(x; z) and that of q(z), to within {NEAR} nats",
              "slide 9, eq. 14", max(errors) < NEAR,
              f"both sides differ by {max(errors):.3f} nats at most"),
    ]


def _of_uncertain(doubtful: Results) -> Claim:
    """What to do with uncertain labels."""
    unknown, believed = (
        _over([doubtful[policy, "relaxed"]], "digits") for policy in ("unknown", "believed")
    )
    return Claim(
        "Uncertain labels, of which half are wrong, are better taken for unknown than believed",
        OURS, greater(unknown, believed),
        f"{statistics.fmean(unknown):.1f} against {statistics.fmean(believed):.1f} % of digits:"
        f" {difference(unknown, believed)}",
    )


def _of_tables(tables: Results, how: str, text: str) -> Claim:
    """That with few labelled rows the factored pair is better, on average over the tables."""
    few = [key[:3] for key in tables if key[3] == parts.LABELS_ALONE]
    own, other = (
        _over([tables[(*key, way)] for key in few], "map") for way in ("factored", how)
    )
    gains = [
        100 * (_mean(tables[(*key, "factored")], "map") - _mean(tables[(*key, how)], "map"))
        for key in few
    ]
    each = ", ".join(
        f"{name} {share:.0%} {gain:+.1f}" for (name, share, _), gain in zip(few, gains)
    )
    names = ", ".join(dict.fromkeys(name for name, *_ in few))
    return Claim(
        f"With a tenth of the rows labelled or less, on average over {names}, {text}", OURS,
        greater(own, other), f"points of mAP: {difference(own, other)}; {each}",
    )


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


def _ways(share: float, missing: float) -> tuple[str, ...]:
    """The ways to learn a table of which so much is labelled."""
    alone = share <= FEW and missing == 0
    return ("factored", "logistic", *([parts.LABELS_ALONE] if alone else []))


def _over(found: Sequence[Sequence[Mapping[str, float]]], score: str) -> list[float]:
    """The mean of a score in % over several settings, draw by draw."""
    return [100 * _mean(draw, score) for draw in zip(*found)]


def _mean(found: Sequence[Mapping[str, float]], score: str) -> float:
    return statistics.fmean(one[score] for one in found)
