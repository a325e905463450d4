"""Updates as one graph: an objective's loss and gradients traced once, compiled, and replayed."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import pyro
import torch
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from pyro_ssvae.data import Batch
from pyro_ssvae.objective import Loss, Objective
from pyro_ssvae.precision import Precision, matrix_products


class CaptureError(RuntimeError):
    """An objective cannot be captured; the message says why."""


class Captured:
    """The loss and the gradients of an objective for batches of one shape, as one graph.

    Pyro's program runs once, while it is traced; what is left is its arithmetic. On the CPU the
    graph is compiled by inductor, on a GPU it is replayed as a CUDA graph. Noise is drawn anew at
    every call, from torch's generator and in the program's order, so that captured and eager
    training see the same. The epoch is an input: schedules go on without a new capture.

    Args:
        objective: in the mode, on the device and with the options to capture it with.
        batch: of the shape to capture it for.
        precision: of matrix products, ``"fp32"`` or ``"bf16"``.
        compile: False replays the graph as traced, which costs no compiler and wins little.

    Raises:
        CaptureError: if the program branches on values, or there is no C++ compiler.
    """

    def __init__(
        self,
        objective: Objective,
        batch: Batch,
        *,
        precision: Precision = "fp32",
        compile: bool = True,
    ) -> None:
        self.parameters = list(objective.parameters())
        self.shapes = [part.shape for part in batch]
        epoch = torch.zeros((), device=batch.x.device)
        with _unchanged(objective, batch.x.device):
            with matrix_products(precision):
                graph = self._trace(objective, batch, epoch)
            self.graph: Callable[..., Any] = graph
            if compile and batch.x.is_cuda:
                self.graph = _CudaGraph(graph, [self._values(), *batch, epoch])
            elif compile:
                self.graph = self._compile(graph, batch, epoch)

    def __call__(self, batch: Batch, epoch: float) -> Loss:
        """The loss of a batch; the gradients of the parameters are set, not added."""
        at = torch.as_tensor(epoch, dtype=torch.float32, device=batch.x.device)
        total, terms, gradients = self.graph(self._values(), *batch, at)
        for parameter, gradient in zip(self.parameters, gradients):
            parameter.grad = gradient
        return Loss(total, terms)

    def fits(self, batch: Batch) -> bool:
        """Whether the batch has the shape that was captured."""
        return [part.shape for part in batch] == self.shapes

    def _values(self) -> list[Tensor]:
        return [parameter.detach() for parameter in self.parameters]

    def _trace(self, objective: Objective, batch: Batch, epoch: Tensor) -> torch.fx.GraphModule:
        def step(
            values: list[Tensor], x: Tensor, y: Tensor, u: Tensor, epoch: Tensor
        ) -> tuple[Tensor, dict[str, Tensor], list[Tensor | None]]:
            values = [value.requires_grad_() for value in values]
            with _parameters_replaced(objective, dict(zip(self.parameters, values))):
                total, terms = objective(Batch(x, y, u), epoch)
            gradients = torch.autograd.grad(total, values, allow_unused=True)
            return total.detach(), terms, list(gradients)

        last = _LastSite()
        try:
            with pyro.validation_enabled(False), warnings.catch_warnings(), last:
                warnings.simplefilter("ignore")
                return make_fx(step)(self._values(), *batch, epoch)
        except Exception as error:  # whatever the tracer met that is no tensor arithmetic
            raise CaptureError(f"{_reason(error)} (after site {last.name!r})") from error

    def _compile(
        self, graph: torch.fx.GraphModule, batch: Batch, epoch: Tensor
    ) -> Callable[..., Any]:
        if not any(map(shutil.which, ("c++", "g++", "clang++"))):
            raise CaptureError("there is no C++ compiler to compile it with")
        try:
            # With inductor's own generator the noise would be another than the eager program's.
            with torch._inductor.config.patch(fallback_random=True):
                compiled = torch.compile(graph, fullgraph=True, dynamic=False)
                compiled(self._values(), *batch, epoch)
        except Exception as error:
            raise CaptureError(_reason(error)) from error
        return compiled


@contextmanager
def _unchanged(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Put buffers, such as the statistics of batch normalisation, and random state back."""
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            for buffer, before in buffers:
                buffer.copy_(before)


class _LastSite(Messenger):
    """Remembers the name of the last sample site."""

    name = ""

    def _pyro_post_sample(self, msg: dict[str, Any]) -> None:
        self.name = msg["name"]


@contextmanager
def _parameters_replaced(
    module: nn.Module, values: Mapping[nn.Parameter, Tensor]
) -> Iterator[None]:
    """Have a module compute with other tensors; torch.func loses parameters of shared modules."""
    places = [
        (part._parameters, name, parameter)
        for part in module.modules()
        for name, parameter in part._parameters.items() if parameter is not None
    ]
    try:
        for parameters, name, parameter in places:
            parameters[name] = cast(nn.Parameter, values[parameter])
        yield
    finally:
        for parameters, name, parameter in places:
            parameters[name] = parameter


class _CudaGraph:
    """A traced graph recorded on a GPU, with its inputs and outputs in fixed memory."""

    def __init__(self, graph: Callable[..., Any], inputs: list[Any]) -> None:
        self.values = inputs[0]  # the parameters, which stay where they are
        self.inputs = [tensor.clone() for tensor in inputs[1:]]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                graph(self.values, *self.inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self.recorded = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.recorded):
            self.outputs = graph(self.values, *self.inputs)

    def __call__(self, values: list[Tensor], *inputs: Tensor) -> Any:
        for fixed, new in zip(self.inputs, inputs):
            fixed.copy_(new)
        self.recorded.replay()
        total, terms, gradients = self.outputs
        return total.clone(), {name: term.clone() for name, term in terms.items()}, gradients


def _reason(error: Exception) -> str:
    text = str(error).strip()
    if "value out of a tracing tensor" in text:
        return "the program branches on the values of a tensor"
    return f"{type(error).__name__}: {text.splitlines()[0] if text else 'no message'}"
