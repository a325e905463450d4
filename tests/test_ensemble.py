"""Replicas trained together are each trained as alone: same batches, same noise, same weights."""

import copy
import io
import itertools
import logging
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

import pytest
import small
import torch
from by_hand import bias_of, mlp
from sklearn.linear_model import LogisticRegression
from torch.utils import cpp_extension

from pyro_ssvae import (
    EarlyStopping,
    InputError,
    NonFiniteLossError,
    Objective,
    Training,
    fit,
    fit_ensemble,
    guides,
    models,
)
from pyro_ssvae.data import Dataset, Split
from pyro_ssvae.engine.graphs import compiled
from pyro_ssvae.engine.program import CaptureError
from pyro_ssvae.experiments import pairs
from pyro_ssvae.inference.terms import Classification, Term
from pyro_ssvae.training.ensemble import Ensemble
from pyro_ssvae.training.epoch import Epoch
from pyro_ssvae.training.replicas import check_replicas

REPLICAS = 2
SETTINGS = {"batch_labelled": 10, "batch_unlabelled": 305}  # four equal updates an epoch
ONE = {"batch_unlabelled": 2000}  # one update an epoch


@pytest.fixture(scope="module")
def splits(digits) -> list[Split]:
    """Splits of 1,220 unlabelled examples each."""
    return [small.split(17, seed) for seed in range(REPLICAS)]


def together(objectives: Sequence[Objective], splits, **options) -> list[list[Epoch]]:
    settings = {"epochs": 2, "compile": False} | SETTINGS | options
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return list(fit_ensemble(objectives, splits, **settings))


def alone(objective: Objective, split: Split, **options) -> list[Epoch]:
    return list(fit(objective, split, epochs=2, capture="off", **SETTINGS | options))


def assert_alike(one: Objective, other: Objective, **tolerance: float) -> None:
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, **tolerance, msg=lambda text: f"{name}: {text}")


@pytest.mark.parametrize("name", sorted(set(pairs.names()) - {"vade"}))
def test_each_replica_of_every_pair_is_what_it_would_be_alone(name) -> None:
    data = small.data_for(name)
    splits = [data.split(20, seed=seed) for seed in range(REPLICAS)]
    replicas = [small.objective(name, data, seed) for seed in range(REPLICAS)]
    epochs = together(replicas, splits, seeds=[3, 4], **ONE)
    for i, (replica, split) in enumerate(zip(replicas, splits)):
        solo = small.objective(name, data, i)
        expected = alone(solo, split, seed=3 + i, **ONE)
        assert_alike(replica, solo, rtol=1e-4, atol=1e-6)
        for found, want in zip((epoch[i] for epoch in epochs), expected, strict=True):
            assert (found.epoch, found.updates) == (want.epoch, want.updates)
            assert found.losses == pytest.approx(want.losses, rel=1e-5)
            assert found.validation == pytest.approx(want.validation, rel=1e-4)


def test_batch_normalisation_is_each_replicas_own(digits, splits) -> None:
    # Before it a bias has gradient 0 but for rounding, which Adam blows up: losses are compared,
    # without those that are differences of nearly equal predictions.
    plain = {"views": "none", "consistency": 0.0, "alignment": 0.0}
    replicas = [small.objective("vade", digits, seed, **plain) for seed in range(REPLICAS)]
    epochs = together(replicas, splits, seeds=[3, 4], **ONE)
    for i, (replica, split) in enumerate(zip(replicas, splits)):
        solo = small.objective("vade", digits, i, **plain)
        expected = alone(solo, split, seed=3 + i, **ONE)
        assert epochs[-1][i].losses == pytest.approx(expected[-1].losses, rel=1e-4)
        for (name, a), b in zip(replica.named_buffers(), solo.buffers()):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name, weights", [
    ("m2", ({"alpha": 0.5, "labelled": 0.1, "unlabelled": 0.2, "beta": 0.0},
            {"alpha": 5.0, "labelled": 2.0, "unlabelled": 3.0, "beta": 2.0})),
    ("factored", ({"gamma_z": 1.0, "swap": 0.2, "interpolation": 0.5},
                  {"gamma_z": 3.0, "swap": 1.0, "interpolation": 4.0})),
    ("adversarialm2", ({"adversary": 0.5}, {"adversary": 4.0})),
])
def test_replicas_may_differ_in_any_weight(name, weights, digits, splits) -> None:
    options = {"capacity_z": 1.0} if name == "factored" else {}
    replicas = [small.objective(name, digits, **options | own) for own in weights]
    together(replicas, splits[0], seeds=[5, 5], **ONE)
    for replica, own in zip(replicas, weights):
        solo = small.objective(name, digits, **options | own)
        alone(solo, splits[0], seed=5, **ONE)
        assert_alike(replica, solo, rtol=1e-4, atol=1e-6)
    assert not torch.equal(*(next(replica.parameters()) for replica in replicas))


@pytest.mark.usefixtures("traced_once")
@pytest.mark.parametrize("decay", [False, True])
def test_replicas_may_differ_in_the_learning_rate(decay, digits, splits) -> None:
    rates = [1e-3, 1e-2]
    replicas = [small.objective("m2", digits) for _ in rates]
    options = {"decay": decay}
    together(replicas, splits[0], seeds=[5, 5], lr=rates, **options)
    for replica, rate in zip(replicas, rates):
        solo = small.objective("m2", digits)
        alone(solo, splits[0], seed=5, lr=rate, **options)
        assert_alike(replica, solo, rtol=1e-4, atol=1e-6)


def test_schedules_go_on_as_alone_and_over_the_smaller_last_batch(digits, splits) -> None:
    replicas = [small.objective("m2", digits, warmup=3.0) for _ in range(REPLICAS)]
    together(replicas, splits, seeds=[5, 6], batch_unlabelled=500)
    solo = small.objective("m2", digits, warmup=3.0)
    alone(solo, splits[1], seed=6, batch_unlabelled=500)
    assert_alike(replicas[1], solo, rtol=1e-4, atol=1e-6)


def test_what_is_changed_between_epochs_has_effect(digits, splits) -> None:
    replicas = [small.objective("m2", digits, alpha=1.0, warmup=3.0) for _ in range(REPLICAS)]
    solo = small.objective("m2", digits, alpha=1.0, warmup=3.0)
    options = {"epochs": 9, **SETTINGS, **ONE}
    epochs = zip(
        fit_ensemble(replicas, splits, seeds=[5, 6], compile=False, **options),
        fit(solo, splits[1], seed=6, capture="off", **options),
    )
    next(epochs)
    for change in (
        lambda o: o.weights.update(classification=5.0),
        lambda o: o.terms.update(classification=Term(Classification(0.3))),
        lambda o: setattr(o, "warmup", 9.0), lambda o: o.weights.update(classification=0.0),
    ):
        for objective in (*replicas, solo):
            change(objective)
        next(epochs)
        assert_alike(replicas[1], solo, rtol=1e-4, atol=1e-6)


def test_a_compiled_ensemble_is_the_same(digits, splits) -> None:
    found = []
    for compile in (True, False):
        replicas = [small.objective("m1", digits, seed) for seed in range(REPLICAS)]
        together(replicas, splits, compile=compile, **ONE)
        found.append(replicas)
    for one, other in zip(*found):
        assert_alike(one, other, rtol=1e-4, atol=1e-6)


def test_hidden_labels_are_each_splits_own(digits) -> None:
    labels = torch.stack([digits.y % 2, (digits.y > 4).long()], dim=1)
    dataset = Dataset("two", digits.x, labels, small.several(2), digits.test, 100)
    splits = [dataset.split(labels=100, seed=seed, missing=0.5) for seed in range(REPLICAS)]
    replicas = [small.objective("factored", dataset, seed) for seed in range(REPLICAS)]
    together(replicas, splits, seeds=[3, 4], **ONE)
    for i, (replica, split) in enumerate(zip(replicas, splits)):
        solo = small.objective("factored", dataset, i)
        alone(solo, split, seed=3 + i, **ONE)
        assert_alike(replica, solo, rtol=1e-4, atol=1e-6)


def test_random_state_is_left_as_it_was(digits, splits) -> None:
    replicas = [small.objective("vae", digits)]
    torch.manual_seed(9)
    before = torch.get_rng_state()
    together(replicas, splits[0], epochs=1, **ONE)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.usefixtures("traced_once")
def test_a_replica_whose_loss_is_not_finite_is_named_with_its_step_and_term(digits, splits) -> None:
    replicas = [small.objective("m2", digits, seed) for seed in range(REPLICAS)]
    with torch.no_grad():
        bias_of(replicas[1].model.decoder, -1)[0] = torch.nan
    kept = {name: value.clone() for name, value in replicas[1].state_dict().items()}
    with pytest.raises(NonFiniteLossError, match=r"replica 1: the loss is nan in epoch 1, update 1"
                                                 r".*labelled = nan"):
        together(replicas, splits)
    for name, value in replicas[1].state_dict().items():
        torch.testing.assert_close(value, kept[name], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("options, message", [
    ({"hidden": (7,)}, "got guide.classifier.body.first.0.out_features = 5 in replica 0 and 7"),
    ({"smoothing": 0.1}, r"got terms = .*smoothing=0.0.* in replica 0 and .*smoothing=0.1"),
    ({"warmup": 2.0}, r"got warmup = 0.0 in replica 0 and 2.0 in replica 1"),
    ({"alpha": 0.0}, r"got the weight of classification = positive in replica 0 and zero in"),
])
def test_replicas_that_are_different_programs_are_refused(options, message, digits, splits) -> None:
    replicas = [small.objective("m2", digits), small.objective("m2", digits, **options)]
    with pytest.raises(InputError, match=message):
        together(replicas, splits)


@pytest.mark.parametrize("one, other, message", [
    ({}, {"capacity_z": 2.0}, r"got guide.terms = .* and .*Capacity\(site=.z., nats=2.0"),
    ({"capacity_z": 1.0}, {"capacity_z": 2.0}, r"nats=1.0.* in replica 0 and .*nats=2.0"),
    ({"capacity_z": 1.0}, {"capacity_z": 1.0, "ramp": 3.0}, r"epochs=0.0.* and .*epochs=3.0"),
    ({}, {"interpolation": 1.0}, "got the weight of interpolation = zero in replica 0 and positiv"),
])
def test_replicas_with_different_parts_are_refused(one, other, message, digits, splits) -> None:
    replicas = [small.objective("factored", digits, **options) for options in (one, other)]
    with pytest.raises(InputError, match=message):
        together(replicas, splits)


def scaled(factor: float):
    def function(x: torch.Tensor) -> torch.Tensor:
        return factor * x
    return function


class Holding:
    """An object of the user's own."""

    def __init__(self, factor: float) -> None:
        self.factor = factor


DIFFERENT = [
    ([1.0, 2.0], [1.0, 3.0]), ({"a": (1, 2)}, {"a": (1, 3)}), (scaled(2.0), scaled(3.0)),
    (torch.ones(3), torch.zeros(3)), (Holding(1.0), Holding(2.0)), (torch.relu, torch.tanh),
    (partial(scaled, 1.0), partial(scaled, 2.0)), (object(), object()), ({1.0}, {2.0}),
    (torch.nn.ReLU, torch.nn.Tanh),
]


@pytest.mark.parametrize("name", ["factors", "_factors"])
@pytest.mark.parametrize("one, other", DIFFERENT, ids=lambda value: type(value).__name__)
def test_replicas_that_differ_in_any_attribute_are_refused(name, one, other, digits) -> None:
    replicas = [small.objective("m2", digits, seed) for seed in range(2)]
    for replica, value in zip(replicas, (one, other)):
        setattr(replica.model.decoder, name, value)
    with pytest.raises(InputError, match=f"got model.decoder.{name} = .* in replica 1; what is no"):
        check_replicas(replicas, [digits.split(labels=20)] * 2)


SHARED = object()


@pytest.mark.parametrize("make", [
    lambda: [1.0, math.nan], lambda: {"a": (1, 2)}, lambda: scaled(2.0), lambda: torch.ones(3),
    lambda: Holding(1.0), lambda: SHARED, lambda: LogisticRegression(), lambda: slice(1, 2),
])
def test_replicas_with_equal_attributes_are_one_program(make, digits) -> None:
    replicas = [small.objective("m2", digits, seed) for seed in range(2)]
    for replica in replicas:
        replica.model.decoder.factors = make()
    check_replicas(replicas, [digits.split(labels=20)] * 2)


@pytest.mark.parametrize("name, options", [
    (name, {"flows": 2} if "flows" in pairs.pair(name).options else {}) for name in pairs.names()
])
def test_replicas_of_every_pair_are_one_program(name, options) -> None:
    data = small.data_for(name)
    replicas = [small.objective(name, data, seed, **options) for seed in range(2)]
    check_replicas(replicas, [data.split(labels=20)] * 2)


def test_a_hook_makes_another_program(digits) -> None:
    replicas = [small.objective("m2", digits, seed) for seed in range(2)]
    replicas[1].model.decoder.register_forward_hook(lambda *_: None)
    with pytest.raises(InputError, match="got model.decoder._forward_hooks = None in replica 0"):
        check_replicas(replicas, [digits.split(labels=20)] * 2)


def test_a_frozen_part_makes_another_program(digits) -> None:
    replicas = [small.objective("m2", digits, seed) for seed in range(2)]
    replicas[1].guide.encoder.requires_grad_(False)
    with pytest.raises(InputError, match="whether guide.encoder.* is trained = True in replica 0"):
        check_replicas(replicas, [digits.split(labels=20)] * 2)


def noise_like_a_tensor(model, guide, batch, epoch) -> torch.Tensor:
    h = mlp(guide.classifier)(batch.u)
    noise = torch.rand_like(h) + torch.randn_like(h) + torch.nn.functional.dropout(h.exp())
    return (noise * h).mean()


def noisy(seed: int) -> Objective:
    return small.m2(small.DIGIT, 10, seed, terms={"noisy": Term(noise_like_a_tensor)})


@pytest.mark.parametrize("make", [
    noisy, lambda seed: small.objective("factored", small.split(), seed, interpolation=1.0),
], ids=["noisy", "interpolation"])
def test_noise_may_take_its_shape_from_a_tensor(make, splits) -> None:
    replicas = [make(seed) for seed in range(REPLICAS)]
    together(replicas, splits, seeds=[3, 4], **ONE)
    for i, (replica, split) in enumerate(zip(replicas, splits)):
        solo = make(i)
        alone(solo, split, seed=3 + i, **ONE)
        assert_alike(replica, solo, rtol=1e-4, atol=1e-6)


class AtTheEdge(guides.M2):
    """q(y, z | x), with a term whose gradient is infinite where ``edge`` is 0."""

    def __init__(self, model: models.M2, edge: float, **options) -> None:
        super().__init__(model, **options)
        self.edge = torch.nn.Parameter(torch.tensor([edge]))
        self.terms = {"edge": Term(lambda model, guide, batch, epoch: guide.edge.sqrt().sum())}


@pytest.mark.usefixtures("traced_once")
def test_a_gradient_of_a_replica_that_is_not_finite_is_named_and_moves_it_alone(splits) -> None:
    replicas = [
        small.m2(small.DIGIT, 10, seed, partial(AtTheEdge, edge=1.0 - seed)) for seed in range(2)
    ]
    before = [copy.deepcopy(replica.state_dict()) for replica in replicas]
    with pytest.raises(NonFiniteLossError, match="replica 1: the gradient of guide.edge is not"):
        together(replicas, splits)
    still = [
        torch.equal(value, old[name])
        for replica, old in zip(replicas, before) for name, value in replica.state_dict().items()
    ]
    half = len(still) // 2
    assert not any(still[:half - 1]) and all(still[half:])


@pytest.mark.usefixtures("traced_once")
def test_a_replicas_skipped_updates_are_its_own(splits) -> None:
    replicas = [small.m2(small.DIGIT, 10, seed, partial(AtTheEdge, edge=1.0)) for seed in range(2)]
    ((one, other),) = together(
        replicas, splits, epochs=1, lr=[1e-3, 1.0], on_nonfinite="skip"
    )
    assert one.skipped == 0 and 0 < other.skipped < other.updates
    assert all(value.isfinite().all() for value in replicas[1].state_dict().values())


def saved(training: Training, replicas: Sequence[Objective]) -> tuple[dict, list[dict]]:
    """What a file holds of a training and its weights."""
    file = io.BytesIO()
    torch.save((training.state_dict(), [replica.state_dict() for replica in replicas]), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def gone_on(file: tuple[dict, list[dict]], splits, **options) -> tuple[list, list[Objective]]:
    """The epochs that follow on what was saved, and the replicas that they train."""
    state, weights = file
    replicas = [small.objective("m2", splits[0].dataset, 9, alpha=1.0) for _ in weights]
    for replica, values in zip(replicas, weights):
        replica.load_state_dict(values)
    training = fit_ensemble(replicas, splits, **options)
    training.load_state_dict(state)
    torch.rand(17)  # what happens in between does not matter
    return without_time(training), replicas


def without_time(epochs: Iterable[list[Epoch | None]]) -> list[list[Epoch | None]]:
    return [[epoch and replace(epoch, seconds=0.0) for epoch in each] for each in epochs]


def momentum(parameters: Iterable[torch.Tensor]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=1e-3, momentum=0.9)


GOING_ON = [
    {}, {"decay": True, "lr": [1e-3, 1e-2]}, {"stopping": EarlyStopping(1), "lr": [1e-2, 0.1]},
    {"optimizer": partial(torch.optim.Adam, lr=1e-2), "decay": True},
]
THREE = {"epochs": 3, "compile": False, "seeds": [3, 4], **SETTINGS}


@pytest.fixture(scope="module")
def kept() -> dict[int, tuple[list, list[Objective]]]:
    return {}


@pytest.fixture
def uninterrupted(
    digits, splits, kept, traced_once
) -> Callable[[dict], tuple[list, list[Objective]]]:
    """The epochs of a training that goes through, and the replicas; trained once for an option."""
    def result(options: dict) -> tuple[list, list[Objective]]:
        if id(options) not in kept:
            replicas = [small.objective("m2", digits, seed, alpha=1.0) for seed in range(2)]
            epochs = without_time(fit_ensemble(replicas, splits, **THREE | options))
            kept[id(options)] = epochs, replicas
        return kept[id(options)]
    return result


@pytest.mark.parametrize("options", GOING_ON, ids=lambda options: " and ".join(options) or "plain")
def test_going_on_from_an_epoch_is_exact(options, digits, splits, uninterrupted) -> None:
    stopped = [small.objective("m2", digits, seed, alpha=1.0) for seed in range(2)]
    epochs, through = uninterrupted(options)
    training = fit_ensemble(stopped, splits, **THREE | options)
    before = without_time(itertools.islice(training, 1))
    after, resumed = gone_on(saved(training, stopped), splits, **THREE | options)
    assert before + after == epochs
    for one, other in zip(through, resumed):
        assert_alike(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("options, update", [
    *((GOING_ON[0], update) for update in (1, 6, 8)), *((options, 6) for options in GOING_ON[1:]),
], ids=lambda value: str(value) if isinstance(value, int) else " and ".join(value) or "plain")
def test_going_on_from_a_pause_is_exact(options, update, digits, splits, uninterrupted) -> None:
    stopped = [small.objective("m2", digits, seed, alpha=1.0) for seed in range(2)]
    epochs, through = uninterrupted(options)
    asked = itertools.count(1)
    training = fit_ensemble(
        stopped, splits, pause=lambda: next(asked) == update, **THREE | options
    )
    before = without_time(training)
    assert training.paused and len(before) == (update - 1) // 4
    after, resumed = gone_on(saved(training, stopped), splits, **THREE | options)
    assert before + after == epochs
    for one, other in zip(through, resumed):
        assert_alike(one, other, rtol=0, atol=0)


@pytest.mark.usefixtures("traced_once")
def test_each_replica_stops_early_as_it_would_alone(digits, splits, monkeypatch) -> None:
    # With a patience of 2, after four epochs of which the second is best, and after five.
    accuracies = [[0.1, 0.5, 0.4, 0.3], [0.1, 0.2, 0.3, 0.2, 0.1]]
    replicas, solos = (
        [small.objective("m2", digits, alpha=1.0) for _ in splits] for _ in range(2)
    )
    told = {id(o): iter(a) for pair in (replicas, solos) for o, a in zip(pair, accuracies)}
    monkeypatch.setattr("pyro_ssvae.training.fit.validate",
                        lambda objective, split: {"accuracy": next(told[id(objective)])})
    epochs = together(replicas, splits, seeds=[3, 4], stopping=EarlyStopping(2), epochs=9)
    assert len(epochs) == 5
    assert [first is None for first, _ in epochs] == [False] * 4 + [True]
    for i, (replica, solo, split) in enumerate(zip(replicas, solos, splits)):
        options = {"epochs": 9, "seed": 3 + i, "capture": False, **SETTINGS}
        expected = list(fit(solo, split, stopping=EarlyStopping(2), **options))
        own = [epoch[i].losses for epoch in epochs if epoch[i] is not None]
        assert len(own) == len(expected) == len(accuracies[i])
        for losses, epoch in zip(own, expected):
            assert losses == pytest.approx(epoch.losses, rel=1e-4)
        assert_alike(replica, solo, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("traced_once")
def test_a_replica_that_has_stopped_keeps_its_best_weights_while_the_others_go_on(
    digits, splits
) -> None:
    replicas = [small.objective("m2", digits, seed, alpha=1.0) for seed in range(2)]
    stopping = [EarlyStopping(1), EarlyStopping(9)]
    training = fit_ensemble(replicas, splits, stopping=stopping, compile=False, epochs=4,
                            **SETTINGS)
    next(training)
    best = copy.deepcopy(replicas[0].state_dict())
    stopping[0].best = math.inf  # no later epoch is better
    for i, (stopped, going) in enumerate(training):
        assert (stopped is None) == (i > 0) and going is not None
        if i > 0:
            for name, value in replicas[0].state_dict().items():
                assert torch.equal(value, best[name])


@pytest.mark.usefixtures("traced_once")
def test_a_replica_that_has_stopped_stops_no_other_by_what_is_not_finite(splits) -> None:
    replicas = [small.m2(small.DIGIT, 10, seed, partial(AtTheEdge, edge=1.0)) for seed in range(2)]
    stopping = [EarlyStopping(1), EarlyStopping(9)]
    options = {"epochs": 6, "lr": [1e-3, 1e-3], "compile": False, **SETTINGS}
    training = fit_ensemble(replicas, splits, stopping=stopping, **options)
    next(training)
    stopping[0].best = math.inf
    next(training)
    with torch.no_grad():
        training.step.state[training.step.learnt.index("guide.edge")][0] = 0.0
    assert [first for first, _ in training] == [None] * 4


@pytest.mark.usefixtures("traced_once")
@pytest.mark.parametrize("make", [
    momentum, partial(torch.optim.Adam, lr=1e-3), partial(torch.optim.RMSprop, lr=1e-3),
    partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.1),
], ids=["SGD", "Adam", "RMSprop", "AdamW"])
@pytest.mark.parametrize("decay", [False, True])
def test_each_replica_has_an_optimizer_of_ones_own_as_alone(make, decay, digits, splits) -> None:
    replicas = [small.objective("m2", digits, seed) for seed in range(REPLICAS)]
    options = {"decay": decay}
    together(replicas, splits, seeds=[3, 4], optimizer=make, **options)
    for i, (replica, split) in enumerate(zip(replicas, splits)):
        solo = small.objective("m2", digits, i)
        alone(solo, split, seed=3 + i, optimizer=make(solo.parameters()), **options)
        assert_alike(replica, solo, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("traced_once")
def test_a_broken_first_update_leaves_nothing_in_averages_that_begin_with_it(splits) -> None:
    replicas = [
        small.m2(small.DIGIT, 10, seed, partial(AtTheEdge, edge=1.0 - seed)) for seed in range(2)
    ]
    make = partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.5)
    training = fit_ensemble(
        replicas, splits, compile=False, optimizer=make, on_nonfinite="skip", epochs=1,
        pause=lambda: True, **SETTINGS,
    )
    list(training)
    optimizer = training.step.optimizer.optimizer
    averages = [state["momentum_buffer"] for state in optimizer.state.values()]
    assert [any(average[i].any() for average in averages) for i in range(2)] == [True, False]


class NowAndThen(guides.M2):
    """q(y, z | x), with a term whose gradient is not finite for some of the noise."""

    def __init__(self, model: models.M2, share: float, **options) -> None:
        super().__init__(model, **options)
        self.edge = torch.nn.Parameter(torch.zeros(()))
        self.register_buffer("share", torch.tensor(share))
        self.register_buffer("tally", torch.zeros(()))
        self.terms = {"edge": Term(now_and_then_infinite)}


def now_and_then_infinite(model, guide, batch, epoch) -> torch.Tensor:
    inside = torch.rand(()) >= guide.share
    guide.tally.add_(torch.where(inside, 1.0, torch.inf))
    return torch.where(inside, 0.0, guide.edge).sqrt()


@pytest.mark.usefixtures("traced_once")
@pytest.mark.parametrize("make", [None, momentum, partial(torch.optim.RMSprop, lr=1e-3)],
                         ids=["Adam within", "SGD", "RMSprop"])
def test_updates_that_are_not_finite_are_undone_for_their_replica_alone(make, splits) -> None:
    def pair(share: float) -> Objective:
        return small.m2(small.DIGIT, 10, guide=partial(NowAndThen, share=share))

    shares, options = (0.0, 0.5), {"on_nonfinite": "skip", "batch_unlabelled": 122}
    replicas = [pair(share) for share in shares]
    epochs = together(replicas, splits, seeds=[3, 4], optimizer=make, **options)
    skipped = [[epoch[i].skipped for epoch in epochs] for i in range(2)]
    assert skipped[0] == [0, 0] and all(0 < number < 10 for number in skipped[1])
    for i, (replica, split, share) in enumerate(zip(replicas, splits, shares)):
        solo = pair(share)
        own = make and make(solo.parameters())
        expected = alone(solo, split, seed=3 + i, optimizer=own, **options)
        assert [epoch.skipped for epoch in expected] == skipped[i]
        assert_alike(replica, solo, rtol=1e-4, atol=1e-5)
        assert replica.guide.tally == 20 - sum(skipped[i])


@pytest.mark.usefixtures("traced_once")
def test_an_ensembles_training_ends_at_a_pause_with_its_weights_written(digits, splits) -> None:
    replicas = [small.objective("m2", digits, seed) for seed in range(REPLICAS)]
    solo = small.objective("m2", digits, 1)
    training = fit_ensemble(replicas, splits, seeds=[3, 4], compile=False, pause=lambda: True,
                            **SETTINGS)
    assert list(training) == [] and training.paused
    assert list(fit(solo, splits[1], seed=4, pause=lambda: True, **SETTINGS)) == []
    assert_alike(replicas[1], solo, rtol=1e-4, atol=1e-6)


def test_different_pairs_are_refused(digits, splits) -> None:
    with pytest.raises(InputError, match="differ in weights alone"):
        together([small.objective("m2", digits), small.objective("adgm", digits)], splits)


def test_splits_of_different_data_are_refused(digits, splits) -> None:
    parts = digits.y, digits.target, digits.test, digits.validation
    other = Dataset("other", digits.x.flip(-1), *parts)
    with pytest.raises(InputError, match="splits of one data set, got another in replica 1"):
        replicas = [small.objective("m2", digits) for _ in range(2)]
        together(replicas, [splits[0], other.split(labels=20)])


def test_parts_of_different_sizes_are_refused(digits, splits) -> None:
    with pytest.raises(InputError, match="equally many unlabelled examples"):
        replicas = [small.objective("m2", digits) for _ in range(2)]
        together(replicas, [splits[0], digits.split(labels=30)])


@pytest.mark.parametrize("options, message", [
    ({"lr": [1e-3] * 3}, "expected lr for 2 replicas, got 3"),
    ({"seeds": [1, 2, 3]}, "expected seeds for 2 replicas, got 3"),
    ({"lr": [1e-3, 0.0]}, r"expected lr\[1\] > 0, got 0.0"),
    ({"stopping": [EarlyStopping(1)] * 3}, "stopping to copy or 2 of them, .*, got 3"),
    ({"stopping": [EarlyStopping(1)] * 2}, "stopping to copy or 2 of them, .* 1 of them differ"),
    ({"epoch": 1}, "unknown argument of fit_ensemble 'epoch': .* did you mean 'epochs'"),
])
def test_unusable_settings_are_refused(options, message, digits, splits) -> None:
    with pytest.raises(InputError, match=message):
        together([small.objective("m2", digits, seed) for seed in range(2)], splits, **options)


def test_an_ensemble_of_none_is_refused(splits) -> None:
    with pytest.raises(InputError, match="expected replicas > 0, got 0"):
        together([], splits)


def test_one_objective_twice_is_refused(digits, splits) -> None:
    with pytest.raises(InputError, match="one object for each replica, got the same twice"):
        together([small.objective("m2", digits)] * 2, splits)


def test_players_in_turns_are_refused(digits, splits) -> None:
    replicas = [small.objective("adversarialm2", digits, game="alternating") for _ in range(2)]
    with pytest.raises(InputError, match='takes turns.*game="reversal"'):
        together(replicas, splits)


def test_noise_that_depends_on_parameters_is_refused(digits, splits) -> None:
    def drawn(model, guide, batch, epoch) -> torch.Tensor:
        return torch.bernoulli(guide.classify(batch.u).probs).mean()

    replicas = [small.objective("m2", digits, seed) for seed in range(REPLICAS)]
    replicas = [
        Objective(each.model, each.guide, terms={"drawn": Term(drawn)}) for each in replicas
    ]
    with pytest.raises(CaptureError, match="noise that depends on parameters, by aten.bernoulli"):
        together(replicas, splits)


def test_noise_of_another_kind_of_device_begins_anew(digits) -> None:
    replicas = [small.objective("vae", digits, seed) for seed in range(REPLICAS)]
    of_a_gpu = {str(i): torch.zeros(16, dtype=torch.uint8) for i in range(REPLICAS)}
    found = []
    for noise in ({}, of_a_gpu):
        with Ensemble(replicas, [0.1, 0.2]).epoch([3, 4], noise) as state:
            found.append(state())
    assert all(torch.equal(found[0][name], found[1][name]) for name in of_a_gpu)


def test_learning_rates_of_an_ensemble_take_their_share(digits) -> None:
    replicas = [small.objective("vae", digits, seed) for seed in range(REPLICAS)]
    assert Ensemble(replicas, [0.1, 0.2]).rates.tolist() == pytest.approx([0.1, 0.2])


def test_compiling_without_a_gpu_says_nothing_of_an_installed_cuda_toolkit(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    monkeypatch.setattr(cpp_extension.logger, "handlers", [handler])
    monkeypatch.setenv("CUDA_HOME", "/usr/local")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    look = cpp_extension._find_cuda_home  # what importing this part of torch calls
    monkeypatch.setattr("torch._inductor.standalone_compile", lambda *_, **__: look)
    compiled(torch.fx.symbolic_trace(torch.nn.Identity()), [])()
    assert len(said) == 1  # after compiling torch says what it likes
    monkeypatch.setattr("torch._inductor.standalone_compile", lambda *_, **__: look())
    compiled(torch.fx.symbolic_trace(torch.nn.Identity()), [])
    assert len(said) == 1
