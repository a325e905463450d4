"""Time of an update against the number of labels: `python benchmarks/labels.py`.

Factored with binary labels on made-up data of the digits' size, 100 + 100 examples, relaxed and
enumerated, eager, in milliseconds. Feng (2019): the traditional bound costs k^c decodes of c labels
of k classes, the factored one a sample of k c numbers. The power is the slope of the relaxed
update's time in the number of labels, both on logarithmic axes, from 100 labels on: 1 is linear,
and what an update costs in any case makes it less. Labels that have equally many classes are
computed together; mediamill has 101.
"""

from __future__ import annotations

import argparse
import math
import statistics
from functools import partial

import torch
from figures import lines
from matplotlib.figure import Figure
from measure import DEVICE, alternating, machine
from results import Row, Rows, Section, record, table
from workloads import step

from pyro_ssvae import Objective, guides, models
from pyro_ssvae.contract import Batch
from pyro_ssvae.labels import Enumerated, Inference, Relaxed

NUMBERS = (1, 2, 4, 6, 8, 10, 20, 50, 100, 200, 500, 1_000)
ENUMERATED = 10  # labels up to which all combinations are summed over
FROM = 100  # labels from which on the power is fitted
POWER = 1.1  # at most
BURST = 3  # counted updates in a round


def objective(labels: int, label_inference: Inference) -> Objective:
    """Factored with so many binary labels."""
    model = models.Factored(64, (2,) * labels, z_dim=16, hidden=(128,))
    guide = guides.Factored(model, hidden=(128,), label_inference=label_inference, swap=1.0)
    return Objective(model, guide, alpha=1.0).to(DEVICE)


def measured(labels: int, rounds: int) -> Row:
    """Median times of an update, relaxed and, of few labels, enumerated."""
    torch.manual_seed(0)
    present = torch.nn.functional.one_hot(torch.randint(2, (100, labels)), 2).flatten(1).float()
    x, u = torch.rand(2, 100, 64)
    batch = Batch(*(part.to(DEVICE) for part in (x, present, u)))
    ways: dict[str, Inference] = {"relaxed": Relaxed()}
    if labels <= ENUMERATED:
        ways["enumerated"] = Enumerated()
    calls = {name: partial(step(objective(labels, way), "off"), batch)
             for name, way in ways.items()}
    for call in calls.values():
        call()
    times = alternating(calls, rounds, BURST)
    return {"labels": labels, **{name: statistics.median(own) for name, own in times.items()}}


def power(rows: Rows) -> float | None:
    """The power of the number of labels that the relaxed time grows with, by least squares."""
    points = [(math.log(row["labels"]), math.log(row["relaxed"]))
              for row in rows if row["labels"] >= FROM]
    return statistics.linear_regression(*zip(*points)).slope if len(points) > 1 else None


def tables(rows: Rows) -> str:
    """The medians, and the power."""
    text = table(rows, {"labels": ",", "relaxed": ".1f", "enumerated": ".1f"})
    if (found := power(rows)) is None:
        return text
    verdict = "hit" if found <= POWER else "miss"
    target = {"from labels": FROM, "to": rows[-1]["labels"], "power, at most": POWER,
              "measured": found, "": verdict}
    forms = {"from labels": ",", "to": ",", "power, at most": ".2f", "measured": ".2f", "": ""}
    return f"{text}\n\n{table([target], forms)}"


def drawn(rows: Rows) -> Figure:
    """The medians against the number of labels."""
    columns = ["relaxed", "enumerated"]
    return lines(rows, "labels", columns, title="Factored: cost of an update", ylabel="update (ms)")


SECTION = Section("labels", "Labels, `labels.py`", str(__doc__), tables, drawn)


def main(rounds: int) -> None:
    """Measure, print and record."""
    print(machine(), flush=True)
    rows = [measured(labels, rounds) for labels in NUMBERS]
    print(tables(rows))
    record(SECTION.name, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("--rounds", type=int, default=8, help="of each way and number")
    main(parser.parse_args().rounds)
