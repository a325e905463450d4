"""On a GPU: recorded updates are the eager ones, and nothing waits for the GPU in between."""

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import pyro
import pytest
import small
import torch
from by_hand import bias_of

from pyro_ssvae import (
    NonFiniteLossError,
    Objective,
    Training,
    fit,
    fit_ensemble,
    guides,
    models,
)
from pyro_ssvae.data import Split, batches, load
from pyro_ssvae.data.split import PARTS
from pyro_ssvae.engine.capture import Captured
from pyro_ssvae.engine.graphs import Recorded
from pyro_ssvae.experiments import pairs
from pyro_ssvae.experiments.grid import grid
from pyro_ssvae.experiments.study import study
from pyro_ssvae.inference.terms import Term
from pyro_ssvae.training.capturing import Capturing
from pyro_ssvae.training.ensemble import Ensemble
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.optimizers import adam
from pyro_ssvae.training.steps import Eager, Step

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]


@pytest.fixture(autouse=True)
def convolutions_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in TF32, torch's default for convolutions, in which each algorithm rounds its own way."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture(scope="module")
def split() -> Split:
    return small.split().to("cuda")


def build(name: str, split: Split, seed: int = 0) -> Objective:
    return small.objective(name, split, seed).cuda()


def made(
    objective: Objective, optimizer: torch.optim.Optimizer, capture: bool, *, compile: bool = True
) -> Step:
    """The step of an objective, captured or not."""
    eager = Eager(objective, optimizer)
    return Capturing(eager, compile=compile) if capture else eager


@contextmanager
def no_waiting() -> Iterator[None]:
    """An operation that waits for the GPU raises."""
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(mode)


def test_data_on_a_gpu_are_split_as_on_a_cpu(tmp_path) -> None:
    digits = load("digits")
    on_gpu, on_cpu = digits.to("cuda").split(labels=50), digits.split(labels=50)
    on_gpu.save(tmp_path / "split.json")
    read = Split.load(tmp_path / "split.json", digits.to("cuda"))
    for name in PARTS:
        assert getattr(on_gpu, name).is_cuda and getattr(read, name).is_cuda
        assert getattr(on_gpu, name).tolist() == getattr(on_cpu, name).tolist()
        assert getattr(read, name).tolist() == getattr(on_cpu, name).tolist()
    assert all(part.is_cuda for part in on_gpu.part("test"))


@pytest.mark.parametrize("name", pairs.names())
def test_a_recorded_update_is_the_eager_one(name) -> None:
    split = small.split_for(name).to("cuda")
    batch = next(batches(split, 10, 20))
    found, slopes = [], []
    for capture in (True, False):
        objective = build(name, split)
        step = made(objective, adam(objective), capture)
        with pyro.validation_enabled(False):
            losses = []
            for number in range(3):
                torch.manual_seed(number)
                losses.append(step(batch, Moment(0, number, 9))["loss"].item())
                slopes.append({n: p.grad for n, p in objective.named_parameters()})
        found.append((losses, objective.state_dict()))
    (recorded, weights), (eager, expected) = found
    assert recorded == pytest.approx(eager, rel=1e-4)
    for name, value in expected.items():
        of_all = [each[name].abs() for each in slopes[3:] if each.get(name) is not None]
        # The first steps of Adam go by the sign of a gradient, which rounding gives where it is 0.
        clear = torch.stack([(g == 0) | (g > 1e-4) for g in of_all]).all(0) if of_all else ...
        torch.testing.assert_close(weights[name][clear], value[clear], rtol=1e-3, atol=1e-4)


def test_an_update_that_is_not_compiled_is_recorded_and_the_eager_one(split) -> None:
    batch, found = next(batches(split, 10, 20)), []
    for capture in (True, False):
        objective = build("m2", split)
        step = made(objective, adam(objective), capture, compile=False)
        with pyro.validation_enabled(False):
            torch.manual_seed(2)
            found.append([step(batch, Moment(0, n, 9))["loss"].item() for n in range(3)])
        assert not capture or isinstance(step.captured.run, Recorded)
    assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.mark.parametrize("compile", [True, False])
def test_a_recorded_update_waits_for_nothing(compile: bool, split) -> None:
    objective = build("m2", split)
    step = made(objective, adam(objective), True, compile=compile)
    data = list(batches(split, 10, 20))[:5]
    with pyro.validation_enabled(False):
        step(data[0], Moment(0, 0, 5))
        with no_waiting():
            for number, batch in enumerate(data):
                step(batch, Moment(0, number, 5))


def test_recording_moves_nothing(split) -> None:
    objective = build("sdgm", split)
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    state = torch.cuda.get_rng_state()
    batch = next(batches(split, 10, 20))
    assert torch.equal(torch.cuda.get_rng_state(), state)
    Captured(objective, adam(objective), batch)
    assert torch.equal(torch.cuda.get_rng_state(), state)
    assert all(torch.equal(v, before[name]) for name, v in objective.state_dict().items())


def test_noise_is_new_at_every_replay(split) -> None:
    objective = build("m2", split)
    captured = Captured(objective, adam(objective, lr=1e-12), batch := next(batches(split, 10, 20)))
    assert captured(batch, 1.0).total != captured(batch, 1.0).total


def test_a_loss_that_is_not_finite_is_found_at_the_end_of_its_epoch(split) -> None:
    objective = build("m2", split)
    with torch.no_grad():
        bias_of(objective.model.decoder, -1)[0] = torch.nan
    with pytest.raises(NonFiniteLossError, match=r"epoch 1, update 1 of \d+ \(.*labelled = nan"):
        next(fit(objective, split, epochs=1, capture="on"))


class Copying(guides.M2):
    """q(y, z | x), with a value that is copied from the CPU."""

    def classify(self, x: torch.Tensor) -> pyro.distributions.Distribution:
        return self.classifier(x + torch.rand(x.shape[-1]).to(x))


def test_what_cannot_be_recorded_is_trained_eagerly_with_the_same_noise(split) -> None:
    batch = next(batches(split, 10, 20))
    found = []
    for capture in (True, False):
        objective = small.m2(small.DIGIT, 10, guide=Copying).cuda()
        # This rate is the same in float32, as captured updates have it, and in float64.
        step = made(objective, adam(objective, lr=2**-10), capture)
        torch.manual_seed(2)
        stream = torch.cuda.current_stream()
        with warnings.catch_warnings(record=True) as caught, pyro.validation_enabled(False):
            warnings.simplefilter("always")
            losses = [step(batch, Moment(0, number, 9))["loss"].item() for number in range(3)]
        told = [w for w in caught if "the GPU cannot record it" in str(w.message)]
        assert len(told) == capture
        assert torch.cuda.current_stream() == stream
        found.append((losses, objective.state_dict()))
    (recorded, weights), (eager, expected) = found
    assert recorded == eager
    for name, value in expected.items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=0)


class AtTheEdge(guides.M2):
    """q(y, z | x), with a term whose gradient is not finite, though the term is."""

    def __init__(self, model: models.M2, **options) -> None:
        super().__init__(model, **options)
        self.edge = torch.nn.Parameter(torch.zeros(2))
        self.terms = {"edge": Term(lambda model, guide, batch, epoch: guide.edge.sqrt().sum())}


@pytest.mark.parametrize("capture", [True, False])
@pytest.mark.parametrize("make, waits", [
    (adam, False), (lambda o: torch.optim.AdamW(o.parameters(), fused=True), False),
    (lambda o: torch.optim.SGD(o.parameters(), lr=0.1), True),
])
def test_a_gradient_that_is_not_finite_moves_nothing(make, waits, capture, split) -> None:
    objective = small.m2(small.DIGIT, 10, guide=AtTheEdge).cuda()
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    optimizer = make(objective)
    step = made(objective, optimizer, capture)
    batch = next(batches(split, 10, 20))
    with pyro.validation_enabled(False):
        step(batch, Moment(0, 0, 2))
        with nullcontext() if waits else no_waiting():
            step(batch, Moment(0, 1, 2))
    assert all(torch.equal(v, before[name]) for name, v in objective.state_dict().items())
    assert not any(v.any() for s in optimizer.state.values() for v in s.values())
    with pytest.raises(NonFiniteLossError, match="gradient of guide.edge is not .* update 1 of 2"):
        step.end()


def test_an_ensemble_is_its_replicas_alone(split) -> None:
    replicas = [build("m2", split, seed) for seed in range(3)]
    list(fit_ensemble(replicas, split, epochs=2, batch_unlabelled=500))
    for seed, replica in enumerate(replicas):
        solo = build("m2", split, seed)
        list(fit(solo, split, epochs=2, batch_unlabelled=500, seed=seed, capture="off"))
        for a, b in zip(replica.parameters(), solo.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_runs_of_a_study_are_trained_side_by_side(tmp_path) -> None:
    settings = grid(["m2"], "digits", labels=50, draws=3, epochs=2, options={"alpha": [1.0, 10.0]})
    with small.few_figures():
        alone = study(settings, tmp_path / "alone")
        together = study(settings, tmp_path / "together", together=8)
    assert {run["capture"] for run in together} == {"ensemble"}
    for one, other in zip(alone, together, strict=True):
        assert other["test"]["nll"] == pytest.approx(one["test"]["nll"], rel=1e-2)
        assert other["test"]["elbo"] == pytest.approx(one["test"]["elbo"], rel=1e-2)


def test_an_ensembles_update_waits_for_nothing(split) -> None:
    replicas = [build("m2", split, seed) for seed in range(3)]
    ensemble = Ensemble(replicas, [1e-3] * 3)
    ensemble.begin([1, 2, 3])
    one = next(batches(split, 10, 20))
    batch = type(one)(*(torch.stack([part] * 3) for part in one.tensors))
    with pyro.validation_enabled(False):
        ensemble(batch, Moment(0, 0, 5))
        with no_waiting():
            ensemble(batch, Moment(0, 1, 5))


@pytest.mark.parametrize("capture", ["on", "off"])
def test_a_pause_within_an_epoch_changes_nothing(capture: str, split: Split) -> None:
    def training(objective: Objective, pause: Callable[[], bool] | None) -> Training:
        return fit(objective, split, epochs=1, batch_unlabelled=300, capture=capture, pause=pause)

    whole, parts = build("m2", split), build("m2", split)
    list(training(whole, None))
    asked = iter([False, True])
    assert not list(paused := training(parts, lambda: next(asked)))
    assert paused.paused and next(asked, None) is None
    (resumed := training(parts, None)).load_state_dict(copy.deepcopy(paused.state_dict()))
    list(resumed)
    for value, expected in zip(parts.state_dict().values(), whole.state_dict().values()):
        assert torch.equal(value, expected)


def test_an_ensemble_that_paused_on_a_gpu_goes_on_on_a_cpu() -> None:
    def training(device: str, pause: Callable[[], bool] | None = None) -> Training:
        split = small.split().to(device)
        replicas = [small.objective("m2", split, seed).to(device) for seed in range(2)]
        return fit_ensemble(replicas, split, epochs=1, batch_unlabelled=300, pause=pause)

    asked = iter([False, True])
    assert not list(paused := training("cuda", lambda: next(asked)))
    (resumed := training("cpu")).load_state_dict(copy.deepcopy(paused.state_dict()))
    assert len(list(resumed)) == 1


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA GPUs")
def test_updates_are_recorded_on_a_second_gpu_too() -> None:
    for device in ("cuda:0", "cuda:1"):
        split = small.split().to(device)
        objective = small.objective("m2", split).to(device)
        step = made(objective, adam(objective), True, compile=False)
        batch = next(batches(split, 10, 20))
        with pyro.validation_enabled(False):
            losses = [step(batch, Moment(0, number, 9))["loss"].item() for number in range(9)]
        assert losses[-1] < losses[0]


@pytest.mark.parametrize("make", [None, lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9)],
                         ids=["Adam within", "SGD"])
def test_a_pause_of_an_ensemble_within_an_epoch_changes_nothing(make, split: Split) -> None:
    def training(replicas: list[Objective], pause: Callable[[], bool] | None) -> Training:
        return fit_ensemble(replicas, split, epochs=1, batch_unlabelled=300, optimizer=make,
                            pause=pause)

    whole, parts = ([build("m2", split, seed) for seed in range(2)] for _ in range(2))
    list(training(whole, None))
    asked = iter([False, True])
    assert not list(paused := training(parts, lambda: next(asked)))
    (resumed := training(parts, None)).load_state_dict(copy.deepcopy(paused.state_dict()))
    list(resumed)
    for replica, expected in zip(parts, whole):
        for a, b in zip(replica.parameters(), expected.parameters(), strict=True):
            assert torch.equal(a, b)
