"""Training on 200,000 radiographs that are read from files: `python benchmarks/loading.py`.

`factored` with convolutions on 200,200 JPEG files of 64 x 64 pixels with CheXpert's tables, which
are made for the time being, 100 + 100 images an update: milliseconds an update of computing and of
waiting for its batch, which workers read, the share of computing, and the resident memory of the
process that trains, in 10^6 bytes, from its 50th update on.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import tempfile
import time
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

import numpy as np
import pyro
import torch
from measure import DEVICE, machine, wait
from PIL import Image
from results import Row, Rows, Section, record, table

from pyro_ssvae import pair
from pyro_ssvae.contract import Batch
from pyro_ssvae.data import Dataset, chexpert, feed
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.optimizers import adam
from pyro_ssvae.training.steps import Eager

PARTS = {"train": 200_000, "valid": 200}
SIDE = 64
DISTINCT = 200  # images, to each of which many names are linked
SETTLED = 50  # updates after which memory is looked at
OPTIONS = {"z_dim": 32, "hidden": (128,)}


def make(root: Path) -> None:
    """Write CheXpert's folder with few different images, each linked to by many names."""
    folder, noise = root / chexpert.FOLDERS[0], np.random.default_rng(0)
    folder.mkdir()
    for i in range(DISTINCT):
        coarse = noise.integers(0, 256, (16, 16), dtype=np.uint8)
        content = io.BytesIO()
        Image.fromarray(coarse).resize((SIDE, SIDE)).save(content, "jpeg", quality=90)
        (folder / f"{i}.jpg").write_bytes(content.getvalue())
    values = np.array(["1.0", "0.0", "-1.0", ""])
    for part, rows in PARTS.items():
        labels = values[noise.integers(4 if part == "train" else 2, size=(rows, 14))]
        with (folder / f"{part}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *chexpert.LABELS])
            for i, row in enumerate(labels.tolist()):
                path = folder / part / f"patients{i // 1_000:05}" / f"patient{i:06}_frontal.jpg"
                if i % 1_000 == 0:
                    path.parent.mkdir(parents=True)
                os.link(folder / f"{i % DISTINCT}.jpg", path)
                table.writerow([path.relative_to(root), "Male", 50, "Frontal", "AP", *row])


def resident() -> float:
    """The memory of this process, in 10^6 bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def trained(data: Dataset, workers: int, updates: int, network: str) -> Row:
    """Train for some updates and say what was seen."""
    split = data.split(10_000).to(DEVICE, workers)
    source = feed(split, 100, 100)
    endless: Iterator[Batch] = chain.from_iterable(source.epoch(0, epoch) for epoch in count())
    torch.manual_seed(0)
    objective = pair("factored").on(data, network=network, **OPTIONS)[0].to(DEVICE)
    step = Eager(objective, adam(objective))
    memory: list[float] = []
    waited: list[float] = []
    computed: list[float] = []
    for update in range(updates):
        began = time.perf_counter()
        batch = next(endless)
        came = time.perf_counter()
        with pyro.validation_enabled(False):
            step(batch, Moment(0, 0, 1))
        wait()
        waited.append(came - began)
        computed.append(time.perf_counter() - came)
        memory.append(resident())
        if update % max(1, updates // 10) == 0:
            print(f"update {update:5}  {memory[-1]:8.1f} MB")
    settled, begun = memory[SETTLED:], slice(SETTLED, None)
    waiting, computing = sum(waited[begun]), sum(computed[begun])
    return {
        "workers": workers, "updates": updates, "computing": 1e3 * computing / len(settled),
        "waiting": 1e3 * waiting / len(settled), "share": computing / (computing + waiting),
        "first batch, s": waited[0], "MB, least": min(settled), "MB, most": max(settled),
    }


def tables(rows: Rows) -> str:
    """The times and the memory."""
    return table(rows, {
        "workers": "d", "updates": "d", "computing": ".1f", "waiting": ".1f", "share": ".1%",
        "first batch, s": ".1f", "MB, least": ",.0f", "MB, most": ",.0f",
    })


TITLE = "Images that are read from files, `loading.py`"
SECTION = Section("loading", TITLE, str(__doc__), tables)


def main() -> None:
    """Make the files and train on them with each number of workers."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 0])
    parser.add_argument("--updates", type=int, default=400)
    parser.add_argument("--network", default="conv")
    given = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        make(Path(folder))
        print(f"{sum(PARTS.values()):,} files made in {time.perf_counter() - began:.1f} s")
        data = chexpert.load("chexpert", Path(folder), size=SIDE)
        rows = [trained(data, each, given.updates, given.network) for each in given.workers]
    print(tables(rows))
    record(SECTION.name, rows)


if __name__ == "__main__":
    main()
