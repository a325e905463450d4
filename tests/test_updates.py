import copy
import math
from functools import partial

import pyro
import pytest
import small
import torch
from torch import Tensor, nn

from pyro_ssvae import NonFiniteLossError, Objective, guides, models
from pyro_ssvae.contract import Batch
from pyro_ssvae.inference.objective import Loss
from pyro_ssvae.inference.terms import Term
from pyro_ssvae.training.capturing import Capturing
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.optimizers import adam
from pyro_ssvae.training.steps import Eager

NOW = Moment(epoch=2, step=3, steps=10)


def adversarial(game: str) -> Objective:
    torch.manual_seed(0)
    model = models.AdversarialM2(4, 3, z_dim=2, hidden=(5,))
    return Objective(model, guides.AdversarialM2(model, hidden=(5,), game=game), alpha=1.0)


def values(objective: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in objective.named_parameters()}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


class Recorded(torch.optim.SGD):
    """Notes the parameters after every step."""

    def __init__(self, objective: nn.Module) -> None:
        super().__init__(objective.parameters(), lr=0.1)
        self.objective, self.after = objective, []

    def step(self) -> None:
        super().step()
        self.after.append(values(self.objective))


def test_most_pairs_move_all_their_parameters_at_once(batch) -> None:
    objective = adversarial("reversal")
    before, optimizer = values(objective), Recorded(objective)
    Eager(objective, optimizer)(batch, NOW)
    (after,) = optimizer.after
    assert moved(before, after) == before.keys()


def test_an_adversary_moves_first_and_then_the_others_with_it_frozen(batch) -> None:
    objective = adversarial("alternating")
    before, optimizer = values(objective), Recorded(objective)
    Eager(objective, optimizer)(batch, NOW)
    first, second = optimizer.after
    adversary = {name for name in before if name.startswith("guide.adversary.")}
    assert adversary and moved(before, first) == adversary
    assert moved(first, second) == before.keys() - adversary


def test_the_others_answer_the_adversary_that_has_moved(batch) -> None:
    # The second turn's gradient, by hand, from the weights after the first.
    objective = adversarial("alternating")
    optimizer = Recorded(objective)
    torch.manual_seed(5)
    result = Eager(objective, optimizer)(batch, NOW)
    again, untouched = adversarial("alternating"), adversarial("alternating")
    again.load_state_dict(optimizer.after[0])
    torch.manual_seed(5)
    untouched(batch)  # takes the noise of the first turn
    loss, terms = again(batch, 2.4)
    loss.backward()
    for name, parameter in again.named_parameters():
        if not name.startswith("guide.adversary."):
            expected = parameter - 0.1 * parameter.grad
            torch.testing.assert_close(optimizer.after[1][name], expected.detach())
    assert result["loss"] == loss.item()
    assert result.keys() == {"loss", *terms}


def test_given_turns_move_and_nothing_else(batch) -> None:
    objective = adversarial("reversal")
    before, optimizer = values(objective), Recorded(objective)
    model, classifier = objective.model.parameters(), objective.guide.classifier.parameters()
    Eager(objective, optimizer)(batch, NOW, [list(model), list(classifier)])
    first, second = optimizer.after
    assert {name.split(".")[0] for name in moved(before, first)} == {"model"}
    assert {name.split(".")[1] for name in moved(first, second)} == {"classifier"}


def test_frozen_parameters_stay_and_the_others_move(batch) -> None:
    objective = adversarial("alternating")
    objective.model.requires_grad_(False)
    before = values(objective)
    Eager(objective, adam(objective))(batch, NOW)
    frozen = {name for name in before if name.startswith("model.")}
    assert moved(before, values(objective)) == before.keys() - frozen


def test_a_turn_whose_parameters_are_all_frozen_moves_nothing(batch) -> None:
    objective = adversarial("alternating")
    objective.guide.adversary.requires_grad_(False)
    before, optimizer = values(objective), Recorded(objective)
    Eager(objective, optimizer)(batch, NOW)
    first, second = optimizer.after
    assert not moved(before, first)
    assert {name.startswith("guide.adversary.") for name in moved(first, second)} == {False}


def test_gradients_of_parameters_that_no_optimizer_moves_do_not_add_up(batch) -> None:
    objective = adversarial("reversal")
    step = Eager(objective, torch.optim.SGD(objective.guide.parameters(), lr=0.0))
    gradients = []
    for _ in range(2):
        torch.manual_seed(0)
        step(batch, NOW)
        gradients.append([p.grad.clone() for p in objective.model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


class Scripted(nn.Module):
    """An objective of one weight, with a loss as told."""

    def __init__(self, loss: float, **terms: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.loss, self.terms, self.epochs = loss, terms, []

    def forward(self, batch: Batch, epoch: float) -> Loss:
        self.epochs.append(epoch)
        terms = {name: torch.tensor(value) for name, value in self.terms.items()}
        return Loss(self.loss * self.weight, terms)

    def turns(self) -> list[list[nn.Parameter]]:
        return [[self.weight], [self.weight]]


def test_an_update_ends_a_share_of_its_epoch(batch) -> None:
    objective = Scripted(1.0)
    Eager(objective, Recorded(objective))(batch, NOW)
    assert objective.epochs == [pytest.approx(2.4)] * 2


def test_the_loss_reported_is_that_before_the_last_turn_and_detached(batch) -> None:
    objective = Scripted(2.0, labelled=7.0)
    result = Eager(objective, Recorded(objective))(batch, NOW)
    assert {name: value.item() for name, value in result.items()} == {
        "loss": pytest.approx(2 * (1 - 0.1 * 2)), "labelled": 7.0,
    }
    assert not result["loss"].requires_grad


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("terms, broken", [
    ({"labelled": 1.0, "unlabelled": math.nan}, r"\(unlabelled = nan\)"),
    ({"labelled": -math.inf, "unlabelled": math.inf}, r"\(labelled = -inf, unlabelled = inf\)"),
    ({"labelled": 1.0}, r"\(every term is finite\)"),
])
def test_a_loss_that_is_not_finite_is_named_and_moves_nothing(batch, loss, terms, broken) -> None:
    objective = Scripted(loss, **terms)
    optimizer = Recorded(objective)
    with pytest.raises(
        NonFiniteLossError, match=f"the loss is {loss} in epoch 3, update 4 of 10 {broken}"
    ):
        Eager(objective, optimizer)(batch, NOW)
    assert objective.weight == 1 and not optimizer.after


def test_a_loss_that_breaks_in_a_later_turn_is_found(batch) -> None:
    objective = adversarial("alternating")
    optimizer = torch.optim.SGD(objective.parameters(), lr=math.inf)
    with (
        pyro.validation_enabled(False),
        pytest.raises(NonFiniteLossError, match="adversary = nan"),
    ):
        Eager(objective, optimizer)(batch, NOW)
    assert all(p.isfinite().all() for p in objective.model.parameters())


class Edge(nn.Module):
    """An objective whose loss is finite at its edge, 0, and whose gradient is not."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.edge = (nn.Parameter(torch.full((2,), value)) for value in (1.0, 4.0))

    def forward(self, batch: Batch, epoch: float) -> Loss:
        return Loss(self.inner.sum() + self.edge.sqrt().sum(), {})

    def turns(self) -> list[list[nn.Parameter]]:
        return [list(self.parameters())]


def at_the_edge(objective: Edge) -> None:
    with torch.no_grad():
        objective.edge[0] = 0.0


@pytest.mark.parametrize("make", [
    adam, lambda o: torch.optim.SGD(o.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1),
])
def test_a_gradient_that_is_not_finite_is_named_and_moves_nothing(make, batch) -> None:
    objective = Edge()
    optimizer = make(objective)
    Eager(objective, optimizer)(batch, NOW)
    at_the_edge(objective)
    before, state = values(objective), copy.deepcopy(optimizer.state_dict()["state"])
    with pytest.raises(
        NonFiniteLossError,
        match="gradient of edge is not finite in epoch 3, update 4 of 10, where the loss is 3.*:",
    ):
        Eager(objective, optimizer)(batch, NOW)
    assert not moved(before, values(objective))
    torch.testing.assert_close(optimizer.state_dict()["state"], state, rtol=0, atol=0)


def test_a_skipped_update_moves_nothing_and_is_counted(batch) -> None:
    objective = Edge()
    step = Eager(objective, adam(objective), on_nonfinite="skip")
    step(batch, Moment(0, 0, 2))
    at_the_edge(objective)
    before = values(objective)
    step(batch, Moment(0, 1, 2))
    assert not moved(before, values(objective))
    assert step.end() == [1]


class Tallied(guides.M2):
    """q(y, z | x), with a buffer that each batch changes, as the statistics of networks."""

    def __init__(self, model: models.M2, **options) -> None:
        super().__init__(model, **options)
        self.register_buffer("tally", torch.zeros(4))
        self.terms = {"tally": Term(tallied)}


def tallied(model, guide, batch, epoch) -> Tensor:
    guide.tally.add_(batch.u.sum(0))
    return batch.u.sum()


@pytest.mark.parametrize("way", [lambda step: step, partial(Capturing, compile=False)])
def test_a_skipped_update_leaves_buffers_as_they_were(way) -> None:
    objective, batch = small.m2(guide=Tallied), small.batch()
    step = way(Eager(objective, adam(objective), on_nonfinite="skip"))
    with pyro.validation_enabled(False):
        for infinite in (False, True, False):
            u = torch.full_like(batch.u, torch.inf) if infinite else batch.u
            step(batch._replace(u=u), NOW)
    torch.testing.assert_close(objective.guide.tally, 2 * batch.u.sum(0))
    assert step.end() == [1]


def test_an_epoch_that_skips_every_update_stops(batch) -> None:
    objective = Edge()
    step = Eager(objective, adam(objective), on_nonfinite="skip")
    at_the_edge(objective)
    step(batch, NOW)
    with pytest.raises(NonFiniteLossError, match="every update of an epoch was skipped; the grad"):
        step.end()


def test_an_epoch_that_skips_every_update_after_a_pause_goes_on(batch) -> None:
    objective = Edge()
    optimizer = adam(objective)
    paused, resumed = (Eager(objective, optimizer, on_nonfinite="skip") for _ in range(2))
    paused(batch, Moment(0, 0, 2))
    paused.settle()
    resumed.load_state_dict(copy.deepcopy(paused.state_dict()))
    at_the_edge(objective)
    resumed(batch, Moment(0, 1, 2))
    assert resumed.end() == [1]


def test_an_epoch_that_skips_every_update_before_and_after_a_pause_stops(batch) -> None:
    objective = Edge()
    at_the_edge(objective)
    optimizer = adam(objective)
    paused, resumed = (Eager(objective, optimizer, on_nonfinite="skip") for _ in range(2))
    paused(batch, Moment(0, 0, 2))
    paused.settle()
    resumed.load_state_dict(copy.deepcopy(paused.state_dict()))
    with pytest.raises(NonFiniteLossError, match="every update of .* skipped; .* update 1 of 2"):
        resumed.end()


@pytest.mark.parametrize("now, advice", [
    (Moment(0, 0, 10), "rarely the learning rate; look at the scale of the data, the options"),
    (Moment(0, 1, 10), ": a smaller learning rate may help"),
    (Moment(1, 0, 10), ": a smaller learning rate may help"),
])
def test_the_advice_follows_from_when_it_happened(now, advice, batch) -> None:
    with pytest.raises(NonFiniteLossError, match=advice):
        Eager(objective := Scripted(math.nan), Recorded(objective))(batch, now)
