"""Jurasinski 2019, appendix D and figure 8: the composition of batches as a hidden weight.

The thesis trains M2 with 100 labelled and 100 unlabelled images in a batch, and with 1 and 499, on
MNIST with 100 labels, and finds that the performance depends on it: sums over such batches weigh
the labelled images 499 times as much, or as the data set does. Figure 8 is a curve for each; the
measure and the numbers cannot be read from the text, nor how many label draws there were. Here
the weight and the composition are told apart: the labelled terms are weighed by 1 or by 1/499 with
either composition, and validation accuracies of four settings are followed over the epochs.
Otherwise as in :mod:`pyro_ssvae.reproduce.thesis_table_1`, with alpha = 1, which counts like the
labelled bound, and with a sigma^2 of 1. Full scale: 500 epochs, 5 label draws.

With 499 unlabelled images in a batch an epoch has 100 updates, and 499 with 100: after equally many
epochs one has had five times the updates of the other. Compositions are therefore compared twice,
by test accuracies after equally many epochs, and by validation accuracies after equally many
updates, of which the histories tell. Nothing is chosen on these validation data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyro_ssvae.experiments import folder as folders
from pyro_ssvae.experiments.setting import Setting
from pyro_ssvae.report.published_plots import over_epochs
from pyro_ssvae.reproduce import selected
from pyro_ssvae.reproduce.draws import accuracies, alike, counted, difference
from pyro_ssvae.reproduce.findings import Claim, Findings, Picture, Row
from pyro_ssvae.reproduce.work import Work

EPOCHS, DRAWS = 500, 5
DATA, LABELS = "mnist", 100
LIKELIHOOD = "normal:1.0"
SHARE = 1 / 499  # of labelled images in the training data, for one unlabelled
MARGIN = 1.0  # points of accuracy from which on it is said to depend on something


@dataclass(frozen=True)
class Batches:
    """How batches are made up, and what their labelled images count.

    Attributes:
        labelled: The number of labelled images in a batch.
        unlabelled: The number of unlabelled images in a batch.
        weight: The weight of the mean over the labelled images beside that over the others.
    """

    labelled: int
    unlabelled: int
    weight: float

    @property
    def name(self) -> str:
        """What the setting is called."""
        weight = "1" if self.weight == 1 else "1/499"
        return f"{self.labelled} + {self.unlabelled}, weight {weight}"

    def setting(self, seed: int, epochs: int) -> Setting:
        """The run on a label draw."""
        return Setting(
            "m2", DATA, labels=LABELS, split_seed=seed,
            options={"labelled": self.weight, "alpha": self.weight, "likelihood": LIKELIHOOD},
            plan=selected.plan(
                epochs, batch_labelled=self.labelled, batch_unlabelled=self.unlabelled
            ),
        )


# The first and the last are what sums over the thesis's two batches come to.
EVEN, LIGHT = Batches(100, 100, 1.0), Batches(100, 100, SHARE)
FEW, BOTH = Batches(1, 499, 1.0), Batches(1, 499, SHARE)
SETTINGS = (EVEN, BOTH, FEW, LIGHT)

Found = Mapping[Batches, Sequence[float]]  # accuracies in % of the draws
History = Sequence[Mapping[str, float]]  # a row for each epoch


def reproduce(work: Work) -> Findings:
    """Train M2 with two compositions of batches and two weights, and compare the accuracies."""
    epochs, draws = work.epochs(EPOCHS), work.draws(DRAWS)
    jobs = [(batches, seed) for seed in draws for batches in SETTINGS]
    settings = [batches.setting(seed, epochs) for batches, seed in jobs]
    metrics = work.train(settings)
    histories = [folders.read_history(work.folder(setting)) for setting in settings]
    found = {
        batches: accuracies(run for (one, _), run in zip(jobs, metrics) if one == batches)
        for batches in SETTINGS
    }
    curves = {
        batches: [rows for (one, _), rows in zip(jobs, histories) if one == batches]
        for batches in SETTINGS
    }
    updates, level = after_equal_updates(curves)
    return Findings(
        title="Figure 8 of Jurasinski (2019): the composition of batches",
        setting=(
            f"M2, MNIST, {LABELS} labels, alpha = 1, {counted(epochs, 'epoch')} of {EPOCHS},"
            f" {counted(len(draws), 'label draw')}; an epoch of 499 unlabelled images a batch has"
            " 100 updates, of 100 it has 499."
        ),
        rows=[
            *(Row(f"{batches.name}: test accuracy, %", values, source="figure 8, a curve")
              for batches, values in found.items()),
            *(Row(f"{batches.name}: validation accuracy after {updates:,} updates or nearly, %",
                  values) for batches, values in level.items()),
        ],
        claims=claims(found, level),
        pictures=[picture(curves)],
    )


def after_equal_updates(curves: Mapping[Batches, Sequence[History]]) -> tuple[int, Found]:
    """As many updates as the shortest training has, and the validation accuracies after them.

    Of every other training it is the epoch that ends nearest to that number of updates.
    """
    updates = min(int(rows[-1]["updates"]) for runs in curves.values() for rows in runs)
    return updates, {
        batches: [
            100 * min(rows, key=lambda row: abs(row["updates"] - updates))["val_accuracy"]
            for rows in runs
        ]
        for batches, runs in curves.items()
    }


def claims(found: Found, level: Found) -> list[Claim]:
    """That the composition matters, by sums over the batches, and each of its two parts.

    Args:
        found: The test accuracies, after equally many epochs.
        level: The validation accuracies after equally many updates.
    """
    whole = "The accuracy of M2 depends on the composition of its batches, summed over,"
    alone = "It does by the composition alone, 100 + 100 or 1 + 499 with the weight 1/499,"
    return [
        _changes(found, EVEN, BOTH, f"{whole} after equally many epochs"),
        _changes(level, EVEN, BOTH, f"{whole} after equally many updates"),
        _changes(
            found, EVEN, LIGHT,
            "It does by the weight alone, 100 + 100 with the labelled terms at 1 or at 1/499,"
            " after equally many epochs and updates",
        ),
        _changes(found, LIGHT, BOTH, f"{alone} after equally many epochs"),
        _changes(level, LIGHT, BOTH, f"{alone} after equally many updates"),
    ]


def _changes(found: Found, one: Batches, other: Batches, text: str) -> Claim:
    same = alike(found[one], found[other], MARGIN)
    return Claim(
        f"{text}: by more than {MARGIN:g} point", "appendix D", None if same is None else not same,
        f"{one.name} minus {other.name}: {difference(found[one], found[other])}, in points",
    )


def picture(curves: Mapping[Batches, Sequence[History]]) -> Picture:
    """The validation accuracies over the epochs."""
    lines = {
        batches.name: [[100 * row["val_accuracy"] for row in rows] for rows in runs]
        for batches, runs in curves.items()
    }
    return Picture(
        "curves", over_epochs(lines, "validation accuracy (%)"),
        "Validation accuracy over the epochs, mean and range over the label draws, by the numbers"
        " of labelled and unlabelled images in a batch and the weight of the labelled terms.",
    )
