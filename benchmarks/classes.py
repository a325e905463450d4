"""Time of an update against the number of classes K: `python benchmarks/classes.py`.

M2 on made-up data of the digits' size, 100 + 100 examples: unknown labels summed over all classes,
and over the three likeliest (`label_inference="enumerated:3"`), in milliseconds. An update that
sums over all classes costs what its K decodes cost; one that sums over the likeliest has three for
any K.
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
WAYS: dict[str, tuple[int | None, Way]] = {
    "all, eager": (None, "off"), "likeliest 3, eager": (3, "off"),
    "all, captured": (None, "on"), "likeliest 3, captured": (3, "on"),
}
BURST = 3  # counted updates in a round


def measured(classes: int, rounds: int) -> Row:
    """Median times of an update in each of the ways."""
    torch.manual_seed(0)
    workload = DIGITS._replace(classes=classes)
    batch = made_up(workload)
    calls = {name: partial(step(m2(workload, top), way), batch)
             for name, (top, way) in WAYS.items()}
    for call in calls.values():
        call()
    times = alternating(calls, rounds, BURST)
    return {"classes": classes, **{name: statistics.median(own) for name, own in times.items()}}


def tables(rows: Rows) -> str:
    """The medians."""
    return table(rows, {"classes": ",", **dict.fromkeys(WAYS, ".1f")})


def drawn(rows: Rows) -> Figure:
    """The medians against the number of classes."""
    return lines(rows, "classes", list(WAYS), title="M2: cost of an update", ylabel="update (ms)")


SECTION = Section("classes", "Classes, `classes.py`", str(__doc__), tables, drawn)


def main(rounds: int) -> None:
    """Measure, print and record."""
    print(machine(), flush=True)
    rows = [measured(classes, rounds) for classes in NUMBERS]
    print(tables(rows))
    record(SECTION.name, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("--rounds", type=int, default=6, help="of each way and number")
    main(parser.parse_args().rounds)
