"""Time and memory of an update of further pairs: `python benchmarks/pairs.py`.

SDGM, Factored and the latent-feature classifier of the sizes of M2 above, with the options that
they have on digits: as Pyro computes an update, traced, and captured, beside the matrix products of
the same update. No library is known to have one of them in a form that can be timed beside these:
there are no peers. VaDE's and M2's convolutions follow below.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial

import torch
from measure import alternating, machine, matrix_products, peak_mb, ratios
from peers import Workload
from results import Row, Rows, Section, record, table
from targets import FLOOR
from workloads import DIGITS, THESIS, described, made_up, pair_on, step

from pyro_ssvae.training.capturing import Way

PAIRS = ("sdgm", "factored", "latentclassifier")
WORKLOADS = (THESIS, DIGITS)
WAYS: dict[str, Way] = {"eager": "off", "traced": "traced", "captured": "on"}
BURST = 3  # counted updates in a round
COLUMNS = {"pair": "", "way": "", "ms": ".2f", "MB": ".1f", f"to {FLOOR}": ".2f"}


def measured(pair: str, workload: Workload, rounds: int) -> list[Row]:
    """The results of all ways for one pair and workload."""
    torch.manual_seed(0)
    batch = made_up(workload)
    options = {"a_dim": workload.z_dim} if pair == "sdgm" else {}
    made = partial(pair_on, pair, workload, **options)
    calls: dict[str, Callable[[], object]] = {
        name: partial(step(made(), way), batch) for name, way in WAYS.items()
    }
    for call in calls.values():
        call()
    calls[FLOOR] = matrix_products(partial(step(made(), "off"), batch))
    times = alternating(calls, rounds, BURST)
    return [
        {"workload": workload.name, "pair": pair, "way": name, "MB": peak_mb(call),
         "ms": statistics.median(times[name]), f"to {FLOOR}": ratios(times, name, [FLOOR])[FLOOR]}
        for name, call in calls.items()
    ]


def tables(rows: Rows) -> str:
    """A table of each workload."""
    parts = []
    for workload in WORKLOADS:
        own = [row for row in rows if row["workload"] == workload.name]
        parts += [described(workload), table(own, COLUMNS)] if own else []
    return "\n\n".join(parts)


SECTION = Section("pairs", "Updates of further pairs, `pairs.py`", str(__doc__), tables)


def main(rounds: int) -> None:
    """Measure, print and record."""
    print(machine(), flush=True)
    rows = [
        row for workload in WORKLOADS for pair in PAIRS for row in measured(pair, workload, rounds)
    ]
    print(tables(rows))
    record(SECTION.name, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("--rounds", type=int, default=8, help="of each way, pair and workload")
    main(parser.parse_args().rounds)
