"""Posterior means of all examples of a part, which need not be in memory."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from pyro_ssvae.data import Part
from pyro_ssvae.inference import query

CHUNK = 250  # examples at a time: large images and their hidden layers take memory


def posterior_means(guide: Callable[..., Any], x: Part, y: Tensor | None = None) -> Tensor:
    """The posterior means of z, (N, J), of x (N, ...), given labels y (N, S) or none."""
    labels = repeat(None) if y is None else y.split(CHUNK)
    return torch.cat([
        query.posterior_mean(guide, rows, own) for rows, own in zip(x.split(CHUNK), labels)
    ])
