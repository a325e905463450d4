"""Weights that validation selects by several measures in one training, and their test metrics."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import small
import torch
from click.testing import CliRunner

from pyro_ssvae import EarlyStopping, InputError, fit, fit_ensemble
from pyro_ssvae.cli import main
from pyro_ssvae.data import Split, load
from pyro_ssvae.evaluation import evaluate
from pyro_ssvae.evaluation.validation import validate
from pyro_ssvae.experiments import record, runs
from pyro_ssvae.report import plots
from pyro_ssvae.statistics.table import higher_is_better
from pyro_ssvae.system.signals import Interrupted
from pyro_ssvae.training import stopping
from pyro_ssvae.training.epoch import Epoch
from pyro_ssvae.training.selections import MEASURES, Selections, check_selections
from pyro_ssvae.training.steps import Eager

EPOCHS, UPDATES = 6, 4  # of 200 unlabelled examples by 50
OPTIONS = {"hidden": (16,), "z_dim": 2, "lr": 0.1}  # so large that the measures disagree


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Draw no figures, and take few samples of the bounds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "figures", lambda *_: {})
        patch.setattr(evaluate, "iwae", partial(evaluate.iwae, samples=2))
        few = partial(evaluate.class_posteriors, samples=2)
        patch.setattr(evaluate, "class_posteriors", few)
        yield


@pytest.fixture(scope="module")
def split() -> Split:
    return load("digits").split(50, unlabelled=200)


def train(out: Path, split: Split, **arguments: Any) -> dict[str, Any]:
    options = {**OPTIONS, **arguments.pop("options", {})}
    plan = {"epochs": EPOCHS, "batch_unlabelled": 50, "selections": True, **arguments}
    return runs.train("m2", split, out, options=options, device="cpu", **plan)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, split: Split) -> Path:
    """A run with selections, which nobody changes."""
    out = tmp_path_factory.mktemp("whole") / "run"
    train(out, split)
    return out


def metrics(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "metrics.json").read_text())


def history(folder: Path, column: str) -> list[float]:
    with (folder / "history.csv").open(newline="") as file:
        return [float(row[column]) for row in csv.DictReader(file)]


def checkpoint(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoint.pt", weights_only=True)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


def told(epoch: int, **validation: float) -> Epoch:
    return Epoch(epoch, epoch, 1.0, {}, validation)


# What selections keep


def test_each_measure_selects_its_own_epoch() -> None:
    selections, objective = Selections(), small.m2()
    for epoch, accuracy, nll, elbo in ((1, 0.5, 1.0, -9.0), (2, 0.9, 2.0, -5.0), (3, 0.7, 3.0, -4)):
        selections.update(told(epoch, accuracy=accuracy, nll=nll, elbo=elbo), objective)
    found = {name: (one.epoch, one.best) for name, one in selections.by.items()}
    assert found == {"accuracy": (2, 0.9), "nll": (1, 1.0), "elbo": (3, -4)}


def test_of_equal_epochs_the_first_is_selected() -> None:
    selections, objective = Selections(), small.m2()
    for epoch in range(1, 4):
        selections.update(told(epoch, accuracy=0.5, nll=1.0, elbo=-3.0), objective)
    assert {one.epoch for one in selections.by.values()} == {1}


def test_measures_that_there_are_not_select_nothing_and_the_rmse_selects_the_lowest() -> None:
    selections, objective = Selections(), small.m2()
    for epoch, rmse in ((1, 2.0), (2, 1.0), (3, 3.0)):
        selections.update(told(epoch, rmse=rmse, mutual_information=1.0), objective)
    assert {name: one.epoch for name, one in selections.by.items()} == {"rmse": 2}


def test_the_weights_are_those_of_the_epoch_and_are_kept_once_for_all_measures() -> None:
    selections, objective = Selections(), small.m2()
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    selections.update(told(1, accuracy=0.5, nll=1.0), objective)
    with torch.no_grad():
        for parameter in objective.parameters():
            parameter.add_(1)
    selections.update(told(2, accuracy=0.4, nll=1.1), objective)
    assert same(selections.by["nll"].weights, before)
    assert selections.by["nll"].weights is selections.by["accuracy"].weights


def test_a_training_goes_on_as_without_selections(split: Split) -> None:
    weights = []
    for selections in (Selections(), None):
        objective = small.objective("m2", split)
        for epoch in fit(objective, split, epochs=2, capture="off"):
            if selections is not None:
                selections.update(epoch, objective)
        weights.append(objective.state_dict())
    assert same(*weights)


def test_replicas_select_each_for_itself(split: Split) -> None:
    replicas = [small.objective("m2", split, seed=seed) for seed in range(2)]
    selections = [Selections(), Selections()]
    scores: list[list[float]] = [[], []]
    for epochs in fit_ensemble(replicas, split, epochs=3, lr=0.1, compile=False):
        for own, epoch, objective, list_ in zip(selections, epochs, replicas, scores):
            assert epoch is not None
            own.update(epoch, objective)
            list_.append(epoch.validation["nll"])
    for own, objective, list_ in zip(selections, replicas, scores):
        assert own.by["nll"].epoch == list_.index(min(list_)) + 1
        objective.load_state_dict(own.by["nll"].weights)
        assert validate(objective, split)["nll"] == pytest.approx(min(list_), rel=1e-5)


@pytest.mark.parametrize("state", [
    [], {"loss": {}}, {"nll": {"best": 1.0, "epoch": 1}},
    {"nll": {"best": "1", "epoch": 1, "weights": {}}},
    {"nll": {"best": 1.0, "epoch": 1, "weights": {}, "more": 1}},
    {"nll": {"best": 1.0, "epoch": 1, "weights": {"w": 1.0}}},
], ids=["a list", "no measure", "no weights", "a text", "more", "no tensor"])
def test_what_is_no_state_of_selections_is_refused(state: Any) -> None:
    with pytest.raises(ValueError, match="selections"):
        check_selections(state)


def test_what_is_better_lower_is_so_in_the_statistics_too() -> None:
    measures = {*stopping.USUAL, *MEASURES}
    assert set(stopping.LOWER) == {name for name in measures if not higher_is_better(name)}


# Runs with selections


def test_the_selected_epochs_are_the_best_ones_of_the_history(whole: Path) -> None:
    selected = metrics(whole)["selected"]
    accuracies, nlls, elbos = (
        history(whole, f"val_{name}") for name in ("accuracy", "nll", "elbo")
    )
    assert {name: one["epoch"] for name, one in selected.items()} == {
        "last": EPOCHS, "accuracy": accuracies.index(max(accuracies)) + 1,
        "nll": nlls.index(min(nlls)) + 1, "elbo": elbos.index(max(elbos)) + 1,
    }
    assert len({one["epoch"] for one in selected.values()}) > 1  # or this would prove little


def test_the_last_weights_are_measured_as_the_run_is(whole: Path) -> None:
    found = metrics(whole)
    last = found["selected"]["last"]["test"]
    assert set(last) == {"accuracy", "nll", "elbo"}
    for name, value in last.items():
        assert value == pytest.approx(found["test"][name], rel=1e-6)


def test_selected_weights_are_measured_as_a_run_that_ends_there(
    whole: Path, tmp_path: Path, split: Split
) -> None:
    selected = metrics(whole)["selected"]["nll"]
    assert selected["epoch"] < EPOCHS
    ended = train(tmp_path / "run", split, epochs=selected["epoch"])
    for name, value in selected["test"].items():
        assert value == pytest.approx(ended["test"][name], rel=1e-6)


def test_the_run_is_otherwise_the_same(whole: Path, tmp_path: Path, split: Split) -> None:
    plain = train(tmp_path / "run", split, selections=False)
    found = metrics(whole)
    for name in ("test", "validation", "updates", "best_epoch", "options"):
        assert plain[name] == found[name]
    assert "selected" not in plain and "selections" not in checkpoint(tmp_path / "run")
    assert plain["digest"] != found["digest"]


@pytest.mark.parametrize("more", [
    {}, {"options": {"average": 0.9}}, {"patience": 2},
], ids=["plain", "average", "patience"])
def test_a_run_that_pauses_within_an_epoch_selects_exactly_the_same(
    more: dict[str, Any], tmp_path: Path, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = train(tmp_path / "whole", split, **more)
    out = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        update, done = Eager.__call__, iter(range(1000))

        def signalled(*args: Any, **options: Any) -> Any:
            result = update(*args, **options)
            if next(done) == 2 * UPDATES + 1:  # in the third epoch
                os.kill(os.getpid(), signal.SIGINT)
            return result

        patch.setattr(Eager, "__call__", signalled)
        train(out, split, **more)
    assert set(checkpoint(out)["selections"]) == {"accuracy", "nll", "elbo"}
    resumed = train(out, split, **more, resume=True)
    assert resumed | {"seconds": 0} == expected | {"seconds": 0}
    assert same(checkpoint(out)["selections"], checkpoint(tmp_path / "whole")["selections"])


def test_with_patience_the_last_weights_are_not_the_best(tmp_path: Path, split: Split) -> None:
    far = {"lr": 0.3}  # nothing is learned, and an early epoch is the best
    plain = train(tmp_path / "plain", split, options=far)
    stopped = train(tmp_path / "stopped", split, options=far, patience=EPOCHS)
    assert stopped["selected"] == plain["selected"]
    assert stopped["best_epoch"] == stopped["selected"]["accuracy"]["epoch"] < EPOCHS
    for name, value in stopped["selected"]["accuracy"]["test"].items():
        assert stopped["test"][name] == pytest.approx(value, rel=1e-6)
    assert stopped["test"]["nll"] != plain["test"]["nll"]


def test_averages_are_what_is_selected(tmp_path: Path, split: Split) -> None:
    found = train(tmp_path / "run", split, options={"average": 0.9})
    run = runs.load(tmp_path / "run", device="cpu")
    weights = checkpoint(tmp_path / "run")["selections"]["elbo"]["weights"]
    run.objective.load_state_dict(weights)
    best = max(history(tmp_path / "run", "val_elbo"))
    assert validate(run.objective, run.split)["elbo"] == pytest.approx(best, rel=1e-6)
    assert found["selected"]["elbo"]["test"] == validate(run.objective, run.split, "test")


def test_a_run_that_has_ended_is_resumed_to_the_same_metrics(
    whole: Path, split: Split
) -> None:
    before = metrics(whole)
    assert train(whole, split, resume=True) == before == metrics(whole)


def test_a_pair_without_a_classifier_is_selected_by_its_bound(
    tmp_path: Path, split: Split
) -> None:
    found = runs.train(
        "vae", split, tmp_path / "run", epochs=2, selections=True, device="cpu",
        options={"hidden": (5,), "z_dim": 2},
    )
    assert list(found["selected"]) == ["last", "elbo"]
    assert list(found["selected"]["elbo"]["test"]) == ["elbo"]


def test_data_without_a_test_part_have_selections_without_metrics(
    tmp_path: Path, split: Split
) -> None:
    digits = split.dataset
    split = replace(digits, test=digits.test[:0]).split(50, unlabelled=200)
    found = train(tmp_path / "run", split, epochs=1)
    assert found["selected"]["nll"] == {"epoch": 1, "test": {}}


def test_other_selections_are_other_settings(whole: Path, split: Split) -> None:
    with pytest.raises(InputError, match="has selections=True, got selections=False"):
        train(whole, split, selections=False, resume=True)


def test_a_checkpoint_that_lost_its_selections_is_refused(
    tmp_path: Path, split: Split
) -> None:
    train(tmp_path / "run", split, epochs=1)
    saved = checkpoint(tmp_path / "run")
    del saved["selections"]
    torch.save(saved, tmp_path / "run" / "checkpoint.pt")
    with pytest.raises(InputError, match="a broken file .the selections"):
        train(tmp_path / "run", split, epochs=2, resume=True)


def test_selected_weights_of_another_pair_are_refused(
    tmp_path: Path, split: Split
) -> None:
    train(tmp_path / "run", split, epochs=2)
    saved = checkpoint(tmp_path / "run")
    for one in saved["selections"].values():
        one["weights"], one["epoch"] = {"of.another": torch.zeros(2)}, 1
    torch.save(saved, tmp_path / "run" / "checkpoint.pt")
    with pytest.raises(InputError, match="checkpoint.pt: expected a checkpoint of train"):
        train(tmp_path / "run", split, epochs=2, resume=True)


def test_an_older_record_has_no_selections(whole: Path) -> None:
    older = {name: value for name, value in metrics(whole).items() if name != "selections"}
    assert record.read(older).selections is False


def test_early_stopping_and_selections_agree_on_the_best_epoch(split: Split) -> None:
    objective, selections, stopping = small.objective("m2", split), Selections(), EarlyStopping(9)
    for epoch in fit(objective, split, epochs=4, lr=0.1, stopping=stopping, capture="off"):
        selections.update(epoch, objective)
    assert selections.by["accuracy"].epoch == stopping.best_epoch
    assert same(selections.by["accuracy"].weights, stopping.weights)


def test_the_command_line_has_selections(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [
        "train", "m2", "--epochs", "1", "--unlabelled", "200", "--device", "cpu", "--set",
        "hidden=5", "--set", "z_dim=2", "--selections", "--out", str(tmp_path / "run"),
    ])
    assert result.exit_code == 0, result.output
    assert metrics(tmp_path / "run")["selected"]["elbo"]["epoch"] == 1
