"""Running statistics of batch normalisation, and passes that leave them as they are."""

import copy
from typing import Any

import numpy as np
import pytest
import small
import torch
from torch import Tensor, nn

from pyro_ssvae import Objective, fit, fit_ensemble, guides
from pyro_ssvae import nn as ours
from pyro_ssvae.contract import Batch
from pyro_ssvae.data import Split, from_arrays
from pyro_ssvae.labels import OneHots
from pyro_ssvae.nn.running import still

NORMS = {
    "rows": (lambda: nn.BatchNorm1d(3), (6, 3)), "sites": (lambda: ours.BatchNorm(3), (2, 6, 3)),
    "images": (lambda: nn.BatchNorm2d(3), (6, 3, 4, 4)),
    "cumulative": (lambda: nn.BatchNorm1d(3, momentum=None), (6, 3)),
}

SETTINGS: dict[str, Any] = {"epochs": 2, "batch_labelled": 10, "batch_unlabelled": 20}


def state(module: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(module.state_dict())


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", NORMS)
def test_a_still_module_normalises_by_the_batch_and_keeps_none_of_it(kind: str) -> None:
    make, shape = NORMS[kind]
    norm, x = nn.Sequential(make()), 3.0 + torch.rand(shape)
    before = state(norm)
    with still(norm):
        held = norm(x)
    assert same(state(norm), before)
    torch.testing.assert_close(norm(x), held, rtol=0.0, atol=0.0)
    assert not same(state(norm), before)  # it moves again


def test_predictions_are_by_the_running_statistics_within_too() -> None:
    norm, x = nn.BatchNorm1d(3).eval(), torch.rand(6, 3)
    with still(norm):
        torch.testing.assert_close(norm(x), x / (1 + norm.eps) ** 0.5)


def test_an_error_within_leaves_the_module_as_it_was() -> None:
    norm, without = nn.BatchNorm1d(3), nn.BatchNorm1d(3, track_running_stats=False)
    with pytest.raises(ValueError, match="within"), still(nn.ModuleList([norm, without])):
        raise ValueError("within")
    assert norm.track_running_stats and not without.track_running_stats


class Normalised(guides.M2):
    """q(y, z | x) of M2, with a classifier that has statistics of batch normalisation."""

    def __init__(self, model: Any, **options: Any) -> None:
        super().__init__(model, **options)
        self.norm = nn.BatchNorm1d(4)

    def classify(self, x: Tensor) -> OneHots:
        return super().classify(self.norm(x))


class Farther(nn.Module):
    """A view of everything elsewhere."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 100.0


def objective(seed: int = 0) -> Objective:
    return Objective(
        *small.pair(4, 3, seed, Normalised), labelled=0.0, unlabelled=0.0, alpha=1.0,
        pseudolabels=1.0, confidence=0.0, views=ours.Views(nn.Identity(), Farther()),
    )


def test_strong_views_leave_the_statistics_that_predictions_use() -> None:
    trained, x, u = objective(), torch.rand(5, 4), 2.0 + torch.rand(7, 4)
    loss = trained(Batch(x, torch.eye(3)[[0, 1, 2, 0, 1]], u))
    assert loss.terms["pseudolabels"] > 0
    norm, expected = trained.guide.norm, torch.zeros(4)
    for batch in (x, u):  # the labelled examples and the weak views
        expected = 0.9 * expected + 0.1 * batch.mean(0)
    torch.testing.assert_close(norm.running_mean, expected)
    assert norm.num_batches_tracked == 2


def thirds() -> Split:
    x = np.random.default_rng(0).random((80, 4)).astype(np.float32)
    return from_arrays(x, np.digitize(x[:, 0], (0.3, 0.6)), name="thirds").split(20, seed=0)


def assert_same(one: Objective, other: Objective) -> None:
    torch.testing.assert_close(other.state_dict(), one.state_dict(), rtol=1e-4, atol=1e-5)
    assert one.guide.norm.running_mean.abs().max() < 2.0  # strong views are 100 away


@pytest.mark.parametrize("capture", ["traced", "on"])
def test_captured_updates_hold_what_is_still(capture: str) -> None:
    one, other = objective(), objective()
    list(fit(one, thirds(), capture="off", **SETTINGS))
    list(fit(other, thirds(), capture=capture, **SETTINGS))
    assert_same(one, other)


def test_ensembles_hold_what_is_still() -> None:
    one, replicas = objective(1), [objective(0), objective(1)]
    list(fit(one, thirds(), capture="off", seed=1, **SETTINGS))
    list(fit_ensemble(replicas, thirds(), seeds=[0, 1], compile=False, **SETTINGS))
    assert_same(one, replicas[1])
