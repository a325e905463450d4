import copy
import itertools
from collections.abc import Iterator

import pytest
import small
import torch
from torch import Tensor, nn

from pyro_ssvae import InputError, Objective, fit, guides, models
from pyro_ssvae.contract import Batch
from pyro_ssvae.data import Split, batches, from_arrays
from pyro_ssvae.evaluation.probes import mutual_information
from pyro_ssvae.inference.objective import Loss
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.training import aggressive as module
from pyro_ssvae.training.aggressive import AggressiveInference, fresh_batches, train_guide
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.optimizers import adam
from pyro_ssvae.training.steps import Eager

NOW = Moment(0, 0, 1)
SIZES = {"batch_labelled": 5, "batch_unlabelled": 40}


@pytest.fixture(scope="module")
def split() -> Split:
    torch.manual_seed(0)
    return from_arrays(torch.rand(150, 4), torch.arange(150) % 3).split(9, validation=20)


@pytest.fixture
def few_steps(monkeypatch) -> None:
    monkeypatch.setattr(module, "INNER_STEPS", 3)


def values(program: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in program.parameters()]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def all_others(a: list[Tensor], b: list[Tensor]) -> bool:
    return not any(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def told(monkeypatch, *nats: float) -> None:
    """Have the mutual information be these numbers, epoch by epoch."""
    each = iter(nats)
    monkeypatch.setattr(module, "mutual_information", lambda guide, x: next(each))


# When it ends


def test_it_ends_when_the_information_has_not_risen_for_its_patience(split, monkeypatch) -> None:
    told(monkeypatch, 1.0, 0.9, 1.0, 1.1, 1.1, 0.5, 0.7, 2.0, 2.0)
    aggressive, objective = AggressiveInference(patience=3), small.m2()
    active = []
    for _ in range(9):
        aggressive.judge(objective, split)
        active.append(aggressive.active)
    # A rise after the end does not begin it again.
    assert active == [True] * 6 + [False] * 3
    assert (aggressive.best, aggressive.stale) == (2.0, 1)


def test_it_goes_by_the_mutual_information_on_validation(split) -> None:
    objective, aggressive = small.m2(), AggressiveInference()
    x, _ = split.part("validation")
    with evaluating(objective):
        expected = mutual_information(objective.guide, x)
    assert aggressive.judge(objective, split) == {"mutual_information": expected}
    assert aggressive.best == expected


def test_a_y_that_is_guessed_is_no_information_on_x(split) -> None:
    # z is a narrow normal at 10 y, and y is uniform: of x it holds nothing.
    objective = small.m2()
    with torch.no_grad():
        for parameter in objective.guide.parameters():
            parameter.zero_()
        body = objective.guide.encoder.body
        body.first[1].weight.copy_(10 * torch.eye(5)[:, :3])
        body.rest[1].weight[:2] = torch.eye(5)[:2]
        body.rest[1].bias[2:] = -5.0
    found = AggressiveInference().judge(objective, split)
    assert found["mutual_information"] == pytest.approx(0.0, abs=1e-5)


def test_its_state_goes_round(split, monkeypatch) -> None:
    told(monkeypatch, 1.0, 0.5, 0.5)
    aggressive, again = AggressiveInference(patience=2), AggressiveInference(patience=2)
    assert aggressive.judge(small.m2(), split) and aggressive.judge(small.m2(), split)
    assert aggressive.state_dict() == {"active": True, "best": 1.0, "stale": 1}
    again.load_state_dict(aggressive.state_dict())
    assert again == aggressive != AggressiveInference(patience=2)
    again.judge(small.m2(), split)
    assert not again.active


@pytest.mark.parametrize("patience", [0, -1])
def test_a_patience_that_is_not_positive_is_refused(patience) -> None:
    with pytest.raises(InputError, match=f"expected patience > 0, got {patience}"):
        AggressiveInference(patience=patience)


@pytest.mark.parametrize("name, options", [
    ("supervised", {}), ("gaussianmixture", {}), ("vae", {"posterior": "point"}),
])
def test_a_pair_without_a_density_of_z_is_refused(name, options, digits_split) -> None:
    objective = small.objective(name, digits_split, **options)
    name = type(objective.model).__name__
    with pytest.raises(InputError, match=f"aggressive training and {name}: .*no z with a density"):
        next(fit(objective, digits_split, aggressive=AggressiveInference()))


def test_asking_leaves_random_state_and_mode_as_they_were(split) -> None:
    objective, aggressive = small.m2(), AggressiveInference()
    state = torch.get_rng_state()
    aggressive.check(objective, split)
    aggressive.judge(objective, split)
    assert torch.equal(torch.get_rng_state(), state) and objective.training


# The inner loop


class Scripted(nn.Module):
    """An objective whose losses are told, one after the other, and that notes its batches."""

    def __init__(self, losses: Iterator[float]) -> None:
        super().__init__()
        self.model, self.guide = nn.Linear(1, 1), nn.Linear(1, 1)
        self.losses, self.batches = losses, []

    def turns(self) -> list[list[nn.Parameter]]:
        return [list(self.parameters())]

    def forward(self, batch: Batch, epoch: float) -> Loss:
        self.batches.append(batch)
        zero = sum(0 * p.sum() for p in self.parameters())
        return Loss(next(self.losses) + zero, {})


def steps(losses: Iterator[float]) -> int:
    objective = Scripted(losses)
    train_guide(Eager(objective, adam(objective)), None, itertools.repeat(None), NOW)
    return len(objective.batches)


def test_the_inner_loop_ends_when_the_loss_stops_falling() -> None:
    # Means of ten: 24.5, 14.5, 4.5, 0 and 0.
    assert steps(max(0.0, 29.0 - i) for i in itertools.count()) == 50
    assert steps(iter([1.0] * 20)) == 20
    assert steps(iter([1.0] * 10 + [2.0] * 10)) == 20


def test_the_inner_loop_looks_at_means_and_not_at_single_losses() -> None:
    assert steps(iter([5.0, 1.0] * 5 + [4.9, 1.0] * 5 + [5.0, 1.0] * 5)) == 30


def test_the_inner_loop_ends_after_a_hundred_steps() -> None:
    assert steps(-float(i) for i in itertools.count()) == 100


def test_the_inner_loop_begins_with_the_batch_and_goes_on_with_fresh_ones() -> None:
    objective = Scripted(iter([1.0] * 20))
    fresh = (f"fresh {i}" for i in itertools.count())
    train_guide(Eager(objective, adam(objective)), "batch", fresh, NOW)
    assert objective.batches == ["batch", *(f"fresh {i}" for i in range(19))]


def test_what_guide_and_model_share_is_the_models(few_steps) -> None:
    torch.manual_seed(0)
    model = models.LatentClassifier(4, 3, z_dim=2, hidden=(5,))
    objective = Objective(model, guides.LatentClassifier(model, hidden=(5,)))
    batch = small.batch()
    before, encoder = values(objective.model), values(objective.guide.encoder)
    train_guide(Eager(objective, adam(objective)), batch, itertools.repeat(batch), NOW)
    assert same(before, values(objective.model))
    assert all_others(encoder, values(objective.guide.encoder))


# Fresh batches


def test_fresh_batches_go_on_over_the_passes(split) -> None:
    one_pass = -(-len(split.unlabelled) // 40)
    found = list(itertools.islice(fresh_batches(split, 5, 40, seed=0, epoch=0), 2 * one_pass))
    passes = [torch.cat([batch.u for batch in found[i:i + one_pass]]) for i in (0, one_pass)]
    assert len(passes[0]) == len(split.unlabelled)
    assert torch.equal(passes[0].sort(0).values, passes[1].sort(0).values)
    assert not torch.equal(*passes)


def test_fresh_batches_are_others_than_the_epochs_and_differ_by_epoch_and_seed(split) -> None:
    def first(seed: int, epoch: int) -> Tensor:
        return next(fresh_batches(split, 5, 40, seed=seed, epoch=epoch)).u

    ordinary = [next(batches(split, 5, 40, seed=0, epoch=epoch)).u for epoch in range(3)]
    fresh = [first(0, 0), first(0, 1), first(1, 0)]
    for a, b in itertools.combinations([*ordinary, *fresh], 2):
        assert not torch.equal(a, b)
    assert torch.equal(first(0, 1), fresh[1])


# In training


def test_the_guide_moves_in_inner_steps_and_the_model_in_outer_ones(split, monkeypatch) -> None:
    objective = small.m2()
    seen = []

    def watched(*args) -> int:
        seen.append((values(objective.model), values(objective.guide)))
        taken = train_guide(*args)
        seen.append((values(objective.model), values(objective.guide)))
        return taken

    monkeypatch.setattr(module, "INNER_STEPS", 2)
    monkeypatch.setattr("pyro_ssvae.training.aggressive.train_guide", watched)
    done = next(fit(objective, split, aggressive=AggressiveInference(), **SIZES))
    seen.append((values(objective.model), values(objective.guide)))
    assert len(seen) == 2 * done.updates + 1 > 3
    for i, (before, after) in enumerate(itertools.pairwise(seen)):
        (model, guide), (model_after, guide_after) = before, after
        if i % 2 == 0:
            assert same(model, model_after) and all_others(guide, guide_after)
        else:
            assert all_others(model, model_after) and same(guide, guide_after)


def test_an_epoch_tells_the_mutual_information(split, few_steps) -> None:
    first, second = fit(small.m2(), split, epochs=2, aggressive=AggressiveInference(), **SIZES)
    assert first.validation["mutual_information"] != second.validation["mutual_information"]
    assert "val_mutual_information" in first.row()
    assert first.losses.keys() == {"loss", "labelled", "unlabelled", "classification"}


def test_after_its_end_training_is_plain(split, monkeypatch, few_steps) -> None:
    told(monkeypatch, 1.0, 0.5, 2.0, 3.0)
    objective, aggressive = small.m2(), AggressiveInference(patience=1)
    training = fit(objective, split, epochs=4, aggressive=aggressive, **SIZES)
    next(training), next(training)
    assert not aggressive.active
    plain = small.m2()
    plain.load_state_dict(objective.state_dict())
    plainly = fit(plain, split, epochs=4, **SIZES)
    state = copy.deepcopy(training.state_dict())
    del state["step"]["aggressive"], state["step"]["fresh"]
    plainly.load_state_dict(state)
    list(training), list(plainly)
    assert same(values(objective), values(plain))


@pytest.mark.parametrize("stop", [1, 3])
def test_going_on_from_an_epoch_is_exact(split, monkeypatch, few_steps, stop) -> None:
    # Of five epochs three are aggressive.
    nats = (1.0, 0.9, 0.8, 3.0, 4.0)
    told(monkeypatch, *nats)
    through, stopped, resumed = small.m2(), small.m2(), small.m2(seed=9)
    options = {"epochs": 5, "seed": 3, **SIZES}
    list(fit(through, split, aggressive=AggressiveInference(2), **options))
    told(monkeypatch, *nats)
    training = fit(stopped, split, aggressive=AggressiveInference(2), **options)
    list(itertools.islice(training, stop))
    resumed.load_state_dict(stopped.state_dict())
    again = fit(resumed, split, aggressive=AggressiveInference(2), **options)
    again.load_state_dict(copy.deepcopy(training.state_dict()))
    torch.rand(17)  # what happens in between does not matter
    list(again)
    assert same(values(through), values(resumed))
    assert not same(values(through), values(stopped))


def test_both_loops_multiply_in_the_precision_asked_for(split, few_steps) -> None:
    weights = []
    for precision in ("fp32", "bf16"):
        objective = small.m2()
        next(fit(objective, split, aggressive=AggressiveInference(), precision=precision, **SIZES))
        weights.append((values(objective.model), values(objective.guide)))
    for fp32, bf16 in zip(*weights):
        assert not same(fp32, bf16)


@pytest.mark.parametrize("losses", [
    [1.0] * 20, [-float(number) for number in range(200)],
], ids=["no lower", "lower and lower"])
def test_the_number_of_fresh_batches_taken_is_told(losses: list[float]) -> None:
    objective, numbers = Scripted(iter(losses)), itertools.count()
    fresh = iter(lambda: next(numbers), None)
    taken = train_guide(Eager(objective, adam(objective)), None, fresh, NOW)
    assert taken == next(numbers)
