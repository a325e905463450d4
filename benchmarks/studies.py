"""Time of a study in one process and in several: `OMP_NUM_THREADS=1 python benchmarks/studies.py`.

100 short runs of M2 on digits, which differ in the label draw and in alpha. One process, with the
threads that it takes by itself or is given, against `--jobs` of them with one thread each. Prints
the seconds of each, processes to start and programs to compile included, and the ratio.
"""

from __future__ import annotations

import argparse
import tempfile
import time

from measure import machine

from pyro_ssvae.experiments.grid import grid
from pyro_ssvae.experiments.study import study


def seconds(runs: int, epochs: int, jobs: int) -> float:
    """The time of a study of so many runs."""
    settings = grid(
        ["m2"], "digits", draws=runs // 2, epochs=epochs, device="cpu",
        options={"alpha": [1.0, 10.0]},
    )
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        study(settings, f"{out}/study", jobs=jobs)
        return time.perf_counter() - began


def main(runs: int, epochs: int, jobs: int) -> None:
    """Measure and print."""
    print(machine())
    seconds(2, epochs, 1)  # what is loaded once
    times = {number: seconds(runs, epochs, number) for number in (1, jobs)}
    for number, time_taken in times.items():
        print(f"{runs} runs of {epochs} epochs, {number} processes: {time_taken:.0f} s", flush=True)
    print(f"ratio {times[1] / times[jobs]:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--runs", type=int, default=100, help="an even number")
    parser.add_argument("--epochs", type=int, default=20, help="of each run")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    arguments = parser.parse_args()
    main(arguments.runs, arguments.epochs, arguments.jobs)
