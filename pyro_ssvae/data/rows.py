"""Examples that do not fit in memory: read from files when they are wanted."""

from __future__ import annotations

from typing import Protocol

from torch import Size, Tensor


class Rows(Protocol):
    """Examples that are read one by one; a data set takes them where a tensor (N, ...) would stand.

    They are sent to the processes that read them, see :mod:`pyro_ssvae.data.reading`: what they
    hold can be pickled.

    Attributes:
        shape: The shape of all of them, (N, C, H, W).
        fingerprint: The SHA-256 sum of what tells them from others, such as the names and sizes of
            their files.
    """

    shape: Size
    fingerprint: str

    def __len__(self) -> int:
        """The number of examples, N."""

    def read(self, index: int) -> Tensor:
        """One example, (C, H, W) uint8 with pixels 0..255. A worker process may call it.

        Raises:
            InputError: If its file is missing or broken.
        """
