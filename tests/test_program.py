"""A traced update is the eager one: loss, gradients and Adam's step."""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pyro
import pytest
import small
import torch
from torch import Tensor

from pyro_ssvae import NonFiniteLossError, Objective, guides, models, nn
from pyro_ssvae.contract import Batch
from pyro_ssvae.engine.capture import Captured
from pyro_ssvae.engine.program import Program, trace
from pyro_ssvae.inference.feng import Capacity, Swap
from pyro_ssvae.inference.terms import Ramp, Term
from pyro_ssvae.training.capturing import Capturing
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.optimizers import adam
from pyro_ssvae.training.steps import Eager


@pytest.fixture(scope="module")
def traced() -> tuple[Objective, Program, dict[str, Tensor]]:
    objective = small.m2()
    return objective, trace(objective, small.batch()), copy.deepcopy(objective.state_dict())


@pytest.fixture
def anew(traced) -> Callable[[], Objective]:
    """Gives M2 as it began, one object, whose captures share the program that was traced once."""
    objective, _, start = traced

    def began() -> Objective:
        objective.load_state_dict(start)
        objective.zero_grad()
        return objective
    return began


def replayed(objective: Objective, optimizer: torch.optim.Optimizer, updates: int) -> None:
    captured = Captured(objective, optimizer, small.batch(), compile=False)
    torch.manual_seed(2)
    for _ in range(updates):
        captured(small.batch(), 1.0)


def eager(objective: Objective, optimizer: torch.optim.Optimizer, updates: int) -> None:
    torch.manual_seed(2)
    for step in range(updates):
        with pyro.validation_enabled(False):
            Eager(objective, optimizer)(small.batch(), Moment(0, 0, 1))


def values(objective: Objective, optimizer: torch.optim.Optimizer) -> list[Tensor]:
    states = [optimizer.state[p] for p in objective.parameters()]
    return [p.detach().clone() for p in objective.parameters()] + [
        state[name].clone() for state in states for name in ("exp_avg", "exp_avg_sq", "step")
    ]


def assert_equal(one: list[Tensor], other: list[Tensor]) -> None:
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("options", [
    {}, {"betas": (0.5, 0.9), "eps": 1e-3}, {"weight_decay": 0.1}, {"maximize": True},
])
def test_adams_step_within_is_torchs_with_its_own_state(options, anew) -> None:
    found = []
    for run in (replayed, eager):
        objective = anew()
        optimizer = torch.optim.Adam(objective.parameters(), lr=0.01, fused=True, **options)
        run(objective, optimizer, 20)
        found.append(values(objective, optimizer))
    assert_equal(*found)


def test_a_learning_rate_in_a_tensor_counts_as_it_is_changed_in_place(anew) -> None:
    objective = anew()
    lr = torch.tensor(0.01)
    optimizer = torch.optim.Adam(objective.parameters(), lr=lr, fused=True)
    captured = Captured(objective, optimizer, small.batch(), compile=False)
    captured(small.batch(), 1.0)
    before = [parameter.detach().clone() for parameter in objective.parameters()]
    lr.fill_(0.0)
    captured(small.batch(), 1.0)
    assert all(torch.equal(a, b) for a, b in zip(before, objective.parameters(), strict=True))


def test_captured_and_eager_updates_go_on_from_each_other(anew) -> None:
    found = []
    for runs in ((eager, replayed, eager), (eager, eager, eager)):
        objective = anew()
        optimizer = adam(objective)
        for run in runs:
            run(objective, optimizer, 3)
        found.append(values(objective, optimizer))
    assert_equal(*found)


def test_captured_training_goes_on_from_a_saved_optimizer(anew) -> None:
    found = []
    for broken in (True, False):
        objective = anew()
        optimizer = adam(objective)
        replayed(objective, optimizer, 3)
        if broken:
            saved = copy.deepcopy(optimizer.state_dict())
            optimizer = adam(objective)
            optimizer.load_state_dict(saved)
        replayed(objective, optimizer, 3)
        found.append(values(objective, optimizer))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("make", [
    lambda p: torch.optim.SGD(p, lr=0.1),
    lambda p: torch.optim.Adam(p, lr=0.1),
    lambda p: torch.optim.Adam(p, lr=0.1, fused=True, amsgrad=True),
    lambda p: torch.optim.Adam(p, lr=0.1, fused=True, decoupled_weight_decay=True),
    lambda p: torch.optim.AdamW(p, lr=0.1, fused=True),
])
def test_the_step_of_another_optimizer_stays_outside(make, anew) -> None:
    objective = anew()
    optimizer = make(objective.parameters())
    captured = Captured(objective, optimizer, small.batch(), compile=False)
    before = [p.clone() for p in objective.parameters()]
    captured(small.batch(), 1.0)
    assert captured.adam is None
    assert all(torch.equal(a, b) for a, b in zip(before, objective.parameters()))
    assert all(p.grad is not None for p in objective.parameters())


def test_parameters_in_two_groups_keep_their_own_rates(anew) -> None:
    objective = anew()
    optimizer = torch.optim.Adam([
        {"params": list(objective.model.parameters()), "lr": 0.1},
        {"params": list(objective.guide.parameters())},
    ], fused=True)
    assert Captured(objective, optimizer, small.batch(), compile=False).adam is None


def test_tracing_changes_nothing() -> None:
    objective = small.m2()
    optimizer = adam(objective)
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    batch, state = small.batch(), torch.get_rng_state()
    Captured(objective, optimizer, batch, compile=False)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(v, before[name]) for name, v in objective.state_dict().items())
    assert all(not average.any() for s in optimizer.state.values() for average in s.values())


def edge_of_unlabelled(model, guide, batch: Batch, epoch) -> Tensor:
    return guide.classify(batch.u).logits.square().mean()


PARTS = {
    "mine": Term(edge_of_unlabelled, weight=2.0, schedule=Ramp(3.0)), "swap": Swap(weight=0.7),
    "capacity_z": Capacity("z", 1.5, schedule=Ramp(2.0)), "capacity_y": Capacity("y", 0.5),
}


@pytest.mark.parametrize("names", [
    ["beta"], ["labelled", "unlabelled", "classification", *PARTS],
], ids=["beta", "others"])
def test_every_weight_is_an_input(names) -> None:
    parts = {n: p for n, p in PARTS.items() if n in names or n != "capacity_z"}
    objective = small.m2(terms=parts)
    captured = Captured(objective, adam(objective), small.batch(), compile=False)
    for name in names:
        torch.manual_seed(3)
        with pyro.validation_enabled(False):
            unchanged = copy.deepcopy(objective)(small.batch(), 1.0).total
        objective.weights[name] *= 0.25
        assert captured.fits(small.batch()) and captured.lasts(), name
        before = copy.deepcopy(objective)
        torch.manual_seed(3)
        loss = captured(small.batch(), 1.0)
        torch.manual_seed(3)
        with pyro.validation_enabled(False):
            expected = before(small.batch(), 1.0)
        torch.testing.assert_close(loss.total, expected.total.detach())
        assert (loss.total - unchanged).abs() > 1e-3, name


def test_a_part_of_weight_zero_is_not_in_the_program() -> None:
    def operations(**options) -> int:
        objective = small.m2(**options)
        return len(trace(objective, small.batch()).graph.graph.nodes)

    without = {name: replace(part, weight=0.0) for name, part in PARTS.items()}
    assert operations(terms=without) == operations() < operations(terms=PARTS)


def test_a_term_that_comes_or_goes_needs_another_program() -> None:
    objective = small.m2()
    captured = Captured(objective, adam(objective), small.batch(), compile=False)
    objective.weights["classification"] = 0.0
    assert not captured.fits(small.batch()) and not captured.lasts()


def test_the_learning_rate_is_read_at_every_update(anew) -> None:
    objective = anew()
    optimizer = adam(objective, 0.1)
    captured = Captured(objective, optimizer, small.batch(), compile=False)
    optimizer.param_groups[0]["lr"] = 0.0
    assert captured.lasts()
    before = [p.clone() for p in objective.parameters()]
    captured(small.batch(), 1.0)
    assert all(torch.equal(a, b) for a, b in zip(before, objective.parameters()))


def test_a_loss_that_is_not_finite_moves_neither_parameters_nor_averages(anew) -> None:
    objective = anew()
    optimizer = adam(objective)
    captured = Captured(objective, optimizer, small.batch(), compile=False)
    captured(small.batch(), 1.0)
    before = values(objective, optimizer)
    broken = small.batch()
    broken.u[0, 0] = torch.nan
    assert captured(broken, 1.0).total.isnan()
    assert all(torch.equal(a, b) for a, b in zip(before, values(objective, optimizer)))


class AtTheEdge(guides.M2):
    """q(y, z | x), with a term whose gradient is not finite, though the term is."""

    def __init__(self, model: models.M2, **options) -> None:
        super().__init__(model, **options)
        self.edge = torch.nn.Parameter(torch.zeros(2))
        self.terms = {"edge": Term(lambda model, guide, batch, epoch: guide.edge.sqrt().sum())}


@pytest.mark.parametrize("make", [adam, lambda o: torch.optim.SGD(o.parameters(), lr=0.1)])
def test_a_gradient_that_is_not_finite_is_named_and_moves_nothing(make) -> None:
    objective = small.m2(guide=AtTheEdge)
    optimizer = make(objective)
    step = Capturing(Eager(objective, optimizer))
    step.captured = Captured(objective, optimizer, small.batch(), compile=False)
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    with pytest.raises(NonFiniteLossError, match="the gradient of guide.edge is not finite"):
        step(small.batch(), Moment(0, 0, 1))
    assert all(torch.equal(v, before[name]) for name, v in objective.state_dict().items())
    assert not any(v.any() for s in optimizer.state.values() for v in s.values())


def test_a_parameter_that_no_term_depends_on_is_left_out() -> None:
    objective = small.m2(unlabelled=0.0, alpha=0.0)
    optimizer = adam(objective)
    program = Captured(objective, optimizer, small.batch(), compile=False).program
    idle = {id(p) for p in objective.guide.classifier.parameters()}
    assert not idle & {id(p) for p in program.learnt}
    assert not any(id(p) in idle for p in optimizer.state)


def test_a_program_in_double_precision_is_double_throughout() -> None:
    objective = small.m2().double()
    batch = Batch(*(part.double() for part in small.batch().tensors))
    captured = Captured(objective, adam(objective), batch, compile=False)
    loss = captured(batch, 1.0)
    assert loss.total.dtype == torch.float64
    assert all(p.dtype == torch.float64 for p in objective.parameters())


def test_gradients_are_laid_out_as_their_parameters_which_fused_adam_takes_for_granted() -> None:
    x, u = torch.rand(2, 6, 2, 8, 8)
    batch = Batch(x, torch.eye(3)[torch.arange(6) % 3], u)
    found = []
    for captured in (True, False):
        torch.manual_seed(0)
        model = models.M2((2, 8, 8), 3, z_dim=2, hidden=(5,))
        guide = guides.M2(model, classifier=partial(nn.Conv, width=2), hidden=(5,))
        objective = Objective(model, guide, alpha=1.0)
        optimizer = adam(objective)
        step = Captured(objective, optimizer, batch, compile=False) if captured else (
            lambda batch, epoch: Eager(objective, optimizer)(batch, Moment(0, 0, 1))
        )
        torch.manual_seed(2)
        with pyro.validation_enabled(False):
            step(batch, 0.0)
        found.append(values(objective, optimizer))
    assert_equal(*found)
