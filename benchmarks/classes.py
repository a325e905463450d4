"""Time of an update against the number of classes: `python benchmarks/classes.py [FIGURE]`.

M2 on made-up data of the digits' size, 100 + 100 examples of K classes: unknown labels summed over
all classes, and over the three likeliest (`Enumerated(3)`). Prints a table of medians, and draws
it.
"""

import statistics
import sys
import time

import torch
from matplotlib.figure import Figure

from pyro_ssvae import Objective, guides, models
from pyro_ssvae.contract import Batch
from pyro_ssvae.labels import Enumerated
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.optimizers import adam
from pyro_ssvae.training.steps import Eager

NUMBERS = (5, 10, 20, 50, 100, 200)
TOP = 3
REPEATS = 30
TICKS = (10, 20, 50, 100, 200)  # ms


def milliseconds(classes: int) -> tuple[float, float]:
    """Median times of an update over all classes and over the likeliest, taken in turn."""
    torch.manual_seed(0)
    y = torch.nn.functional.one_hot(torch.randint(classes, (100,)), classes).float()
    batch = Batch(torch.rand(100, 64), y, torch.rand(100, 64))
    ways = []
    for top in (None, TOP):
        model = models.M2(64, classes, z_dim=16, hidden=(128,))
        guide = guides.M2(model, hidden=(128,), label_inference=Enumerated(top))
        objective = Objective(model, guide, alpha=10.0)
        ways.append(Eager(objective, adam(objective)))
    times: list[list[float]] = [[], []]
    for _ in range(REPEATS + 3):
        for step, of_way in zip(ways, times):
            began = time.perf_counter()
            step(batch, Moment(0, 0, 1))
            of_way.append(1e3 * (time.perf_counter() - began))
    every, likeliest = times
    return statistics.median(every[3:]), statistics.median(likeliest[3:])


def main(figure: str) -> None:
    """Measure, print and draw."""
    rows = {classes: milliseconds(classes) for classes in NUMBERS}
    print(f"| classes | all, ms | likeliest {TOP}, ms |\n|---:|---:|---:|")
    for classes, (of_all, of_top) in rows.items():
        print(f"| {classes} | {of_all:.1f} | {of_top:.1f} |")
    picture = Figure(figsize=(4.8, 3.2), layout="constrained")
    axes = picture.subplots()
    every, likeliest = zip(*rows.values())
    axes.plot(NUMBERS, likeliest, "o-", label=f"likeliest {TOP}")
    axes.plot(NUMBERS, every, "s-", label="all classes")
    axes.set(xlabel="classes", ylabel="update (ms)", xscale="log", yscale="log",
             title="M2: cost of an update")
    axes.set_xticks(NUMBERS, list(map(str, NUMBERS)))
    axes.set_yticks(TICKS, list(map(str, TICKS)))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    picture.savefig(figure, dpi=120)


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["classes.png"]))
