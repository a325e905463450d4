"""What takes the time of a captured update: `python benchmarks/profiled.py [WORKLOAD WAY]`.

The kernels of captured updates of M2 by the time that they take themselves, from torch's profiler,
which slows short kernels down a little; those below 1 % are one row. Without arguments it is each
workload and way that misses a target above. The names of kernels that the compiler has made begin
with `cpp_fused` or `triton`, and say what they fuse; the matrix products are `mm`, `addmm` and
`bmm`. MB are the tensors that go into a call and come out of it, which is told of torch's own
operations in float32 alone.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from measure import DEVICE, machine, wait
from results import Row, Rows, Section, read, record, table
from targets import BF16, BF16_TOP3, CAPTURED, IN_BF16, TOP3, misses
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from workloads import WORKLOADS, m2, made_up, step

from pyro_ssvae.engine.precision import Precision

WAYS: dict[str, tuple[int | None, Precision]] = {
    CAPTURED: (None, "fp32"), BF16: (None, "bf16"), TOP3: (3, "fp32"), BF16_TOP3: (3, "bf16"),
}
LEAST = 0.01  # the share of a kernel with a row of its own
LONGEST = 60  # characters of a name
CALL = "## Call CompiledFxGraph"  # the compiled program itself, without its kernels
VIEWS = ("aten::as_strided", "aten::view", "aten::expand", "aten::t", "aten::transpose")
COLUMNS = {"kernel": "", "calls": ".1f", "ms": ".3f", "share": ".0%", "MB": ".2f"}


def update(workload: str, way: str) -> Callable[[], object]:
    """A captured update whose compiled kernels the profiler knows."""
    (sizes,) = (each for each in WORKLOADS if each.name == workload)
    top, precision = WAYS[way]
    torch.manual_seed(0)
    call = partial(step(m2(sizes, top), "on", precision), made_up(sizes))
    with torch._inductor.config.patch({"cpp.enable_kernel_profile": True}):
        call()
    return call


def kernels(call: Callable[[], object], updates: int) -> Iterator[tuple[str, float, float | None]]:
    """The name, the milliseconds and the MB of every kernel of some updates."""
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if DEVICE.type == "cuda" else [])]
    with profile(activities=kinds, record_shapes=True) as profiler:
        for _ in range(updates):
            call()
        wait()
    for event in profiler.events():
        if DEVICE.type == "cuda":
            if event.device_type == DeviceType.CUDA:
                yield event.name, event.self_device_time_total / 1e3, None
        elif event.self_cpu_time_total:
            yield event.name, event.self_cpu_time_total / 1e3, megabytes(event)


def megabytes(event: Any) -> float | None:
    """The size of the tensors that an event was called with, None where that is not told."""
    shapes = [shape for shape in event.input_shapes or () if shape and event.name not in VIEWS]
    return sum(4 * math.prod(shape) for shape in shapes) / 1e6 if shapes else None


def shown(name: str) -> str:
    """The name of a kernel as the table has it."""
    if name.startswith(CALL):
        return "calls of kernels, by the compiled program"
    name = name.removeprefix("aten::").removeprefix("graph_0_").replace("|", "/")
    return f"`{name if len(name) <= LONGEST else name[:LONGEST] + '...'}`"


def measured(workload: str, way: str, updates: int) -> list[Row]:
    """A row for each kernel, by the time of it in an update, and one for what is left."""
    call = update(workload, way)
    for _ in range(3):
        call()
    spent: dict[str, list[float]] = defaultdict(list)
    moved: dict[str, list[float]] = defaultdict(list)
    for called, ms, mb in kernels(call, updates):
        name = shown(called)
        spent[name].append(ms)
        moved[name] += [] if mb is None else [mb]
    whole = sum(map(sum, spent.values()))
    rows: list[Row] = []
    for name, times in sorted(spent.items(), key=lambda item: -sum(item[1])):
        row: Row = {
            "kernel": name, "calls": len(times) / updates, "ms": sum(times) / updates,
            "share": sum(times) / whole, "MB": sum(moved[name]) / updates or None,
        }
        if way in IN_BF16:
            row["MB"] = None  # the profiler tells shapes and no types
        if row["share"] >= LEAST:
            rows.append(row)
    left = {"kernel": "all others", "ms": whole / updates - sum(row["ms"] for row in rows),
            "share": 1 - sum(row["share"] for row in rows)}
    return [{"workload": workload, "way": way, **row} for row in (*rows, left)]


def tables(rows: Rows) -> str:
    """A table of each workload and way."""
    parts = []
    for workload, way in dict.fromkeys((row["workload"], row["way"]) for row in rows):
        own = [row for row in rows if (row["workload"], row["way"]) == (workload, way)]
        parts += [f"{workload}, {way}: {sum(row['ms'] for row in own):.2f} ms an update",
                  table(own, COLUMNS)]
    return "\n\n".join(parts)


SECTION = Section("profiled", "What takes the time, `profiled.py`", str(__doc__), tables)


def main(asked: list[tuple[str, str]], updates: int) -> None:
    """Measure what is asked for, or what misses a target; print and record."""
    print(machine(), flush=True)
    found = read(DEVICE.type)
    missed = misses(found["updates"]["rows"]) if "updates" in found else []
    rows = [row for each in asked or missed for row in measured(*each, updates)]
    print(tables(rows))
    record(SECTION.name, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("workload", nargs="?", choices=[each.name for each in WORKLOADS])
    parser.add_argument("way", nargs="?", choices=list(WAYS), default=CAPTURED)
    parser.add_argument("--updates", type=int, default=50)
    given = parser.parse_args()
    main([(given.workload, given.way)] if given.workload else [], given.updates)
