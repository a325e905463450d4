"""What the rooms of the library say to each other."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """What one update sees.

    Attributes:
        x: (L, D) labelled examples.
        y: (L, K) their one-hot labels, laid out as :meth:`Split.examples` does.
        u: (U, D) unlabelled examples.
    """

    x: Tensor
    y: Tensor
    u: Tensor
