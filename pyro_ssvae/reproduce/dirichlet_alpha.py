"""StackExchange on Kingma et al. (2014), eq. 9: which part of alpha a Dirichlet prior derives.

The answer of October 2021 puts pi ~ Dirichlet(a) before y, finds log p(y | pi) in the bound, takes
it for eq. 9's classification loss, and calls alpha "probably a random hyperparameter"; its last
comments bound log p(x | pi) of an unlabelled example. Three things are done here.

1. M2 and ``dirichletm2`` train side by side in float64 from equal weights, with equal noise and
   a = 1 and the point mass, by the labelled losses alone; and M2 with alpha = 1 on all data, at
   whose weights the unlabelled losses are compared.
2. The labelled loss is compared for every power of p(y | pi), which takes alpha's place. Only the
   power 1 gives the bound: with the power w the loss is above it by w - 1 times the cross-entropy,
   an identity that the rows show and no claim is made of.
3. Accuracy against alpha, and against the power, a, the guide of pi and the three bounds. What is
   claimed of accuracy is claimed by this study, not by the answer.

Full scale: digits with 50 labels, 10 draws, 50 epochs of batches of 100 + 100, the library's recipe
for digits (128 hidden units, 16 dimensions of z, Adam 3e-3); 1 and 2 on two draws. The source runs
nothing and publishes no number. Kingma's alpha is 0.1 N for sums over the data set, which is
0.1 N / L for each of L labelled examples: 2.5 here, where N = 1,237. Here labelled and unlabelled
bounds are means of equal weight.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pyro_ssvae import data
from pyro_ssvae.experiments.pairs import pair
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.reproduce import dirichlet_plots
from pyro_ssvae.reproduce.dirichlet_identity import labelled_identity, weighed, whole_identity
from pyro_ssvae.reproduce.draws import difference, greater
from pyro_ssvae.reproduce.findings import Claim, Findings, Picture, Row
from pyro_ssvae.reproduce.work import Work
from pyro_ssvae.training.fit import fit

EPOCHS, DRAWS, IDENTITY_DRAWS, LABELS = 50, 10, 2, 50
WEIGHED_EPOCHS = 10
WEIGHTS = (0.1, 1.0, 10.0, 100.0)
SOURCE, OURS = "StackExchange answer on eq. 9", "this study"
MARGIN = 1.0  # a loss of points of accuracy that does not count

Options = Mapping[str, Any]
M2: dict[str, Options] = {f"M2, alpha = {alpha:g}": {"alpha": alpha} for alpha in (0.0, *WEIGHTS)}
POWERS: dict[str, Options] = {
    f"Dirichlet, power {power:g}": {"temper": power} for power in WEIGHTS
}
VARIANTS: dict[str, Options] = {
    "a = 2": {"concentration": 2.0},
    "kappa = 10": {"kappa": 10.0}, "kappa = 100": {"kappa": 100.0},
    "one sample of y": {"bound": "sample"}, "exact bound": {"bound": "exact"},
}
AT = 10.0  # the power at which the variants are compared
AT_ONE: dict[str, Options] = {
    f"Dirichlet, power 1, {name}": {"temper": 1.0, **VARIANTS[name]}
    for name in ("kappa = 100", "one sample of y", "exact bound")
}
AT_TEN: dict[str, Options] = {
    f"Dirichlet, power {AT:g}, {name}": {"temper": AT, **options}
    for name, options in VARIANTS.items()
}


def reproduce(work: Work) -> Findings:
    """Run it, at the scale of the work."""
    epochs = work.epochs(EPOCHS)
    identities, wholes, weights = identity(work, epochs)
    accuracies = trained(work, epochs)
    percent = {name: [100 * run["accuracy"] for run in runs] for name, runs in accuracies.items()}
    return Findings(
        title="What a Dirichlet prior derives of the classification loss in M2 (Kingma, eq. 9)",
        setting=(
            f"digits, {LABELS} labels, {len(work.draws(DRAWS))} label draws, {epochs} epochs,"
            f" batches of 100 + 100; the identities in float64 on"
            f" {len(work.draws(IDENTITY_DRAWS))} draws; everything not named is a point mass,"
            " a = 1, and the bound of Jensen"
        ),
        rows=[
            *_identity_rows(identities, wholes, weights), *_accuracy_rows(accuracies),
            *_difference_rows(percent),
        ],
        claims=[*_identity_claims(identities, wholes, weights), *_accuracy_claims(percent)],
        pictures=[
            Picture("identity", dirichlet_plots.identity(identities, wholes),
                    "On the left the difference of the two labelled losses and of their gradients"
                    " during training, all at the rounding of float64; on the right the entropy of"
                    " q(y | x) that M2's unlabelled bound has and the derived one has not."),
            Picture("accuracy", dirichlet_plots.accuracy(_without_zero(percent), WEIGHTS),
                    "Test accuracy of every label draw and the mean against the weight: M2's alpha"
                    " and the power of p(y | pi)."),
            Picture("variants", dirichlet_plots.variants(percent),
                    "Test accuracy of every label draw and the mean, a row for each objective."),
        ],
    )


def identity(work: Work, epochs: int) -> tuple[list[Any], list[Any], dict[float, list[Any]]]:
    """The comparisons of the objectives themselves."""
    draws, short = work.draws(IDENTITY_DRAWS), work.epochs(WEIGHED_EPOCHS)
    items = [{"draw": draw, "epochs": epochs} for draw in draws]
    return (
        work.each(labelled_identity, items), work.each(whole_identity, items),
        {w: work.each(weighed, [{"draw": draw, "epochs": short, "weight": w} for draw in draws])
         for w in WEIGHTS},
    )


def trained(work: Work, epochs: int) -> dict[str, list[Any]]:
    """The trained runs by the name of their objective, draw by draw."""
    ways = [("m2", name, M2[name]) for name in M2] + [
        ("dirichletm2", name, options)
        for group in (POWERS, AT_ONE, AT_TEN) for name, options in group.items()
    ]
    items = [
        {"name": which, "options": dict(options), "draw": draw, "epochs": epochs}
        for draw in work.draws(DRAWS) for which, _, options in ways
    ]
    results = work.each(run, items)
    return {name: results[i::len(ways)] for i, (_, name, _) in enumerate(ways)}


def run(name: str, options: Options, draw: int, epochs: int) -> dict[str, Any]:
    """Train a pair on a label draw, whose seed is that of its weights and its noise too.

    Returns:
        The scores of the test part, the mean entropy of q(y | x) there, the accuracy on validation
        data by epoch, and the seconds that the training took.
    """
    split = data.load("digits").split(labels=LABELS, seed=draw)
    torch.manual_seed(draw)
    objective, how = pair(name).on(split, **options)
    begun = time.perf_counter()
    history = [
        epoch.validation["accuracy"]
        for epoch in fit(objective, split, epochs=epochs, seed=draw, capture="off", **how)
    ]
    seconds = time.perf_counter() - begun
    x, y = split.examples(split.test)
    with evaluating(objective):
        labels = objective.guide.classify(x)
        scores = split.target.scores(split.target.predicted(labels), y)
        entropy = float(labels.entropy().mean())
    return {**scores, "entropy": entropy, "history": history, "seconds": seconds}


def _identity_rows(
    identities: Sequence[Any], wholes: Sequence[Any], weights: Mapping[float, Sequence[Any]]
) -> list[Row]:
    what = "labelled loss of M2 less that of the Dirichlet pair less log K!, largest in training"
    return [
        Row(f"alpha = 1: {what}, nats", _largest(identities, "value")),
        Row("alpha = 1: the same of gradients, share of the largest", _largest(identities,
            "gradient")),
        Row("alpha = 1: the same of the weights of the two trainings", _largest(identities,
            "weights")),
        Row("unlabelled: M2's loss plus H[q(y | x)] less the derived one less log K!, largest,"
            " nats", _largest(wholes, "value")),
        *(Row(f"power {w:g}: {what.partition(',')[0]}, nats", [each["identity"] for each in runs])
          for w, runs in weights.items()),
        *(Row(f"power {w:g}: nats that the loss is above that of the bound (power 1),"
              f" {w - 1:g} times the cross-entropy", [each["gap"] for each in runs])
          for w, runs in weights.items()),
        *(Row(f"power {w:g}: log of the mass of p(y | pi)^power over all y",
              [each["mass"] for each in runs]) for w, runs in weights.items()),
    ]


def _accuracy_rows(accuracies: Mapping[str, Sequence[Any]]) -> list[Row]:
    rows = [
        Row(f"{name}: test accuracy, %", [100 * run["accuracy"] for run in runs])
        for name, runs in accuracies.items()
    ]
    some = ("M2, alpha = 1", "Dirichlet, power 1", "M2, alpha = 10", "Dirichlet, power 10")
    for name in some:
        runs = accuracies[name]
        rows += [
            Row(f"{name}: test NLL, nats", [run["nll"] for run in runs]),
            Row(f"{name}: entropy of q(y | x) on test, nats", [run["entropy"] for run in runs]),
            Row(f"{name}: validation accuracy in the last epoch less that at half time, points",
                [100 * (run["history"][-1] - run["history"][(len(run["history"]) - 1) // 2])
                 for run in runs]),
        ]
    return rows


def _identity_claims(
    identities: Sequence[Any], wholes: Sequence[Any], weights: Mapping[float, Sequence[Any]]
) -> list[Claim]:
    value, slope = max(_largest(identities, "value")), max(_largest(identities, "gradient"))
    moved = max(_largest(identities, "weights"))
    whole = max(_largest(wholes, "value"))
    powers = max(each["identity"] for runs in weights.values() for each in runs)
    return [
        Claim("log p(y | pi) is the classification loss of eq. 9: with a = 1 and a point mass the"
              " labelled objective is eq. 9's at alpha = 1, throughout training.", SOURCE,
              max(value, slope, moved) < 1e-9,
              f"beside log K!: {value:.0e} nats in value, {slope:.0e} in gradients, {moved:.0e} in"
              " the weights of the two trainings"),
        Claim("The unlabelled part is not M2's: the bound of Jensen is M2's without the entropy of"
              " q(y | x).", f"{OURS}, of the bound in the answer's last comment", whole < 1e-9,
              f"with the entropy the two differ by {whole:.0e} nats beside log K!"),
        Claim("Any other alpha is a power of the observed p(y | pi).", OURS, powers < 1e-9,
              f"the losses differ by {powers:.0e} nats at most, beside log K!"),
    ]


def _difference_rows(percent: Mapping[str, Sequence[float]]) -> list[Row]:
    """What every variant adds, on the same draws."""
    groups = {f"Dirichlet, power {AT:g}": AT_TEN, "Dirichlet, power 1": AT_ONE}
    return [
        Row(f"{name}: less {base}, points of accuracy",
            [a - b for a, b in zip(percent[name], percent[base])])
        for base, group in groups.items() for name in group
    ]


def _accuracy_claims(percent: Mapping[str, Sequence[float]]) -> list[Claim]:
    """What this study says of accuracy, on the same label draws."""
    at = f"Dirichlet, power {AT:g}"
    ways = {"the exact sum over y": "exact bound", "one sample of y": "one sample of y"}
    return [
        *(
            _no_worse(
                f"At weight {w:g} what is derived classifies as well as M2",
                percent[f"Dirichlet, power {w:g}"], percent[f"M2, alpha = {w:g}"],
                "power less alpha",
            )
            for w in WEIGHTS
        ),
        _no_worse(
            "The derived weight 1 is enough, against ten times more", percent["Dirichlet, power 1"],
            percent["Dirichlet, power 10"], "power 1 less power 10",
        ),
        *(
            _no_worse(
                f"At power {AT:g} {way} of an unlabelled example does as well as the mean over y",
                percent[f"{at}, {name}"], percent[at], f"{name} less bound of Jensen",
            )
            for way, name in ways.items()
        ),
    ]


def _no_worse(text: str, one: Sequence[float], other: Sequence[float], less: str) -> Claim:
    """The claim that the one is no worse than the other, or by less than the margin."""
    return Claim(
        f"{text}: it loses less than {MARGIN:g} point of accuracy, if any.", OURS,
        greater(one, other, by=-MARGIN),
        f"{less}, points of accuracy, paired, with the 95 % interval: {difference(one, other)}",
    )


def _largest(results: Sequence[Any], what: str) -> list[float]:
    return [max(row[what] for row in each["rows"]) for each in results]


def _without_zero(percent: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    return {
        "M2, against alpha": [percent[f"M2, alpha = {w:g}"] for w in WEIGHTS],
        "Dirichlet, against the power": [percent[f"Dirichlet, power {w:g}"] for w in WEIGHTS],
    }
