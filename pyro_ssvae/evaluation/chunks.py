"""How many examples are looked at at a time."""

from __future__ import annotations

import math

from pyro_ssvae.data import Part

NUMBERS = 2**21  # of x: a GPU waits for Python between chunks, and has memory for larger ones


def size(x: Part, least: int) -> int:
    """How many of the examples x (N, ...) to look at at a time.

    Args:
        x: The examples.
        least: The number on a CPU, whose cache is to hold them. On a GPU it is as many as have
            :data:`NUMBERS` numbers together, and these at least.
    """
    if x.device.type != "cuda":
        return least
    return max(least, NUMBERS // math.prod(x.shape[1:]))
