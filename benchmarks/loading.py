"""Training on 200,000 images that are read from files: memory over time, and what waits for what.

A folder of small JPEG files is made for the time being. What is trained is a convolutional
classifier and reconstruction, as heavy as an update of a pair; the batches come by workers, as
:func:`pyro_ssvae.fit` takes them. Prints the resident memory of the process that trains, and the
share of the time in which it computes and does not wait for a batch.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

import numpy as np
import torch
from measure import machine
from PIL import Image
from torch import Size, Tensor, nn

from pyro_ssvae.contract import Batch
from pyro_ssvae.data import Dataset, feed
from pyro_ssvae.targets import SeveralLabels

ROWS, SIDE, LABELS = 200_000, 64, 14
DISTINCT = 200  # images, to each of which many names are linked
SETTLED = 50  # updates after which memory is looked at


class Folder:
    """Grey images of one size in a folder, by number."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.shape = folder, Size((ROWS, 1, SIDE, SIDE))
        self.names = [name(i) for i in range(ROWS)]
        self.fingerprint = "loading"

    def __len__(self) -> int:
        return ROWS

    def read(self, index: int) -> Tensor:
        with Image.open(self.folder / self.names[index]) as image:
            return torch.from_numpy(np.array(image.convert("L")))[None]

    def __getitem__(self, index: Tensor) -> Tensor:
        return torch.stack([self.read(i) for i in index.tolist()]).float() / 255


def name(index: int) -> str:
    """The name of a file, about as long as those of CheXpert."""
    return f"patients{index // 1_000:05}/patient{index:06}_view1_frontal.jpg"


def make(folder: Path) -> None:
    """Write the files: a few different ones, linked to by all names."""
    noise = np.random.default_rng(0)
    for i in range(DISTINCT):
        coarse = noise.integers(0, 256, (16, 16), dtype=np.uint8)
        content = io.BytesIO()
        Image.fromarray(coarse).resize((SIDE, SIDE)).save(content, "jpeg", quality=90)
        (folder / f"{i}.jpg").write_bytes(content.getvalue())
    for i in range(ROWS):
        if i % 1_000 == 0:
            (folder / name(i)).parent.mkdir()
        os.link(folder / f"{i % DISTINCT}.jpg", folder / name(i))


def dataset(folder: Path) -> Dataset:
    """The images with labels drawn at random."""
    noise = torch.Generator().manual_seed(0)
    return Dataset(
        name="loading", x=Folder(folder), y=torch.randint(2, (ROWS, LABELS), generator=noise),
        target=SeveralLabels(tuple(f"finding {i}" for i in range(LABELS))),
        test=torch.arange(0, ROWS, 100), validation=2_000,
    )


class Network(nn.Module):
    """Convolutions to the labels, and back to the image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(1, width, 4, 2, 1), nn.SiLU(), nn.Conv2d(width, 2 * width, 4, 2, 1),
            nn.SiLU(), nn.Conv2d(2 * width, 4 * width, 4, 2, 1), nn.SiLU(),
        )
        self.up = nn.Sequential(
            nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1), nn.SiLU(),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1), nn.SiLU(),
            nn.ConvTranspose2d(width, 1, 4, 2, 1),
        )
        self.labels = nn.Linear(4 * width * (SIDE // 8) ** 2, LABELS)

    def forward(self, batch: Batch) -> Tensor:
        of_x, of_u = self.down(batch.x), self.down(batch.u)
        bce = nn.functional.binary_cross_entropy_with_logits
        present = batch.y[:, 1::2]
        fits = bce(self.up(of_x), batch.x) + bce(self.up(of_u), batch.u)
        return fits + bce(self.labels(of_x.flatten(1)), present)


def resident() -> float:
    """The memory of this process, in 10^6 bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def trained(data: Dataset, device: str, workers: int, updates: int, width: int) -> None:
    """Train for some updates and print what was seen."""
    split = data.split(10_000, 2_000).to(device, workers)
    source = feed(split, 100, 100)
    endless: Iterator[Batch] = chain.from_iterable(source.epoch(0, epoch) for epoch in count())
    torch.manual_seed(0)
    network = Network(width).to(device)
    optimizer = torch.optim.Adam(network.parameters())
    memory: list[float] = []
    waited: list[float] = []
    computed: list[float] = []
    for step in range(updates):
        began = time.perf_counter()
        batch = next(endless)
        came = time.perf_counter()
        optimizer.zero_grad()
        network(batch).backward()
        optimizer.step()
        if split.dataset.y.is_cuda:
            torch.cuda.synchronize()
        waited.append(came - began)
        computed.append(time.perf_counter() - came)
        memory.append(resident())
        if step % max(1, updates // 10) == 0:
            print(f"update {step:5}  {memory[-1]:8.1f} MB")
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
    parser.add_argument("--width", type=int, default=4, help="Channels of the first convolution.")
    given = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        make(Path(folder))
        print(f"{ROWS:,} files made in {time.perf_counter() - began:.1f} s")
        data = dataset(Path(folder))
        for workers in given.workers:
            trained(data, given.device, workers, given.updates, given.width)


if __name__ == "__main__":
    main()
