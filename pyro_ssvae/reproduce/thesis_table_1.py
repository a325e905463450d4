"""Jurasinski 2019, table 1: MNIST with 100 labels, by the weight of the labels.

M2 by the weight alpha of its classification loss, the thesis's own model ("ours") and its
simplified form by the weight lambda of their labelled bound, over eight weights, and a classifier
trained on the 100 labels alone. As section 5.1 and appendix B say: 50,000 images for training,
10,000 for validation and 10,000 for testing, 10 labels from each class, batches of 100 labelled and
100 unlabelled images, networks with one hidden layer of 500 softplus units, Xavier's
initialisation, 50 latent dimensions, Adam with a learning rate of 0.001, 500 epochs; reported is
the epoch of the best validation accuracy. Full scale: 500 epochs, 10 label draws.

Where the thesis does not say:

* The number of label draws.
* The sigma^2 of the pixels' normal likelihood, section 2.2: a hyperparameter, given for no data.
  Here it is 1, which section 3.1 calls a common choice. On validation data of the first two label
  draws M2 so learns faster, over the first epochs, than with a Bernoulli likelihood.
* Whether the terms of a batch are summed or averaged. With 100 and 100 images that is the same, up
  to alpha: here every term is a mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyro_ssvae.experiments.setting import Setting
from pyro_ssvae.report.published_plots import Measured, against
from pyro_ssvae.reproduce import selected
from pyro_ssvae.reproduce.draws import (
    accuracies,
    all_of,
    counted,
    difference,
    greater,
    within,
)
from pyro_ssvae.reproduce.findings import Claim, Findings, Picture, Row
from pyro_ssvae.reproduce.work import Work

EPOCHS, DRAWS = 500, 10
DATA, LABELS = "mnist", 100
LIKELIHOOD = "normal:1.0"
WEIGHTS = (0.0, 0.001, 0.1, 0.5, 1.0, 10.0, 100.0, 10_000.0)
# The weights, those that tell most first.
FIRST = (1.0, 10_000.0, 0.5, 0.001, 0.0, 10.0, 0.1, 100.0)
ALONE, M2, OURS, SIMPLIFIED = "labels alone", "M2", "ours", "ours, simplified"
MODELS = (M2, OURS, SIMPLIFIED)
SYMBOL = {M2: "alpha", OURS: "lambda", SIMPLIFIED: "lambda"}


@dataclass(frozen=True)
class Cell:
    """A cell of the table.

    Attributes:
        model: The column.
        weight: The row, alpha or lambda; None of the classifier of the labels alone.
    """

    model: str
    weight: float | None = None

    @property
    def name(self) -> str:
        """What the cell is of: ``"M2, alpha = 0.5"``."""
        if self.weight is None:
            return self.model
        return f"{self.model}, {SYMBOL[self.model]} = {self.weight:g}"

    @property
    def pair(self) -> str:
        """The pair that is trained."""
        return {ALONE: "supervised", M2: "m2"}.get(self.model, "latentclassifier")

    @property
    def options(self) -> dict[str, Any]:
        """The options of the pair."""
        if self.weight is None:
            return {}
        if self.model == M2:
            return {"alpha": self.weight, "likelihood": LIKELIHOOD}
        return {
            "labelled": self.weight, "simplified": self.model == SIMPLIFIED,
            "likelihood": LIKELIHOOD,
        }


BASELINE = Cell(ALONE)
# Test accuracy in %: the mean and what stands behind +-.
PUBLISHED: Mapping[Cell, tuple[float, float]] = {
    BASELINE: (74.74, 1.16),  # section 5.2
    **{Cell(M2, weight): value for weight, value in zip(WEIGHTS, (
        (88.6, 5.0), (90.3, 3.5), (91.4, 2.2), (91.7, 2.5), (92.0, 2.6), (92.6, 2.5), (93.3, 2.0),
        (93.7, 2.5),
    ))},
    **{Cell(OURS, weight): value for weight, value in zip(WEIGHTS[1:], (
        (72.2, 3.7), (91.7, 3.6), (92.3, 2.8), (88.2, 3.6), (78.1, 1.3), (80.2, 0.9), (70.9, 0.4),
    ))},
    **{Cell(SIMPLIFIED, weight): value for weight, value in zip(WEIGHTS[1:], (
        (82.1, 1.9), (80.4, 0.7), (79.5, 1.1), (78.7, 0.7), (76.7, 0.3), (75.9, 0.8), (72.4, 0.9),
    ))},
}

Found = Mapping[Cell, Sequence[float]]  # the accuracies of the draws, in %


def reproduce(work: Work) -> Findings:
    """Train the runs of all cells, draw by draw, and put their accuracies beside the table."""
    epochs, draws = work.epochs(EPOCHS), work.draws(DRAWS)
    cells = ordered()
    jobs = [(cell, seed) for seed in draws for cell in cells]
    metrics = work.train([setting(cell, seed, epochs) for cell, seed in jobs])
    found: dict[Cell, list[float]] = {cell: [] for cell in PUBLISHED}
    validated: dict[Cell, list[float]] = {cell: [] for cell in PUBLISHED}
    for (cell, _), run in zip(jobs, metrics):
        found[cell].append(selected.tested(run))
        validated[cell] += accuracies([run], "validation")
    chosen = "best validation accuracy" if "selected" in metrics[0] else "the end"
    return Findings(
        title="Table 1 of Jurasinski (2019): MNIST with 100 labels",
        setting=(
            f"MNIST, {LABELS} labels, {counted(epochs, 'epoch')} of {EPOCHS},"
            f" {counted(len(draws), 'label draw')}, batches of 100 labelled and 100 unlabelled"
            f" images; test accuracy at the epoch of {chosen}."
        ),
        rows=[
            Row(f"{cell.name}: test accuracy, %", values, *PUBLISHED[cell], source(cell))
            for cell, values in found.items()
        ],
        claims=claims(found, validated),
        pictures=[picture(found)],
    )


def ordered() -> list[Cell]:
    """The cells: what is cheap and what tells most first."""
    by_weight = [
        Cell(model, weight) for weight in FIRST for model in (SIMPLIFIED, M2, OURS)
    ]
    return [BASELINE, *(cell for cell in by_weight if cell in PUBLISHED)]


def setting(cell: Cell, seed: int, epochs: int) -> Setting:
    """The run of a cell on a label draw."""
    return Setting(
        cell.pair, DATA, labels=LABELS, split_seed=seed, options=cell.options,
        plan=selected.plan(epochs),
    )


def source(cell: Cell) -> str:
    """Where the number of a cell was published."""
    place = "section 5.2" if cell == BASELINE else "table 1"
    return f"{place}, {EPOCHS} epochs"


def claims(found: Found, validated: Found) -> list[Claim]:
    """What sections 5.2 and 6 say of the table.

    Args:
        found: The accuracies of the test images.
        validated: Those of the validation images, by which the best weight of a model is chosen.
    """
    best = {model: _best(validated, model) for model in MODELS}
    high, none = found[Cell(M2, 10_000.0)], found[Cell(M2, 0.0)]
    return [
        Claim(
            "M2 gains from the classification loss: alpha = 10000 is better than none",
            "section 5.2", greater(high, none), difference(high, none),
        ),
        _peak(found, M2, 10_000.0),
        _peak(found, OURS, 0.5),
        _peak(found, SIMPLIFIED, 0.001),
        Claim(
            "M2 and the thesis's model reach similar accuracies, and without the conditional"
            " generation (simplified) it drops",
            "section 5.2",
            all_of([
                greater(found[best[M2]], found[best[SIMPLIFIED]]),
                greater(found[best[OURS]], found[best[SIMPLIFIED]]),
            ]),
            f"the best of M2 minus the best simplified:"
            f" {difference(found[best[M2]], found[best[SIMPLIFIED]])}; of ours:"
            f" {difference(found[best[OURS]], found[best[SIMPLIFIED]])}; M2 minus ours:"
            f" {difference(found[best[M2]], found[best[OURS]])}",
        ),
        Claim(
            "The simplified model improves on the labels alone", "section 5.2",
            greater(found[best[SIMPLIFIED]], found[BASELINE]),
            difference(found[best[SIMPLIFIED]], found[BASELINE]),
        ),
        _ranges(found),
        *(_cells(found, model) for model in MODELS),
    ]


def _peak(found: Found, model: str, published: float) -> Claim:
    """That a model is best with a weight: surely better than with any other."""
    there = Cell(model, published)
    others = [cell for cell in _cells_of(model) if cell != there]
    second = max(others, key=lambda cell: _mean(found[cell]))
    return Claim(
        f"{model} is best with {SYMBOL[model]} = {published:g}", "table 1",
        greater(found[there], found[second]),
        f"with {published:g} {_mean(found[there]):.1f} %, with the best of the others,"
        f" {second.weight:g}, {_mean(found[second]):.1f} %:"
        f" {difference(found[there], found[second])}",
    )


def _ranges(found: Found) -> Claim:
    width = {
        model: max(means) - min(means)
        for model in (M2, OURS)
        if (means := [_mean(found[cell]) for cell in _cells_of(model)])
    }
    return Claim(
        "Lambda changes the accuracy of the thesis's model more than alpha that of M2",
        "section 5.2", width[OURS] > width[M2],
        f"between the best and the worst mean there are {width[OURS]:.1f} points of ours and"
        f" {width[M2]:.1f} of M2",
    )


def _cells(found: Found, model: str) -> Claim:
    outside = [
        cell for cell in _cells_of(model) if not within(found[cell], *PUBLISHED[cell])
    ]
    named = ", ".join(f"{cell.weight:g} ({_mean(found[cell]):.1f} %)" for cell in outside)
    return Claim(
        f"The means of {model} lie within the published means ± their deviations", "table 1",
        not outside,
        f"{len(_cells_of(model)) - len(outside)} of {len(_cells_of(model))} do"
        + (f"; not with {SYMBOL[model]} = {named}" if outside else ""),
    )


def _cells_of(model: str) -> list[Cell]:
    return [cell for cell in PUBLISHED if cell.model == model and cell.weight is not None]


def _best(validated: Found, model: str) -> Cell:
    return max(_cells_of(model), key=lambda cell: _mean(validated[cell]))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def picture(found: Found) -> Picture:
    """The table as a figure."""
    panels = {
        model: [
            Measured(found[cell], *PUBLISHED[cell]) if cell in PUBLISHED else None
            for cell in (Cell(model, weight) for weight in WEIGHTS)
        ]
        for model in MODELS
    }
    figure = against(
        [f"{weight:g}" for weight in WEIGHTS], panels, "test accuracy (%)",
        [SYMBOL[model] for model in MODELS],
    )
    return Picture(
        "accuracies", figure,
        "Test accuracy by the weight of the labels: alpha of M2, lambda of the thesis's model and"
        " of its simplified form. Diamonds: as published. Circles: this run.",
    )
