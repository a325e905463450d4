"""Times that compare fairly, memory, matrix products alone, and what machine it was."""

from __future__ import annotations

import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils._python_dispatch import TorchDispatchMode

from pyro_ssvae.system.memory import keep_freed

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler tells of its every start
keep_freed()  # before Pyro is imported

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
PAUSE = 0.02  # seconds before a way's turn
UNCOUNTED = 2  # calls at its beginning


def alternating(
    ways: Mapping[str, Callable[[], object]], rounds: int, burst: int
) -> dict[str, list[float]]:
    """Milliseconds of each way, round by round: a median over a burst of calls.

    All ways take their turn in every round, so that what slows the machine down for a while slows
    all of them, and ratios within a round compare. The threads of OpenMP and of JAX spin for some
    milliseconds after a call, on the processors that the next way needs: a turn begins with a
    pause, and with calls that are not counted.

    Args:
        ways: The calls by name, warmed up.
        rounds: The number of turns of each way.
        burst: The number of counted calls in a turn.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, call in ways.items():
            time.sleep(PAUSE)
            for _ in range(UNCOUNTED):
                call()
            times[name].append(statistics.median(milliseconds(call) for _ in range(burst)))
    return times


def milliseconds(call: Callable[[], object]) -> float:
    """Time of one call, which is done when the device has done it."""
    wait()
    began = time.perf_counter()
    call()
    wait()
    return 1e3 * (time.perf_counter() - began)


def wait() -> None:
    """Wait for a GPU, where there is one."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def ratios(times: Mapping[str, list[float]], way: str, peers: Iterable[str]) -> dict[str, float]:
    """A way's time over each peer's: the median of the ratios within a round."""
    return {
        peer: statistics.median(a / b for a, b in zip(times[way], times[peer], strict=True))
        for peer in peers
    }


def peak_mb(call: Callable[[], object]) -> float | None:
    """The most memory, in 10^6 bytes, that tensors on the CPU take beyond what lived before.

    From the profiler's record of what torch allocates and frees, by compiled code too; what
    libraries take on their own, as for packed operands of a matrix product, is not in it. Nor is
    the end of what lived before the record: there are two calls, and the second is measured. None
    on a GPU, where what a CUDA graph takes is not told apart.
    """
    if DEVICE.type == "cuda":
        return None
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
        with record_function("measured"):
            call()
    held = before = peak = 0
    for event in sorted(profiler.profiler.kineto_results.events(), key=lambda e: e.start_ns()):
        if event.name() == "measured":
            before = peak = held
        elif event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return (peak - before) / 1e6


def host_syncs(call: Callable[[], object]) -> int | None:
    """How often a call waits for the GPU; None without one."""
    if DEVICE.type != "cuda":
        return None
    wait()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            call()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing CUDA operation" in str(warning.message) for warning in told)


def matrix_products(update: Callable[[], object]) -> Callable[[], object]:
    """The matrix products and convolutions of an eager update and nothing else.

    Their operands are others, of the same strides. On a GPU they are one CUDA graph.
    """
    with _Products() as seen:
        update()

    def step() -> None:
        for product in seen.products:
            product()

    if DEVICE.type == "cpu":
        return step
    graph = _recorded(step)
    return lambda operands=seen: graph.replay()  # which goes on to read them


def product_bytes(update: Callable[[], object]) -> int:
    """The bytes of the operands and results of those products, each counted once a product."""
    with _Products() as seen:
        update()
    return seen.bytes


def bf16_instructions() -> bool:
    """Whether the device multiplies matrices of bfloat16 itself."""
    return DEVICE.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def machine() -> str:
    """The GPU if there is one, the processor, its cores, and the versions of what ran on it."""
    packages = ("pyro-ssvae", "torch", "pyro-ppl", "jax", "numpyro")
    parts = [
        *([torch.cuda.get_device_name()] if DEVICE.type == "cuda" else []),
        _processor(), f"{len(os.sched_getaffinity(0))} cores",
        f"torch's threads: {torch.get_num_threads()}",
        *(f"{name} {_version(name)}" for name in packages), f"Python {platform.python_version()}",
    ]
    return ", ".join(parts)


class _Products(TorchDispatchMode):
    """Collects the matrix products of what runs within, on random operands of its own."""

    PLACES = {"mm": 0, "bmm": 0, "addmm": 1, "baddbmm": 1}
    CONVOLUTIONS = ("convolution", "convolution_backward")

    def __init__(self) -> None:
        super().__init__()
        self.products: list[Callable[[], object]] = []
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in self.PLACES:
            place = self.PLACES[name]
            operands = [_like(tensor) for tensor in args[place:place + 2]]
            product = torch.mm if operands[0].dim() == 2 else torch.bmm
            out = torch.empty_like(result)
            self.products.append(lambda: product(*operands, out=out))
        elif name in self.CONVOLUTIONS:
            given = [_like(each) if isinstance(each, Tensor) else each for each in args]
            operands = [each for each in given if isinstance(each, Tensor)]
            self.products.append(lambda: func(*given))
        else:
            return result
        results = result if isinstance(result, tuple) else (result,)
        self.bytes += sum(t.nbytes for t in (*operands, *results) if t is not None)
        return result


def _like(tensor: Tensor) -> Tensor:
    """A tensor of the same shape, strides and type, of other numbers."""
    made = torch.empty_strided(
        tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device
    )
    return made.normal_()


def _recorded(step: Callable[[], object]) -> torch.cuda.CUDAGraph:
    """A step as a CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
