"""Training on 200,000 radiographs that are read from files: memory, and what waits for what.

A folder of small JPEG files with CheXpert's tables is made for the time being. `factored` with
convolutions is trained on it; the batches come by workers, as :func:`pyro_ssvae.fit` takes them.
Prints the resident memory of the process that trains, and the share of the time in which it
computes and does not wait for a batch.
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
from measure import machine
from PIL import Image

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


def trained(data: Dataset, device: str, workers: int, updates: int, network: str) -> None:
    """Train for some updates and print what was seen."""
    split = data.split(10_000).to(device, workers)
    source = feed(split, 100, 100)
    endless: Iterator[Batch] = chain.from_iterable(source.epoch(0, epoch) for epoch in count())
    torch.manual_seed(0)
    objective = pair("factored").on(data, network=network, **OPTIONS)[0].to(device)
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
        if split.dataset.y.is_cuda:
            torch.cuda.synchronize()
        waited.append(came - began)
        computed.append(time.perf_counter() - came)
        memory.append(resident())
        if update % max(1, updates // 10) == 0:
            print(f"update {update:5}  {memory[-1]:8.1f} MB")
    settled, begun = memory[SETTLED:], slice(SETTLED, None)
    wait, work = sum(waited[begun]), sum(computed[begun])
    print(f"{workers} workers: {1e3 * work / len(settled):.1f} ms an update computing,"
          f" {1e3 * wait / len(settled):.1f} ms waiting for its batch:"
          f" {work / (work + wait):.1%} of the time computing;"
          f" the first batch after {waited[0]:.1f} s;"
          f" memory from {min(settled):.1f} to {max(settled):.1f} MB after update {SETTLED}")


def main() -> None:
    """Make the files and train on them with each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
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
        for workers in given.workers:
            trained(data, given.device, workers, given.updates, given.network)


if __name__ == "__main__":
    main()
