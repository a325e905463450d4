"""The learning rate over a training."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def learning_rate(progress: float, lr: float = 1e-3, decay: bool = False) -> float:
    """The learning rate after a share ``progress`` of a training, 0 to 1.

    Args:
        progress: The share of the training that is done.
        lr: The learning rate at its beginning, and all along without ``decay``.
        decay: Whether the learning rate falls to 0 along half a cosine. Loshchilov and Hutter
            (2017), SGDR, eq. 5.
    """
    return lr * 0.5 * (1 + math.cos(math.pi * progress)) if decay else lr


class Decay:
    """Lets an optimizer's learning rates fall to 0, each from where it began.

    As torch's schedulers do, it notes the first rate of every group of parameters in the group, as
    ``initial_lr``, which is saved with the optimizer's state: training goes on from there.

    Args:
        optimizer: The optimizer, whose state may be loaded later.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    def __call__(self, progress: float) -> None:
        """Set the rates for a share ``progress`` of the training, 0 to 1."""
        for group in self.optimizer.param_groups:
            first = group.setdefault("initial_lr", float(group["lr"]))
            rate = learning_rate(progress, first, decay=True)
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
