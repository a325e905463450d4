"""Time of M2's update on MNIST's shapes, captured and eager: `python benchmarks/capture.py`."""

import statistics
import time

import torch

from pyro_ssvae import Objective, guides, models
from pyro_ssvae.data import Batch
from pyro_ssvae.training import adam
from pyro_ssvae.updates import Moment, Updates

REPEATS = 25


def milliseconds(capture: bool) -> tuple[float, float]:
    """Of the first update, which compiles, and the median of the others."""
    torch.manual_seed(0)
    model = models.M2(784, 10, z_dim=50, hidden=(500,))
    objective = Objective(model, guides.M2(model, hidden=(500,)), alpha=10.0)
    updates = Updates(objective, adam(objective), capture=capture)
    batch = Batch(torch.rand(100, 784), torch.eye(10).repeat(10, 1), torch.rand(100, 784))
    times = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        updates(batch, Moment(0, 0, 1))
        times.append(1e3 * (time.perf_counter() - began))
    return times[0], statistics.median(times[1:])


if __name__ == "__main__":
    for name, capture in (("eager", False), ("captured", True)):
        first, median = milliseconds(capture)
        print(f"{name}: {median:.1f} ms an update, the first {first:.0f} ms")
