"""What the tests of several processes have each of them do, beside one that does it alone."""

import copy
import os
import socket
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import small
import torch
from torch import Tensor, nn

from pyro_ssvae import AggressiveInference, InputError, Objective, Term, Training, fit, fit_ensemble
from pyro_ssvae.contract import Batch
from pyro_ssvae.data import Split, feed
from pyro_ssvae.engine.rows import noise_by_rows
from pyro_ssvae.engine.sums import summed
from pyro_ssvae.experiments import pairs, runs
from pyro_ssvae.system import processes
from pyro_ssvae.training.epoch import Epoch
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.together import Together

LABELLED, UNLABELLED = 7, 11  # of 23: the last batch has one unlabelled row
SIZES = {"batch_labelled": LABELLED, "batch_unlabelled": UNLABELLED}
EVEN = {"batch_labelled": 8, "batch_unlabelled": 10}  # of two processes both compile the same
WORDS = {"views": "digits", "consistency": 1.5, "alignment": 3.0, "pseudolabels": 2.0}
# Beside every pair as it is: options by which a part of the loss, or the noise, is another.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "views": ("m2", WORDS | {"bounded": 0.3, "confidence": 0.0}),
    "capacities": ("factored", {"capacity_z": 1.0, "capacity_y": 0.3, "swap": 0.7}),
    "sampled": ("m2", {"label_inference": "straight-through:0.5", "kl": "sampled", "flows": 1}),
    "most": ("m2", {"views": "digits", "consistency": 1.0, "bounded": 0.9}),
    "likeliest": ("m2", {"label_inference": "enumerated:3"}),
    "gamma": ("dirichletm2", {"bound": "sample"}),
    "vade": ("vade", {"classifier": "mlp", "views": "none"}),
}
ALL = sorted(set(pairs.names()) - {"vade"})  # of images, batch normalisation is a part of it
PAIRS = {1: ALL, 2: ["adgm", "m1m2", "untapped"], 3: ALL}  # by the number of processes
TRAINED, REPLAYED = ("views", "turns", "falling"), ("views", "capacities")
FURTHER: dict[str, tuple[str, dict[str, Any]]] = {
    "turns": ("adversarialm2", {"game": "alternating"}),
    "falling": ("m2", {"warmup": 3.0, "decay": True, "average": 0.9}),
    "single": ("m2", {}),
    "soonest": ("vae", {}),  # to compile, of those with noise
}


def split_of(name: str, dtype: torch.dtype = torch.float64) -> Split:
    """A few of the digits as a pair takes them."""
    data = small.data_for(name)
    y = data.y.to(dtype) if data.y.is_floating_point() else data.y
    return replace(data, x=data.x.to(dtype), y=y).split(20, seed=0, unlabelled=23)


def made(
    name: str, options: Mapping[str, Any], dtype: torch.dtype = torch.float64
) -> tuple[Objective, Split, dict[str, Any]]:
    """A pair by name with its split, and how it is trained."""
    split, known = split_of(name, dtype), pairs.pair(name).options
    torch.manual_seed(0)
    sizes = {size: value for size, value in small.SIZES.items() if size in known}
    objective, how = pairs.pair(name).on(split, **sizes | dict(options))
    return objective.to(dtype), split, how


class Gradients:
    """A step that takes no step: it notes down the losses and the gradients."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.noted: list[dict[str, Tensor]] = []

    def __call__(self, batch: Batch, now: Moment) -> dict[str, Tensor]:
        with noise_by_rows():
            loss = self.objective(batch, now.epochs)
        named = dict(self.objective.named_parameters())
        gradients = torch.autograd.grad(loss.total, list(named.values()), allow_unused=True)
        dense = {f"of {name}": g for name, g in zip(named, gradients) if g is not None}
        loss = summed(loss, list(dense.values()))
        self.noted.append({"total": loss.total.detach(), **loss.terms, **dense})
        return {}


def gradients(name: str, options: Mapping[str, Any]) -> list[dict[str, Tensor]]:
    """The losses and gradients of an epoch's batches, without a step between them."""
    objective, split, _ = made(name, options)
    noting = Gradients(objective)
    step: Any = noting
    source = feed(split, LABELLED, UNLABELLED)
    if processes.number() > 1:
        step = Together(noting, objective, split, LABELLED, UNLABELLED)
        source = source.shard(processes.index(), processes.number(), empty=False)
    torch.manual_seed(1)
    for number, batch in enumerate(source.epoch(0, 0)):
        step(batch, Moment(0, number, source.steps))
    return noting.noted


def trained(
    case: str, capture: Any = "off", dtype: torch.dtype = torch.float64, **sizes: int
) -> dict[str, Any]:
    """The history and the weights of two epochs."""
    name, options = (CASES | FURTHER)[case]
    objective, split, how = made(name, options, dtype)
    epochs = list(fit(objective, split, epochs=2, capture=capture, **SIZES | how | sizes))
    return outcome(objective, epochs)


def outcome(objective: Objective, epochs: Sequence[Epoch]) -> dict[str, Any]:
    """What is compared of a training."""
    history = [epoch.row() for epoch in epochs]
    for row in history:
        del row["seconds"]
    return {"history": history, "weights": objective.state_dict()}


def begun(pauses: bool) -> tuple[Objective, Training[Epoch]]:
    """A training of three epochs, which pauses in the second after the first of three updates."""
    objective, split, how = made("m2", {"views": "digits", "consistency": 1.0})
    asked = count(1)
    pause = (lambda: next(asked) == 4 and processes.first()) if pauses else None
    return objective, fit(objective, split, epochs=3, pause=pause, **SIZES | how)


def halfway() -> dict[str, Any]:
    """A training that one of the processes has had paused in its second epoch."""
    objective, training = begun(pauses=True)
    epochs = list(training)
    assert training.paused and len(epochs) == 1
    return {"weights": objective.state_dict(), "training": training.state_dict()}


def resumed(state: Mapping[str, Any] | None) -> dict[str, Any]:
    """That training gone on with to its end, or in one go."""
    objective, training = begun(pauses=False)
    if state is not None:
        objective.load_state_dict(state["weights"])
        training.load_state_dict(copy.deepcopy(state["training"]))  # it is trained on
    return outcome(objective, list(training)[-1:])


def refusals(folder: Path) -> dict[str, str]:
    """What is said of what several processes cannot do."""
    def of(function: Callable[[], Any]) -> str:
        with pytest.raises(InputError) as raised:
            function()
        return str(raised.value)

    def of_pair(name: str, **options: Any) -> str:
        objective, split, how = made(name, options)
        return of(lambda: fit(objective, split, **how))

    def own(model: Any, guide: Any, batch: Batch, epoch: Any) -> Tensor:
        return guide.classify(batch.u).entropy().mean()

    objective, split, _ = made("m2", {})
    unknown = Objective(objective.model, objective.guide, terms={"own": Term(own)})
    normal = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10))
    rows = lambda model, guide, batch, epoch: torch.rand(  # noqa: E731
        2 * len(batch.u)
    ).mean() * sum(p.sum() for p in guide.parameters())
    mixing = Objective(
        objective.model, objective.guide, terms={"own": Term(rows, over="unlabelled")}
    )
    (folder / ".lock").touch()
    taken = folder / "taken"
    if processes.first():
        taken.write_text("a file")
    processes.largest(0)
    return {
        "interpolation": of_pair("factored", interpolation=1.0),
        "own term": of(lambda: fit(unknown, split)),
        "batch normalisation": of_pair("m2", classifier=lambda inputs, out: normal),
        "mixed rows": of(lambda: next(fit(mixing, split, **SIZES))),
        "aggressive": of(lambda: fit(objective, split, aggressive=AggressiveInference())),
        "fit_ensemble": of(lambda: fit_ensemble([objective, objective], split)),
        "a file": of(lambda: runs.train("m2", split, taken)),
    }


def compiled() -> dict[str, Any]:
    """Of a training that is captured with a compiler, and falls back to nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return trained("soonest", "on", torch.float32, **EVEN)


def all_of(number: int) -> dict[str, Any]:
    """What so many processes find by name, that one finds too: three more of it than two."""
    options: Any = {name: (name, {}) for name in PAIRS[number]}
    result: dict[str, Any] = {
        f"gradients of {case}": gradients(*what) for case, what in (options | CASES).items()
    }
    if number != 2:
        result |= {f"{case} trained": trained(case) for case in TRAINED}
    if number != 3:
        result |= {f"{case} replayed": trained(case, "traced") for case in REPLAYED}
        result["in float32"] = trained("single", dtype=torch.float32)
    return result


def job(index: int, numbers: Sequence[int], ports: Sequence[int], folder: Path) -> None:
    """One process of groups of several sizes, one after the other; all write what they find."""
    torch.set_num_threads(1)
    for number, port in zip(numbers, ports):
        if index >= number:
            return
        os.environ |= {
            "RANK": str(index), "WORLD_SIZE": str(number), "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        with processes.joined():
            found = all_of(number)
            if number == 3:
                state = halfway()
                found["in one go"], found["in two"] = resumed(None), resumed(state)
            else:
                found["resumed"] = resumed(state)
                found["refusals"] = refusals(folder)
                found["compiled"] = compiled()
            torch.save(found, folder / f"{number}-{index}.pt")


def alone() -> dict[str, Any]:
    """The same in this process alone, and in place of what is compiled what is not."""
    even = trained("soonest", dtype=torch.float32, **EVEN)
    return all_of(1) | {"resumed": resumed(None), "compiled": even}


def free_port() -> int:
    """A port of this machine that nothing listens at."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def assert_same(one: Any, other: Any, **tolerance: float) -> None:
    """Equal numbers within dictionaries and lists of these."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert_same(value, other[name], **tolerance)
    elif isinstance(one, list):
        for a, b in zip(one, other, strict=True):
            assert_same(a, b, **tolerance)
    else:
        one, other = torch.as_tensor(one), torch.as_tensor(other)
        torch.testing.assert_close(one, other, **tolerance)
