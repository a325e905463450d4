"""A traced update is the eager one: loss, gradients and Adam's step."""

import copy
from dataclasses import replace

import pyro
import pytest
import torch
from torch import Tensor

from pyro_ssvae import NonFiniteLossError, Objective, guides, models
from pyro_ssvae.contract import Batch
from pyro_ssvae.engine.capture import Captured
from pyro_ssvae.engine.program import trace
from pyro_ssvae.inference.feng import Capacity, Swap
from pyro_ssvae.inference.terms import Ramp, Term
from pyro_ssvae.training.capturing import Capturing
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.optimizers import adam
from pyro_ssvae.training.steps import Eager


def m2(**options) -> Objective:
    torch.manual_seed(0)
    model = models.M2(4, 3, z_dim=2, hidden=(5,))
    return Objective(model, guides.M2(model, hidden=(5,)), **{"alpha": 1.0} | options)


def a_batch() -> Batch:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Batch(torch.rand(6, 4), torch.eye(3).repeat(2, 1), torch.rand(6, 4))


def replayed(objective: Objective, optimizer: torch.optim.Optimizer, updates: int) -> None:
    captured = Captured(objective, optimizer, a_batch(), compile=False)
    torch.manual_seed(2)
    for _ in range(updates):
        captured(a_batch(), 1.0)


def eager(objective: Objective, optimizer: torch.optim.Optimizer, updates: int) -> None:
    torch.manual_seed(2)
    for step in range(updates):
        with pyro.validation_enabled(False):
            Eager(objective, optimizer)(a_batch(), Moment(0, 0, 1))


def values(objective: Objective, optimizer: torch.optim.Optimizer) -> list[Tensor]:
    states = [optimizer.state[p] for p in objective.parameters()]
    return [p.detach() for p in objective.parameters()] + [
        state[name] for state in states for name in ("exp_avg", "exp_avg_sq", "step")
    ]


def assert_equal(one: list[Tensor], other: list[Tensor]) -> None:
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("options", [
    {}, {"betas": (0.5, 0.9), "eps": 1e-3}, {"weight_decay": 0.1}, {"maximize": True},
])
def test_adams_step_within_is_torchs_with_its_own_state(options) -> None:
    found = []
    for run in (replayed, eager):
        objective = m2()
        optimizer = torch.optim.Adam(objective.parameters(), lr=0.01, fused=True, **options)
        run(objective, optimizer, 20)
        found.append(values(objective, optimizer))
    assert_equal(*found)


def test_captured_and_eager_updates_go_on_from_each_other() -> None:
    found = []
    for runs in ((eager, replayed, eager), (eager, eager, eager)):
        objective = m2()
        optimizer = adam(objective)
        for run in runs:
            run(objective, optimizer, 3)
        found.append(values(objective, optimizer))
    assert_equal(*found)


def test_captured_training_goes_on_from_a_saved_optimizer() -> None:
    found = []
    for broken in (True, False):
        objective = m2()
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
    lambda p: torch.optim.AdamW(p, lr=0.1, fused=True),
])
def test_the_step_of_another_optimizer_stays_outside(make) -> None:
    objective = m2()
    optimizer = make(objective.parameters())
    captured = Captured(objective, optimizer, a_batch(), compile=False)
    before = [p.clone() for p in objective.parameters()]
    captured(a_batch(), 1.0)
    assert captured.adam is None
    assert all(torch.equal(a, b) for a, b in zip(before, objective.parameters()))
    assert all(p.grad is not None for p in objective.parameters())


def test_parameters_in_two_groups_keep_their_own_rates() -> None:
    objective = m2()
    optimizer = torch.optim.Adam([
        {"params": list(objective.model.parameters()), "lr": 0.1},
        {"params": list(objective.guide.parameters())},
    ], fused=True)
    assert Captured(objective, optimizer, a_batch(), compile=False).adam is None


def test_tracing_changes_nothing() -> None:
    objective = m2()
    optimizer = adam(objective)
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    batch, state = a_batch(), torch.get_rng_state()
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


@pytest.mark.parametrize("weight", ["labelled", "unlabelled", "classification", "beta", *PARTS])
def test_every_weight_is_an_input(weight) -> None:
    objective = m2(terms={n: p for n, p in PARTS.items() if (weight, n) != ("beta", "capacity_z")})
    captured = Captured(objective, adam(objective), a_batch(), compile=False)
    torch.manual_seed(3)
    with pyro.validation_enabled(False):
        unchanged = copy.deepcopy(objective)(a_batch(), 1.0).total
    objective.weights[weight] = 0.25
    assert captured.fits(a_batch()) and captured.lasts()
    before = copy.deepcopy(objective)
    torch.manual_seed(3)
    found = captured(a_batch(), 1.0)
    torch.manual_seed(3)
    with pyro.validation_enabled(False):
        expected = before(a_batch(), 1.0)
    torch.testing.assert_close(found.total, expected.total.detach())
    assert (found.total - unchanged).abs() > 1e-3


def test_a_part_of_weight_zero_is_not_in_the_program() -> None:
    def operations(**options) -> int:
        objective = m2(**options)
        return len(trace(objective, a_batch()).graph.graph.nodes)

    without = {name: replace(part, weight=0.0) for name, part in PARTS.items()}
    assert operations(terms=without) == operations() < operations(terms=PARTS)


def test_a_term_that_comes_or_goes_needs_another_program() -> None:
    objective = m2()
    captured = Captured(objective, adam(objective), a_batch(), compile=False)
    objective.weights["classification"] = 0.0
    assert not captured.fits(a_batch()) and not captured.lasts()


def test_the_learning_rate_is_read_at_every_update() -> None:
    objective = m2()
    optimizer = adam(objective, 0.1)
    captured = Captured(objective, optimizer, a_batch(), compile=False)
    optimizer.param_groups[0]["lr"] = 0.0
    before = [p.clone() for p in objective.parameters()]
    captured(a_batch(), 1.0)
    assert all(torch.equal(a, b) for a, b in zip(before, objective.parameters()))


def test_a_loss_that_is_not_finite_moves_neither_parameters_nor_averages() -> None:
    objective = m2()
    optimizer = adam(objective)
    captured = Captured(objective, optimizer, a_batch(), compile=False)
    captured(a_batch(), 1.0)
    before = [value.clone() for value in values(objective, optimizer)]
    broken = a_batch()
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
    torch.manual_seed(0)
    model = models.M2(4, 3, z_dim=2, hidden=(5,))
    objective = Objective(model, AtTheEdge(model, hidden=(5,)))
    optimizer = make(objective)
    step = Capturing(Eager(objective, optimizer))
    step.captured = Captured(objective, optimizer, a_batch(), compile=False)
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    with pytest.raises(NonFiniteLossError, match="the gradient of guide.edge is not finite"):
        step(a_batch(), Moment(0, 0, 1))
    assert all(torch.equal(v, before[name]) for name, v in objective.state_dict().items())
    assert not any(v.any() for s in optimizer.state.values() for v in s.values())


def test_a_parameter_that_no_term_depends_on_is_left_out() -> None:
    objective = m2(unlabelled=0.0, alpha=0.0)
    optimizer = adam(objective)
    program = Captured(objective, optimizer, a_batch(), compile=False).program
    idle = {id(p) for p in objective.guide.classifier.parameters()}
    assert not idle & {id(p) for p in program.learnt}
    assert not any(id(p) in idle for p in optimizer.state)


def test_a_program_in_double_precision_is_double_throughout() -> None:
    objective = m2().double()
    captured = Captured(
        objective, adam(objective), Batch(*(part.double() for part in a_batch())), compile=False
    )
    loss = captured(Batch(*(part.double() for part in a_batch())), 1.0)
    assert loss.total.dtype == torch.float64
    assert all(p.dtype == torch.float64 for p in objective.parameters())
