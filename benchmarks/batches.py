"""Time of an update against the size of its batch: `python benchmarks/batches.py`.

M2 of the digits' size on made-up data, as many labelled as unlabelled rows: milliseconds an update,
and microseconds a row, of which there are twice as many as of each kind.
"""

from __future__ import annotations

import argparse
import statistics
from functools import partial

import torch
from figures import lines
from matplotlib.figure import Figure
from measure import alternating, machine
from results import Row, Rows, Section, record, table
from workloads import DIGITS, m2, made_up, step

from pyro_ssvae.training.capturing import Way

NUMBERS = (10, 30, 100, 300, 1_000)
WAYS: dict[str, Way] = {"eager": "off", "captured": "on"}
BURST = 3  # counted updates in a round


def measured(rows: int, rounds: int) -> Row:
    """Median times of an update, eager and captured."""
    torch.manual_seed(0)
    workload = DIGITS._replace(rows=rows)
    batch = made_up(workload)
    calls = {name: partial(step(m2(workload), way), batch) for name, way in WAYS.items()}
    for call in calls.values():
        call()
    times = alternating(calls, rounds, BURST)
    return {"rows of each kind": rows,
            **{name: statistics.median(own) for name, own in times.items()}}


def tables(rows: Rows) -> str:
    """The medians, and their shares of a row."""
    forms = {"rows of each kind": ","}
    for name in WAYS:
        forms |= {name: ".2f", f"{name}, µs a row": ".1f"}
    with_shares = [
        {**row, **{f"{name}, µs a row": 500 * row[name] / row["rows of each kind"]
                   for name in WAYS}}
        for row in rows
    ]
    return table(with_shares, forms)


def drawn(rows: Rows) -> Figure:
    """The medians against the size of the batch."""
    title = "M2: cost of an update"
    return lines(rows, "rows of each kind", list(WAYS), title=title, ylabel="update (ms)")


SECTION = Section("batches", "The size of a batch, `batches.py`", str(__doc__), tables, drawn)


def main(rounds: int) -> None:
    """Measure, print and record."""
    print(machine(), flush=True)
    rows = [measured(number, rounds) for number in NUMBERS]
    print(tables(rows))
    record(SECTION.name, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("--rounds", type=int, default=10, help="of each way and size")
    main(parser.parse_args().rounds)
