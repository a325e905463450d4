"""Updates as one graph: traced once, compiled or replayed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor

from pyro_ssvae import private
from pyro_ssvae.contract import Batch
from pyro_ssvae.engine.adam import FusedAdam
from pyro_ssvae.engine.graphs import Function, Recorded
from pyro_ssvae.engine.outcome import Outcome, to_skip
from pyro_ssvae.engine.precision import Precision
from pyro_ssvae.engine.program import CaptureError, constants, inputs, scalars
from pyro_ssvae.engine.shared import PROGRAMS
from pyro_ssvae.engine.sums import summed
from pyro_ssvae.inference import shares
from pyro_ssvae.inference.objective import Loss, Objective
from pyro_ssvae.system import processes


class Captured:
    """An update of an objective for batches of one shape, as one graph.

    Pyro's program runs once, while it is traced; what is left is its arithmetic, which inductor
    compiles, or torch's interpreter replays. Objectives that differ in weights alone share it, see
    :mod:`pyro_ssvae.engine.shared`. The step of a fused Adam follows as one more operation, torch's
    own: inductor's would be slower. A GPU replays all of it as one CUDA graph. Noise is drawn anew
    at every call, from torch's generator and in the program's order, so that captured and eager
    training see the same. The epoch, the learning rate and the weights are inputs: schedules go on
    without a new capture. Everything else is a constant, and :meth:`lasts` tells whether it still
    holds. Nothing waits for a GPU.

    Args:
        objective: The objective, in the mode, on the device and with the options to capture it
            with.
        optimizer: The optimizer of the objective's parameters.
        batch: A batch of the shape to capture it for.
        precision: The precision of matrix products, ``"fp32"`` or ``"bf16"``.
        compile: Whether to compile the graph. Without, it is replayed as traced, which takes no
            compiler, and a third of the time of eager updates where networks are small.
        record: Whether a GPU records it.
        beside: An update of the objective for batches of another shape, of which this one shares
            the step of the optimizer.

    Attributes:
        program: The program that was traced.
        adam: The optimizer's step within the graph. None leaves it to the caller, as that of any
            other optimizer.

    Raises:
        CaptureError: if the program branches on values, there is no C++ compiler, a GPU cannot
            record it, or it learns other parameters than the one beside it.
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        batch: Batch,
        *,
        precision: Precision = "fp32",
        compile: bool = True,
        record: bool = True,
        beside: Captured | None = None,
    ) -> None:
        self.objective, self.optimizer = objective, optimizer
        with processes.in_turn():  # a compiler's cache is filled by one, and read by the others
            self.program, self.graph = PROGRAMS.function(
                objective, batch, precision=precision, compile=compile
            )
        if beside is None:
            self.adam = FusedAdam.of(optimizer, self.program.learnt)
        else:
            self.adam = beside.adam
            if any(a is not b for a, b in zip_longest(self.program.learnt, beside.program.learnt)):
                raise CaptureError("batches of another shape learn other parameters")
        self.numbers = Numbers(2 + len(self.program.weights), batch.x)
        self.share = shares.current()
        self.run: Function = self._update
        if record and batch.x.is_cuda:
            tensors = [*self.program.state, *batch.tensors, *self.numbers.tensors]
            averages = [] if self.adam is None else self.adam.state
            self.run = Recorded(self._update, tensors, [*self.program.state, *averages])
        self.constants = self._constants()

    def __call__(self, batch: Batch, epoch: float) -> Outcome:
        """The outcome of a batch, ``epoch`` epochs done, and the update that it asks for.

        A loss or a gradient that is not finite moves nothing. Without :attr:`adam` the gradients
        are set.
        """
        weights = (self.objective.weights[name] for name in self.program.weights)
        self.numbers(epoch, *weights, self.optimizer.param_groups[0]["lr"])
        outputs = self.run(*self.program.state, *batch.tensors, *self.numbers.tensors)
        outcome, gradients, _ = self.program.split(outputs)
        for parameter, gradient in zip(self.program.learnt, gradients):  # none after Adam's step
            parameter.grad = gradient
        return outcome

    def fits(self, batch: Batch) -> bool:
        """Whether it is for batches of this shape, and the objective still has its terms."""
        same = [part.shape for part in batch.tensors] == self.program.shapes
        same = same and shares.current() == self.share
        return same and inputs(self.objective) == self.program.weights

    def lasts(self) -> bool:
        """Whether all is as it was captured that is no input: it takes a millisecond or two.

        What a program is made of is not read again while it is replayed: settings such as the
        temperature of a guide's labels, the parameters that are trained, hooks, the optimizer and
        its state.
        """
        return self.constants == self._constants()

    def _constants(self) -> Any:
        tensors, groups = [*self.objective.parameters(), *self.objective.buffers()], []
        if self.adam is not None:
            for parameter in self.program.learnt:
                tensors += self.optimizer.state[parameter].values()
            groups = [
                {name: value for name, value in group.items() if name not in ("params", "lr")}
                for group in self.optimizer.param_groups
            ]
        hooks = private.has_hooks(self.optimizer)
        return constants(self.objective), groups, hooks, [each.data_ptr() for each in tensors]

    def _update(self, *tensors: Tensor) -> Sequence[Tensor]:
        outputs = self.graph(*tensors[:-1])
        if self.share is not None:
            outputs = self._summed(outputs)
        if self.adam is None:
            return outputs
        outcome, gradients, broken = self.program.split(outputs)
        lr = tensors[-1]
        if lr.is_cuda:
            lr = lr.float()  # that is the type torch's kernel reads there
        self.adam(list(tensors[:len(gradients)]), gradients, lr=lr, broken=broken)
        return [outcome.total, *outcome.terms.values(), outcome.finite, broken]

    def _summed(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        """What the graph returns, summed over the processes that have shares of the batch."""
        share, gradients, _ = self.program.split(outputs)
        outcome = Outcome.of(summed(Loss(share.total, share.terms), gradients), gradients)
        numbers = [outcome.total, *outcome.terms.values()]
        return [*numbers, *gradients, outcome.finite, to_skip(outcome.finite)]


class Numbers:
    """Numbers held in tensors, which are written to when one changes."""

    def __init__(self, number: int, like: Tensor) -> None:
        self.tensors, self.values = scalars(number, like), [0.0] * number

    def __call__(self, *values: float | Tensor) -> None:
        for i, (old, new) in enumerate(zip(self.values, values, strict=True)):
            if isinstance(new, Tensor):  # it may have been changed in place
                self.tensors[i].copy_(new)
            elif new != old:
                self.values[i] = new
                self.tensors[i].fill_(new)  # an argument of a kernel: no wait, unlike a copy
