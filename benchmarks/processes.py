"""Time of an update in several processes: `python benchmarks/processes.py`.

The captured update of M2 with the sizes of the thesis, 100 labelled and 100 unlabelled rows: two
processes of one thread each, one process of two threads, and one of one thread. Rounds of them
alternate. Times are medians in milliseconds, ratios are medians of those within a round.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import tempfile
import time
from typing import Any, NamedTuple

import torch
from measure import machine
from results import Row, Rows, Section, record, table
from torch import multiprocessing
from workloads import THESIS, m2

from pyro_ssvae.contract import Batch
from pyro_ssvae.data import Split, feed, from_arrays
from pyro_ssvae.system import processes
from pyro_ssvae.training.capturing import Capturing
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.optimizers import adam
from pyro_ssvae.training.steps import Eager, Step
from pyro_ssvae.training.together import Together

ROWS = THESIS.rows


class Way(NamedTuple):
    """A number of processes, with so many threads each."""

    processes: int
    threads: int

    def __str__(self) -> str:
        def number(of: int, what: str, plural: str) -> str:
            return f"{of} {what if of == 1 else plural}"

        each = number(self.threads, "thread", "threads")
        return f"{number(self.processes, 'process', 'processes')} of {each}"


WAYS = (Way(2, 1), Way(1, 2), Way(1, 1))


def update(way: Way) -> tuple[Step, Batch]:
    """A captured update in one of the processes, and the batch that it sees."""
    torch.manual_seed(0)
    x = torch.rand(4 * ROWS, THESIS.x_dim)
    y = torch.arange(len(x)) % THESIS.classes
    split: Split = from_arrays(x.numpy(), y.numpy(), test=None).split(ROWS)
    objective = m2(THESIS)
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


def measured(rounds: int, burst: int) -> dict[Way, list[float]]:
    """The milliseconds of an update by each way, round by round."""
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
    for _ in range(rounds):
        for way, (asked, told) in group.items():
            times[way].append(timed(asked, told, burst))
    for asked, _ in group.values():
        for queue in asked:
            queue.put(0)
    for child in children:
        child.join()
    return times


def timed(asked: list[Any], told: Any, number: int) -> float:
    """The milliseconds of an update, measured over so many."""
    for queue in asked:
        queue.put(number)
    return float(told.get())


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def found(times: dict[Way, list[float]]) -> list[Row]:
    """The median of each way, and its ratios to the others round by round."""
    return [
        {"way": str(way), "ms": statistics.median(own), **{
            f"to {other}": statistics.median(a / b for a, b in zip(own, times[other]))
            for other in WAYS[1:]
        }}
        for way, own in times.items()
    ]


def tables(rows: Rows) -> str:
    """The medians and the ratios."""
    return table(rows, {"way": "", "ms": ".2f", **{f"to {other}": ".2f" for other in WAYS[1:]}})


SECTION = Section("processes", "Several processes, `processes.py`", str(__doc__), tables)


def main(rounds: int, burst: int) -> None:
    """Measure, print and record."""
    print(machine(), flush=True)
    rows = found(measured(rounds, burst))
    print(tables(rows))
    record(SECTION.name, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--burst", type=int, default=10, help="updates in a round")
    arguments = parser.parse_args()
    main(arguments.rounds, arguments.burst)
