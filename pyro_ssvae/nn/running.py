"""The running statistics of batch normalisation, by which predictions are made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

NORMALISES = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@contextmanager
def still(module: nn.Module) -> Iterator[None]:
    """Within, the running statistics of a module stay as they are, in training too.

    Batch normalisation then normalises a batch by its own statistics, as it does in training, and
    remembers none of them.

    Args:
        module: The module, all of whose parts are held still.
    """
    moving = [
        part for part in module.modules()
        if isinstance(part, NORMALISES) and part.track_running_stats
    ]
    for part in moving:
        part.track_running_stats = False
    try:
        yield
    finally:
        for part in moving:
            part.track_running_stats = True
