"""Cost of an ensemble's update against its replicas': `python benchmarks/replicas.py [FIGURE]`.

M2 of the digits' size (64-128-16, 10 classes, 100 + 100 rows of made-up data), R replicas as one
compiled program, and as R captured updates one after the other. Prints a table of medians and
draws it.
"""

import sys
from functools import partial

import pyro
import torch
from matplotlib.figure import Figure
from measure import alternating, machine, ratios

from pyro_ssvae import Objective, guides, models
from pyro_ssvae.contract import Batch
from pyro_ssvae.experiments.machine import choose_device
from pyro_ssvae.training.capturing import Capturing
from pyro_ssvae.training.ensemble import Ensemble
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.optimizers import adam
from pyro_ssvae.training.steps import Eager

DEVICE = choose_device("auto")
NUMBERS = (1, 2, 4, 8, 16) if DEVICE.type == "cpu" else (1, 4, 16, 64)
ROUNDS, BURST = 15, 3
NOW = Moment(0, 0, 1)


def objective() -> Objective:
    """M2 with its own weights."""
    model = models.M2(64, 10, z_dim=16, hidden=(128,))
    return Objective(model, guides.M2(model, hidden=(128,)), alpha=10.0).to(DEVICE)


def waited(call: partial) -> None:
    """The call, done when the device has done it."""
    call()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def measured(replicas: int) -> dict[str, list[float]]:
    """Milliseconds in which all replicas are updated once, together and one by one."""
    torch.manual_seed(0)
    u = torch.rand(replicas, 100, 64, device=DEVICE)
    y = torch.eye(10, device=DEVICE).repeat(replicas, 10, 1)
    batch = Batch(torch.rand_like(u), y, u)
    ensemble = Ensemble([objective() for _ in range(replicas)], [1e-3] * replicas)
    ensemble.begin(range(replicas))
    solo = objective()
    step = Capturing(Eager(solo, adam(solo)))
    one = Batch(*(part[0] for part in batch.tensors))

    def one_by_one() -> None:
        for _ in range(replicas):
            step(one, NOW)

    ways = {"together": partial(ensemble, batch, NOW), "one by one": one_by_one}
    calls = {name: partial(waited, way) for name, way in ways.items()}
    with pyro.validation_enabled(False):
        for call in calls.values():
            call()
        return alternating(calls, ROUNDS, BURST)


def main(figure: str) -> None:
    """Measure, print and draw."""
    rows = {}
    print(f"{machine()}\n\n| replicas | together, ms | one by one, ms | throughput |")
    print("|---:|---:|---:|---:|")
    for replicas in NUMBERS:
        times = measured(replicas)
        gain = ratios(times, "one by one", ["together"])["together"]
        together, apart = (sorted(of_way)[ROUNDS // 2] for of_way in times.values())
        rows[replicas] = together, apart
        print(f"| {replicas} | {together:.2f} | {apart:.2f} | {gain:.2f} times |", flush=True)
    picture = Figure(figsize=(4.8, 3.2), layout="constrained")
    axes = picture.subplots()
    for style, name, of_way in zip(("o-", "s-"), times, zip(*rows.values())):
        axes.plot(list(rows), of_way, style, label=name)
    axes.set(xlabel="replicas", ylabel="update of all (ms)", title="M2: cost of an ensemble",
             xscale="log", yscale="log")
    axes.set_xticks(NUMBERS, list(map(str, NUMBERS)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.xaxis.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    picture.savefig(figure, dpi=120)


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["replicas.png"]))
