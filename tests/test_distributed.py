"""Several processes train as one does: the same losses, gradients, weights and histories."""

from contextlib import nullcontext
from typing import Any

import pytest
import ranks
import torch
from torch import multiprocessing

from pyro_ssvae import Term
from pyro_ssvae.errors import InputError, LostProcessError
from pyro_ssvae.system import processes

NUMBERS = (3, 2)


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict[Any, dict[str, Any]]:
    """What one process finds, by None, and what several do, by their number and their index."""
    folder = tmp_path_factory.mktemp("processes")
    forked = multiprocessing.get_context("forkserver")
    forked.set_forkserver_preload(["ranks"])  # imported once, for all
    started = multiprocessing.start_processes(
        ranks.job, (NUMBERS, [ranks.free_port() for _ in NUMBERS], folder), max(NUMBERS),
        join=False, start_method="forkserver",
    )
    result = {None: ranks.alone()}
    while not started.join():
        pass
    for number in NUMBERS:
        for index in range(number):
            result[number, index] = torch.load(folder / f"{number}-{index}.pt", weights_only=False)
    return result


def test_all_processes_have_the_same_to_the_last_bit(found) -> None:
    for number, index in ((2, 1), (3, 1), (3, 2)):
        own, first = (
            {name: value for name, value in found[number, i].items() if name != "refusals"}
            for i in (index, 0)
        )
        ranks.assert_same(own, first, rtol=0.0, atol=0.0)


@pytest.mark.parametrize("number, case", [
    (number, case) for number in NUMBERS for case in (*ranks.PAIRS[number], *ranks.CASES)
])
def test_shares_add_up_to_the_losses_and_gradients_of_the_whole_batch(number, case, found) -> None:
    whole = found[None][f"gradients of {case}"]
    assert len(whole) == 3  # of 11, 11 and 1 unlabelled rows
    ranks.assert_same(found[number, 0][f"gradients of {case}"], whole, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("number, name", [
    *((3, f"{case} trained") for case in ranks.TRAINED),
    *((2, f"{case} replayed") for case in ranks.REPLAYED),
])
def test_trainings_are_those_of_one_process(number, name, found) -> None:
    ranks.assert_same(found[number, 0][name], found[None][name], rtol=1e-9, atol=1e-12)


def test_trainings_are_those_of_one_process_in_float32(found) -> None:
    same = found[2, 0]["in float32"], found[None]["in float32"]
    ranks.assert_same(*same, rtol=1e-5, atol=1e-6)


def test_a_training_is_gone_on_with_by_another_number_of_processes(found) -> None:
    # Three processes have begun it, and paused within an epoch; two have ended it.
    ranks.assert_same(found[2, 0]["resumed"], found[None]["resumed"], rtol=1e-9, atol=1e-12)


def test_a_training_that_as_many_processes_go_on_with_is_the_same_to_the_last_bit(found) -> None:
    ranks.assert_same(found[3, 0]["in two"], found[3, 0]["in one go"], rtol=0.0, atol=0.0)


def test_what_is_compiled_is_what_one_process_does_eagerly(found) -> None:
    ranks.assert_same(found[2, 0]["compiled"], found[None]["compiled"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("what, said", [
    ("interpolation", "interpolation=1.0 mixes the examples of a batch"),
    ("own term", "the term 'own' is a mean"),
    ("batch normalisation", "batch normalisation, in guide.classifier.body.body.1, is over all"),
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


class OfTheGroup:
    """A recording that has sums of all processes in it."""

    def __init__(self, done: list[str]) -> None:
        self.done = done

    def reset(self) -> None:
        self.done.append("forgotten")


@pytest.mark.parametrize("error, backend, done", [
    (None, "cpu:gloo,cuda:nccl", ["forgotten", "ended"]),
    (InputError, "cpu:gloo,cuda:nccl", ["forgotten", "ended"]),
    (LostProcessError, "cpu:gloo", ["forgotten", "ended"]),
    (LostProcessError, "cpu:gloo,cuda:nccl", []),
])
def test_a_group_ends_when_no_recording_holds_it_and_is_left_where_a_process_is_lost_to_nccl(
    error, backend, done, monkeypatch
) -> None:
    happened: list[str] = []
    recording = OfTheGroup(happened)
    monkeypatch.setattr(processes, "_begin", lambda: True)
    monkeypatch.setattr(processes, "number", lambda: 2)
    monkeypatch.setattr("torch.distributed.get_backend_config", lambda: backend)
    monkeypatch.setattr(
        "torch.distributed.destroy_process_group", lambda: happened.append("ended")
    )
    with pytest.raises(error) if error else nullcontext(), processes.joined():
        processes.end_with_group(recording)
        if error:
            raise error("so it is")
    processes._recordings.discard(recording)
    assert happened == done


def test_gpus_are_counted_where_it_is_said_how_many_processes_share_them(monkeypatch) -> None:
    monkeypatch.setattr(processes, "number", lambda: 4)
    processes.check_devices(1)  # of this process alone, for all that is known
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    processes.check_devices(2)
    with pytest.raises(InputError, match="each of the 2 processes on this machine, got 1"):
        processes.check_devices(1)


def test_a_term_is_over_what_is_known() -> None:
    with pytest.raises(InputError, match="unknown over 'all'"):
        Term(abs, over="all")
