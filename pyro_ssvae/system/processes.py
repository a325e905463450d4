"""Processes that train together: which of them this one is, and what they have to agree on."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, TypeVar

from pyro_ssvae.errors import InputError, LostProcessError

if TYPE_CHECKING:
    from torch import Tensor

Value = TypeVar("Value")
NAMES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # of the environment, by torchrun
PATIENCE = timedelta(days=1)  # of a process for the others: the first one evaluates alone


@dataclass(frozen=True)
class Place:
    """The number of a process among those that train together, from 0, and how many they are."""

    index: int = 0
    number: int = 1


_place = Place()


class Recording(Protocol):
    """Operations that are recorded, to be replayed."""

    def reset(self) -> None:
        """Forget them."""


_recordings: weakref.WeakSet[Recording] = weakref.WeakSet()


def started() -> Place:
    """The place that this process was started for, by the environment that torchrun sets.

    Raises:
        InputError: If the environment has no two numbers that go together.
    """
    index, number = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    if not (index.isdecimal() and number.isdecimal() and int(index) < int(number)):
        raise InputError(
            f"expected whole numbers RANK < WORLD_SIZE in the environment, got RANK={index!r} and"
            f" WORLD_SIZE={number!r}; torchrun sets them"
        )
    return Place(int(index), int(number))


def index() -> int:
    """The number of this process among those that have :func:`joined`, 0 where it is alone."""
    return _place.index


def number() -> int:
    """The number of processes that have :func:`joined`, 1 where this one is alone."""
    return _place.number


def first() -> bool:
    """Whether this is the process that writes files and speaks to people."""
    return _place.index == 0


@contextmanager
def joined() -> Iterator[None]:
    """Have the processes of one job train together what is trained within.

    Each of them has to run the same program. They are those of torch's default process group, or,
    where there is none, those that the environment names, as torchrun starts them: then the group
    is made, of gloo for the CPU and NCCL for GPUs, and ended with the block. Without either this
    process is alone, and nothing is changed.

    Within, :func:`pyro_ssvae.fit` and :func:`pyro_ssvae.experiments.runs.train` give each process
    its share of the rows of every batch, and all of them the weights that one process would get,
    up to rounding::

        with joined():
            for epoch in fit(objective, split):
                ...

    Raises:
        InputError: If the environment is not as torchrun makes it, or the group has no gloo.
    """
    global _place
    before, began = _place, _begin()
    try:
        yield
    except LostProcessError:
        began = began and not _on_gpus()  # NCCL would wait for the process that is lost
        raise
    finally:
        _place = before
        if began:
            from torch import distributed

            for recording in list(_recordings):  # which NCCL would wait for
                recording.reset()
            distributed.destroy_process_group()


def end_with_group(recording: Recording) -> None:
    """Have a recording, which may have sums of all processes in it, end with their group."""
    if number() > 1:
        _recordings.add(recording)


def alone(what: str, advice: str) -> None:
    """Raise :class:`InputError` if what goes on in one process alone is asked of several."""
    if number() > 1:
        raise InputError(f"expected one process for {what}, got {number()}: {advice}")


def check_devices(devices: int) -> None:
    """Raise :class:`InputError` if the processes of this machine are more than its GPUs."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # torchrun sets it
    if number() > 1 and 0 < devices < here:
        raise InputError(
            f"expected a GPU for each of the {here} processes on this machine, got {devices}: start"
            " fewer, or use --device cpu"
        )


def add(tensor: Tensor) -> None:
    """Put the sum of the tensors of all processes in the place of each, the same to the last bit.

    Raises:
        LostProcessError: If one of them has ended.
    """
    from torch import distributed

    with _talking():
        distributed.all_reduce(tensor)


def largest(value: int) -> int:
    """The largest of the numbers that the processes have."""
    if number() == 1:
        return value
    import torch
    from torch import distributed

    tensor = torch.tensor(value)
    with _talking():
        distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
    return int(tensor)


def from_first(value: Value) -> Value:
    """The value that the first process has."""
    if number() == 1:
        return value
    from torch import distributed

    values = [value]
    with _talking():
        distributed.broadcast_object_list(values)
    return values[0]


def tensors_from_first(tensors: list[Tensor]) -> None:
    """Put the values that the first process has into the tensors of all."""
    if number() == 1:
        return
    from torch import distributed

    with _talking():
        for tensor in tensors:
            distributed.broadcast(tensor, 0)


def said(message: str | None) -> str | None:
    """The message of the lowest-ranked process that has one; None if none has."""
    if number() == 1:
        return message
    from torch import distributed

    messages: list[str | None] = [None] * number()
    with _talking():
        distributed.all_gather_object(messages, message)
    return next((each for each in messages if each is not None), None)


@contextmanager
def in_turn() -> Iterator[None]:
    """Have one process after the other do what is within."""
    for _ in range(index()):
        largest(0)
    try:
        yield
    finally:
        for _ in range(index(), number()):
            largest(0)


@contextmanager
def agreed() -> Iterator[None]:
    """Have all processes raise what one of them raises for its input, when all are at the end."""
    error: Exception | None = None
    try:
        yield
    except (InputError, OSError) as caught:
        if number() == 1:
            raise
        error = caught
    message = said(None if error is None else str(error))
    if error is not None:
        raise error
    if message is not None:
        raise InputError(message)


def _begin() -> bool:
    """Find this process's place; whether a process group was made for it."""
    global _place
    place = started()
    if place.number == 1 and not _initialized():
        return False
    import torch
    from torch import distributed

    if began := not distributed.is_initialized():
        if missing := [name for name in NAMES if name not in os.environ]:
            raise InputError(
                f"expected {', '.join(NAMES)} in the environment, as torchrun sets them, got no"
                f" {missing[0]}"
            )
        backend = "gloo"
        if torch.cuda.is_available():
            backend = "cpu:gloo,cuda:nccl"
            torch.cuda.set_device(_device(torch.cuda.device_count()))
        with _talking():
            distributed.init_process_group(backend, timeout=PATIENCE)
    elif "cpu:gloo" not in distributed.get_backend_config():
        raise InputError(
            "expected a process group with gloo for the CPU, got"
            f' {distributed.get_backend_config()}; use init_process_group("cpu:gloo,cuda:nccl")'
        )
    _place = Place(distributed.get_rank(), distributed.get_world_size())
    return began


def _initialized() -> bool:
    from torch import distributed

    return distributed.is_available() and distributed.is_initialized()


def _on_gpus() -> bool:
    from torch import distributed

    return "nccl" in distributed.get_backend_config()


def _device(devices: int) -> int:
    """The number of the GPU of this process: processes may share one where they use the CPU."""
    return int(os.environ.get("LOCAL_RANK", "0")) % devices


@contextmanager
def _talking() -> Iterator[None]:
    """Say of a failure of torch's that another process is the likeliest cause."""
    try:
        yield
    except RuntimeError as error:
        reason = (str(error).strip() or "no message").splitlines()[0].split(". ")[0]
        raise LostProcessError(
            f"another of {started().number} processes has ended, or cannot be reached ({reason})"
        ) from error
