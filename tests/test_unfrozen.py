"""What a graph would freeze is found and trained eagerly: state in no buffer, foreign noise."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import small
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pyro_ssvae import Objective, check, fit
from pyro_ssvae.engine.program import CaptureError, trace


class Body(nn.Module):
    """A classifier that does something at every call."""

    def __init__(self, what: Callable[[Body, Tensor], Any]) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 3)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("mean", torch.zeros(6))
        self.calls, self.seen, self.plain = 0, [], torch.zeros(6)
        self.what = what

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x.flatten(1)).tanh()
        changed = self.what(self, hidden)
        return self.last(hidden + self.mean if changed is None else changed)


def replaced(body: Body, hidden: Tensor) -> None:
    body.mean = 0.9 * body.mean + 0.1 * hidden.detach().mean(0)


def swapped(body: Body, hidden: Tensor) -> None:
    body.mean.data = 0.9 * body.mean + 0.1 * hidden.detach().mean(0)


def counted(body: Body, hidden: Tensor) -> Tensor:
    body.calls += 1
    return hidden / body.calls


def listed(body: Body, hidden: Tensor) -> Tensor:
    body.seen.append(0.0)
    return hidden / len(body.seen)


def remembered(body: Body, hidden: Tensor) -> Tensor:
    body.plain += hidden.detach().mean(0)
    return hidden + body.plain


def before(body: Body, hidden: Tensor) -> Tensor:
    result, body.plain = hidden + body.plain, hidden.detach().mean(0)
    return result


def made_once(body: Body, hidden: Tensor) -> Tensor:
    if not body.seen:
        body.seen = [torch.ones(6)]
    return hidden * body.seen[0]


def of_numpy(body: Body, hidden: Tensor) -> Tensor:
    return hidden * float(np.random.rand())


def of_python(body: Body, hidden: Tensor) -> Tensor:
    return hidden * random.random()


def recomputed(body: Body, hidden: Tensor) -> Tensor:
    result: Tensor = checkpoint(lambda h: body.drop(h).square(), hidden, use_reentrant=False)
    return result


def moved(body: Body, hidden: Tensor) -> None:
    body.mean.lerp_(hidden.detach().mean(0), 0.1)


def normalised(body: Body, hidden: Tensor) -> Tensor:
    return nn.functional.dropout(hidden, 0.5, body.training) + body.mean


def objective_of(what: Callable[[Body, Tensor], Any]) -> Objective:
    objective = small.m2()
    torch.manual_seed(0)
    objective.guide.classifier.body = Body(what)
    return objective


@pytest.mark.parametrize("what, message", [
    (replaced, "an update changes the buffer guide.classifier.body.mean"),
    (swapped, "an update changes the buffer guide.classifier.body.mean"),
    (counted, "an update changes guide.classifier.body.calls"),
    (listed, "an update changes guide.classifier.body.seen"),
    (remembered, "an update changes guide.classifier.body.plain"),
    (before, "an update changes guide.classifier.body.plain"),
    (of_numpy, "an update changes numpy's random state"),
    (of_python, "an update changes Python's random state"),
    (recomputed, "its graph does not give"),
])
def test_what_a_graph_would_freeze_is_named(what: Any, message: str) -> None:
    objective = objective_of(what)
    with pytest.raises(CaptureError, match=message):
        trace(objective, small.batch())


@pytest.mark.parametrize("what", [replaced, counted, remembered])
def test_tracing_leaves_buffers_where_they_were(what: Any) -> None:
    objective = objective_of(what)
    mean = objective.guide.classifier.body.mean
    with pytest.raises(CaptureError):
        trace(objective, small.batch())
    assert objective.guide.classifier.body.mean is mean and not mean.any()


@pytest.mark.parametrize("what", [moved, normalised, made_once])
def test_buffers_in_place_and_noise_of_torch_are_captured(what: Any) -> None:
    objective = objective_of(what)
    trace(objective, small.batch())
    assert not objective.guide.classifier.body.mean.any()
    check(objective.model, objective.guide, *small.batch()[:2])


@pytest.mark.filterwarnings("ignore:training goes on without capture")
@pytest.mark.parametrize("what", [replaced, swapped, recomputed, of_numpy, of_python])
def test_training_is_the_eager_one(what: Any) -> None:
    split = small.split()
    trained = []
    for capture in ("off", "on"):
        objective = small.objective("m2", split)
        torch.manual_seed(0)
        body = Body(what)
        body.first = nn.Linear(64, 6)
        body.last = nn.Linear(6, 10)
        objective.guide.classifier.body = body
        np.random.seed(0)
        random.seed(0)
        for _ in fit(objective, split, epochs=1, capture=capture):
            pass
        trained.append(torch.cat([p.detach().flatten() for p in objective.parameters()]))
    assert torch.equal(*trained)


def test_an_old_weight_norm_is_captured_where_its_weights_have_been_read_back() -> None:
    objective = objective_of(moved)
    body = objective.guide.classifier.body
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        body.first = nn.utils.weight_norm(body.first)
    trace(objective, small.batch())
    with torch.no_grad():
        body.first.weight_v.add_(1.0)  # as load_state_dict does: `weight`, an attribute, is stale
    trace(objective, small.batch())
