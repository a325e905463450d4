"""Time of an update against the number of rows of the data: `python benchmarks/rows.py`.

Captured updates of M2 of the digits' size on made-up data of 64 features in memory, of which 1,000
rows at most are labelled, 100 + 100 rows an update. A step of training draws its batch and updates
the weights; an epoch's first step puts all rows into their order too, which is a share of each of
its steps. Times are medians in milliseconds; the last column is the sum of the three.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from functools import partial

import torch
from figures import lines
from matplotlib.figure import Figure
from measure import DEVICE, machine, milliseconds, wait
from results import Row, Rows, Section, record, table
from workloads import DIGITS, m2, step

from pyro_ssvae.contract import Batch
from pyro_ssvae.data import Split, feed, from_arrays

NUMBERS = (1_000, 10_000, 100_000, 1_000_000)
LABELLED = 1_000  # at most, and a tenth
FLAT = 1.2  # the ratio of the most rows' time to the fewest's, at most
STEPS = 60  # of an epoch, at most
ORDER, DRAW, UPDATE = "order, share of a step", "draw the batch", "update"
ALL = "step of training"


def made_up(rows: int) -> Split:
    """Rows of noise, a tenth of which are labelled, or LABELLED of them."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(rows, DIGITS.x_dim, generator=generator).numpy()
    y = (torch.arange(rows) % DIGITS.classes).numpy()
    split = from_arrays(x, y, test=None).split(min(rows // 10, LABELLED))
    return split.to(DEVICE)


def measured(rows: int, epochs: int) -> Row:
    """Median times of the parts of a step, over some steps of some epochs."""
    torch.manual_seed(0)
    source, update = feed(made_up(rows)), step(m2(DIGITS))
    update(next(source.epoch(0, 0)))
    firsts: list[float] = []
    draws: list[float] = []
    updates: list[float] = []
    for epoch in range(epochs):
        batches: Iterator[Batch] = source.epoch(0, epoch)
        for number in range(min(STEPS, source.steps)):
            began = time.perf_counter()
            batch = next(batches)
            wait()
            spent = 1e3 * (time.perf_counter() - began)
            (draws if number else firsts).append(spent)
            if len(batch.u) == DIGITS.rows:
                updates.append(milliseconds(partial(update, batch)))
    draw, first = statistics.median(draws), statistics.median(firsts)
    parts = {ORDER: max(0.0, first - draw) / source.steps, DRAW: draw,
             UPDATE: statistics.median(updates)}
    return {"rows": rows, "steps an epoch": source.steps, **parts, ALL: sum(parts.values())}


def tables(rows: Rows) -> str:
    """The medians, and whether they are flat."""
    forms = {"rows": ",", "steps an epoch": ","}
    text = table(rows, {**forms, **dict.fromkeys((ORDER, DRAW, UPDATE, ALL), ".3f")})
    ratio = rows[-1][ALL] / rows[0][ALL]
    flat = {"from rows": rows[0]["rows"], "to": rows[-1]["rows"], "ratio, at most": FLAT,
            "measured": ratio, "": "hit" if ratio <= FLAT else "miss"}
    forms = {"from rows": ",", "to": ",", "ratio, at most": ".2f", "measured": ".2f", "": ""}
    return f"{text}\n\n{table([flat], forms)}"


def drawn(rows: Rows) -> Figure:
    """The times against the number of rows."""
    parts = [ALL, DRAW, ORDER]
    return lines(rows, "rows", parts, title="M2: cost of a step of training", ylabel="ms")


SECTION = Section("rows", "Rows of the data, `rows.py`", str(__doc__), tables, drawn)


def main(epochs: int) -> None:
    """Measure, print and record."""
    print(machine(), flush=True)
    rows = [measured(number, epochs) for number in NUMBERS]
    print(tables(rows))
    record(SECTION.name, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("--epochs", type=int, default=15, help="of which steps are taken")
    main(parser.parse_args().epochs)
