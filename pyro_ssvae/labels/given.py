"""Labels that are given, beside those that are inferred."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyro_ssvae.labels.onehots import OneHots, by_label, expected_log_prob, sizes_of


def completed(y: Tensor, q: Any) -> OneHots:
    """The labels of y (N, S) that are given, and q where a block is NaN, unknown."""
    logits = torch.where(y.isnan(), q.logits, y.log())
    return OneHots(logits, sizes_of(q))


def label_divergence(q: Any, y: Tensor, smoothing: float = 0.0) -> Tensor:
    """KL[p(y) || q(y)] from given labels to inferred ones, (N,), a sum over the labels.

    Args:
        q: The inferred labels, as ``guide.classify`` returns them.
        y: The given labels, one-hot (N, S). The block of an unknown label is NaN, and counts
            nothing.
        smoothing: The share of p(y) that is spread evenly over the classes.
    """
    if smoothing == 0:
        return -expected_log_prob(y, q.logits)
    uniform = by_label(lambda block: torch.full_like(block, 1 / block.shape[-1]), y, sizes_of(q))
    p = (1 - smoothing) * torch.where(y.isnan(), uniform, y) + smoothing * uniform
    return torch.where(y.isnan(), 0.0, p * (p.log() - q.logits)).sum(-1)
