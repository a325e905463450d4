"""What the device could do at best: `python benchmarks/bound.py`.

The operations and bytes of an update of M2, and the time that each of the two takes at the most
that this device was seen to do: the products of two large square matrices, and copies of a large
tensor. The model is simple. MFLOP are those of all matrix products of the update. MB are the
operands and the results of each product, and the weights, gradients and averages that Adam reads
and writes, each once: all else can be fused into them. An update cannot be faster than its
products; it can be faster than its bytes, where a cache holds them.
"""

from __future__ import annotations

import argparse
import statistics
from functools import partial

import torch
from measure import (
    DEVICE,
    alternating,
    bf16_instructions,
    machine,
    milliseconds,
    product_bytes,
)
from peers import Workload
from results import Row, Rows, Section, record, table
from torch.utils.flop_counter import FlopCounterMode
from workloads import WORKLOADS, m2, made_up, step

from pyro_ssvae.engine.precision import Precision

SIDE = 8_192 if DEVICE.type == "cuda" else 2_048  # of the square matrices
COPIED = 2**30 if DEVICE.type == "cuda" else 2**28  # bytes
OF_ADAM = 7  # a weight, its gradient and two averages are read; all but the gradient are written
BURST = 3  # counted updates in a round
COLUMNS = {
    "workload": "", "precision": "", "MFLOP": ",.0f", "MB": ",.1f", "products, ms": ".3f",
    "bytes, ms": ".3f", "captured, ms": ".3f",
}
TYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


def flops_a_ms(dtype: torch.dtype, tries: int) -> float:
    """The most operations a millisecond, of a product of two large matrices."""
    a, b = torch.randn(2, SIDE, SIDE, device=DEVICE).to(dtype)
    return 2 * SIDE**3 / min(milliseconds(partial(torch.mm, a, b)) for _ in range(tries + 1))


def bytes_a_ms(tries: int) -> float:
    """The most bytes a millisecond that a copy reads and writes."""
    source = torch.zeros(COPIED // 4, device=DEVICE)
    target = torch.zeros_like(source)
    return 2 * COPIED / min(milliseconds(partial(target.copy_, source)) for _ in range(tries + 1))


def measured(workload: Workload, precision: Precision, rounds: int) -> Row:
    """What an update takes, counted and measured."""
    torch.manual_seed(0)
    batch, objective = made_up(workload), m2(workload)
    update = partial(step(objective, "off", precision), batch)
    with FlopCounterMode(display=False) as counted:
        update()
    weights = sum(parameter.nbytes for parameter in objective.parameters())
    captured = partial(step(m2(workload), "on", precision), batch)
    captured()
    times = alternating({"captured": captured}, rounds, BURST)["captured"]
    return {
        "workload": workload.name, "precision": precision,
        "MFLOP": counted.get_total_flops() / 1e6,
        "MB": (product_bytes(update) + OF_ADAM * weights) / 1e6,
        "captured, ms": statistics.median(times),
    }


def tables(rows: Rows) -> str:
    """The counts, the times at best, and those measured; and the most that was seen."""
    of_update = [row for row in rows if "workload" in row]
    most = {"products in": "", "TFLOP/s": ",.2f", "copies, GB/s": ",.0f"}
    return f"{table(of_update, COLUMNS)}\n\n{table([r for r in rows if 'TFLOP/s' in r], most)}"


SECTION = Section("bound", "The bound of the device, `bound.py`", str(__doc__), tables)


def main(rounds: int) -> None:
    """Measure, print and record."""
    print(machine(), flush=True)
    rows: list[Row] = []
    copies = bytes_a_ms(rounds)
    for precision in ("fp32", "bf16") if bf16_instructions() else ("fp32",):
        flops = flops_a_ms(TYPES[precision], rounds)
        for workload in WORKLOADS:
            row = measured(workload, precision, rounds)
            at_best = {"products, ms": 1e6 * row["MFLOP"] / flops,
                       "bytes, ms": 1e6 * row["MB"] / copies}
            rows.append({**row, **at_best})
        most = {"TFLOP/s": flops / 1e9, "copies, GB/s": copies / 1e6}
        rows.append({"products in": precision, **most})
    print(tables(rows))
    record(SECTION.name, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("--rounds", type=int, default=8, help="of each workload and precision")
    main(parser.parse_args().rounds)
