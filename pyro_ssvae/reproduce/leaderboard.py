"""Every pair that classifies beside scikit-learn's references, on the same label draws.

No single paper: the pairs of the library with the options of :mod:`pyro_ssvae.recipes`, which were
chosen on validation data, on digits with 50 labels, Fashion-MNIST with 100 and MNIST with 100; and
label spreading and self-training, which choose their settings on validation data too. Published
numbers stand beside those of MNIST: they are of other networks, longer training and other draws,
and the sources say with which. The published M1 + M2 trains M2 on top of M1, where the recipe
trains both at once: on MNIST it is trained in both ways. Full scale: 100 epochs and 20 draws of
digits, 50 epochs and 10 draws of the others; of MNIST those from draw 3 on, for options were chosen
on earlier ones. The best pair is chosen by validation data of half of the draws, and compared on
the other half. A data set that cannot be loaded is left out, and said to be.

What a pair gains on ``supervised``, a perceptron of the labelled examples alone, is not what the
unlabelled examples are worth: some pairs have convolutional classifiers, changed images,
pseudo-labels or averaged weights too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyro_ssvae.contract import classifies
from pyro_ssvae.errors import InputError
from pyro_ssvae.evaluation.references import evaluate_reference, references
from pyro_ssvae.experiments.pairs import names, pair
from pyro_ssvae.experiments.setting import Setting, loaded
from pyro_ssvae.report.published_plots import Measured, dots
from pyro_ssvae.reproduce.board import Board
from pyro_ssvae.reproduce.draws import accuracies, all_of, chosen, difference, greater, others
from pyro_ssvae.reproduce.findings import Claim, Findings, Picture, Row, on_data
from pyro_ssvae.reproduce.work import Work

ALONE = "supervised"
FIRST = (ALONE, "vade", "m2", "m1")  # those that tell most, before the other pairs
STACKED = "m1m2, stacked"
OPTIONS: Mapping[str, Mapping[str, Any]] = {STACKED: {"stacked": True, "warmup": 0.0}}

BOARDS = (
    Board("digits", 50, 100, 20), Board("fashion-mnist", 100, 50, 10),
    Board("mnist", 100, 50, 10, first=3),
)
DATA_SETS = tuple(board.data for board in BOARDS)

# Test accuracy in % on MNIST with 100 labels: the mean, the deviation if any, and the source.
PUBLISHED: Mapping[str, tuple[float, float | None, str]] = {
    ALONE: (74.74, 1.16, "Jurasinski 2019, section 5.2"),
    "m2": (88.03, 1.71, "Kingma et al. 2014, table 1"),
    STACKED: (96.67, 0.14, "Kingma et al. 2014, table 1"),
    "latentclassifier": (88.2, 3.6, "Jurasinski 2019, table 1, lambda = 1"),
    "adgm": (99.04, 0.02, "Maaløe et al. 2016, 1,000 epochs"),
    "sdgm": (98.68, 0.07, "Maaløe et al. 2016, 1,000 epochs"),
    "factored": (96.9, None, "Feng et al. 2021, the smooth ELBO of SHOT-VAE"),
}

Found = Mapping[str, Sequence[float]]  # accuracies in % of the draws, by the name of the row


def reproduce(work: Work) -> Findings:
    """Train every pair on every data set that there is, and compare test accuracies."""
    boards, missing = available(work)
    jobs = [
        (board, name, seed)
        for board in boards for seed in board.seeds(work) for name in entries(board)
    ]
    metrics = work.train([
        setting(board, name, seed, board.trained(work)) for board, name, seed in jobs
    ])
    rows: list[Row] = []
    claims: list[Claim] = []
    pictures: list[Picture] = []
    for board in boards:
        runs = {
            name: [run for (of, one, _), run in zip(jobs, metrics) if (of, one) == (board, name)]
            for name in entries(board)
        }
        pairs = {name: accuracies(of_name) for name, of_name in runs.items()}
        validated = {name: accuracies(of, "validation") for name, of in runs.items()}
        beside = of_references(work, board)
        rows += rows_of(board, pairs, beside)
        claims += on_data(board.data, claims_of(board, pairs, validated, beside))
        pictures.append(picture(board, {**pairs, **beside}))
    return Findings(
        title="Every pair beside scikit-learn's references",
        setting="; ".join(board.said(work) for board in boards) + ". Last epochs."
        + (f" Left out, for want of their files: {', '.join(missing)}." if missing else ""),
        rows=rows, claims=claims, pictures=pictures, whole=not missing,
    )


def available(work: Work) -> tuple[list[Board], list[str]]:
    """The data sets that can be loaded, and the names of the others."""
    found, missing = [], []
    for board in BOARDS:
        try:
            loaded(board.data, work.root)
        except InputError as error:
            work.log(f"{board.data} is left out: {error}")
            missing.append(board.data)
        else:
            found.append(board)
    if not found:
        raise InputError(f"expected one of the data sets of the leaderboard, got none: {missing}")
    return found, missing


def ordered() -> list[str]:
    """The names of the pairs that classify, those of :data:`FIRST` first."""
    everything = [name for name in names() if classifies(pair(name).guide)]
    return [*FIRST, *(name for name in everything if name not in FIRST)]


def entries(board: Board) -> list[str]:
    """The names of what is trained on a data set: the pairs, and on MNIST M1 + M2 as published."""
    return ordered() + [STACKED] * (board.data == "mnist")


def setting(board: Board, name: str, seed: int, epochs: int) -> Setting:
    """The run of a row on a label draw."""
    return Setting(
        name.partition(",")[0], board.data, labels=board.labels, split_seed=seed,
        options=OPTIONS.get(name, {}), plan={"epochs": epochs, "measures": "few"},
    )


def of_references(work: Work, board: Board) -> dict[str, list[float]]:
    """The test accuracies of scikit-learn's classifiers, in %, by their names."""
    seeds = board.seeds(work)
    root = None if work.root is None else str(work.root)
    return {
        name: [
            100 * result["test"]["accuracy"]
            for result in work.each(reference, [
                {"name": name, "data": board.data, "labels": board.labels, "seed": seed,
                 "root": root}
                for seed in seeds
            ])
        ]
        for name in references(loaded(board.data, work.root))
    }


def reference(
    name: str, data: str, labels: int, seed: int, root: str | None = None
) -> dict[str, Any]:
    """The scores of one of scikit-learn's classifiers on one label draw."""
    return evaluate_reference(name, loaded(data, root).split(labels, seed=seed))


def rows_of(board: Board, pairs: Found, beside: Found) -> list[Row]:
    """The accuracies of a data set, and the differences to the labels alone draw by draw."""
    published = PUBLISHED if board.data == "mnist" else {}
    return [
        *(
            Row(f"{board.data}, {name}: test accuracy, %", values,
                *published.get(name, (None, None, "")))
            for name, values in {**pairs, **beside}.items()
        ),
        *(
            Row(f"{board.data}, {name} minus {ALONE}: points",
                [a - b for a, b in zip(values, pairs[ALONE])])
            for name, values in {**pairs, **beside}.items() if name != ALONE
        ),
    ]


def claims_of(board: Board, pairs: Found, validated: Found, beside: Found) -> list[Claim]:
    """What the accuracies of a data set say."""
    best = chosen(validated)
    values = others(pairs[best])
    against = {name: others(of_reference) for name, of_reference in beside.items()}
    verdicts = {
        name: greater(values, pairs[ALONE]) for name, values in pairs.items() if name != ALONE
    }
    unsure = ", ".join(
        f"{name} ({difference(pairs[name], pairs[ALONE])})"
        for name, better in verdicts.items() if not better
    )
    return [
        Claim(
            f"{board.data}: the pair of the best validation accuracy on half of the draws, {best},"
            " is better than every one of scikit-learn's on the other half", "this study",
            all_of(greater(values, reference) for reference in against.values()),
            "points: " + ", ".join(
                f"minus {name} {difference(values, reference)}"
                for name, reference in against.items()
            ),
        ),
        Claim(
            f"{board.data}: every pair is better than `{ALONE}`", "this study",
            all_of(verdicts.values()),
            f"{sum(map(bool, verdicts.values()))} of {len(verdicts)} are"
            + (f"; of these it is not so, or not sure: {unsure}" if unsure else ""),
        ),
        *([_order(pairs)] if board.data == "mnist" else []),
    ]


def _order(pairs: Found) -> Claim:
    steps = (("adgm", STACKED), ("sdgm", STACKED), (STACKED, "m2"))
    return Claim(
        "On MNIST with 100 labels ADGM and SDGM are better than M1 + M2, which is better than M2",
        "Maaløe et al. 2016, table 1",
        all_of(greater(pairs[one], pairs[other]) for one, other in steps),
        "; ".join(
            f"{one} minus {other} {difference(pairs[one], pairs[other])}" for one, other in steps
        ),
    )


def picture(board: Board, found: Found) -> Picture:
    """The accuracies of a data set as a figure."""
    published = PUBLISHED if board.data == "mnist" else {}
    values = {
        name: Measured(values, *published[name][:2]) if name in published else Measured(values)
        for name, values in found.items()
    }
    return Picture(
        board.data, dots(values, "test accuracy (%)"),
        f"Test accuracy on {board.data} with {board.labels} labels: a dot for each label draw, and"
        " the means.",
    )
