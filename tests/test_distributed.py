"""Several processes train as one does: the same losses, gradients, weights and histories."""

import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import ranks
import torch
from torch import multiprocessing

from pyro_ssvae import Term
from pyro_ssvae.errors import InputError
from pyro_ssvae.experiments import pairs
from pyro_ssvae.system import processes

NUMBERS = (3, 2)


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict[Any, dict[str, Any]]:
    """What one process finds, by None, and what several do, by their number and their index."""
    folder = tmp_path_factory.mktemp("processes")
    started = multiprocessing.spawn(
        ranks.job, (NUMBERS, [free_port() for _ in NUMBERS], folder), max(NUMBERS), join=False
    )
    result = {None: ranks.alone(folder)}
    while not started.join():
        pass
    for number in NUMBERS:
        for index in range(number):
            result[number, index] = torch.load(folder / f"{number}-{index}.pt", weights_only=False)
    return result


def assert_same(one: Any, other: Any, **tolerance: float) -> None:
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


def test_all_processes_have_the_same_to_the_last_bit(found) -> None:
    for number in NUMBERS:
        for index in range(1, number):
            own, first = found[number, index], found[number, 0]
            assert_same(
                {name: value for name, value in own.items() if name != "refusals"},
                {name: value for name, value in first.items() if name != "refusals"},
                rtol=0.0, atol=0.0,
            )


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("case", sorted({*pairs.names(), *ranks.CASES}))
def test_shares_add_up_to_the_losses_and_gradients_of_the_whole_batch(number, case, found) -> None:
    whole = found[None][f"gradients of {case}"]
    assert len(whole) == 3  # of 11, 11 and 1 unlabelled rows
    assert_same(found[number, 0][f"gradients of {case}"], whole, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", [
    *(f"{case} trained" for case in ranks.TRAINED),
    *(f"{case} replayed" for case in ranks.REPLAYED),
])
def test_trainings_are_those_of_one_process(number, name, found) -> None:
    assert_same(found[number, 0][name], found[None][name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("number", NUMBERS)
def test_trainings_are_those_of_one_process_in_float32(number, found) -> None:
    assert_same(found[number, 0]["in float32"], found[None]["in float32"], rtol=1e-5, atol=1e-6)


def test_a_training_is_gone_on_with_by_another_number_of_processes(found) -> None:
    # Three processes have begun it, and paused within an epoch; two have ended it.
    assert_same(found[2, 0]["resumed"], found[None]["resumed"], rtol=1e-9, atol=1e-12)


def test_what_is_compiled_is_what_one_process_compiles(found) -> None:
    assert_same(found[2, 0]["compiled"], found[None]["compiled"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("what, said", [
    ("interpolation", "interpolation=1.0 mixes the examples of a batch"),
    ("own term", "the term 'own' is a mean"),
    ("batch normalisation", "batch normalisation, in guide.classifier.body.1, is over all"),
    ("mixed rows", "expected noise of which every row of a batch has its own"),
    ("aggressive", "expected one process for aggressive training, got 2"),
    ("fit_ensemble", "expected one process for fit_ensemble, got 2"),
    ("a file", "expected a folder to write to, got a file"),
])
def test_what_several_processes_cannot_do_is_refused_by_all_of_them(what, said, found) -> None:
    for index in range(2):
        assert said in found[2, index]["refusals"][what]


def test_a_process_that_was_started_alone_is_alone(monkeypatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with processes.joined():
        assert (processes.index(), processes.number(), processes.first()) == (0, 1, True)
        assert not torch.distributed.is_initialized()


@pytest.mark.parametrize("environment, said", [
    ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK='2' and WORLD_SIZE='2'"),
    ({"RANK": "x", "WORLD_SIZE": "2"}, "RANK='x'"),
    ({"RANK": "0", "WORLD_SIZE": "2"}, "got no MASTER_ADDR"),
])
def test_an_environment_that_torchrun_did_not_make_is_told(environment, said, monkeypatch) -> None:
    for name in processes.NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=said), processes.joined():
        pass


def test_a_term_is_over_what_is_known() -> None:
    with pytest.raises(InputError, match="unknown over 'all'"):
        Term(abs, over="all")
