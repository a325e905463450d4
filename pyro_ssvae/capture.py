"""Updates as one graph: traced once, compiled, and replayed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from pyro_ssvae.data import Batch
from pyro_ssvae.objective import Loss, Objective
from pyro_ssvae.precision import Precision
from pyro_ssvae.program import CaptureError, inputs, reason, scalar_tensors, trace

__all__ = ["CaptureError", "Captured", "Recorded", "compiled"]

Function = Callable[..., Sequence[Tensor]]


class Captured:
    """An update of an objective for batches of one shape, as one graph.

    Pyro's program runs once, while it is traced; what is left is its arithmetic, which inductor
    compiles and a GPU replays as a CUDA graph. Noise is drawn anew at every call, from torch's
    generator and in the program's order, so that captured and eager training see the same. The
    epoch, the learning rate and the weights are inputs: schedules go on without a new capture.
    Nothing waits for a GPU.

    Args:
        objective, optimizer, batch, precision: as for :func:`pyro_ssvae.program.trace`.
        compile: False replays the graph as traced, which costs no compiler and wins little.

    Attributes:
        program: what was traced.

    Raises:
        CaptureError: if the program branches on values, or there is no C++ compiler.
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        batch: Batch,
        *,
        precision: Precision = "fp32",
        compile: bool = True,
    ) -> None:
        self.objective, self.optimizer = objective, optimizer
        self.program = trace(objective, optimizer, batch, precision=precision)
        self.scalars = Scalars(self.program.scalars, self.program.state[0])
        tensors = [*self.program.state, *batch, *self.scalars.tensors]
        self.run: Function = self.program.graph
        if compile:
            self.run = compiled(self.program.graph, tensors)
        if compile and batch.x.is_cuda:
            self.run = Recorded(self.run, tensors, changed=len(self.program.state))

    def __call__(self, batch: Batch, epoch: float) -> Loss:
        """The loss of a batch, ``epoch`` epochs done; the parameters move, if the program is whole.

        Otherwise their gradients are set, and the optimizer's step is left to the caller.
        """
        names = self.program.scalars[2:]
        self.scalars(
            epoch, self.optimizer.param_groups[0]["lr"],
            *(getattr(self.objective, name) for name in names),
        )
        outputs = self.run(*self.program.state, *batch, *self.scalars.tensors)
        if not self.program.whole:
            self.optimizer.zero_grad()
            for parameter, gradient in zip(self.program.learnt, self.program.gradients(outputs)):
                parameter.grad = gradient
        return self.program.loss(outputs)

    def fits(self, batch: Batch) -> bool:
        """Whether it is for batches of this shape, and the objective still has its terms."""
        same = [part.shape for part in batch] == self.program.shapes
        return same and inputs(self.objective) == self.program.scalars[2:]


class Scalars:
    """Numbers held in tensors, which are written to when a number changes."""

    def __init__(self, names: Sequence[str], like: Tensor) -> None:
        self.tensors = scalar_tensors(names, like)
        self.values: list[float] = [0.0] * len(self.tensors)

    def __call__(self, *values: float) -> None:
        for i, (old, new) in enumerate(zip(self.values, values, strict=True)):
            if new != old:
                self.values[i] = new
                self.tensors[i].fill_(new)  # an argument of a kernel: no wait, unlike a copy


def compiled(graph: torch.fx.GraphModule, inputs: Sequence[Tensor]) -> Function:
    """A graph compiled by inductor, for inputs like these, which are left alone.

    Torch caches what it has compiled on disk: a graph compiled before, in any process, takes the
    time of tracing it.

    Raises:
        CaptureError: if there is no compiler, or it fails.
    """
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        raise CaptureError("there is no C++ compiler to compile it with")
    try:
        # With inductor's own generator the noise would be another than the eager program's.
        with torch.no_grad(), torch._inductor.config.patch(fallback_random=True):
            return torch._inductor.standalone_compile(
                graph, list(inputs), dynamic_shapes="from_example_inputs"
            )
    except Exception as error:
        raise CaptureError(reason(error)) from error


class Recorded:
    """A function of tensors recorded as a CUDA graph.

    Args:
        function: of tensors that stay on the GPU throughout.
        inputs: its arguments. The first ``changed`` are changed in place, here as by the
            function; of the others, copies are kept.
        changed: how many arguments the function changes.
        generators: that the function draws from, beside torch's own.
    """

    def __init__(
        self,
        function: Function,
        inputs: Sequence[Tensor],
        *,
        changed: int,
        generators: Iterable[torch.Generator] = (),
    ) -> None:
        self.inputs = [*inputs[:changed], *(tensor.clone() for tensor in inputs[changed:])]
        before = [tensor.clone() for tensor in self.inputs[:changed]]
        generators = list(generators)
        states = [generator.get_state() for generator in generators]
        device = self.inputs[0].device
        with torch.random.fork_rng(devices=[device]):
            stream = torch.cuda.Stream(device)
            stream.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(stream):
                for _ in range(3):
                    function(*self.inputs)
            torch.cuda.current_stream(device).wait_stream(stream)
            self.graph = torch.cuda.CUDAGraph()
            for generator in generators:
                self.graph.register_generator_state(generator)
            with torch.cuda.graph(self.graph):
                self.outputs = function(*self.inputs)
        for tensor, value in zip(self.inputs, before):
            tensor.copy_(value)
        for generator, state in zip(generators, states):
            generator.set_state(state)

    def __call__(self, *inputs: Any) -> list[Tensor]:
        """What the function returns, computed by the recorded kernels."""
        for kept, new in zip(self.inputs, inputs):
            if kept.data_ptr() != new.data_ptr():
                kept.copy_(new)
        self.graph.replay()
        return [output.clone() for output in self.outputs]
