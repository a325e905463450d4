"""Time of an update of convolutional pairs: `python benchmarks/convolutions.py`.

M2 with convolutions and VaDE on made-up images of MNIST's shape, 100 labelled and 100 unlabelled
ones an update, with the options that they have on MNIST: eager, captured, and captured with
bfloat16 where there are instructions for it, in milliseconds of wall time and of all cores' time.
`dense` is what is left of an update without the convolutions: the same pair with perceptrons.
"Convolutions" replays the convolutions and matrix products of the update and nothing else. No
library is known to have one of the pairs in a form that can be timed beside these.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from measure import (
    DEVICE,
    alternating,
    bf16_instructions,
    machine,
    matrix_products,
    peak_mb,
    ratios,
    wait,
)
from results import Row, Rows, Section, record, table
from workloads import step

import pyro_ssvae
from pyro_ssvae.contract import Batch
from pyro_ssvae.data import Dataset, from_arrays
from pyro_ssvae.engine.precision import Precision
from pyro_ssvae.training.capturing import Way

ROWS, CLASSES, SHAPE = 100, 10, (1, 28, 28)
BURST = 3  # counted updates in a round
CONV = {"network": "conv"}
MLP = {"network": "mlp"}

# By name of the workload: the pair, its options, and those without convolutions.
WORKLOADS: dict[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {
    "m2": ("m2", CONV, MLP),
    "vade": ("vade", {}, MLP | {"classifier": "mlp"}),
}

FLOOR = "convolutions"
COLUMNS = {
    "pair": "", "way": "", "ms": ".1f", "CPU ms": ".1f", "MB": ".1f", f"to {FLOOR}": ".2f",
}

Call = Callable[[], object]


def made_up() -> tuple[Dataset, Batch]:
    """Images of grey noise with their labels in turn, as a data set and as a batch."""
    generator = torch.Generator().manual_seed(0)
    x, u = torch.rand(2, ROWS, *SHAPE, generator=generator)
    labels = torch.arange(ROWS) % CLASSES
    data = from_arrays(x.numpy(), labels.numpy(), test=None, channels="first", kind="mnist")
    y = torch.eye(CLASSES)[labels]
    return data, Batch(*(part.to(DEVICE) for part in (x, y, u)))


def update(
    pair: str, options: Mapping[str, Any], way: Way = "on", precision: Precision = "fp32"
) -> Call:
    """An update as training makes it."""
    torch.manual_seed(0)
    data, batch = made_up()
    objective, _ = pyro_ssvae.pair(pair).on(data, **options)
    return partial(step(objective.to(DEVICE), way, precision), batch)


def ways(pair: str, options: Mapping[str, Any], dense: Mapping[str, Any]) -> dict[str, Call]:
    """All ways to update, by name, called once."""
    found = {
        "eager": update(pair, options, "off"),
        "captured": update(pair, options),
        "dense, captured": update(pair, dense),
    }
    if bf16_instructions():
        found["captured, bf16"] = update(pair, options, precision="bf16")
    for call in found.values():
        call()
    return {**found, FLOOR: matrix_products(update(pair, options, "off"))}


def cpu_milliseconds(call: Call) -> float:
    """Time of one call, summed over the cores."""
    began = time.process_time()
    call()
    wait()
    return 1e3 * (time.process_time() - began)


def measured(name: str, rounds: int) -> list[Row]:
    """The results of all ways for one workload."""
    calls = ways(*WORKLOADS[name])
    walls = alternating(calls, rounds, BURST)
    rows = []
    for way, call in calls.items():
        rows.append({
            "pair": name, "way": way, "ms": statistics.median(walls[way]),
            "CPU ms": statistics.median(map(cpu_milliseconds, [call] * rounds)),
            "MB": peak_mb(call),
        })
        if way != "dense, captured" and not way.endswith("bf16"):
            rows[-1][f"to {FLOOR}"] = ratios(walls, way, [FLOOR])[FLOOR]
    return rows


def tables(rows: Rows) -> str:
    """The medians."""
    return table(rows, COLUMNS)


SECTION = Section("convolutions", "Convolutions, `convolutions.py`", str(__doc__), tables)


def main(rounds: int) -> None:
    """Measure, print and record."""
    print(machine(), flush=True)
    rows = [row for name in WORKLOADS for row in measured(name, rounds)]
    print(tables(rows))
    record(SECTION.name, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("--rounds", type=int, default=6, help="of each way and workload")
    main(parser.parse_args().rounds)
