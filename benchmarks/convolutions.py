"""Time of an update of convolutional pairs: `python benchmarks/convolutions.py`.

Pairs by name on made-up images of MNIST's shape, 100 labelled and 100 unlabelled ones each, with
the options that they have on MNIST unless told otherwise here: eager, captured, and captured with
bfloat16 where the processor has instructions for it. `dense` is what is left of an update without
the convolutions: the same pair with perceptrons. Prints tables of medians, of wall time and of all
cores' time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import pyro
import torch
from measure import alternating, machine, peak_mb

import pyro_ssvae
from pyro_ssvae.contract import Batch
from pyro_ssvae.data import Dataset, from_arrays
from pyro_ssvae.engine.precision import Precision
from pyro_ssvae.training.capturing import Capturing
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.optimizers import adam
from pyro_ssvae.training.steps import Eager

ROWS, CLASSES, SHAPE = 100, 10, (1, 28, 28)
BURST = 3  # counted updates in a round
CONV = {"network": "conv"}
MLP = {"network": "mlp"}

# By name of the workload: the pair, its options, and those without convolutions.
WORKLOADS: dict[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {
    "m2": ("m2", CONV, MLP),
    "vade": ("vade", {}, MLP | {"classifier": "mlp"}),
}

Step = Callable[[], object]


def made_up() -> tuple[Dataset, Batch]:
    """Images of grey noise with their labels in turn, as a data set and as a batch."""
    generator = torch.Generator().manual_seed(0)
    x, u = torch.rand(2, ROWS, *SHAPE, generator=generator)
    labels = torch.arange(ROWS) % CLASSES
    data = from_arrays(x.numpy(), labels.numpy(), test=None, channels="first", kind="mnist")
    return data, Batch(x, torch.eye(CLASSES)[labels], u)


def update(
    pair: str, options: Mapping[str, Any], *, capture: bool, precision: Precision = "fp32"
) -> Step:
    """An update as training makes it."""
    torch.manual_seed(0)
    data, batch = made_up()
    objective, _ = pyro_ssvae.pair(pair).on(data, **options)
    eager = Eager(objective, adam(objective), precision=precision)
    step = Capturing(eager) if capture else eager

    def call() -> object:
        with pyro.validation_enabled(False):
            return step(batch, Moment(0, 0, 1))

    return call


def ways(pair: str, options: Mapping[str, Any], dense: Mapping[str, Any]) -> dict[str, Step]:
    """All ways to update, by name."""
    found = {
        "eager": update(pair, options, capture=False),
        "captured": update(pair, options, capture=True),
        "dense, captured": update(pair, dense, capture=True),
    }
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        found["captured, bf16"] = update(pair, options, capture=True, precision="bf16")
    return found


def cpu_milliseconds(call: Step) -> float:
    """Time of one call, summed over the cores."""
    began = time.process_time()
    call()
    return 1e3 * (time.process_time() - began)


def main(rounds: int) -> None:
    """Measure and print."""
    print(machine())
    for name, (pair, options, dense) in WORKLOADS.items():
        steps = ways(pair, options, dense)
        for call in steps.values():
            call()
        walls = alternating(steps, rounds, BURST)
        print(f"\n{name}: {SHAPE}, K = {CLASSES}, {ROWS} + {ROWS} rows\n")
        print("| way | ms | CPU ms | MB |\n|:---|---:|---:|---:|")
        for way, call in steps.items():
            cpu = statistics.median(map(cpu_milliseconds, [call] * (rounds * BURST)))
            cells = [f"{statistics.median(walls[way]):.1f}", f"{cpu:.1f}", f"{peak_mb(call):.1f}"]
            print(f"| {' | '.join([way, *cells])} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--rounds", type=int, default=8, help="of each way and workload")
    main(parser.parse_args().rounds)
