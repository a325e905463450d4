import copy
import gc
import io
import itertools
import math
import warnings
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import numpy as np
import pyro
import pytest
import small
import torch
from by_hand import bias_of
from torch import nn

from pyro_ssvae import (
    AggressiveInference,
    EarlyStopping,
    Epoch,
    InputError,
    NonFiniteLossError,
    Objective,
    Training,
    evaluate,
    fit,
    fit_ensemble,
    guides,
    models,
)
from pyro_ssvae.contract import Batch
from pyro_ssvae.data import from_arrays
from pyro_ssvae.evaluation.validation import validate
from pyro_ssvae.inference.objective import Loss
from pyro_ssvae.inference.terms import Term
from pyro_ssvae.nn import Normal
from pyro_ssvae.training.how import DEFAULTS, How
from pyro_ssvae.training.noise import noise_seed
from pyro_ssvae.training.place import Place
from pyro_ssvae.training.schedule import learning_rate

m2 = partial(small.m2, small.DIGIT, 10)


def weights(objective: Objective) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in objective.parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_training_raises_the_elbo_and_the_accuracy(split) -> None:
    objective = m2(alpha=10.0)
    before = validate(objective, split)
    *_, last = fit(objective, split, epochs=5, lr=2e-2)
    assert last.validation["elbo"] > before["elbo"] + 5
    assert last.validation["accuracy"] > before["accuracy"] + 0.2


def test_an_epoch_tells_what_it_did(split) -> None:
    first, second = fit(m2(), split, epochs=2, batch_unlabelled=500)
    assert (first.epoch, second.epoch) == (1, 2)
    steps = -(-len(split.unlabelled) // 500)
    assert (first.updates, second.updates) == (steps, 2 * steps)
    assert first.losses.keys() == {"loss", "labelled", "unlabelled", "classification"}
    assert first.validation.keys() == {"accuracy", "nll", "elbo"}
    assert first.row()["val_elbo"] == first.validation["elbo"]


@pytest.mark.parametrize("sizes", [(1, 499), (100, 100), (7, 53)])
def test_any_batch_sizes_train(split, sizes) -> None:
    labelled, unlabelled = sizes
    done = next(fit(m2(), split, batch_labelled=labelled, batch_unlabelled=unlabelled))
    assert done.updates == -(-len(split.unlabelled) // unlabelled)


def test_same_seed_same_weights_and_another_seed_others(split) -> None:
    trained = []
    for seed in (1, 1, 2):
        objective = m2()
        next(fit(objective, split, seed=seed))
        trained.append(weights(objective))
    assert same(trained[0], trained[1])
    assert not same(trained[0], trained[2])


class Drawn(nn.Module):
    """An objective that notes the noise and the batch of every update."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.noise, self.batches = m2(), [], []
        self.model, self.guide = self.inner.model, self.inner.guide

    def turns(self) -> list[list[nn.Parameter]]:
        return self.inner.turns()

    def forward(self, batch: Batch, epoch: float) -> Loss:
        self.noise.append(torch.rand(()).item())
        self.batches.append(batch)
        return self.inner(batch, epoch)


def test_every_epoch_has_noise_and_an_order_of_its_own_and_the_seed_gives_them(split) -> None:
    steps, epochs = -(-len(split.unlabelled) // 500), 3
    runs = {}
    for run, seed in {"one": 0, "same": 0, "other": 1}.items():
        runs[run] = Drawn()
        list(fit(runs[run], split, epochs=epochs, batch_unlabelled=500, seed=seed))
    noise = runs["one"].noise
    assert len(noise) == epochs * steps == len(set(noise))
    assert noise == runs["same"].noise
    assert not set(noise) & set(runs["other"].noise)
    first, second = (runs["one"].batches[epoch * steps].u for epoch in (0, 1))
    assert not torch.equal(first, second)


def test_the_seed_of_the_noise_depends_on_both_numbers() -> None:
    assert len({noise_seed(seed, epoch) for seed in range(20) for epoch in range(20)}) == 400


# cos(0) = 1, cos(pi / 3) = 1/2, cos(pi / 2) = 0, cos(2 pi / 3) = -1/2, cos(pi) = -1
@pytest.mark.parametrize("progress, share", [
    (0, 1), (1 / 3, 0.75), (0.5, 0.5), (2 / 3, 0.25), (1, 0), (0.25, (2 + 2**0.5) / 4),
])
def test_the_learning_rate_falls_along_half_a_cosine(progress, share) -> None:
    assert learning_rate(progress, 0.2, decay=True) == pytest.approx(0.2 * share, abs=1e-12)
    assert learning_rate(progress, 0.2) == 0.2


def test_training_takes_the_learning_rate_of_each_update(split) -> None:
    class Noted(torch.optim.SGD):
        def step(self) -> None:
            rates.append(self.param_groups[0]["lr"])
            super().step()

    rates: list[float] = []
    objective = m2()
    optimizer = Noted(objective.parameters(), lr=1e-3)
    size = -(-len(split.unlabelled) // 3)
    options = {"epochs": 2, "batch_unlabelled": size, "optimizer": optimizer}
    list(fit(objective, split, decay=True, lr=1e-3, **options))
    # Of 6 updates, each at the rate at its beginning: cos(k pi / 6) for k = 0, ..., 5.
    cosines = [1, 3**0.5 / 2, 0.5, 0, -0.5, -(3**0.5) / 2]
    assert rates == pytest.approx([1e-3 * (1 + cosine) / 2 for cosine in cosines])


def saved(training: Training, objective: Objective) -> tuple[dict, dict]:
    """What a file holds of a training and its weights."""
    file = io.BytesIO()
    torch.save((training.state_dict(), objective.state_dict()), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_going_on_from_an_epoch_is_exact(split) -> None:
    through, stopped = m2(warmup=4.0), m2(warmup=4.0)
    options = {"epochs": 4, "batch_unlabelled": 350}
    epochs = list(fit(through, split, **options))
    training = fit(stopped, split, **options)
    next(training), next(training)
    state, values = saved(training, stopped)
    resumed = m2(seed=9, warmup=4.0)
    resumed.load_state_dict(values)
    torch.rand(17)  # what happens in between does not matter
    training = fit(resumed, split, **options)
    training.load_state_dict(state)
    assert without_time(training) == without_time(epochs)[2:]
    assert same(weights(through), weights(resumed))


def without_time(epochs: Iterable[Epoch]) -> list[Epoch]:
    return [replace(epoch, seconds=0.0) for epoch in epochs]


@pytest.mark.parametrize("options, update", [
    *(({}, update) for update in (1, 2, 4, 6)),
    *((options, update) for update in (4, 6) for options in (
        {"capture": "traced"}, {"decay": True}, {"aggressive": AggressiveInference(1)},
        {"stopping": EarlyStopping(1)}, {"precision": "bf16"},
    )),
], ids=str)
def test_going_on_from_a_pause_is_exact(options, update, split, monkeypatch, traced_once) -> None:
    # Four updates an epoch.
    monkeypatch.setattr("pyro_ssvae.training.aggressive.INNER_STEPS", 3)
    options = {"epochs": 3, "batch_unlabelled": 350, "lr": 1e-2} | options
    through, stopped, resumed = (m2(seed=seed) for seed in (0, 0, 9))
    epochs = list(fit(through, split, **copy.deepcopy(options)))
    asked = itertools.count(1)
    training = fit(
        stopped, split, pause=lambda: next(asked) == update, **copy.deepcopy(options)
    )
    before = list(training)
    assert training.paused and len(before) == update // 4 - (update == 4)
    state, values = saved(training, stopped)
    resumed.load_state_dict(values)
    training = fit(resumed, split, **copy.deepcopy(options))
    training.load_state_dict(state)
    assert without_time(before) + without_time(training) == without_time(epochs)
    assert same(weights(through), weights(resumed)) and not training.paused


def test_a_paused_training_has_ended(split) -> None:
    training = fit(m2(), split, pause=lambda: True)
    assert list(training) == list(training) == []
    assert training.paused and (training.place.epoch, training.place.step) == (0, 1)


def test_an_interrupted_training_has_ended(split) -> None:
    def interrupt() -> bool:
        raise KeyboardInterrupt

    training = fit(m2(), split, pause=interrupt)
    with pytest.raises(KeyboardInterrupt):
        next(training)
    assert list(training) == [] and not training.paused


def test_what_is_done_between_epochs_has_pyros_checks_and_torchs_noise(split) -> None:
    objective, checks = m2(), []
    torch.manual_seed(3)
    expected = torch.rand(2).tolist()
    torch.manual_seed(3)
    drawn = []
    for _ in fit(objective, split, epochs=2):
        drawn.append(torch.rand(()).item())
        checks.append(pyro.settings.get("validate_distributions_pyro"))
    assert drawn == expected and checks == [True, True]


@pytest.mark.parametrize("broken", [
    {"place": {"epoch": 1}}, {"place": {}}, {"stopping": []}, {"step": {"optimizer": {}}},
    {"place": None}, {"step": None}, {"stopping": None},
    {"place": Place(1, 20, 0.0, {"loss": torch.ones(20)}, {"cpu": torch.ones(1)}).state_dict()},
])
def test_the_state_of_something_else_is_refused(broken, split) -> None:
    training = fit(m2(), split)
    next(training)
    again = fit(m2(), split)
    with pytest.raises(ValueError):
        again.load_state_dict(copy.deepcopy(training.state_dict()) | broken)


def test_every_shared_argument_has_a_default_and_a_description() -> None:
    assert list(How.__annotations__) == list(DEFAULTS)
    assert all(f"\n        {name}: " in How.__doc__ for name in DEFAULTS)


def test_an_unknown_argument_is_refused_with_the_nearest_one(split) -> None:
    with pytest.raises(InputError, match="unknown argument of fit 'epoch': .*mean 'epochs'"):
        fit(m2(), split, epoch=3)
    with pytest.raises(InputError, match="unknown argument of fit 'sed': .*mean 'seed'"):
        fit(m2(), split, sed=3)


def test_global_random_state_is_left_alone(split) -> None:
    objective = m2()
    state = torch.get_rng_state()
    next(fit(objective, split))
    assert torch.equal(torch.get_rng_state(), state)


def test_two_pairs_one_after_the_other_both_train(split) -> None:
    for objective in (m2(seed=1), m2(seed=2)):
        before = weights(objective)
        next(fit(objective, split))
        assert not any(torch.equal(a, b) for a, b in zip(before, weights(objective)))


def test_a_loss_that_is_not_finite_names_its_term_and_its_update(split) -> None:
    with pytest.raises(NonFiniteLossError, match=r"in epoch 1, update 2 of \d+ \(labelled = nan"):
        next(fit(m2(), split, lr=1e30))


def test_a_loss_that_is_not_finite_moves_no_weight(split) -> None:
    objective = m2()
    with torch.no_grad():
        bias_of(objective.model.decoder).fill_(math.nan)
    before = weights(objective)
    with pytest.raises(NonFiniteLossError, match="in epoch 1, update 1 of"):
        next(fit(objective, split))
    assert same([w.nan_to_num() for w in before], [w.nan_to_num() for w in weights(objective)])


class OftenAtTheEdge(guides.M2):
    """q(y, z | x), with a term of no effect whose gradient is often not finite."""

    def __init__(self, model: models.M2, **options) -> None:
        super().__init__(model, **options)
        self.edge = torch.nn.Parameter(torch.zeros(()))
        self.terms = {"edge": Term(often_infinite)}


def often_infinite(model, guide, batch, epoch) -> torch.Tensor:
    inside = torch.rand(()) < 0.5
    return torch.where(inside, 0.0, guide.edge).sqrt()


def test_updates_whose_gradient_is_not_finite_are_skipped_and_counted(split) -> None:
    objective = m2(guide=OftenAtTheEdge)
    before = copy.deepcopy(objective.state_dict())
    (epoch,) = fit(objective, split, epochs=1, on_nonfinite="skip")
    assert 0 < epoch.skipped < epoch.updates
    assert all(math.isfinite(value) for value in epoch.losses.values())
    assert all(w.isfinite().all() for w in weights(objective))
    unmoved = [n for n, p in objective.named_parameters() if torch.equal(p, before[n])]
    assert unmoved == ["guide.edge"]  # whose gradient is 0 where it is finite


def test_training_stops_at_a_gradient_that_is_not_finite(split) -> None:
    with pytest.raises(NonFiniteLossError, match=r"the gradient of guide.edge is not finite in"):
        next(fit(m2(guide=OftenAtTheEdge), split))


def test_an_epoch_without_skipped_updates_says_so(split) -> None:
    assert next(fit(m2(), split)).skipped == 0


def test_an_unknown_way_with_what_is_not_finite_is_refused(split) -> None:
    with pytest.raises(InputError, match="unknown on_nonfinite 'ignore'"):
        next(fit(m2(), split, on_nonfinite="ignore"))


def in_two_groups(objective: Objective) -> torch.optim.Optimizer:
    parts = objective.model.parameters(), objective.guide.parameters()
    groups = [{"params": list(part), "lr": lr} for part, lr in zip(parts, (0.1, 0.02))]
    return torch.optim.SGD(groups)


def rates(optimizer: torch.optim.Optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


def test_rates_of_a_given_optimizer_decay_from_their_own_values(split) -> None:
    objective = m2()
    optimizer = in_two_groups(objective)
    steps = -(-len(split.unlabelled) // 500)
    for epoch in fit(objective, split, epochs=3, decay=True, optimizer=optimizer,
                     batch_unlabelled=500):
        share = 0.5 * (1 + math.cos(math.pi * (epoch.updates - 1) / (3 * steps)))
        assert rates(optimizer) == pytest.approx([0.1 * share, 0.02 * share])


def test_decayed_rates_go_on_exactly_from_a_saved_optimizer(split) -> None:
    options = {"epochs": 4, "decay": True, "batch_unlabelled": 500}
    through, stopped = m2(), m2()
    list(fit(through, split, optimizer=in_two_groups(through), **options))
    optimizer = in_two_groups(stopped)
    training = fit(stopped, split, optimizer=optimizer, **options)
    next(training), next(training)
    again = fit(stopped, split, optimizer=in_two_groups(stopped), **options)
    again.load_state_dict(copy.deepcopy(training.state_dict()))
    list(again)
    assert same(weights(through), weights(stopped))


def test_progress_is_told_where_there_is_no_terminal(split, monkeypatch, capsys) -> None:
    monkeypatch.setattr("pyro_ssvae.system.progress.QUIET", 0.0)
    next(fit(m2(), split, progress=True))
    total = 50 * -(-len(split.unlabelled) // 100)
    assert f"training M2: 1 of {total} updates" in capsys.readouterr().err


def test_a_last_update_that_loses_the_weights_is_found(split) -> None:
    with pytest.raises(NonFiniteLossError, match="the validation .* is nan"):
        next(fit(m2(), split, lr=1e30, batch_unlabelled=len(split.unlabelled)))


def epoch_with(number: int, **validation: float) -> Epoch:
    return Epoch(number, number, 0.0, {}, validation)


def run_out(stopping: EarlyStopping, values: list[float], metric: str) -> int:
    objective = m2()
    for number, value in enumerate(values, 1):
        if stopping.due(number - 1):
            return number - 1
        stopping.update(epoch_with(number, **{metric: value}), objective)
    return len(values)


def test_early_stopping_waits_for_its_patience() -> None:
    assert run_out(EarlyStopping(2), [0.1, 0.5, 0.4, 0.3, 0.9], "accuracy") == 4
    assert run_out(EarlyStopping(3), [0.1, 0.5, 0.4, 0.3, 0.9], "accuracy") == 5
    assert run_out(EarlyStopping(2, "nll"), [0.1, 0.5, 0.4, 0.3], "nll") == 3


def test_early_stopping_puts_the_best_weights_back(split) -> None:
    objective, stopping = m2(), EarlyStopping(2)
    at_epoch = {}
    options = {"lr": 0.1, "batch_unlabelled": 300}
    for epoch in fit(objective, split, epochs=40, stopping=stopping, **options):
        at_epoch[epoch.epoch] = (epoch.validation["accuracy"], weights(objective))
    best = max(at_epoch, key=lambda number: at_epoch[number][0])
    assert stopping.best_epoch == best
    assert len(at_epoch) == best + 2
    assert same(weights(objective), at_epoch[best][1])


def test_early_stopping_of_another_training_is_refused(split) -> None:
    stopping = EarlyStopping(2)
    list(fit(m2(), split, epochs=2, stopping=stopping))
    other = m2()
    before = weights(other)
    with pytest.raises(InputError, match="got one that has seen another, .* make a new one"):
        list(fit(other, split, epochs=2, stopping=stopping))
    assert same(weights(other), before)


def test_early_stopping_goes_on_with_its_own_training(split) -> None:
    objective, stopping = m2(), EarlyStopping(50)
    training = fit(objective, split, epochs=3, stopping=stopping)
    next(training)
    again = fit(objective, split, epochs=3, stopping=stopping)
    again.load_state_dict(copy.deepcopy(training.state_dict()))
    assert [epoch.epoch for epoch in again] == [2, 3]


def test_early_stopping_names_the_metrics_there_are(split) -> None:
    with pytest.raises(InputError, match="a metric among .*accuracy.*got 'f1'"):
        next(fit(m2(), split, stopping=EarlyStopping(2, metric="f1")))


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"lr": 0.0}, {"batch_labelled": 0},
                                   {"batch_unlabelled": -1}])
def test_sizes_must_be_positive(split, wrong) -> None:
    with pytest.raises(InputError, match="> 0, got"):
        next(fit(m2(), split, **wrong))


@pytest.mark.parametrize("wrong, message", [
    ({"epochs": 1.5}, "epochs as a whole number, got 1.5"),
    ({"epochs": "3"}, "epochs as a whole number, got '3'"),
    ({"epochs": True}, "epochs as a whole number, got True"),
    ({"batch_unlabelled": 10.5}, "batch_unlabelled as a whole number, got 10.5"),
    ({"workers": 0.5}, "workers as a whole number, got 0.5"),
    ({"average": 1.0}, r"average in \[0, 1\), got 1.0"),
    ({"average": "0.9"}, r"average in \[0, 1\), got '0.9'"),
    ({"pause": True}, "pause as a function .* got True"),
    ({"seed": -1}, "a seed of at most 64 bits, .* got -1"),
    ({"seed": 0.5}, "seed as a whole number, got 0.5"),
], ids=str)
def test_an_argument_that_is_not_usable_is_refused_before_training(split, wrong, message) -> None:
    with pytest.raises(InputError, match=message):
        fit(m2(), split, **wrong)


def test_a_seed_of_replicas_is_checked_too(split) -> None:
    with pytest.raises(InputError, match="a seed of at most 64 bits, .* got -1"):
        fit_ensemble([m2(), m2()], split, seeds=[0, -1])
    with pytest.raises(InputError, match="expected seeds for 2 replicas, got 1"):
        fit_ensemble([m2(), m2()], split, seeds=[5])  # of one seed they would have one noise


def test_numbers_of_numpy_are_taken_as_pythons(split) -> None:
    sizes = {"epochs": 1, "batch_labelled": 10, "batch_unlabelled": 500, "seed": 3}
    (one,) = fit(m2(), split, average=0.5, **sizes)
    of_numpy = {name: np.int64(size) for name, size in sizes.items()}
    (other,) = fit(m2(), split, average=np.float32(0.5), **of_numpy)
    assert one.losses == other.losses


def test_pixels_outside_the_unit_interval_need_another_likelihood() -> None:
    x = torch.linspace(-1, 3, 400).reshape(100, 4)
    split = from_arrays(x, torch.arange(100) % 2).split(labels=10)
    model = models.M2(4, 2)
    with pytest.raises(InputError, match=r"within \[0.0, 1.0\].*from -1 to 3.*normal"):
        next(fit(Objective(model, guides.M2(model)), split))
    model = models.M2(4, 2, likelihood=Normal())
    next(fit(Objective(model, guides.M2(model)), split))


def test_data_of_another_width_is_refused(split) -> None:
    model = models.M2(10, 10)
    with pytest.raises(InputError, match=r"inputs of shapes \(..., 10\) .*got \(100, 1, 8, 8\)"):
        next(fit(Objective(model, guides.M2(model)), split))


def test_a_plain_loop_may_stop_anywhere(split) -> None:
    training = fit(m2(), split, epochs=1_000, batch_unlabelled=500, capture="off")
    epochs = list(itertools.islice(training, 2))
    assert [epoch.epoch for epoch in epochs] == [1, 2]


# What was not iterated over


def warned(take) -> list[str]:
    """What is warned of once everything that a function has made is gone."""
    with warnings.catch_warnings(record=True) as came:
        warnings.simplefilter("always")
        take()
        gc.collect()
    return [str(each.message) for each in came if "nothing was trained" in str(each.message)]


def test_a_training_of_which_no_epoch_is_taken_says_so_in_a_line(split) -> None:
    (line,) = warned(lambda: fit(m2(), split, epochs=30) and None)
    assert line == (
        "nothing was trained: fit gives an iterator, of 30 epochs here, of which none was taken;"
        " iterate over it, `for epoch in fit(...)`"
    )


def test_what_is_iterated_over_loaded_or_refused_says_nothing(split) -> None:
    def loaded() -> None:
        fit(m2(), split).load_state_dict(fit(m2(), split).state_dict())

    def refused() -> None:
        with pytest.raises(InputError):
            fit(m2(), split, epochs=0)

    for take in (lambda: next(fit(m2(), split)), loaded, refused,
                 lambda: list(fit(m2(), split, pause=lambda: True))):
        assert warned(take) == []


def test_a_training_shows_how_far_it_is(split) -> None:
    training = fit(m2(), split, epochs=30, batch_unlabelled=500)
    assert repr(training) == "training of 30 epochs, not begun: iterate over it"
    next(training)
    assert repr(training) == "training of 30 epochs, 1 of them done"


@pytest.mark.parametrize("given, message", [
    (small.split().dataset, r"a data set: use digits.split\(labels=...\)"),
    ("digits", r"'digits': use pyro_ssvae.data.load\('digits'\).split\(labels=...\)"),
    (None, r"None: use that of a data set, dataset.split\(labels=...\)"),
])
def test_what_is_no_split_is_refused_with_how_to_make_one(given, message) -> None:
    objective = m2()
    for ask in (
        lambda: fit(objective, given), lambda: fit_ensemble([objective, m2()], given),
        lambda: evaluate(objective.model, objective.guide, given),
    ):
        with pytest.raises(InputError, match=f"^expected a split, got {message}$"):
            ask()


def test_what_was_evaluated_is_trained_in_the_mode_of_training(split) -> None:
    found = []
    for evaluated in (False, True):
        objective = small.objective("m2", split, label_inference="relaxed")
        for _ in fit(objective, split, epochs=2, batch_unlabelled=600):
            if evaluated:
                objective.eval()
        found.append(weights(objective))
    assert same(*found)


def test_a_part_that_is_kept_in_evaluation_mode_stays_so(split) -> None:
    objective = m2()
    objective.guide.classifier.eval()
    next(fit(objective, split, epochs=1, batch_unlabelled=600))
    assert not objective.guide.classifier.training and objective.guide.encoder.training


def test_weights_of_another_type_than_the_data_are_refused(split) -> None:
    with pytest.raises(InputError, match="expected x of torch.float64.*, got torch.float32; use x"):
        fit(m2().double(), split, epochs=1)
    with pytest.raises(InputError, match="expected x of torch.float64.*, got torch.float32; use x"):
        fit_ensemble([m2().double(), m2().double()], split, epochs=1)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, pyro.optim.Adam({"lr": 0.1})])
def test_what_is_no_optimizer_of_torch_is_refused(optimizer, split) -> None:
    with pytest.raises(InputError, match=r"expected an optimizer of torch, such as .*SGD\(obj"):
        fit(m2(), split, epochs=1, optimizer=optimizer)
