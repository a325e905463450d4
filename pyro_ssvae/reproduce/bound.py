"""What the generative model adds to a classifier that learns from changed images.

No single paper, and a question that Oliver et al. (2018) put to all of the field: of what a method
reaches, how much does it owe to what it is named for? VaDE with few labels learns by pseudo-labels
of changed images and by its bound. Here it is trained on the same draws of labels, weights and
batches with its bound, and with the weights of both bounds at 0: then the classifier alone learns.
Beside the accuracy stand the NLL and the calibration error of its probabilities, and the bound on
log p(x) of test images, which says what a model is worth that was trained, as against one that was
not.

On digits with 50 labels the options are those of :mod:`pyro_ssvae.recipes`. On MNIST with 100 the
networks are larger, :data:`STRONG`; they and the recipe were chosen on validation data of the label
draws 0 and 2, so that the draws 3 to 7 are measured. The arm without the bound keeps what was
chosen with it: what it would reach with options of its own is not measured. Full scale: 100
epochs and 20 draws of digits, 40 epochs of 195 updates and 5 draws of MNIST.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyro_ssvae.experiments.plan import Plan
from pyro_ssvae.experiments.setting import Setting
from pyro_ssvae.report.published_plots import Measured, dots
from pyro_ssvae.reproduce.board import Board
from pyro_ssvae.reproduce.draws import above, difference, greater, paired
from pyro_ssvae.reproduce.findings import Claim, Findings, Picture, Row, on_data
from pyro_ssvae.reproduce.work import Work

PAIR = "vade"
TARGET = 99.2  # the accuracy on MNIST, in %, that the pair is to reach
STRONG: Mapping[str, Any] = {
    "hidden": (256, 128), "classifier": "conv:32", "consistency": 0.0, "bounded": 0.125,
}
WITH, WITHOUT = "with the bound", "without the bound"
ARMS: Mapping[str, Mapping[str, Any]] = {
    WITH: {}, WITHOUT: {"labelled": 0.0, "unlabelled": 0.0},
}
# What is measured of test images: its name, its unit, and what it is multiplied by.
MEASURES: Mapping[str, tuple[str, str, float]] = {
    "accuracy": ("accuracy", "%", 100.0), "nll": ("NLL of the label", "nats", 1.0),
    "ece": ("calibration error", "%", 100.0), "elbo": ("bound on log p(x)", "nats", 1.0),
}

DIGITS = Board("digits", 50, 100, 20)
MNIST = Board("mnist", 100, 40, 5, first=3)
BOARDS = (DIGITS, MNIST)
DATA_SETS = tuple(board.data for board in BOARDS)

# What is not as the recipe has it: the options, and how to train.
OPTIONS: Mapping[str, Mapping[str, Any]] = {"digits": {}, "mnist": STRONG}
PLANS: Mapping[str, Plan] = {
    "digits": {}, "mnist": {"batch_labelled": 64, "batch_unlabelled": 256, "capture": "off"},
}

# The values of the draws, by the arm and the measure.
Found = Mapping[str, Mapping[str, Sequence[float]]]


def reproduce(work: Work) -> Findings:
    """Train VaDE with its bound and without, and compare what it reaches draw by draw."""
    jobs = [
        (board, arm, seed)
        for board in BOARDS for seed in board.seeds(work) for arm in ARMS
    ]
    metrics = work.train([
        setting(board, arm, seed, board.trained(work)) for board, arm, seed in jobs
    ])
    found = {
        board: {
            arm: measured([
                run["test"] for (at, one, _), run in zip(jobs, metrics) if (at, one) == (board, arm)
            ])
            for arm in ARMS
        }
        for board in BOARDS
    }
    return Findings(
        title="What the bound adds to VaDE with few labels",
        setting="; ".join(board.said(work) for board in BOARDS) + ". Last epochs.",
        rows=[row for board, of in found.items() for row in rows(board, of)],
        claims=[
            claim for board, of in found.items()
            for claim in on_data(board.data, claims(board, of))
        ],
        pictures=[picture(found)],
    )


def setting(board: Board, arm: str, seed: int, epochs: int) -> Setting:
    """The run of an arm on a label draw."""
    return Setting(
        PAIR, board.data, labels=board.labels, split_seed=seed,
        options={**OPTIONS[board.data], **ARMS[arm]},
        plan={**PLANS[board.data], "epochs": epochs, "measures": "few"},
    )


def measured(tests: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """The measures of the test parts of some runs."""
    return {
        name: [scale * test[name] for test in tests] for name, (_, _, scale) in MEASURES.items()
    }


def rows(board: Board, found: Found) -> list[Row]:
    """The measures of both arms, and their differences draw by draw."""
    table = []
    for measure, (text, unit, _) in MEASURES.items():
        table += [
            Row(f"{board.name}, {arm}: {text}, {unit}", found[arm][measure]) for arm in ARMS
        ]
        table.append(Row(
            f"{board.name}, with less without: {text}, {'points' if unit == '%' else unit}",
            [a - b for a, b in zip(found[WITH][measure], found[WITHOUT][measure])],
        ))
    return table


def claims(board: Board, found: Found) -> list[Claim]:
    """What the bound adds, and on MNIST whether the pair reaches what it is to reach."""
    accuracy = {arm: found[arm]["accuracy"] for arm in ARMS}
    told = [
        Claim(
            f"{board.name}: the bound makes the classifier better", "this study",
            greater(accuracy[WITH], accuracy[WITHOUT]),
            f"points of accuracy: {difference(accuracy[WITH], accuracy[WITHOUT])}",
        ),
        Claim(
            f"{board.name}: the bound makes its probabilities better, by their NLL", "this study",
            greater(found[WITHOUT]["nll"], found[WITH]["nll"]), _nats(found),
        ),
    ]
    if board == MNIST:
        mean = sum(accuracy[WITH]) / len(accuracy[WITH])
        told.append(Claim(
            f"{board.name}: more than {TARGET} % of test images are classified rightly, on average",
            "this study", above(accuracy[WITH], TARGET),
            f"{mean:.2f} % on average, {min(accuracy[WITH]):.2f} % at worst; less the aim, in"
            f" points: {difference(accuracy[WITH], [TARGET] * len(accuracy[WITH]))}",
        ))
    return told


def _nats(found: Found) -> str:
    """The difference of the NLLs in words."""
    less = paired(found[WITH]["nll"], found[WITHOUT]["nll"])
    text = f"NLL with less without: {less.mean:+.3f} nats"
    return text if less.low is None else f"{text} [{less.low:+.3f}, {less.high:+.3f}]"


def picture(found: Mapping[Board, Found]) -> Picture:
    """The accuracies of both arms on every data set."""
    values = {
        f"{board.data}, {arm}": Measured(of[arm]["accuracy"])
        for board, of in found.items() for arm in ARMS
    }
    return Picture(
        "accuracies", dots(values, "test accuracy (%)"),
        "Test accuracy of VaDE with its bound and without: a dot for each label draw, and the"
        " means.",
    )
