"""Time of an update in several processes: `python benchmarks/processes.py`.

The captured update of M2 with the sizes of the thesis, 100 labelled and 100 unlabelled rows: two
processes of one thread each, one process of two threads, and one of one thread. Rounds of them
alternate. Prints medians and ratios, and writes `processes.json` beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from measure import machine
from torch import multiprocessing
from updates import WORKLOADS

from pyro_ssvae import Objective, guides, models
from pyro_ssvae.contract import Batch
from pyro_ssvae.data import Split, feed, from_arrays
from pyro_ssvae.labels import Enumerated
from pyro_ssvae.system import processes
from pyro_ssvae.system.files import write_text
from pyro_ssvae.training.capturing import Capturing
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.optimizers import adam
from pyro_ssvae.training.steps import Eager, Step
from pyro_ssvae.training.together import Together

ROWS = 100
FOLDER = Path(__file__).parent


class Way(NamedTuple):
    """A number of processes, with so many threads each."""

    processes: int
    threads: int

    def __str__(self) -> str:
        return f"{self.processes} x {self.threads} threads"


WAYS = (Way(2, 1), Way(1, 2), Way(1, 1))


def update(way: Way) -> tuple[Step, Batch]:
    """A captured update in one of the processes, and the batch that it sees."""
    load = WORKLOADS[0]
    torch.manual_seed(0)
    x = torch.rand(4 * ROWS, load.x_dim)
    y = torch.arange(len(x)) % load.classes
    split: Split = from_arrays(x.numpy(), y.numpy(), test=None).split(ROWS)
    sizes = {"z_dim": load.z_dim, "hidden": (load.hidden,)}
    model = models.M2(load.x_dim, load.classes, **sizes)
    guide = guides.M2(model, hidden=(load.hidden,), label_inference=Enumerated())
    objective = Objective(model, guide, alpha=1.0)
    step: Step = Capturing(Eager(objective, adam(objective)))
    source = feed(split, ROWS, ROWS)
    if way.processes > 1:
        step = Together(step, objective, split, ROWS, ROWS)
        source = source.shard(processes.index(), processes.number(), empty=False)
    return step, next(source.epoch(0, 0))


def member(index: int, way: Way, port: int, asked: list[Any], told: Any) -> None:
    """One process: it times as many updates as it is asked for, until it is asked for none."""
    torch.set_num_threads(way.threads)
    os.environ |= {  # compiled code is for a number of threads: they have a cache each
        "TORCHINDUCTOR_CACHE_DIR": f"{tempfile.gettempdir()}/compiled-for-{way.threads}-threads",
        "RANK": str(index), "WORLD_SIZE": str(way.processes), "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    with processes.joined():
        step, batch = update(way)
        now = Moment(0, 0, 1)
        with step.epoch([0], {}):
            while number := asked[index].get():
                processes.largest(0)
                began = time.perf_counter()
                for _ in range(number):
                    step(batch, now)
                    processes.largest(0)  # as a training asks after each whether to pause
                if index == 0:
                    told.put(1000 * (time.perf_counter() - began) / number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--burst", type=int, default=10, help="updates in a round")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    group: dict[Way, tuple[list[Any], Any]] = {}
    children = []
    for way in WAYS:
        asked, told = [context.Queue() for _ in range(way.processes)], context.Queue()
        children.append(multiprocessing.spawn(
            member, (way, free_port(), asked, told), way.processes, join=False
        ))
        group[way] = asked, told
        timed(asked, told, 2)  # captured, and compiled, one after the other
    times: dict[Way, list[float]] = {way: [] for way in WAYS}
    for _ in range(arguments.rounds):
        for way, (asked, told) in group.items():
            times[way].append(timed(asked, told, arguments.burst))
    for asked, _ in group.values():
        for queue in asked:
            queue.put(0)
    for child in children:
        child.join()
    report(times)


def timed(asked: list[Any], told: Any, number: int) -> float:
    """The milliseconds of an update, measured over so many."""
    for queue in asked:
        queue.put(number)
    return float(told.get())


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def report(times: dict[Way, list[float]]) -> None:
    """Print the medians, and the ratios to one process round by round; write them."""
    result: dict[str, dict[str, float]] = {}
    for way, own in times.items():
        ratios = {
            f"to {other}": statistics.median(a / b for a, b in zip(own, times[other]))
            for other in WAYS if other != way
        }
        result[str(way)] = {"ms": statistics.median(own), **ratios}
        print(f"{way!s:16} {statistics.median(own):7.2f} ms", *(
            f"{ratio:.2f} {name}" for name, ratio in ratios.items()
        ), sep="  ")
    content = {"machine": machine(), "updates": result}
    write_text(FOLDER / "processes.json", json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
