"""Time of short runs, which compiling would not pay for: `python benchmarks/short.py`.

`pyro-ssvae compare m2 --seeds 5 --epochs 100` on digits, five runs of 1,300 updates each, in a
fresh process with an empty cache: as updates are computed by default, and by Pyro. Seconds of the
training alone, and of the command with the data, the evaluation and the figures.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import machine
from results import Row, Rows, Section, record, table

WAYS = {"default": "auto", "by Pyro": "off"}
AIM = 1 / 3  # of the time of Pyro's updates, at most


def measured(capture: str, seeds: int, epochs: int) -> dict[str, float]:
    """The seconds of a comparison in a process of its own, and those of its training alone."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "pyro_ssvae", "compare", "m2", "--seeds", str(seeds), "--epochs",
             str(epochs), "--capture", capture, "--out", str(out)],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": f"{folder}/cache"},
        )
        whole = time.perf_counter() - began
        with open(out / "runs.csv", newline="", encoding="utf-8") as lines:
            training = sum(float(row["seconds"]) for row in csv.DictReader(lines))
    return {"training, s": training, "command, s": whole}


def tables(rows: Rows) -> str:
    """The seconds, and whether the aim is reached."""
    spent = {row["updates"]: row for row in rows}
    text = table(rows, {"updates": "", "runs": "d", "epochs": "d", "training, s": ".1f",
                        "command, s": ".1f"})
    ratio = spent["default"]["training, s"] / spent["by Pyro"]["training, s"]
    said = "hit" if ratio <= AIM else "miss"
    return f"{text}\n\nBy default training takes {ratio:.2f} of that time; aim {AIM:.2f}: {said}."


SECTION = Section("short", "Short runs, `short.py`", str(__doc__), tables)


def main(seeds: int, epochs: int) -> None:
    """Measure, print and record."""
    rows: list[Row] = [
        {"updates": way, "runs": seeds, "epochs": epochs, **measured(capture, seeds, epochs)}
        for way, capture in WAYS.items()
    ]
    print(tables(rows))
    record(SECTION.name, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=100)
    arguments = parser.parse_args()
    print(machine(), flush=True)
    main(arguments.seeds, arguments.epochs)
