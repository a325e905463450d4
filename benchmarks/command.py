"""Where the time of a whole command goes: `python benchmarks/command.py [NAME] [DATA] [EPOCHS]`.

A pair is trained with 100 labels through the command line in a process of its own, with a
compiler's cache that is empty and again with the one that it left: the seconds of each part, the
share that is not training, and the peak of the resident memory, in 2^20 bytes.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from measure import machine
from results import Row, Rows, Section, record, table

PARTS = ("start", "training", "checkpoints", "evaluation", "figures")
AIMS = {"not training": (0.15, ".0%"), "MB": (1_300, ",.0f")}  # at most, with the cache


def child(name: str, data: str, epochs: str, out: str, began: float) -> dict[str, float]:
    """Run the command in this process, and say where its time went.

    Args:
        name: The name of the pair.
        data: The name of the data set.
        epochs: The number of epochs.
        out: The folder to write to.
        began: The time at which the process was asked for.
    """
    from pyro_ssvae.cli import main
    from pyro_ssvae.experiments import runs, underway
    from pyro_ssvae.training.loop import Training

    spent = dict.fromkeys(PARTS, 0.0)
    first: list[float] = []

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*arguments: Any, **named: Any) -> Any:
            start = time.time()
            if part == "training" and not first:
                first.append(start)
            try:
                return function(*arguments, **named)
            finally:
                spent[part] += time.time() - start
        return measured

    Training.__next__ = timed("training", Training.__next__)  # type: ignore[method-assign]
    underway._save = timed("checkpoints", underway._save)
    runs._metrics = timed("evaluation", runs._metrics)
    runs.write_figures = timed("figures", runs.write_figures)
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        main(["train", name, "--data", data, "--labels", "100", "--epochs", epochs, "--out", out],
             standalone_mode=False)
    spent["start"] = first[0] - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KB
    return {**spent, "whole": time.time() - began, "MB": peak}


def measured(name: str, data: str, epochs: str, folder: Path, cache: Path) -> dict[str, float]:
    """The same of a new process, with the compiler's cache in a folder."""
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(cache)}
    result = subprocess.run(
        [sys.executable, __file__, "child", name, data, epochs, str(folder), str(time.time())],
        check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
    )
    found: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return found


def tables(rows: Rows) -> str:
    """The seconds of each part, and the aims."""
    forms = {"pair": "", "data": "", "epochs": "d", "cache": "", **dict.fromkeys(PARTS, ".1f")}
    text = table(rows, {**forms, "whole": ".1f", "not training": ".0%", "MB": ",.0f"})
    aims = [
        {"with the cache": name, "at most": format(most, form), "measured": format(row[name], form),
         "": "hit" if row[name] <= most else "miss"}
        for row in rows if row["cache"] == "full" for name, (most, form) in AIMS.items()
    ]
    return f"{text}\n\n{table(aims, {'with the cache': '', 'at most': '', 'measured': '', '': ''})}"


SECTION = Section("command", "A whole command, `command.py`", str(__doc__), tables)


def main(name: str, data: str, epochs: str) -> None:
    """Measure, print and record."""
    print(machine(), flush=True)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for cache in ("empty", "full"):
            found = measured(name, data, epochs, Path(folder) / cache, Path(folder) / "cache")
            share = 1 - found["training"] / found["whole"]
            of = {"pair": name, "data": data, "epochs": int(epochs), "cache": cache}
            rows.append({**of, **found, "not training": share})
    print(tables(rows))
    record(SECTION.name, rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        print(json.dumps(child(*sys.argv[2:6], float(sys.argv[6]))))
    else:
        name, data, epochs = (*sys.argv[1:], *("m2", "mnist", "10")[len(sys.argv) - 1:])
        main(name, data, epochs)
