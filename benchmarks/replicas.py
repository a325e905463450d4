"""Cost of an ensemble's update against its replicas': `python benchmarks/replicas.py`.

M2 of the digits' size (64-128-16, 10 classes, 100 + 100 rows of made-up data): milliseconds of an
update of R replicas as one compiled program, and of R captured updates one after the other. Two
cores have little to gain from batching.
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial

import pyro
import torch
from figures import lines
from matplotlib.figure import Figure
from measure import DEVICE, alternating, machine, ratios
from results import Row, Rows, Section, record, table
from workloads import DIGITS, NOW, m2, step

from pyro_ssvae.contract import Batch
from pyro_ssvae.training.ensemble import Ensemble

NUMBERS = (1, 2, 4, 8, 16) if DEVICE.type == "cpu" else (1, 4, 16, 64, 256)
TOGETHER, APART = "together", "one by one"
BURST = 3  # counted updates in a round


def measured(replicas: int, rounds: int) -> Row:
    """The time in which all replicas are updated once, together and one by one."""
    torch.manual_seed(0)
    u = torch.rand(replicas, 100, 64, device=DEVICE)
    y = torch.eye(10, device=DEVICE).repeat(replicas, 10, 1)
    batch = Batch(torch.rand_like(u), y, u)
    ensemble = Ensemble([m2(DIGITS) for _ in range(replicas)], [1e-3] * replicas)
    ensemble.begin(range(replicas))
    update, one = step(m2(DIGITS)), Batch(*(part[0] for part in batch.tensors))

    def one_by_one() -> None:
        for _ in range(replicas):
            update(one)

    ways: dict[str, Callable[[], object]] = {
        TOGETHER: partial(ensemble, batch, NOW), APART: one_by_one,
    }
    with pyro.validation_enabled(False):
        for call in ways.values():
            call()
        times = alternating(ways, rounds, BURST)
    medians = {name: statistics.median(own) for name, own in times.items()}
    gain = ratios(times, APART, [TOGETHER])[TOGETHER]
    return {"replicas": replicas, **medians, "throughput": gain}


def tables(rows: Rows) -> str:
    """The medians, and how many times the throughput is that of one by one."""
    forms = {"replicas": "d", TOGETHER: ".2f", APART: ".2f", "throughput, times": ".2f"}
    return table([{**row, "throughput, times": row["throughput"]} for row in rows], forms)


def drawn(rows: Rows) -> Figure:
    """The medians against the number of replicas."""
    title, ylabel = "M2: cost of an ensemble", "update of all (ms)"
    return lines(rows, "replicas", [TOGETHER, APART], title=title, ylabel=ylabel)


SECTION = Section("replicas", "Replicas, `replicas.py`", str(__doc__), tables, drawn)


def main(rounds: int) -> None:
    """Measure, print and record."""
    print(machine(), flush=True)
    rows = [measured(replicas, rounds) for replicas in NUMBERS]
    print(tables(rows))
    record(SECTION.name, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("--rounds", type=int, default=12, help="of each way and number")
    main(parser.parse_args().rounds)
