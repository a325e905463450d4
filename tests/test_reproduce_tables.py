"""The studies of whole runs: their settings, their arithmetic, and each of them run small."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import make_moons
from sklearn.svm import SVC

from pyro_ssvae.data import Split, from_arrays, load
from pyro_ssvae.errors import InputError
from pyro_ssvae.evaluation.evaluate import fit_classifier, predictions
from pyro_ssvae.experiments import folder as folders
from pyro_ssvae.experiments import runs
from pyro_ssvae.experiments.setting import Setting
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.report.published_plots import Measured, against, dots, over_epochs, together
from pyro_ssvae.reproduce import (
    kingma_mnist,
    leaderboard,
    selected,
    thesis_batches,
    thesis_selection,
    thesis_table_1,
    transductive,
)
from pyro_ssvae.reproduce.findings import Claim
from pyro_ssvae.reproduce.thesis_table_1 import M2, OURS, SIMPLIFIED, Cell
from pyro_ssvae.reproduce.work import Work
from pyro_ssvae.targets.metrics import accuracy

TINY = 1 / 1000


class Told(Work):
    """A place of work where runs have the accuracies that it is told, and nothing is trained."""

    def train(self, settings: Sequence[Setting]) -> list[dict[str, Any]]:
        return [told(setting) for setting in settings]

    def folder(self, setting: Setting) -> Path:
        """A folder of a run of two epochs, of which the first was the better one."""
        first = told(setting)["validation"]["accuracy"]
        folder = self.out / f"{setting.model}-{setting.split_seed}-{hash(str(setting.options))}"
        folder.mkdir()
        folders.write_history(folder, [
            {"epoch": epoch, "val_accuracy": accuracy}
            for epoch, accuracy in ((1, first), (2, 0.5))
        ])
        return folder


def told(setting: Setting) -> dict[str, Any]:
    """Accuracies that depend on the setting: by the published table, and a little by the draw."""
    weight = setting.options.get("alpha", setting.options.get("labelled"))
    model = {
        ("m2", False): M2, ("latentclassifier", False): OURS,
        ("latentclassifier", True): SIMPLIFIED,
    }.get((str(setting.model), bool(setting.options.get("simplified"))))
    cell = thesis_table_1.BASELINE if model is None else Cell(model, weight)
    share = thesis_table_1.PUBLISHED[cell][0] / 100 + (setting.split_seed % 5 - 2) / 5000
    return {
        "test": {"accuracy": share - 0.02}, "validation": {"accuracy": share},
        "selected": {
            by: {"epoch": 1, "test": {"accuracy": share - less}}
            for by, less in (("accuracy", 0.0), ("nll", 0.001), ("elbo", 0.01))
        },
    }


@contextmanager
def short_runs() -> Iterator[None]:
    """Runs of which the accuracy alone is measured, and nothing drawn."""
    def accuracies(model: Any, guide: Any, split: Split, part: str, **_: Any) -> dict[str, float]:
        x, y = split.part(part)
        with evaluating(model, guide):
            fit_classifier(guide, split)
            return {"accuracy": accuracy(predictions(guide, split.target, x), y, (y.shape[-1],))}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "evaluate", accuracies)
        patch.setattr(runs, "write_figures", lambda *_, **__: None)
        yield


# Additions of ten draws, of which no interval of a mean of five leaves out 0.
OFF = (3.0, -3.0, 2.5, -2.5, 3.5, -3.5, 2.0, -2.0, 3.0, 3.0)


def several(least: float, spread: float = 0.0) -> list[float]:
    """What ten draws measured: a mean of their own, and an addition that differs among them."""
    return [least + 0.1 * draw + spread * off for draw, off in enumerate(OFF)]


def verdict(claims: Sequence[Claim], *parts: str) -> bool | None:
    """The verdict on the one claim whose text has these parts."""
    (one,) = (claim for claim in claims if all(part in claim.text for part in parts))
    return one.holds


# The epoch that is reported.


def test_the_test_accuracy_is_that_of_the_epoch_chosen() -> None:
    run = {
        "test": {"accuracy": 0.5}, "selected": {"elbo": {"epoch": 3, "test": {"accuracy": 0.75}}},
    }
    assert selected.tested(run, "elbo") == 75
    history = [{"val_accuracy": value} for value in (0.1, 0.2, 0.6, 0.4)]
    assert selected.validated(run, history, "elbo") == 60


def test_a_run_without_a_chosen_epoch_is_not_taken_for_one() -> None:
    with pytest.raises(KeyError):
        selected.tested({"test": {"accuracy": 0.5}})


# Table 1.


def test_table_1_has_eight_weights_of_m2_and_seven_of_the_others_and_the_labels_alone() -> None:
    cells = thesis_table_1.ordered()
    assert len(cells) == len(set(cells)) == 23 and set(cells) == set(thesis_table_1.PUBLISHED)
    assert cells[0] == thesis_table_1.BASELINE


def test_table_1_gives_alpha_to_m2_and_lambda_to_the_labelled_bound_of_the_others() -> None:
    settings = [
        thesis_table_1.setting(Cell(model, 10.0), seed=3, epochs=7)
        for model in thesis_table_1.MODELS
    ]
    assert [one.model for one in settings] == ["m2", "latentclassifier", "latentclassifier"]
    assert settings[0].options.get("alpha") == 10 and "labelled" not in settings[0].options
    assert [one.options["labelled"] for one in settings[1:]] == [10, 10]
    assert [one.options["simplified"] for one in settings[1:]] == [False, True]
    assert all(one.split_seed == 3 and one.plan["epochs"] == 7 for one in settings)
    assert {one.options["likelihood"] for one in settings} == {"normal:0.5"}


def test_accuracies_as_published_bear_out_what_is_said_of_table_1(tmp_path: Path) -> None:
    findings = thesis_table_1.reproduce(Told(tmp_path, scale=0.2, number=10))
    # The deviations between the draws are the same in all cells, and so no difference is in doubt.
    assert all(claim.holds is True for claim in findings.claims), findings.claims
    assert len(findings.rows) == 23 and [p.name for p in findings.pictures] == ["accuracies"]
    row = next(row for row in findings.rows if row.what.startswith("M2, alpha = 0.1:"))
    assert row.found == pytest.approx([91.4 + (draw % 5 - 2) / 50 for draw in range(10)])
    assert (row.published, row.spread) == (91.4, 2.2)
    assert "100 epochs of 500, 10 label draws" in findings.setting


def table(changed: Mapping[Cell, float] = {}, spread: float = 0.0) -> dict[Cell, list[float]]:
    """Accuracies around the published ones, or others: those of M2 have a spread of their own."""
    return {
        cell: several(changed.get(cell, mean - 0.45), spread if cell.model == M2 else 0.0)
        for cell, (mean, _) in thesis_table_1.PUBLISHED.items()
    }


@pytest.mark.parametrize(("cell", "accuracy", "claim"), [
    (Cell(M2, 0.0), 95.0, "M2 gains from the classification loss"),
    (Cell(M2, 0.0), 95.0, "M2 is best with alpha = 10000"),
    (Cell(OURS, 1.0), 95.0, "ours is best with lambda = 0.5"),
    (Cell(SIMPLIFIED, 1.0), 95.0, "ours, simplified is best with lambda = 0.001"),
    (Cell(OURS, 0.5), 96.5, "M2 and the thesis's model reach similar accuracies, less than 2"),
    (Cell(SIMPLIFIED, 0.1), 93.0, "Without the conditional generation (simplified)"),
    (thesis_table_1.BASELINE, 90.0, "improves on the labels alone"),
    (Cell(M2, 0.5), 50.0, "Lambda changes the accuracy of the thesis's model more than alpha"),
    (Cell(M2, 0.5), 50.0, "The means of M2 lie within the published means"),
])
def test_accuracies_that_are_otherwise_refute_what_is_said_of_table_1(
    cell: Cell, accuracy: float, claim: str
) -> None:
    found = table({cell: accuracy})
    assert verdict(thesis_table_1.claims(found, found), claim) is False


def test_models_that_differ_are_not_similar_whatever_the_simplified_one_does() -> None:
    others = {cell: 40.0 for cell in table() if cell.model in (OURS, SIMPLIFIED)}
    found = table({**others, Cell(OURS, 0.5): 60.0})
    claims = thesis_table_1.claims(found, found)
    assert verdict(claims, "reach similar accuracies") is False
    assert verdict(claims, "Without the conditional generation") is True


def test_accuracies_that_vary_between_the_draws_do_not_decide_table_1() -> None:
    found = table(spread=3.0)
    found[Cell(M2, 0.0)] = several(92.0)
    found[Cell(M2, 1.0)] = several(93.0)
    found[Cell(SIMPLIFIED, 0.001)] = several(92.0)
    found[Cell(OURS, 0.5)] = several(93.0, spread=1.0)
    claims = thesis_table_1.claims(found, found)
    for text in ("M2 gains", "ours is best", "reach similar", "Without the", "The means of M2"):
        assert verdict(claims, text) is None
    few = {cell: values[:4] for cell, values in table().items()}
    assert {claim.holds for claim in thesis_table_1.claims(few, few)} == {None}


def test_what_varies_by_chance_alone_is_no_range_of_weights() -> None:
    noise = np.random.default_rng(0)
    wide, narrow = (
        {cell: list(noise.normal(80.0, sd, 10)) for cell in table() if cell.model == model}
        for model, sd in ((OURS, 10.0), (M2, 1.0))
    )
    found = {**table(), **wide, **narrow}
    assert verdict(thesis_table_1.claims(found, found), "Lambda changes the accuracy") is not True


def test_the_cells_that_are_not_as_published_are_named() -> None:
    found = table({Cell(M2, 0.0): 50.0})
    (claim,) = (c for c in thesis_table_1.claims(found, found) if "The means of M2" in c.text)
    assert claim.because == "7 of 8 do; not with alpha = 0 (50.5 %)"


def test_the_best_weights_are_chosen_on_validation_data() -> None:
    found = table({Cell(SIMPLIFIED, 100.0): 99.0, Cell(SIMPLIFIED, 0.5): 70.0})
    validated = {**table(), Cell(SIMPLIFIED, 0.5): several(99.0)}
    claims = thesis_table_1.claims(found, validated)
    assert verdict(claims, "improves on the labels alone") is False
    assert verdict(claims, "ours, simplified is best with lambda = 0.001") is True


def test_the_rival_of_the_best_weight_is_chosen_on_other_draws_than_it_is_compared_on() -> None:
    lucky = [99.0 if draw % 2 else 60.0 for draw in range(10)]  # on the draws that compare
    found = {**table(), Cell(SIMPLIFIED, 100.0): lucky}
    claims = thesis_table_1.claims(found, found)
    assert verdict(claims, "ours, simplified is best with lambda = 0.001") is True


# Figure 12.


def test_choosing_by_accuracy_is_compared_with_choosing_by_either_loss(tmp_path: Path) -> None:
    findings = thesis_selection.reproduce(Told(tmp_path, scale=0.2, number=10))
    by_elbo, by_nll = findings.claims[:2]
    assert by_elbo.holds is True
    assert by_elbo.because.startswith("points: +1.0 [+1.0, +1.0]")
    assert by_nll.holds is True
    assert by_nll.because.startswith("points: +0.1 [+0.1, +0.1]")
    assert len(findings.rows) == 8 * 4


def by_ways(
    less: float, gain: float = 5.0, spread: float = 0.0
) -> dict[str, dict[float, list[float]]]:
    """Accuracies that are less where chosen by a loss, and gain from the largest alpha."""
    largest = max(thesis_selection.WEIGHTS)
    return {
        way: {
            alpha: several(
                80.0 - less * (way != "accuracy") + gain * (alpha == largest),
                spread * (way != "accuracy") * (1 if alpha == largest else 2),
            )
            for alpha in thesis_selection.WEIGHTS
        }
        for way in thesis_selection.WAYS
    }


@pytest.mark.parametrize(("less", "gain", "spread", "better", "close", "helps"), [
    (0.2, 5.0, 0.0, True, True, True), (-0.2, 5.0, 0.0, False, True, True),
    (1.5, -5.0, 0.0, True, False, False), (0.0, 0.0, 1.0, None, None, None),
])
def test_ways_of_choosing_are_compared_by_intervals(
    less: float, gain: float, spread: float, better: bool, close: bool, helps: bool
) -> None:
    claims = thesis_selection.claims(by_ways(less, gain, spread))
    for by in ("NLL of the labels", "ELBO"):
        assert verdict(claims, "is better than", by) is better
        assert verdict(claims, "is not large", by) is close
        assert verdict(claims, "alpha = 10000 in place of 0, helps", by) is helps


# Batches.


def test_one_labelled_image_a_batch_and_its_weight_are_told_apart() -> None:
    found = {
        (of.plan["batch_labelled"], of.plan["batch_unlabelled"], of.options["labelled"])
        for of in (batches.setting(0, 1) for batches in thesis_batches.SETTINGS)
    }
    assert found == {(100, 100, 1.0), (100, 100, 1 / 499), (1, 499, 1.0), (1, 499, 1 / 499)}


@pytest.mark.parametrize(("gap", "spread", "depends"), [
    (2.0, 0.0, True), (-2.0, 0.0, True), (0.5, 0.0, False), (-0.5, 0.0, False), (1.0, 1.0, None),
])
def test_the_accuracy_depends_on_batches_by_more_than_a_point_or_does_not(
    gap: float, spread: float, depends: bool | None
) -> None:
    even, both, few, light = thesis_batches.SETTINGS
    found = {one: several(80.0) for one in thesis_batches.SETTINGS}
    level = {**found, both: several(80.0 - gap, spread)}
    claims = thesis_batches.claims(found, level)
    assert all("by more than 1 point" in claim.text for claim in claims)
    # By whole batches and by the composition alone, each by epochs and by updates.
    assert [claim.holds for claim in claims] == [False, depends, False, False, depends]
    by_epochs = [claim.holds for claim in thesis_batches.claims(level, found)]
    assert by_epochs == [depends, False, False, depends, False]
    by_weight = thesis_batches.claims({**found, light: level[both]}, found)[2]
    assert by_weight.holds is depends


def test_compositions_are_compared_after_equally_many_updates() -> None:
    def history(updates: int, epochs: int) -> list[dict[str, float]]:
        return [
            {"updates": float(updates * epoch), "val_accuracy": epoch / 1000}
            for epoch in range(1, epochs + 1)
        ]

    even, both, *_ = thesis_batches.SETTINGS
    updates, level = thesis_batches.after_equal_updates({
        even: [history(499, 500)] * 2, both: [history(100, 500)],
    })
    assert updates == 50_000  # which 499 an epoch come nearest to after 100 epochs
    assert level == {even: [10.0, 10.0], both: [50.0]}


def test_batches_on_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = load("digits")
    few = from_arrays(digits.x[:400], digits.y[:400].numpy(), test=0.25)
    monkeypatch.setattr(thesis_batches, "DATA", few)
    with short_runs():
        findings = thesis_batches.reproduce(Work(tmp_path, scale=TINY))
    assert len(findings.rows) == 8 and all(0 < row.mean <= 100 for row in findings.rows)
    assert [claim.holds for claim in findings.claims] == [None] * 5
    axes, = findings.pictures[0].figure.axes
    assert len(axes.lines) == 4


# Kingma's table.


def test_the_weights_are_those_of_sums_over_the_data_set() -> None:
    setting = kingma_mnist.Job("m2", 100, seed=0).setting(epochs=1)
    # By example: 50,000 / 100 * 0.1 = 50 to one of a labelled bound, which counts 1 / 499.
    assert setting.options["labelled"] == pytest.approx(1 / 499)
    assert setting.options["alpha"] / setting.options["labelled"] == pytest.approx(50)
    assert (setting.plan["batch_labelled"], setting.plan["batch_unlabelled"]) == (1, 499)


def test_m1_keeps_the_whole_divergence_and_m1m2_is_stacked() -> None:
    m1, m1m2 = (kingma_mnist.Job(pair, 600, seed=0).setting(1) for pair in ("m1", "m1m2"))
    assert m1.options["beta"] == 1 and "alpha" not in m1.options
    assert m1m2.options["stacked"] is True and m1m2.options["warmup"] == 0
    assert (m1m2.plan["batch_labelled"], m1m2.plan["batch_unlabelled"]) == (6, 494)


@pytest.mark.parametrize(("stacked", "spread", "better"), [
    (96.0, 0.0, True), (90.0, 0.0, False), (92.0, 1.0, None),
])
def test_stacking_and_more_labels_are_judged_on_the_same_draws(
    stacked: float, spread: float, better: bool | None
) -> None:
    found = {
        (method, labels): several(
            stacked if method == kingma_mnist.STACKED else 92.0,
            spread if method == kingma_mnist.STACKED else 0.0,
        )
        for method in (kingma_mnist.SVM, kingma_mnist.M2, kingma_mnist.STACKED)
        for labels in kingma_mnist.LABELS
    }
    assert verdict(kingma_mnist.claims(found), "With 600 labels") is better


@pytest.mark.parametrize(("more", "spread", "gains"), [
    (1.0, 0.0, True), (-1.0, 0.0, False), (0.0, 1.0, None),
])
def test_a_method_gains_from_labels_or_does_not(
    more: float, spread: float, gains: bool | None
) -> None:
    found = {
        (method, labels): several(
            90.0 + more * (labels == 3_000), spread * (labels == 3_000),
        )
        for method in (kingma_mnist.SVM, kingma_mnist.M2, kingma_mnist.STACKED)
        for labels in kingma_mnist.LABELS
    }
    for method in ("M1 + SVM", "M2", "M1 + M2"):
        claim = next(c for c in kingma_mnist.claims(found) if c.text.startswith(f"{method} gains"))
        assert claim.holds is gains


def test_self_training_labels_all_and_gains_from_it() -> None:
    x, y = make_moons(400, noise=0.05, random_state=0)
    few = np.array([*np.flatnonzero(y == 0)[:5], *np.flatnonzero(y == 1)[:5]])
    rest = np.setdiff1d(np.arange(400), few)
    fitted = transductive.fit((x[few], y[few]), x[rest], penalty=10.0)
    assert (fitted.transduction_ >= 0).all()
    assert fitted.score(x, y) > SVC(C=10.0).fit(x[few], y[few]).score(x, y) + 0.01


def test_kingma_on_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_study = {
        "DATA": "digits", "TRAINING": 1_078, "UPDATES": 5, "LABELS": (50,), "UNLABELLED": 100,
    }
    for name, value in small_study.items():
        monkeypatch.setattr(kingma_mnist, name, value)
    with short_runs():
        findings = kingma_mnist.reproduce(Work(tmp_path / "here", scale=TINY / 3))
        shutil.copytree(
            tmp_path / "here", tmp_path / "there", ignore=shutil.ignore_patterns("*.pt")
        )
        there = kingma_mnist.reproduce(Work(tmp_path / "there", scale=TINY / 3))
    assert (there.rows, there.claims) == (findings.rows, findings.claims)
    assert len(findings.rows) == 4 and all(5 < row.mean <= 100 for row in findings.rows)
    assert "1 epoch of 3,000" in findings.setting
    sources = {row.what: row.source for row in findings.rows}
    assert sources["M1 + logistic regression, 50 labels: test accuracy, %"] == "not in the paper"


# The leaderboard.


def test_the_leaderboard_has_every_pair_that_classifies() -> None:
    names = leaderboard.ordered()
    assert names[0] == "supervised" and len(names) == len(set(names))
    assert {"m1", "gaussianmixture", "adgm", "untapped"} < set(names)
    assert not {"vae", "regression"} & set(names)


def test_what_cannot_be_loaded_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaderboard, "loaded", only_digits(leaderboard.loaded))
    lines: list[str] = []
    found, missing = leaderboard.available(Work(tmp_path, log=lines.append))
    assert lines[0] == "fashion-mnist is left out: no files"
    assert [board.data for board in found] == ["digits"]
    assert missing == ["fashion-mnist", "mnist"]


def only_digits(loaded: Callable[..., Any]) -> Callable[..., Any]:
    def load(name: str, root: object) -> Any:
        if name != "digits":
            raise InputError("no files")
        return loaded(name, root)
    return load


def test_the_leaderboard_of_two_pairs_on_digits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = replace(leaderboard.BOARDS[0], epochs=1, draws=2)
    monkeypatch.setattr(leaderboard, "BOARDS", (digits, leaderboard.BOARDS[2]))
    monkeypatch.setattr(leaderboard, "ordered", lambda: ["supervised", "m1"])
    monkeypatch.setattr(leaderboard, "loaded", only_digits(leaderboard.loaded))
    with short_runs():
        findings = leaderboard.reproduce(Work(tmp_path))
    rows = {row.what: row for row in findings.rows}
    one, other = (rows[f"digits, {name}: test accuracy, %"] for name in ("m1", "supervised"))
    assert rows["digits, m1 minus supervised: points"].found == pytest.approx(
        [a - b for a, b in zip(one.found, other.found)]
    )
    assert rows["digits, LabelSpreading: test accuracy, %"].mean > 80
    assert "Left out, for want of their files: mnist." in findings.setting and not findings.whole
    assert [picture.name for picture in findings.pictures] == ["digits"]
    assert {claim.data for claim in findings.claims} == {"digits"}


def test_the_best_pair_is_chosen_on_validation_data_and_beside_every_reference() -> None:
    board = leaderboard.BOARDS[0]
    pairs = {"supervised": several(80.0), "m2": several(85.0), "vade": several(90.0)}
    validated = {"supervised": [1.0, 1.0], "m2": [9.0, 9.0], "vade": [8.0, 8.0]}
    beside = {"LabelSpreading": several(80.0), "SelfTraining": several(84.0)}
    best, gains = leaderboard.claims_of(board, pairs, validated, beside)
    assert "half of the draws, m2, is better than every one" in best.text and best.holds is True
    assert gains.holds is True and gains.because == "2 of 2 are"
    beside["SelfTraining"] = several(86.0)
    assert leaderboard.claims_of(board, pairs, validated, beside)[0].holds is False
    beside["SelfTraining"] = several(85.0, spread=1.0)
    assert leaderboard.claims_of(board, pairs, validated, beside)[0].holds is None
    beside["SelfTraining"] = [20.0 if draw % 2 == 0 else 86.0 for draw in range(10)]
    assert leaderboard.claims_of(board, pairs, validated, beside)[0].holds is False  # it is 86


@pytest.mark.parametrize(("m2", "holds", "because"), [
    (several(79.0), False, "1 of 2 are; of these it is not so, or not sure: m2 (-1.0 ["),
    (several(80.0, spread=1.0), None, "1 of 2 are; of these it is not so, or not sure: m2 (+"),
])
def test_pairs_that_are_not_surely_better_than_supervised_are_named(
    m2: list[float], holds: bool | None, because: str
) -> None:
    pairs = {"supervised": several(80.0), "m2": m2, "vade": several(90.0)}
    claim = leaderboard.claims_of(leaderboard.BOARDS[0], pairs, pairs, {})[1]
    assert claim.text == "digits: every pair is better than `supervised`"
    assert claim.holds is holds and claim.because.startswith(because)


@pytest.mark.parametrize(("m1m2", "holds"), [
    (several(95.0), True), (several(99.0), False), (several(95.0, spread=4.0), None),
])
def test_the_order_on_mnist_is_of_the_stacked_model_as_published(
    m1m2: list[float], holds: bool | None
) -> None:
    board = leaderboard.BOARDS[2]
    stacked, joint = (
        leaderboard.setting(board, name, 3, 7) for name in (leaderboard.STACKED, "m1m2")
    )
    assert stacked == replace(joint, options={"stacked": True, "warmup": 0.0})
    assert leaderboard.entries(board)[-1] == leaderboard.STACKED not in leaderboard.ordered()
    pairs = {
        "supervised": several(70.0), "m2": several(88.0), "m1m2": several(60.0),
        leaderboard.STACKED: m1m2, "adgm": several(98.0), "sdgm": several(98.0),
    }
    claims = leaderboard.claims_of(board, pairs, pairs, {"SelfTraining": several(50.0)})
    assert verdict(claims, "ADGM and SDGM are better than M1 + M2") is holds


# Figures.


def test_draws_stand_on_a_bar_of_what_was_published() -> None:
    figure = dots({"a": Measured([1.0, 3.0], 2.5, 0.5), "b": Measured([4.0])}, "accuracy (%)")
    axes, = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b"]
    assert len(axes.containers) == 1  # the bar of a
    means = [points for points in axes.collections if points.get_label() == "mean"]
    assert [tuple(points.get_offsets()[0]) for points in means] == [(2.0, 0.0), (4.0, 1.0)]


def test_a_panel_for_each_method_leaves_out_what_there_is_not() -> None:
    figure = against(
        ["0", "1"], {"a": [None, Measured([1.0, 3.0], 2.5, 0.5)], "b": [Measured([4.0]), None]},
        "accuracy (%)", ["alpha", "lambda"],
    )
    left, right = figure.axes
    assert (left.get_title(), right.get_title()) == ("a", "b")
    assert (left.get_xlabel(), right.get_xlabel()) == ("alpha", "lambda")
    published, found = left.containers
    assert published[0].get_ydata()[0] == 2.5
    assert (found[0].get_xdata()[0], found[0].get_ydata()[0]) == (1, 2.0)
    low, high = found[2][0].get_segments()[0][:, 1]
    assert (high - low) / 2 == pytest.approx(math.sqrt(2))


def test_lines_in_one_panel_stand_side_by_side() -> None:
    figure = together(["0", "1"], {"a": [[1.0], [3.0]], "b": [[2.0], [4.0, 6.0]]}, "y", "alpha")
    axes, = figure.axes
    points = [bar[0].get_xydata().tolist() for bar in axes.containers]
    assert [[y for _, y in line] for line in points] == [[1, 3], [2, 5]]
    assert [round(line[0][0], 2) for line in points] == [-0.06, 0.06]


def test_epochs_have_the_mean_and_the_range_of_the_draws() -> None:
    figure = over_epochs({"a": [[1.0, 2.0], [3.0, 6.0]]}, "accuracy (%)")
    axes, = figure.axes
    assert axes.lines[0].get_xydata().tolist() == [[1, 2], [2, 4]]
    band = axes.collections[0].get_paths()[0].vertices
    assert {tuple(point) for point in band.tolist()} >= {(1, 1), (1, 3), (2, 2), (2, 6)}
