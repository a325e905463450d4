"""Functions of tensors made fast: replayed, compiled by inductor, recorded as CUDA graphs."""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor

from pyro_ssvae import private
from pyro_ssvae.engine.cheaper import cheaper
from pyro_ssvae.engine.program import CaptureError, reason
from pyro_ssvae.system import processes

Function = Callable[..., Sequence[Tensor]]


def replayed(graph: torch.fx.GraphModule, inputs: Sequence[Tensor]) -> Function:
    """A graph replayed for inputs like these, which are left alone, with no compiler.

    Its operations are those of the graph, and give the same to the last bit, without Python between
    them: torch's own interpreter runs them. Python does where there is one that it does not know.
    """
    copies = tuple(tensor.clone() for tensor in inputs)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is deprecated for what compiles
            run = torch.jit.trace(lambda *given: tuple(graph(*given)), copies, check_trace=False)
    except RuntimeError:
        return graph

    def function(*tensors: Tensor) -> Sequence[Tensor]:
        # Which would fuse operations, and round otherwise.
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            return run(*tensors)

    return function


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
        with _quiet_without_gpu():
            return private.compiled_by_inductor(cheaper(graph), inputs)
    except Exception as error:
        raise CaptureError(reason(error)) from error


@contextmanager
def _quiet_without_gpu() -> Iterator[None]:
    """Without torch's warning of a CUDA toolkit and no GPU, which a CPU is compiled for without."""
    logger = logging.getLogger("torch.utils.cpp_extension")

    def wanted(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("No CUDA runtime is found")

    logger.addFilter(wanted)
    try:
        yield
    finally:
        logger.removeFilter(wanted)


class Recorded:
    """A function of tensors recorded as a CUDA graph.

    Args:
        function: A function of tensors that stay on the GPU throughout.
        tensors: The function's arguments. Copies of them are kept, but for those in ``state``.
        state: The tensors that the function changes in place, arguments or not. They are as before
            when it is recorded.
        generators: The generators that the function draws from, beside torch's own.

    Raises:
        CaptureError: if the GPU cannot record it, whatever the cause. State and generators are as
            they were then too.
    """

    def __init__(
        self,
        function: Function,
        tensors: Sequence[Tensor],
        state: Sequence[Tensor],
        *,
        generators: Sequence[torch.Generator] = (),
    ) -> None:
        changed = {tensor.data_ptr() for tensor in state}
        self.tensors = [t if t.data_ptr() in changed else t.clone() for t in tensors]
        device = tensors[0].device
        try:
            with _restored(state, generators, device):
                stream = self._warm_up(function, device)
                self._record(function, generators, stream)
        except Exception as error:
            first = error.__context__  # what ends a recording that has failed fails as well
            cause = first if isinstance(first, Exception) else error
            raise CaptureError(f"the GPU cannot record it: {reason(cause)}") from error

    def _warm_up(self, function: Function, device: torch.device) -> torch.cuda.Stream:
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(3):
                function(*self.tensors)
        torch.cuda.current_stream(device).wait_stream(stream)
        return stream

    def _record(
        self, function: Function, generators: Sequence[torch.Generator], stream: torch.cuda.Stream
    ) -> None:
        self.graph = torch.cuda.CUDAGraph()
        for generator in generators:
            self.graph.register_generator_state(generator)
        # Torch's own stream is one of the first GPU that was recorded on. What other threads do,
        # such as those that pin memory, is no part of the recording, and does not end it.
        with torch.cuda.graph(self.graph, stream=stream, capture_error_mode="thread_local"):
            self.outputs = function(*self.tensors)
        processes.end_with_group(self.graph)

    def __call__(self, *tensors: Tensor) -> list[Tensor]:
        """What the function returns, computed by the recorded kernels."""
        for kept, new in zip(self.tensors, tensors):
            if kept.data_ptr() != new.data_ptr():
                kept.copy_(new)
        self.graph.replay()
        return [output.clone() for output in self.outputs]


@contextmanager
def _restored(
    state: Sequence[Tensor], generators: Sequence[torch.Generator], device: torch.device
) -> Iterator[None]:
    tensors = [tensor.clone() for tensor in state]
    drawn = [generator.get_state() for generator in generators]
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            with _sound(generators, device) if device.type == "cuda" else nullcontext():
                yield
    finally:
        for tensor, before in zip(state, tensors):
            tensor.copy_(before)
        for generator, position in zip(generators, drawn):
            generator.set_state(position)


@contextmanager
def _sound(generators: Sequence[torch.Generator], device: torch.device) -> Iterator[None]:
    """Put back what a recording that fails leaves behind: its stream, generators that record."""
    drawn_from = [*generators, torch.cuda.default_generators[device.index]]
    clean = [generator.clone_state() for generator in drawn_from]
    try:
        with torch.cuda.stream(torch.cuda.current_stream(device)):
            yield
    except BaseException:
        for generator, before in zip(drawn_from, clean):
            generator.graphsafe_set_state(before)
        raise
