"""Where the time of a whole command goes: `python benchmarks/command.py [NAME] [DATA] [EPOCHS]`.

Trains a pair through the command line in a process of its own, with a compiler's cache that is
empty and again with the one that it left, and prints the seconds of each part and the peak memory.
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

PARTS = ("start", "training", "checkpoints", "evaluation", "figures")
AIM = 0.15  # the share of the command that is not training, at most


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
    from pyro_ssvae.experiments import folder, runs
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
    runs._save = timed("checkpoints", runs._save)
    runs._metrics = timed("evaluation", runs._metrics)
    folder.write_figures = timed("figures", folder.write_figures)
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


def main() -> None:
    name, data, epochs = (*sys.argv[1:], *("m2", "mnist", "10")[len(sys.argv) - 1:])
    print(f"{name} on {data}, {epochs} epochs: seconds\n")
    print("| cache | " + " | ".join([*PARTS, "whole", "not training", "MB"]) + " |")
    print("|:---|" + "---:|" * (len(PARTS) + 3))
    with tempfile.TemporaryDirectory() as folder:
        for which in ("empty", "full"):
            found = measured(name, data, epochs, Path(folder) / which, Path(folder) / "cache")
            share = 1 - found["training"] / found["whole"]
            cells = [f"{found[part]:.1f}" for part in (*PARTS, "whole")]
            print(f"| {which} | {' | '.join(cells)} | {share:.0%} | {found['MB']:.0f} |")
    print(f"\nAim: at most {AIM:.0%} that is not training, and 1,300 MB.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        print(json.dumps(child(*sys.argv[2:6], float(sys.argv[6]))))
    else:
        main()
