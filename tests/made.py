"""Rows for tests: examples made from their index, as workers read them too."""

from __future__ import annotations

import os
import signal

import torch
from torch import Size, Tensor

from pyro_ssvae.data import Dataset
from pyro_ssvae.errors import InputError
from pyro_ssvae.targets import Classes


class Rows:
    """Example i has noise of seed i; the rows note which of them were read in this process."""

    def __init__(self, *shape: int, fingerprint: str = "made") -> None:
        self.shape, self.fingerprint = Size(shape), fingerprint
        self.seen: list[int] = []

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, index: int) -> Tensor:
        self.seen.append(index)
        noise = torch.Generator().manual_seed(index)
        return torch.randint(256, self.shape[1:], generator=noise).to(torch.uint8)

    def __getitem__(self, index: Tensor) -> Tensor:
        return torch.stack([self.read(i) for i in index.tolist()]).float() / 255


class Broken(Rows):
    """Example 7 is in a broken file."""

    def read(self, index: int) -> Tensor:
        if index == 7:
            raise InputError("patient7/view1.jpg: expected an image, got a broken file")
        return super().read(index)


class Deadly(Rows):
    """Who reads example 7 is killed, as a process is for which there is no memory."""

    def read(self, index: int) -> Tensor:
        if index == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(index)


class Uneven(Rows):
    """Example 7 is of another size."""

    def read(self, index: int) -> Tensor:
        image = super().read(index)
        return image[..., 1:] if index == 7 else image


class Interrupted(Rows):
    """Who reads example 7 gets the signal of Ctrl-C first."""

    def read(self, index: int) -> Tensor:
        if index == 7:
            os.kill(os.getpid(), signal.SIGINT)
        return super().read(index)


def dataset(rows: Rows, validation: int = 20) -> Dataset:
    """Three classes in turn; every fifth example is for testing."""
    n = len(rows)
    return Dataset(
        name="made", x=rows, y=torch.arange(n) % 3, target=Classes(("a", "b", "c")),
        test=torch.arange(0, n, 5), validation=validation,
    )


def in_memory(data: Dataset) -> Dataset:
    """The same data with all examples read."""
    return Dataset(
        name=data.name, x=data.x.rows[torch.arange(len(data.x))], y=data.y, target=data.target,
        test=data.test, validation=data.validation,
    )
