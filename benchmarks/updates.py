"""Time and memory of an update of M2, and of its peers: `python benchmarks/updates.py`.

Three sizes of M2 on made-up data, 100 labelled and 100 unlabelled rows each. Times are medians in
milliseconds, of ways that take turns in one process; ratios are medians of ratios within a round.
MB is the most memory that tensors take during an update. The peers are Pyro's published M2 recipe
(tiled concatenation, separate SVIs, `pyro.optim`), hand-written eager torch, on a GPU the same with
`torch.compile(mode="reduce-overhead")`, and NumPyro under `jax.jit`. "Matrix products" replays
those of our update and nothing else, in the precision and for the classes of the way: what is above
1 in the last column is all else that an update does. Where a processor has no instructions for
bfloat16 it emulates them, and they have no matrix products to compare with. Host syncs, on a GPU,
count how often an update waits for it.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import peers
import torch
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from measure import (
    DEVICE,
    alternating,
    bf16_instructions,
    host_syncs,
    machine,
    matrix_products,
    peak_mb,
    ratios,
)
from peers import Workload
from results import Row, Rows, Section, record, table
from targets import (
    BF16,
    BF16_TOP3,
    CAPTURED,
    COMPILED,
    EAGER,
    FLOOR,
    FLOORS,
    IN_BF16,
    NUMPYRO,
    PEERS,
    PYRO,
    TOP3,
    TORCH,
    TRACED,
    told,
)
from workloads import WORKLOADS, Step, described, m2, made_up, step

from pyro_ssvae.contract import Batch

BURST = 5  # counted updates in a round
TARGETS_ARE = """\
Targets are ratios, at most. "The products alone" is the share of the peer's time that the way's own
matrix products take: no update can take less."""
STYLES: tuple[Any, ...] = ("--", "-.", ":", (0, (1, 4)))  # of the lines of matrix products
SLOW_ROUNDS = 3  # of bfloat16 where the processor has no instructions for it
COLUMNS = {
    "way": "", "ms": ".2f", "MB": ".1f", **{f"to {each}": ".2f" for each in (*PEERS, FLOOR)},
    "host syncs": "d",
}


def ways(workload: Workload) -> dict[str, Step]:
    """All ways to update, by name; NumPyro's only where it is installed."""
    steps: dict[str, Step] = {
        EAGER: step(m2(workload), "off"),
        TRACED: step(m2(workload), "traced"),
        CAPTURED: step(m2(workload)),
        BF16: step(m2(workload), precision="bf16"),
        TOP3: step(m2(workload, top=3)),
        BF16_TOP3: step(m2(workload, top=3), precision="bf16"),
        PYRO: peers.pyro_recipe(workload),
        TORCH: peers.eager_torch(workload),
    }
    if DEVICE.type == "cuda":
        steps[COMPILED] = peers.eager_torch(workload, compile=True)
    try:
        steps[NUMPYRO] = peers.numpyro_jit(workload)
    except ImportError as error:
        print(f"Without NumPyro: {error}; pip install '.[bench]'\n")
    return steps


def floors(workload: Workload, batch: Batch) -> dict[str, Callable[[], object]]:
    """The matrix products alone, by name: of bfloat16 where there are instructions for it."""
    found = {
        FLOOR: step(m2(workload), "off"),
        FLOORS[TOP3]: step(m2(workload, top=3), "off"),
    }
    if bf16_instructions():
        found[FLOORS[BF16]] = step(m2(workload), "off", "bf16")
        found[FLOORS[BF16_TOP3]] = step(m2(workload, top=3), "off", "bf16")
    return {name: matrix_products(partial(update, batch)) for name, update in found.items()}


def measured(workload: Workload, rounds: int) -> list[Row]:
    """The results of all ways for one workload."""
    torch.manual_seed(0)
    batch = made_up(workload)
    steps = ways(workload)
    calls: dict[str, Callable[[], object]] = {
        name: partial(update, batch) for name, update in steps.items()
    }
    for call in calls.values():
        call()
    calls |= floors(workload, batch)
    rivals = [name for name in PEERS if name in calls]
    slow = () if bf16_instructions() else IN_BF16
    quick = alternating({n: c for n, c in calls.items() if n not in slow}, rounds, BURST)
    late = alternating({n: calls[n] for n in (*slow, *rivals)}, SLOW_ROUNDS, 1) if slow else {}
    rows = []
    for name, call in calls.items():
        times, update = late if name in slow else quick, steps.get(name)
        floor = name if name.startswith(FLOOR) else FLOORS.get(name, FLOOR)
        ratio = ratios(times, name, [*rivals, *([floor] if floor in times else [])])
        rows.append({
            "workload": workload.name, "way": name, "ms": statistics.median(times[name]),
            "MB": update.peak_mb() if isinstance(update, peers.Jitted) else peak_mb(call),
            "ratio": {FLOOR if each == floor else each: value for each, value in ratio.items()},
            "host syncs": host_syncs(call) if name in (CAPTURED, *FLOORS) else None,
        })
    return rows


def tables(rows: Rows) -> str:
    """Each workload's results, and the targets."""
    parts = []
    for workload in WORKLOADS:
        own = [
            {**row, **{f"to {each}": value for each, value in row["ratio"].items()}}
            for row in rows if row["workload"] == workload.name
        ]
        parts += [described(workload), table(own, COLUMNS)] if own else []
    return "\n\n".join([*parts, TARGETS_ARE, told(rows)])


def drawn(rows: Rows) -> Figure:
    """A panel for each workload: medians as bars, the matrix products alone as lines.

    Without bfloat16 where the processor has no instructions for it.
    """
    names = list(dict.fromkeys(row["workload"] for row in rows))
    picture = Figure(figsize=(4.2 * len(names), 3.0), layout="constrained")
    panels = picture.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, workload in zip(panels, names):
        median = {row["way"]: row["ms"] for row in rows if row["workload"] == workload}
        for way in IN_BF16:
            if FLOORS[way] not in median:
                median.pop(way, None)
        bars = {way: ms for way, ms in median.items() if not way.startswith(FLOOR)}
        colors = ["tab:gray" if way in PEERS else "tab:blue" for way in bars]
        drawn = axes.barh(list(bars), list(bars.values()), color=colors)
        above_lines = [withStroke(linewidth=3, foreground="white")]
        axes.bar_label(drawn, fmt="%.1f", padding=3, fontsize=8, path_effects=above_lines, zorder=3)
        lines = {
            name: axes.axvline(median[name], color="black", linestyle=style, linewidth=1)
            for name, style in zip((FLOOR, *FLOORS.values()), STYLES)
            if name in median
        }
        axes.set(title=workload, xlabel="update (ms)")
        axes.margins(x=0.15)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].invert_yaxis()
    labels = [f"the {FLOOR} alone{name.removeprefix(FLOOR)}" for name in lines]
    picture.legend(
        list(lines.values()), labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9
    )
    return picture


SECTION = Section("updates", "An update of M2, `updates.py`", str(__doc__), tables, drawn)


def main(rounds: int) -> None:
    """Measure, print and record."""
    print(machine())
    if not bf16_instructions():
        print(f"This processor has no instructions for bfloat16: {SLOW_ROUNDS} rounds of it.")
    rows: list[Row] = []
    for workload in WORKLOADS:
        rows += measured(workload, rounds)
        print(f"{workload.name} is measured.", flush=True)
    print(tables(rows))
    record(SECTION.name, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("--rounds", type=int, default=12, help="of each way and workload")
    main(parser.parse_args().rounds)
