"""What one epoch did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Epoch:
    """What one epoch did.

    Attributes:
        epoch: The number of epochs done, from 1.
        updates: The number of updates done.
        seconds: The time that the epoch took, validation included; in an ensemble that of all
            replicas together.
        losses: The means over the epoch by name: ``loss``, and the terms of the objective, over
            the updates whose loss was finite.
        validation: The ``accuracy`` and ``nll`` of a guide that classifies, the ``rmse`` and
            ``nll`` of one that infers a real number, and the ``elbo`` where it bounds log p(x).
        skipped: The number of updates that were left out, for their loss or a gradient was not
            finite.
    """

    epoch: int
    updates: int
    seconds: float
    losses: dict[str, float]
    validation: dict[str, float]
    skipped: int = 0

    def row(self) -> dict[str, float]:
        """Everything but ``skipped`` as one flat row, validation under ``val_NAME``."""
        validation = {f"val_{name}": value for name, value in self.validation.items()}
        head = {"epoch": self.epoch, "updates": self.updates, "seconds": self.seconds}
        return head | self.losses | validation


def mean_losses(losses: Mapping[str, Tensor]) -> dict[str, float]:
    """The means of losses by name, (updates,) each, over the updates whose ``loss`` is finite."""
    finite = losses["loss"].isfinite()
    return {name: values[finite].double().mean().item() for name, values in losses.items()}
