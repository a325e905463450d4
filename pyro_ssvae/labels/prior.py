"""p(y): uniform, fixed or learned."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pyro_ssvae.errors import InputError, positive
from pyro_ssvae.labels.onehots import OneHots


class LabelPrior(nn.Module):
    """p(y) over one-hot labels: uniform, fixed or learned.

    Args:
        sizes: The number of classes of each label.
        probs: The probabilities of the classes of all labels, one label after the other. With None
            they are uniform.
        learned: Whether to train them, from ``probs`` on.
    """

    def __init__(
        self, *sizes: int, probs: Sequence[float] | None = None, learned: bool = False
    ) -> None:
        super().__init__()
        positive(**{f"classes of label {i}": size for i, size in enumerate(sizes)})
        self.sizes = sizes
        values = torch.ones(sum(sizes)) if probs is None else torch.tensor(tuple(probs))
        if values.shape != (sum(sizes),) or not ((values > 0) & values.isfinite()).all():
            raise InputError(
                f"expected {sum(sizes)} class probabilities above 0, got {probs}"
            )
        rarest = [block.min() / block.sum() for block in values.split(sizes)]
        # Of p(y) to begin with, from any q(y): sum_j log k_j where it is uniform.
        self.largest_kl = -math.fsum(math.log(share) for share in rarest)
        if learned:
            self.logits = nn.Parameter(values.log())
        else:
            self.register_buffer("logits", values.log(), persistent=False)

    def forward(self, like: Tensor) -> OneHots:
        """p(y), of the type of ``like`` and on its device."""
        return OneHots(self.logits.to(like), self.sizes)
