"""The search for options: equal budgets, scored by validation data, and resumed exactly."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyro_ssvae import InputError, NonFiniteLossError
from pyro_ssvae.data import Dataset, load
from pyro_ssvae.evaluation import evaluate
from pyro_ssvae.experiments import runs
from pyro_ssvae.experiments import search as searching
from pyro_ssvae.experiments.pairs import pair
from pyro_ssvae.experiments.search import search
from pyro_ssvae.experiments.space import Range, choices_of, suggested

pytest.importorskip("optuna")

SPACE: dict[str, Any] = {
    "lr": Range(1e-3, 1e-1, log=True), "hidden": [(3,), (4, 3)], "m2": {"z_dim": Range(2, 5)},
}


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "iwae", partial(evaluate.iwae, samples=2))
        few = partial(evaluate.class_posteriors, samples=2)
        patch.setattr(evaluate, "class_posteriors", few)
        yield


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


def found(dataset: Dataset, out: Path, *models: str, **arguments: Any) -> searching.Searched:
    """A search of a few updates a trial."""
    drawing = {"validation": 30, "unlabelled": 100}
    given: dict[str, Any] = {"trials": 2, "draws": 2, "epochs": 1, "device": "cpu"}
    given |= {"drawing": drawing} | arguments
    models = models or ("supervised",)
    usual = {name: choice for name, choice in SPACE.items() if name != "m2" or name in models}
    return search(models, dataset, given.pop("space", usual), out=out, **given)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Have a run score by its options alone, and note them; nothing is trained."""
    noted: list[dict[str, Any]] = []

    def train(which: Any, split: Any, folder: Path, **how: Any) -> dict[str, Any]:
        noted.append({"test": len(split.test), "draw": split.seed, **how})
        accuracy = 0.5 - abs(how["options"]["lr"] - 0.02) + 0.001 * split.seed
        scores = {"accuracy": accuracy, "nll": -accuracy, "ece": accuracy, "elbo": None}
        return {"validation": scores}

    monkeypatch.setattr(runs, "train", train)
    return noted


# What is tried


def test_a_choice_is_suggested_within_its_values() -> None:
    class Middle:
        def suggest_categorical(self, name: str, values: list[int]) -> int:
            return values[-1]

        def suggest_int(self, name: str, low: int, high: int, log: bool) -> int:
            return (low + high) // 2

        def suggest_float(self, name: str, low: float, high: float, log: bool) -> float:
            return (low * high) ** 0.5 if log else (low + high) / 2

    trial = Middle()
    assert suggested(trial, "hidden", [(3,), (4, 3)]) == (4, 3)
    assert suggested(trial, "z_dim", Range(2, 4)) == 3
    assert suggested(trial, "lr", Range(1.0, 4.0, log=True)) == 2.0


def test_each_pair_chooses_from_what_it_takes_and_from_its_own() -> None:
    chosen = choices_of([pair("m2"), pair("supervised")], SPACE)
    assert {name: list(own) for name, own in chosen.items()} == {
        "m2": ["lr", "hidden", "z_dim"], "supervised": ["lr", "hidden"],
    }


@pytest.mark.parametrize("space, message", [
    ({"lrr": [1.0]}, "unknown option 'lrr'.*'lr'"),
    ({"m3": {"lr": [1.0]}}, "unknown model of this search 'm3'"),
    ({"m2": {"zdim": [2]}}, "unknown option of m2 'zdim'"),
    ({"lr": 1e-3}, "expected a Range or a list of plain values of lr"),
    ({"lr": []}, "expected a Range or a list of plain values of lr"),
    ({"likelihood": ["bernouli"]}, "unknown likelihood 'bernouli'"),
    ({}, "expected options of m2 to search over"),
], ids=lambda value: str(value)[:20])
def test_what_cannot_be_searched_is_said_before_any_training(
    space: dict[str, Any], message: str, tmp_path: Path, digits: Dataset,
    scripted: list[dict[str, Any]],
) -> None:
    with pytest.raises(InputError, match=message):
        found(digits, tmp_path / "out", "m2", space=space)
    assert not scripted


@pytest.mark.parametrize("low, high, log, message", [
    (2, 2, False, "low < high, got 2 and 2"), (0.0, 1.0, True, "expected low > 0"),
])
def test_a_range_that_is_none_is_refused(low: Any, high: Any, log: bool, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Range(low, high, log)


# Budgets and scores


def test_every_pair_has_the_same_trials_epochs_and_draws_and_sees_no_test_part(
    tmp_path: Path, digits: Dataset, scripted: list[dict[str, Any]]
) -> None:
    result = found(digits, tmp_path / "out", "m2", "supervised", trials=3, epochs=7)
    assert [(row["model"], row["trial"]) for row in result.rows] == [
        (model, trial) for model in ("m2", "supervised") for trial in range(3)
    ]
    assert len(scripted) == 2 * 3 * 2
    assert {(one["test"], one["epochs"]) for one in scripted} == {(0, 7)}
    assert [one["draw"] for one in scripted] == [0, 1] * 6


def test_a_trial_is_scored_by_the_mean_over_its_draws(
    tmp_path: Path, digits: Dataset, scripted: list[dict[str, Any]]
) -> None:
    for row in found(digits, tmp_path / "out").rows:
        first = 0.5 - abs(row["option.lr"] - 0.02)
        assert row["accuracy"] == pytest.approx(first + 0.0005)
        assert row["deviation"] == pytest.approx(0.001 / 2**0.5)


@pytest.mark.parametrize("metric", ["accuracy", "nll"])
def test_the_best_trial_is_that_of_the_best_score(
    metric: str, tmp_path: Path, digits: Dataset, scripted: list[dict[str, Any]]
) -> None:
    result = found(digits, tmp_path / "out", trials=8, metric=metric)
    best = min(result.rows, key=lambda row: abs(row["option.lr"] - 0.02))
    assert result.best["supervised"] == {"lr": best["option.lr"], "hidden": best["option.hidden"]}


def test_what_is_tried_depends_on_the_scores(
    tmp_path: Path, digits: Dataset, scripted: list[dict[str, Any]]
) -> None:
    """The first ten trials of Optuna's sampler are random; accuracy and its ECE disagree then."""
    one, other = (
        [row["option.lr"] for row in found(digits, tmp_path / metric, trials=14, draws=1,
                                           metric=metric).rows]
        for metric in ("accuracy", "ece")
    )
    assert one[:10] == other[:10] and one[10:] != other[10:]


def test_the_trials_are_written_as_a_table(
    tmp_path: Path, digits: Dataset, scripted: list[dict[str, Any]]
) -> None:
    result = found(digits, tmp_path / "out", "m2", "supervised")
    with (tmp_path / "out" / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["accuracy"]) for row in rows] == [row["accuracy"] for row in result.rows]
    assert {row["option.hidden"] for row in rows} <= {"3", "4,3"}
    assert rows[-1]["option.z_dim"] == ""  # of the supervised baseline, which has none


def test_a_training_that_is_lost_counts_as_a_trial_and_is_never_the_best(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(which: Any, split: Any, folder: Path, **how: Any) -> dict[str, Any]:
        if how["options"]["lr"] > 0.01:
            raise NonFiniteLossError("lost")
        return {"validation": {"accuracy": 0.1}}

    monkeypatch.setattr(runs, "train", train)
    lines: list[str] = []
    result = found(digits, tmp_path / "out", trials=6, log=lines.append)
    lost = [row for row in result.rows if row["accuracy"] is None]
    assert len(result.rows) == 6 and 0 < len(lost) < 6
    assert result.best["supervised"]["lr"] <= 0.01
    assert sum("a loss that is not finite" in line for line in lines) == len(lost)
    everything = found(digits, tmp_path / "none", space={"lr": [1.0]}, trials=2)
    assert everything.best == {}


def test_a_metric_that_a_pair_does_not_have_is_refused(
    tmp_path: Path, digits: Dataset, scripted: list[dict[str, Any]]
) -> None:
    with pytest.raises(InputError, match="unknown validation metric of supervised 'elbo'"):
        found(digits, tmp_path / "out", metric="elbo")


@pytest.mark.parametrize("metric", ["coverage", "leakage"])
def test_a_metric_of_which_more_is_no_better_is_refused(
    metric: str, tmp_path: Path, digits: Dataset, scripted: list[dict[str, Any]]
) -> None:
    with pytest.raises(InputError, match=f"better the higher, or the lower, got {metric}"):
        found(digits, tmp_path / "out", metric=metric)
    assert not scripted


# Going on


def test_a_search_that_was_killed_goes_on_to_what_it_would_have_found(
    tmp_path: Path, digits: Dataset, scripted: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = found(digits, tmp_path / "whole", "m2", "supervised", trials=14)
    train = runs.train
    for killed in (3, 25, 40):  # within a trial, behind its first draw, and in the second pair
        def deadly(*arguments: Any, **how: Any) -> Any:
            if len(scripted) >= limit:
                raise KeyboardInterrupt
            return train(*arguments, **how)

        limit = len(scripted) + killed % 20
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(runs, "train", deadly)
            found(digits, tmp_path / "parts", "m2", "supervised", trials=14)
    again = found(digits, tmp_path / "parts", "m2", "supervised", trials=14)
    assert again == whole
    one, other = (
        (tmp_path / name / "trials.csv").read_bytes() for name in ("whole", "parts")
    )
    assert one == other


@pytest.mark.parametrize("share", [0.05, 0.4, 0.61, 0.99])
def test_a_journal_that_was_cut_off_anywhere_is_gone_on_with(
    share: float, tmp_path: Path, digits: Dataset, scripted: list[dict[str, Any]]
) -> None:
    whole = found(digits, tmp_path / "whole", trials=12)
    text = (tmp_path / "whole" / "search.log").read_bytes()
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "search.log").write_bytes(text[:int(share * len(text))])
    assert found(digits, tmp_path / "cut", trials=12) == whole


def test_trials_that_are_done_are_not_done_again_and_more_are_added(
    tmp_path: Path, digits: Dataset, scripted: list[dict[str, Any]]
) -> None:
    few = found(digits, tmp_path / "out", trials=3)
    done = len(scripted)
    assert found(digits, tmp_path / "out", trials=3) == few and len(scripted) == done
    more = found(digits, tmp_path / "out", trials=5)
    assert more.rows[:3] == few.rows and len(scripted) == done + 2 * 2
    assert found(digits, tmp_path / "out", trials=3) == few


@pytest.mark.parametrize("change", [
    {"epochs": 2}, {"draws": 1}, {"sampler_seed": 1}, {"metric": "nll"},
    {"space": {"lr": [1e-3, 1e-2]}},
], ids=str)
def test_a_folder_of_another_search_is_refused(
    change: dict[str, Any], tmp_path: Path, digits: Dataset, scripted: list[dict[str, Any]]
) -> None:
    found(digits, tmp_path / "out")
    with pytest.raises(InputError, match="the search of supervised in it has .*another folder"):
        found(digits, tmp_path / "out", **change)


@pytest.mark.parametrize("change", [
    {"svg": True}, {"tensorboard": True}, {"capture": "off"}, {"workers": 0},
], ids=str)
def test_a_search_goes_on_whatever_its_scores_do_not_depend_on(
    change: dict[str, Any], tmp_path: Path, digits: Dataset, scripted: list[dict[str, Any]]
) -> None:
    few = found(digits, tmp_path / "out")
    assert found(digits, tmp_path / "out", trials=3, **change).rows[:2] == few.rows


def test_a_search_is_not_overwritten(
    tmp_path: Path, digits: Dataset, scripted: list[dict[str, Any]]
) -> None:
    with pytest.raises(InputError, match="goes on .* got overwrite=True; delete the folder, or"):
        found(digits, tmp_path / "out", overwrite=True)
    assert not scripted and not (tmp_path / "out").exists()


def test_numbers_of_numpy_are_searched_as_pythons(
    tmp_path: Path, digits: Dataset, scripted: list[dict[str, Any]]
) -> None:
    space = {"lr": [*np.logspace(-3, -2, 2)], "m2": {"z_dim": Range(*np.arange(2, 4))}}
    result = found(digits, tmp_path / "out", "m2", space=space)
    best = result.best["m2"]
    assert (type(best["lr"]), type(best["z_dim"])) == (float, int)


def test_a_broken_journal_is_named(
    tmp_path: Path, digits: Dataset, scripted: list[dict[str, Any]]
) -> None:
    found(digits, tmp_path / "out")
    journal = tmp_path / "out" / "search.log"
    journal.write_text("no journal\n" + journal.read_text())
    with pytest.raises(InputError, match="search.log: expected the journal of a search"):
        found(digits, tmp_path / "out")


def test_without_optuna_it_is_said_how_to_install_it(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install optuna"):
        found(digits, tmp_path / "out")


def test_a_search_trains_and_validates(tmp_path: Path, digits: Dataset) -> None:
    result = found(digits, tmp_path / "out", "m2", trials=1)
    assert 0 <= result.rows[0]["accuracy"] <= 1
    run = runs.load(tmp_path / "out" / "runs" / "m2-0" / "draw-1", device="cpu")
    assert run.record.values["hidden"] == result.best["m2"]["hidden"]
    assert len(run.split.test) == 0 and len(run.split.validation) == 30
