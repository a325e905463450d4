"""Kingma et al. 2014, table 1: MNIST with 100, 600, 1,000 and 3,000 labels.

M1 with a classifier of its features, M2, and M2 on top of M1. As in the paper: 50,000 images for
training, equally many labels of each class, softplus networks, 50 latent dimensions, the
classification loss at 0.1 N, and sums over the data set. As in the authors' code
(github.com/dpkingma/nips14-ssl): an epoch of 100 updates, each with a hundredth of the labelled and
of the unlabelled images, Adam with a learning rate of 0.0003, 3,000 epochs. Full scale: 3,000
epochs, 10 label draws.

Where this differs from the paper:

* M1's features go to a transductive SVM there, which scikit-learn does not have. The nearest that
  it has is self-training around an SVM: it labels the features of which the SVM is surest, and is
  fitted again, until all are labelled. It sees :data:`UNLABELLED` unlabelled images, and its
  penalty is chosen on validation data. Beside it stands a logistic regression of the labelled
  features alone.
* In M1+M2 both models train at once, M2 on samples of M1's features from which no gradient goes
  back; there M1 is trained first, and only those of its features that vary are kept. All its
  networks, and those of M1, have two hidden layers of 500; M2 has one. So have the authors' files;
  the paper says 600 of M1.
* Weights are drawn by Xavier's initialiser, in place of a normal one of deviation 0.001, and have
  no prior. Pixels are grey; the code draws binary ones anew at every step for M1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyro_ssvae.experiments.setting import Setting
from pyro_ssvae.report.published_plots import Measured, dots
from pyro_ssvae.reproduce.draws import accuracies, all_of, counted, difference, greater
from pyro_ssvae.reproduce.findings import Claim, Findings, Picture, Row
from pyro_ssvae.reproduce.transductive import self_trained
from pyro_ssvae.reproduce.work import Work

EPOCHS, DRAWS = 3_000, 10
LABELS = (100, 600, 1_000, 3_000)
DATA, TRAINING = "mnist", 50_000  # the data, and the number of images to train with
UPDATES = 100  # an epoch
UNLABELLED = 5_000  # unlabelled images that self-training sees
ALPHA = 0.1  # the share of N that weighs the classification loss

SVM, LOGISTIC, M2, STACKED = "M1 + SVM", "M1 + logistic regression", "M2", "M1 + M2"

# Test accuracy in %, 100 minus the errors of table 1. M1 + SVM is beside the paper's M1 + TSVM. Of
# more than 100 labels the numbers are from memory, and were not checked with the paper.
PUBLISHED: Mapping[tuple[str, int], tuple[float, float]] = {
    (SVM, 100): (88.18, 0.25), (SVM, 600): (94.28, 0.05), (SVM, 1_000): (95.76, 0.07),
    (SVM, 3_000): (96.51, 0.04),
    (M2, 100): (88.03, 1.71), (M2, 600): (95.06, 0.13), (M2, 1_000): (96.40, 0.56),
    (M2, 3_000): (96.08, 0.63),
    (STACKED, 100): (96.67, 0.14), (STACKED, 600): (97.41, 0.05), (STACKED, 1_000): (97.60, 0.02),
    (STACKED, 3_000): (97.82, 0.04),
}

Found = Mapping[tuple[str, int], Sequence[float]]  # test accuracies in %, by method and labels


@dataclass(frozen=True)
class Job:
    """A run: a pair on a draw of so many labels."""

    pair: str
    labels: int
    seed: int

    def setting(self, epochs: int) -> Setting:
        """The run's setting, with the weights of sums over the data set."""
        rest = TRAINING - self.labels
        options: dict[str, Any] = {"lr": 3e-4, "hidden": (500, 500)}
        if self.pair == "m1":
            options |= {"beta": 1.0}
        else:
            options |= {"labelled": self.labels / rest, "alpha": ALPHA * TRAINING / rest}
        if self.pair == "m2":
            options["hidden"] = (500,)
        if self.pair == "m1m2":
            options |= {"stacked": True, "warmup": 0.0}
        return Setting(
            self.pair, DATA, labels=self.labels, split_seed=self.seed, options=options,
            plan={
                "epochs": epochs, "measures": "few", "batch_labelled": self.labels // UPDATES,
                "batch_unlabelled": rest // UPDATES,
            },
        )


def reproduce(work: Work) -> Findings:
    """Train all three models with all numbers of labels, and an SVM on the features of M1."""
    epochs, draws = work.epochs(EPOCHS), work.draws(DRAWS)
    jobs = [
        Job(pair, labels, seed)
        for seed in draws for pair in ("m1", "m1m2", "m2") for labels in LABELS
    ]
    settings = {job: job.setting(epochs) for job in jobs}
    metrics = dict(zip(jobs, work.train(list(settings.values()))))
    features = [job for job in jobs if job.pair == "m1"]
    svms = dict(zip(features, work.each(self_trained, [
        {"folder": work.folder(settings[job]), "unlabelled": UNLABELLED,
         "root": None if work.root is None else str(work.root)}
        for job in features
    ])))
    found: dict[tuple[str, int], list[float]] = {}
    for labels in LABELS:
        of_pair = {
            pair: [job for job in jobs if (job.pair, job.labels) == (pair, labels)]
            for pair in ("m1", "m2", "m1m2")
        }
        found |= {
            (SVM, labels): [100 * svms[job]["accuracy"] for job in of_pair["m1"]],
            (LOGISTIC, labels): accuracies(metrics[job] for job in of_pair["m1"]),
            (M2, labels): accuracies(metrics[job] for job in of_pair["m2"]),
            (STACKED, labels): accuracies(metrics[job] for job in of_pair["m1m2"]),
        }
    return Findings(
        title="Table 1 of Kingma et al. (2014): MNIST with 100 to 3,000 labels",
        setting=(
            f"MNIST, {counted(epochs, 'epoch')} of {EPOCHS:,} with {UPDATES} updates each,"
            f" {counted(len(draws), 'label draw')}, last epochs. Self-training around an SVM with"
            f" {UNLABELLED:,} unlabelled images stands in for the paper's transductive SVM."
        ),
        rows=[
            Row(f"{method}, {labels:,} labels: test accuracy, %", values,
                *published(method, labels), source(method, labels))
            for (method, labels), values in found.items()
        ],
        claims=claims(found),
        pictures=[picture(found)],
    )


def published(method: str, labels: int) -> tuple[float | None, float | None]:
    """The published mean and deviation, if any."""
    return PUBLISHED.get((method, labels), (None, None))


def source(method: str, labels: int) -> str:
    """Where the number was published, with which setting; [M] marks what is from memory."""
    if method == LOGISTIC:
        return "not in the paper"
    what = "table 1, M1 + TSVM" if method == SVM else "table 1"
    return what if labels <= 100 else f"{what} [M]"


def claims(found: Found) -> list[Claim]:
    """What table 1 says: of M1+M2 beside the others, and of more labels."""
    return [
        *(
            Claim(
                f"With {labels:,} labels M1 + M2 is better than M1 with an SVM and than M2",
                "table 1",
                all_of(
                    greater(found[STACKED, labels], found[other, labels]) for other in (SVM, M2)
                ),
                "; ".join(
                    f"minus {other}: {difference(found[STACKED, labels], found[other, labels])}"
                    for other in (SVM, M2)
                ),
            )
            for labels in LABELS
        ),
        *(
            Claim(
                f"{method} gains from {LABELS[-1]:,} labels in place of {LABELS[0]}", "table 1",
                greater(found[method, LABELS[-1]], found[method, LABELS[0]]),
                difference(found[method, LABELS[-1]], found[method, LABELS[0]]),
            )
            for method in (SVM, M2, STACKED)
        ),
    ]


def picture(found: Found) -> Picture:
    """The table as a figure."""
    values = {
        f"{method}, {labels:,}": Measured(values, *published(method, labels))
        for (method, labels), values in found.items()
    }
    return Picture(
        "accuracies", dots(values, "test accuracy (%)"),
        "Test accuracy by the method and the number of labels, a dot for each label draw, beside"
        " what was published.",
    )
