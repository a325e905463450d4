"""A moving average of the weights: its formula, what it is of, and what becomes of it."""

import copy
import io
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
import torch
from torch import Tensor, nn

from pyro_ssvae import EarlyStopping, InputError, Objective, fit, fit_ensemble, guides
from pyro_ssvae.data import Split, from_arrays
from pyro_ssvae.experiments import pairs, runs
from pyro_ssvae.labels import OneHots
from pyro_ssvae.training.average import check_average

SHARE = 0.8
SETTINGS: dict[str, Any] = {"batch_labelled": 10, "batch_unlabelled": 50, "capture": "off"}


class Normalised(guides.M2):
    """q(y, z | x) of M2, with a classifier that has statistics of batch normalisation."""

    def __init__(self, model: Any, **options: Any) -> None:
        super().__init__(model, **options)
        self.norm = nn.BatchNorm1d(4)

    def classify(self, x: Tensor) -> OneHots:
        return super().classify(self.norm(x))


@pytest.fixture(scope="module")
def split() -> Split:
    """Five updates an epoch, the last one of a smaller batch."""
    rng = np.random.default_rng(0)
    x = rng.random((300, 4)).astype(np.float32)
    return from_arrays(x, np.digitize(x[:, 0], (0.3, 0.6)), name="thirds").split(20, seed=0)


def objective(seed: int = 0) -> Objective:
    return Objective(*small.pair(4, 3, seed, Normalised), alpha=1.0)


def state(module: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(module.state_dict())


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor], **tolerance: float) -> None:
    for (name, a), b in zip(one.items(), other.values(), strict=True):
        torch.testing.assert_close(a, b, **tolerance, msg=lambda text: f"{name}: {text}")


def every_update(split, updates: int) -> list[dict[str, Tensor]]:
    """The weights after each of so many updates of training without an average."""
    trained, result = objective(), []

    def note() -> bool:
        result.append(state(trained))
        return False

    list(fit(trained, split, epochs=2, pause=note, **SETTINGS))
    return result[:updates]


@pytest.mark.parametrize("share", [0.3, SHARE, 0.999])
def test_it_is_the_mean_over_updates_with_weights_that_fall_into_the_past(share, split) -> None:
    averaged = objective()
    list(fit(averaged, split, epochs=2, average=share, **SETTINGS))
    updates = every_update(split, 1000)
    shares = torch.tensor(shares_of(share, len(updates)), dtype=torch.double)
    assert shares.sum() == pytest.approx(1.0)
    for name, value in averaged.state_dict().items():
        if value.is_floating_point():
            each = torch.stack([weights[name].double() for weights in updates])
            mean = (shares.view(-1, *(1,) * (each.dim() - 1)) * each).sum(0)
            torch.testing.assert_close(value.double(), mean, rtol=1e-5, atol=1e-6)
        else:  # the number of batches that batch normalisation has seen
            assert value == updates[-1][name]


def shares_of(share: float, updates: int) -> list[float]:
    """What every update has in the average of the last: `share` falls, and 9 / (8 + t) at first."""
    shares: list[float] = []
    for t in range(1, updates + 1):
        new = max(1 - share, 9 / (8 + t))
        shares = [(1 - new) * old for old in shares] + [new]
    return shares


def test_the_first_update_is_its_own_average(split) -> None:
    one, other = objective(), objective()
    options = SETTINGS | {"epochs": 1, "batch_unlabelled": len(split.unlabelled)}
    list(fit(one, split, average=0.999, **options))
    list(fit(other, split, **options))
    assert_same(one.state_dict(), other.state_dict(), rtol=0.0, atol=0.0)


def test_training_itself_is_as_without_an_average(split) -> None:
    one, other = objective(), objective()
    averaged = list(fit(one, split, epochs=3, average=SHARE, **SETTINGS))
    plain = list(fit(other, split, epochs=3, **SETTINGS))
    assert [epoch.losses for epoch in averaged] == [epoch.losses for epoch in plain]
    assert averaged[-1].validation != plain[-1].validation


def test_averages_are_validated_and_kept_by_early_stopping(split) -> None:
    trained, stopping = objective(), EarlyStopping(patience=10)
    validated = []
    for epoch in fit(trained, split, epochs=4, average=SHARE, stopping=stopping, **SETTINGS):
        validated.append((epoch.validation["accuracy"], state(trained)))
    best = max(validated, key=lambda pair: pair[0])[1]  # the first of equals
    assert_same(trained.state_dict(), best, rtol=0.0, atol=0.0)


@pytest.mark.parametrize("shares", [(SHARE, 0.0), (0.0, SHARE)])
def test_only_a_training_that_averages_goes_on_from_averages(shares, split) -> None:
    saved, other = (fit(objective(), split, average=share, **SETTINGS) for share in shares)
    next(saved)
    with pytest.raises(ValueError, match="the state holds .*, and this training has .*guards"):
        other.load_state_dict(saved.state_dict())


@pytest.mark.parametrize("update", [None, 3])
def test_going_on_is_exact(update: int | None, split) -> None:
    options = SETTINGS | {"epochs": 3, "average": SHARE}
    whole = objective()
    list(fit(whole, split, **options))
    first, taken = objective(), itertools.count(1)
    pause = None if update is None else lambda: next(taken) == update
    training = fit(first, split, pause=pause, **options)
    next(training, None)
    file = io.BytesIO()
    torch.save((first.state_dict(), training.state_dict()), file)
    file.seek(0)
    weights, saved = torch.load(file, weights_only=True)
    again = objective(seed=5)
    again.load_state_dict(weights)
    going_on = fit(again, split, **options)
    going_on.load_state_dict(saved)
    list(going_on)
    assert_same(again.state_dict(), whole.state_dict(), rtol=0.0, atol=0.0)


@pytest.mark.usefixtures("traced_once")
def test_captured_training_has_the_same_average(split) -> None:
    one, other = objective(), objective()
    list(fit(one, split, epochs=2, average=SHARE, **SETTINGS | {"capture": "traced"}))
    list(fit(other, split, epochs=2, average=SHARE, **SETTINGS))
    assert_same(one.state_dict(), other.state_dict(), rtol=1e-4, atol=1e-6)


def together(replicas, split, **options: Any):
    settings = {k: v for k, v in SETTINGS.items() if k != "capture"}
    return fit_ensemble(
        replicas, split, seeds=[3, 4], compile=False, average=SHARE, **settings | options
    )


@pytest.mark.usefixtures("traced_once")
def test_each_replica_has_its_own_average_as_alone(split) -> None:
    replicas = [objective(seed) for seed in range(2)]
    epochs = list(together(replicas, split, epochs=2))
    for i, replica in enumerate(replicas):
        solo = objective(i)
        alone = list(fit(solo, split, seed=3 + i, epochs=2, average=SHARE, **SETTINGS))
        assert_same(replica.state_dict(), solo.state_dict(), rtol=1e-3, atol=1e-5)
        assert epochs[-1][i].validation == pytest.approx(alone[-1].validation, rel=1e-3)


@pytest.mark.usefixtures("traced_once")
def test_an_ensemble_goes_on_exactly(split) -> None:
    whole = [objective(seed) for seed in range(2)]
    list(together(whole, split, epochs=3))
    first = [objective(seed) for seed in range(2)]
    training = together(first, split, epochs=3)
    next(training)
    again = [objective(seed + 5) for seed in range(2)]
    for one, other in zip(again, first):
        one.load_state_dict(other.state_dict())
    going_on = together(again, split, epochs=3)
    going_on.load_state_dict(copy.deepcopy(training.state_dict()))
    list(going_on)
    for one, other in zip(again, whole):
        assert_same(one.state_dict(), other.state_dict(), rtol=0.0, atol=0.0)


@pytest.mark.usefixtures("traced_once")
def test_a_replica_that_has_stopped_keeps_its_best_weights(split) -> None:
    replicas = [objective(seed) for seed in range(2)]
    stops = [EarlyStopping(patience=1), EarlyStopping(patience=50)]
    stops[0].best = 2.0  # an accuracy that none reaches: it stops after its first epoch
    stops[0].weights = state(replicas[0])
    list(together(replicas, split, epochs=4, stopping=stops))
    assert_same(replicas[0].state_dict(), stops[0].weights, rtol=0.0, atol=0.0)
    assert not torch.equal(*(next(replica.parameters()) for replica in replicas))


class Bounded(guides.M2):
    """q(y, z | x) of M2, with a mask, and the largest number that it has seen, as buffers."""

    def __init__(self, model: Any, **options: Any) -> None:
        super().__init__(model, **options)
        self.register_buffer("mask", torch.tensor([0.0, -math.inf]))
        self.register_buffer("largest", torch.tensor(-math.inf))

    def classify(self, x: Tensor) -> OneHots:
        self.largest.copy_(torch.maximum(self.largest, x.max()))
        return super().classify(x)


def test_a_buffer_that_is_not_finite_is_taken_as_it_is(split) -> None:
    trained = Objective(*small.pair(4, 3, 0, Bounded), alpha=1.0)
    training = fit(trained, split, epochs=2, average=SHARE, **SETTINGS)
    next(training)
    saved = copy.deepcopy((trained.state_dict(), training.state_dict()))
    list(training)
    assert trained.guide.mask.tolist() == [0.0, -math.inf]
    assert 0.9 < trained.guide.largest <= split.dataset.x.max()
    again = Objective(*small.pair(4, 3, 1, Bounded), alpha=1.0)
    again.load_state_dict(saved[0])
    going_on = fit(again, split, epochs=2, average=SHARE, **SETTINGS)
    going_on.load_state_dict(saved[1])
    list(going_on)
    assert_same(again.state_dict(), trained.state_dict(), rtol=0.0, atol=0.0)


def test_a_saved_average_of_a_weight_that_is_not_finite_is_refused(split) -> None:
    training = fit(objective(), split, epochs=2, average=SHARE, **SETTINGS)
    next(training)
    saved = copy.deepcopy(training.state_dict())
    next(iter(saved["step"]["average"]["weights"][0].values())).fill_(math.nan)
    with pytest.raises(ValueError, match="values that are not finite"):
        fit(objective(), split, epochs=2, average=SHARE, **SETTINGS).load_state_dict(saved)


@pytest.mark.parametrize("share", [-0.1, 1.0, math.nan])
def test_a_share_outside_its_range_is_refused(share: float, split) -> None:
    with pytest.raises(InputError, match=r"average in \[0, 1\), got"):
        fit(objective(), split, average=share)


@pytest.mark.parametrize("broken", [
    None, {"count": 1}, {"count": "1", "weights": []}, {"count": 1, "weights": [3]},
    {"count": 1, "weights": [{"w": 2.0}]},
])
def test_a_saved_average_that_is_none_is_refused(broken: Any) -> None:
    with pytest.raises(ValueError):
        check_average(broken)


def test_a_run_keeps_its_average_and_goes_on_exactly(split: Split, tmp_path: Path) -> None:
    options = {"average": SHARE, "hidden": (5,), "z_dim": 2}
    plan: dict[str, Any] = {"batch_labelled": 10, "batch_unlabelled": 50, "options": options}
    with small.few_figures():
        whole = runs.train("m2", split, tmp_path / "whole", epochs=3, **plan)
        runs.train("m2", split, tmp_path / "run", epochs=2, **plan)
        resumed = runs.train("m2", split, tmp_path / "run", epochs=3, resume=True, **plan)
        plain = runs.train(
            "m2", split, tmp_path / "plain", epochs=3,
            **plan | {"options": options | {"average": 0}},
        )
    assert resumed["test"] == whole["test"] != plain["test"]
    run = runs.load(tmp_path / "run", dataset=split.dataset)
    assert runs.test_metrics(run) == whole["test"]


def test_a_pair_is_trained_with_the_average_that_it_is_asked_for(split: Split) -> None:
    assert pairs.pair("m2").on(split, average=0.9)[1]["average"] == 0.9
    assert pairs.pair("m2").on(split)[1]["average"] == 0.0
