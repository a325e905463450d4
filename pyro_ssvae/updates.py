"""One update: the parameters moved to lower the loss of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pyro_ssvae.data import Batch
from pyro_ssvae.errors import NonFiniteLossError
from pyro_ssvae.objective import Objective


class Moment(NamedTuple):
    """When an update takes place: in an epoch, from 0, at a step, from 0, of so many."""

    epoch: int
    step: int
    steps: int


def update(
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    now: Moment,
    turns: Sequence[Sequence[nn.Parameter]] | None = None,
) -> dict[str, Tensor]:
    """Move parameters, turn by turn, to lower the loss of a batch.

    Args:
        turns: as :meth:`Objective.turns`, which is the default.

    Returns:
        The loss before the last turn, and its terms.

    Raises:
        NonFiniteLossError: at a loss that is NaN or infinite, before it moves a weight.
    """
    for parameters in objective.turns() if turns is None else turns:
        total, terms = objective(batch, now.epoch + (now.step + 1) / now.steps)
        if not total.isfinite():
            broken = [f"{name} = {value.item()}" for name, value in terms.items()
                      if not value.isfinite()]
            raise NonFiniteLossError(
                f"the loss is {total.item()} in epoch {now.epoch + 1}, update {now.step + 1} of"
                f" {now.steps} ({', '.join(broken) or 'every term is finite'}): a smaller learning"
                " rate may help"
            )
        optimizer.zero_grad()
        total.backward(inputs=list(parameters))
        optimizer.step()
    return {"loss": total.detach(), **terms}
