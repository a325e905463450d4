"""Time of an update against the number of labels: `python benchmarks/labels.py [FIGURE]`.

Factored on made-up data of the digits' size, 100 + 100 examples with c binary labels, relaxed and
enumerated. Feng (2019): the traditional bound costs k^c decodes, the factored one a sample of
k c numbers. Prints a table of medians, and draws it.
"""

import statistics
import sys
import time

import torch
from matplotlib.figure import Figure

from pyro_ssvae import Objective, guides, models
from pyro_ssvae.contract import Batch
from pyro_ssvae.labels import Enumerated, Inference, Relaxed
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.optimizers import adam
from pyro_ssvae.training.steps import Eager

NUMBERS = (1, 2, 4, 6, 8, 10, 14, 25, 50, 101)  # mediamill has 101
ENUMERATED = 10  # labels up to which all combinations are summed over
REPEATS = 30


def milliseconds(labels: int, label_inference: Inference) -> float:
    """Median time of an update."""
    torch.manual_seed(0)
    model = models.Factored(64, (2,) * labels, z_dim=16, hidden=(128,))
    guide = guides.Factored(model, hidden=(128,), label_inference=label_inference, swap=1.0)
    objective = Objective(model, guide, alpha=1.0)
    step = Eager(objective, adam(objective))
    present = torch.nn.functional.one_hot(torch.randint(2, (100, labels)), 2).flatten(1).float()
    batch = Batch(torch.rand(100, 64), present, torch.rand(100, 64))
    times = []
    for _ in range(REPEATS + 3):
        began = time.perf_counter()
        step(batch, Moment(0, 0, 1))
        times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times[3:])


def main(figure: str) -> None:
    """Measure, print and draw."""
    rows = {
        c: (milliseconds(c, Relaxed()), milliseconds(c, Enumerated()) if c <= ENUMERATED else None)
        for c in NUMBERS
    }
    print("| labels | relaxed, ms | enumerated, ms |\n|---:|---:|---:|")
    for c, (relaxed, enumerated) in rows.items():
        print(f"| {c} | {relaxed:.1f} | {'' if enumerated is None else f'{enumerated:.1f}'} |")
    picture = Figure(figsize=(4.8, 3.2), layout="constrained")
    axes = picture.subplots()
    axes.plot(NUMBERS, [relaxed for relaxed, _ in rows.values()], "o-", label="relaxed")
    drawn = [c for c in NUMBERS if c <= ENUMERATED]
    axes.plot(drawn, [rows[c][1] for c in drawn], "s-", label="enumerated")
    axes.set(xlabel="binary labels", ylabel="update (ms)", xscale="log", yscale="log",
             title="Factored: cost of an update")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    picture.savefig(figure, dpi=120)


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["labels.png"]))
