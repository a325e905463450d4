"""Parts of data: tensors, or rows that are read when they are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pyro_ssvae.data.reading import Reader


@dataclass(frozen=True, eq=False)
class View:
    """Some of the rows; it stands where a tensor (n, C, H, W) would, and holds no example.

    Attributes:
        reader: What reads the rows.
        index: The int64 indices of the examples, (n,).
    """

    reader: Reader
    index: Tensor

    def __len__(self) -> int:
        """The number of examples, n."""
        return len(self.index)

    def __getitem__(self, key: int | slice | Tensor) -> Tensor:
        """These examples, read now: for a few."""
        return self.reader[self.index[key]]

    def split(self, size: int) -> Iterator[Tensor]:
        """All examples in their order, (size, C, H, W) at a time, read ahead."""
        return self.reader.stream(self.index.split(size))

    @property
    def shape(self) -> torch.Size:
        """The shape of all of them, (n, C, H, W)."""
        return torch.Size((len(self), *self.reader.shape[1:]))

    @property
    def device(self) -> torch.device:
        """The device that they are read for."""
        return self.reader.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of what is read."""
        return self.reader.dtype


Part = Tensor | View


def taken(x: Part, index: Tensor) -> Part:
    """The examples at int64 indices (n,) into x; of a view another one."""
    return View(x.reader, x.index[index]) if isinstance(x, View) else x[index]
