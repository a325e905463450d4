"""Programs that objectives of equal settings share: traced and compiled once a process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from pyro_ssvae.contract import Batch
from pyro_ssvae.engine.graphs import Function, compiled, replayed
from pyro_ssvae.engine.noise import Noise, lifted
from pyro_ssvae.engine.precision import Precision
from pyro_ssvae.engine.program import CaptureError, Program, constants, reason, scalars, trace
from pyro_ssvae.engine.rows import noise_by_rows
from pyro_ssvae.inference import shares
from pyro_ssvae.inference.objective import Objective


@dataclass(frozen=True)
class _Shared:
    """A program that was made of one objective, without its weights, and what it holds for.

    Attributes:
        conditions: What it holds for.
        program: The program, without tensors.
        learnt: The names of the parameters that have a gradient.
        buffers: The names of the buffers.
        functions: What computes it, with a compiler and without.
    """

    conditions: Any
    program: Program
    learnt: list[str]
    buffers: list[str]
    functions: dict[bool, Function] = field(default_factory=dict)


class Programs:
    """The programs of late, for objectives that differ in weights and in their numbers alone.

    Runs of a study differ in their seeds, their splits and the weights of their losses. What Pyro
    makes of them is one program, of other tensors. It is traced and compiled for the first run.

    Args:
        number: The number of programs that are kept, those of the latest use.
    """

    def __init__(self, number: int = 8) -> None:
        self.kept: deque[_Shared] = deque(maxlen=number)

    def program(self, objective: Objective, batch: Batch, *, precision: Precision) -> Program:
        """The program of an objective.

        Args:
            objective: The objective, as for :func:`pyro_ssvae.engine.program.trace`.
            batch: A batch of the shape that the program is for.
            precision: The precision of matrix products.

        Raises:
            CaptureError: As :func:`pyro_ssvae.engine.program.trace`.
        """
        return _with_tensors(self._shared(objective, batch, precision), objective)

    def function(
        self, objective: Objective, batch: Batch, *, precision: Precision, compile: bool
    ) -> tuple[Program, Function]:
        """The program of an objective, and the function that computes it.

        Args:
            objective: The objective, as for :meth:`program`.
            batch: A batch of the shape that the program is for.
            precision: The precision of matrix products.
            compile: Whether to compile the program; else it is replayed as it was traced.

        Raises:
            CaptureError: As :meth:`program`, or if there is no compiler.
        """
        shared = self._shared(objective, batch, precision)
        program = _with_tensors(shared, objective)
        if compile not in shared.functions:
            numbers = scalars(1 + len(program.weights), batch.x)
            tensors = [*program.state, *batch.tensors, *numbers]
            make = compiled if compile else replayed
            shared.functions[compile] = _function(program.graph, tensors, make)
        return program, shared.functions[compile]

    def _shared(self, objective: Objective, batch: Batch, precision: Precision) -> _Shared:
        try:
            conditions = _conditions(objective, batch), precision
        except Exception as error:  # of a user's object that does not let itself be read
            raise CaptureError(f"its settings cannot be read: {reason(error)}") from error
        for shared in self.kept:
            if shared.conditions == conditions:
                self.kept.remove(shared)
                break
        else:
            program = trace(objective, batch, precision=precision)
            shared = _without_tensors(conditions, program, objective)
        self.kept.append(shared)
        return shared


PROGRAMS = Programs()


def _conditions(objective: Objective, batch: Batch) -> Any:
    """What a program holds for: equal conditions make equal programs."""
    tensors = [
        (name, tensor.stride(), tensor.device, tensor.requires_grad)
        for name, tensor in _named(objective).items()
    ]
    parts = [(part.shape, part.stride(), part.dtype, part.device) for part in batch.tensors]
    return constants(objective), tensors, parts, shares.current()


def _named(objective: Objective) -> dict[str, Any]:
    return dict(objective.named_parameters()) | dict(objective.named_buffers())


def _without_tensors(conditions: Any, program: Program, objective: Objective) -> _Shared:
    names = {id(tensor): name for name, tensor in _named(objective).items()}
    learnt, buffers = (
        [names[id(tensor)] for tensor in tensors] for tensors in (program.learnt, program.buffers)
    )
    return _Shared(conditions, replace(program, learnt=[], buffers=[]), learnt, buffers)


def _with_tensors(shared: _Shared, objective: Objective) -> Program:
    tensors = _named(objective)
    return replace(
        shared.program,
        learnt=[tensors[name] for name in shared.learnt],
        buffers=[tensors[name] for name in shared.buffers],
    )


def _function(
    graph: torch.fx.GraphModule,
    tensors: Sequence[Tensor],
    make: Callable[[torch.fx.GraphModule, Sequence[Tensor]], Function],
) -> Function:
    """What computes a graph, for tensors like these, with its noise drawn before it.

    Inductor may draw in another order than the program: up to torch 2.12 always (PyTorch issue
    181136), later to save memory (192635). Noise that depends on parameters is left to it.
    """
    devices = [tensors[0].device] if tensors[0].is_cuda else []
    with torch.random.fork_rng(devices=devices), shares.without_sums():
        try:
            graph, noises = lifted(graph)
        except CaptureError:
            if shares.current() is None:
                return make(graph, tensors)
            if make is compiled:  # noise of other rows depends on other processes
                raise
            return _by_rows(graph)
        run = make(graph, [*tensors, *_drawn(noises)])
    return lambda *given: run(*given, *_drawn(noises))


def _by_rows(graph: Function) -> Function:
    """The graph as it was traced, which draws its own noise."""
    def function(*tensors: Tensor) -> Sequence[Tensor]:
        with noise_by_rows():
            return graph(*tensors)

    return function


def _drawn(noises: Sequence[Noise]) -> Iterator[Tensor]:
    with noise_by_rows():
        for noise in noises:
            tensor = noise.empty(1)[0]
            noise.fill(tensor, None)
            yield tensor
