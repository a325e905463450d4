"""Peak memory of a training run: `python benchmarks/memory.py [NAME] [DATA]`.

Trains a pair for one epoch through the command line in a process of its own, and prints the
peak of its resident memory.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path


def peak_mb(model: str, data: str) -> float:
    """Peak resident memory, in MB, of one epoch of training and the evaluation after it."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pyro_ssvae", "train", model, "--data", data,
             "--labels", "100", "--epochs", "1", "--out", str(Path(folder) / "run")],
            check=True, stdout=subprocess.DEVNULL,
        )
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # Linux counts in KB


if __name__ == "__main__":
    model, data = (*sys.argv[1:], *("m2", "mnist")[len(sys.argv) - 1:])
    print(f"{model} on {data}: {peak_mb(model, data):.0f} MB at the peak")
