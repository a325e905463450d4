"""How many examples are looked at at a time."""

from __future__ import annotations

import math

from pyro_ssvae.data import Part

MOST = 8  # times as many as on a CPU: layers have classes and samples beside the examples
NUMBERS = 2**21  # of x: a GPU waits for Python between chunks, and has memory for larger ones


def size(x: Part, least: int) -> int:
    """How many of the examples x (N, ...) to look at at a time.

    Args:
        x: The examples.
        least: The number on a CPU, whose cache is to hold them. On a GPU it is as many as have
            :data:`NUMBERS` numbers together, these at least, and :data:`MOST` times these at most.
    """
    if x.device.type != "cuda":
        return least
    return min(max(least, NUMBERS // math.prod(x.shape[1:])), MOST * least)
