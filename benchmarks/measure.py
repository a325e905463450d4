"""Times that compare fairly, memory, matrix products alone, and what machine it was."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils._python_dispatch import TorchDispatchMode

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler tells of its every start

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
    """Time of one call."""
    began = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - began)


def ratios(times: Mapping[str, list[float]], way: str, peers: Iterable[str]) -> dict[str, float]:
    """A way's time over each peer's: the median of the ratios within a round."""
    return {
        peer: statistics.median(a / b for a, b in zip(times[way], times[peer], strict=True))
        for peer in peers
    }


def peak_mb(call: Callable[[], object]) -> float:
    """The most memory, in 10^6 bytes, that tensors on the CPU take beyond what lived before.

    From the profiler's record of what torch allocates and frees, by compiled code too; what
    libraries take on their own, as for packed operands of a matrix product, is not in it. Nor is
    the end of what lived before the record: there are two calls, and the second is measured.
    """
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


def matrix_products(update: Callable[[], object]) -> Callable[[], None]:
    """The matrix products of an eager update and nothing else, on operands of the same strides."""
    with _Products() as seen:
        update()

    def step() -> None:
        for product, operands, out in seen.products:
            product(*operands, out=out)

    return step


def machine() -> str:
    """The processor, its cores, and the versions of what ran on it."""
    packages = ("torch", "pyro-ppl", "jax", "numpyro")
    versions = ", ".join(f"{name} {_version(name)}" for name in packages)
    return f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {versions}"


class _Products(TorchDispatchMode):
    """Collects the matrix products of what runs within, on random operands of its own."""

    PLACES = {"mm": 0, "bmm": 0, "addmm": 1, "baddbmm": 1}

    def __init__(self) -> None:
        super().__init__()
        self.products: list[tuple[Callable[..., Tensor], list[Tensor], Tensor]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        place = self.PLACES.get(func.overloadpacket.__name__)
        if place is not None:
            operands = [torch.empty_strided(a.shape, a.stride()).normal_()
                        for a in args[place:place + 2]]
            product = torch.mm if operands[0].dim() == 2 else torch.bmm
            self.products.append((product, operands, torch.empty_like(result)))
        return result


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
