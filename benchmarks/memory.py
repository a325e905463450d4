"""Peak memory of a training run: `python benchmarks/memory.py [NAME] [DATA]`.

A pair is trained for one epoch with 100 labels through the command line, in a process of its own,
and evaluated: the peak of its resident memory, in 2^20 bytes.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import machine
from results import Rows, Section, record, table


def peak_mb(model: str, data: str) -> float:
    """Peak resident memory, in MB, of one epoch of training and the evaluation after it."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pyro_ssvae", "train", model, "--data", data,
             "--labels", "100", "--epochs", "1", "--out", str(Path(folder) / "run")],
            check=True, stdout=subprocess.DEVNULL,
        )
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # Linux counts in KB


def tables(rows: Rows) -> str:
    """The peak."""
    return table(rows, {"pair": "", "data": "", "MB": ",.0f"})


SECTION = Section("memory", "Memory of a training run, `memory.py`", str(__doc__), tables)


def main(pair: str, data: str) -> None:
    """Measure, print and record."""
    rows = [{"pair": pair, "data": data, "MB": peak_mb(pair, data)}]
    print(tables(rows))
    record(SECTION.name, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("pair", nargs="?", default="m2")
    parser.add_argument("data", nargs="?", default="mnist")
    arguments = parser.parse_args()
    print(machine(), flush=True)
    main(arguments.pair, arguments.data)
