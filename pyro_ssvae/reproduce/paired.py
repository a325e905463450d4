"""Differences between two ways on the same draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

RESAMPLES, LEVEL = 10_000, 0.95


class Difference(NamedTuple):
    """The mean of paired differences, and its 95 % bootstrap interval over the draws."""

    mean: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.mean:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


def difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """The first less the second, draw by draw. Of a single draw the interval is a point."""
    values: np.ndarray[Any, Any] = np.subtract(first, second)
    drawn = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values[drawn].mean(1), [tail, 1 - tail])
    return Difference(float(values.mean()), float(low), float(high))
