"""Time of a study in one process and in several: `OMP_NUM_THREADS=1 python benchmarks/studies.py`.

Short runs of M2 on digits, which differ in the label draw and in alpha: one process, with the
threads that it takes by itself or is given, against `--jobs` of them with one thread each, and
both with runs side by side, as one ensemble a process; in seconds, processes to start and programs
to compile included.
"""

from __future__ import annotations

import argparse
import tempfile
import time

from measure import machine
from results import Rows, Section, record, table

from pyro_ssvae.experiments.grid import grid
from pyro_ssvae.experiments.study import study


def seconds(runs: int, epochs: int, jobs: int, together: int = 1) -> float:
    """The time of a study of so many runs."""
    settings = grid(
        ["m2"], "digits", draws=runs // 2, epochs=epochs, device="cpu",
        options={"alpha": [1.0, 10.0]},
    )
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        study(settings, f"{out}/study", jobs=jobs, together=together)
        return time.perf_counter() - began


def tables(rows: Rows) -> str:
    """The seconds."""
    forms = {"runs": "d", "epochs": "d", "processes": "d", "side by side": "d", "s": ".0f"}
    return table(rows, forms | {"times as fast": ".2f"})


SECTION = Section("studies", "Studies, `studies.py`", str(__doc__), tables)


def main(runs: int, epochs: int, jobs: int) -> None:
    """Measure, print and record."""
    print(machine(), flush=True)
    seconds(2, epochs, 1)  # what is loaded once
    times = {
        way: seconds(runs, epochs, *way)
        for way in ((1, 1), (jobs, 1), (1, runs), (jobs, -(-runs // jobs)))
    }
    rows = [
        {"runs": runs, "epochs": epochs, "processes": number, "side by side": together,
         "s": taken, "times as fast": times[1, 1] / taken}
        for (number, together), taken in times.items()
    ]
    print(tables(rows))
    record(SECTION.name, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("--runs", type=int, default=100, help="an even number")
    parser.add_argument("--epochs", type=int, default=20, help="of each run")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    arguments = parser.parse_args()
    main(arguments.runs, arguments.epochs, arguments.jobs)
