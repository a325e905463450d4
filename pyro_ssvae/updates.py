"""One update: the parameters moved to lower the loss of a batch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pyro_ssvae.capture import Captured
from pyro_ssvae.data import Batch
from pyro_ssvae.errors import NonFiniteLossError
from pyro_ssvae.objective import Loss, Objective
from pyro_ssvae.precision import Precision, matrix_products
from pyro_ssvae.program import CaptureError


class Moment(NamedTuple):
    """When an update takes place: in an epoch, from 0, at a step, from 0, of so many."""

    epoch: int
    step: int
    steps: int

    @property
    def epochs(self) -> float:
        """Epochs done when the update is."""
        return self.epoch + (self.step + 1) / self.steps


class Updates:
    """Moves all parameters of an objective, batch by batch.

    Args:
        objective: whose loss is lowered.
        optimizer: of its parameters.
        capture: compute losses and gradients by a captured graph. Batches of another shape than
            the first, such as an epoch's last one, are computed eagerly, and so are all where
            nothing can be captured: one warning says why. An objective whose parameters move in
            several turns is not captured.
        precision: of matrix products, ``"fp32"`` or ``"bf16"``.
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        *,
        capture: bool = False,
        precision: Precision = "fp32",
    ) -> None:
        self.objective, self.optimizer, self.precision = objective, optimizer, precision
        self.turns = objective.turns()
        self.capture = capture and len(self.turns) == 1
        self.captured: Captured | None = None

    def __call__(self, batch: Batch, now: Moment) -> dict[str, Tensor]:
        """One update; what it returns and raises is as for :func:`update`."""
        if self.capture and self.captured is None:
            try:
                self.captured = Captured(
                    self.objective, self.optimizer, batch, precision=self.precision
                )
            except CaptureError as error:
                self.capture = False
                warnings.warn(f"training goes on without capture: {error}", stacklevel=2)
        if self.captured is None or not self.captured.fits(batch):
            return update(
                self.objective, self.optimizer, batch, now, self.turns, precision=self.precision
            )
        loss = self.captured(batch, now.epochs)
        check_finite(loss, now)
        if self.captured.adam is None:
            self.optimizer.step()
        return {"loss": loss.total, **loss.terms}


def update(
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    now: Moment,
    turns: Sequence[Sequence[nn.Parameter]] | None = None,
    precision: Precision = "fp32",
) -> dict[str, Tensor]:
    """Move parameters, turn by turn, to lower the loss of a batch.

    Args:
        turns: as :meth:`Objective.turns`, which is the default.
        precision: of matrix products, ``"fp32"`` or ``"bf16"``.

    Returns:
        The loss before the last turn, and its terms.

    Raises:
        NonFiniteLossError: at a loss that is NaN or infinite, before it moves a weight; on a GPU,
            which is not waited for, :func:`check_finite` finds it later.
    """
    for parameters in objective.turns() if turns is None else turns:
        with matrix_products(precision):
            loss = objective(batch, now.epochs)
        check_finite(loss, now)
        optimizer.zero_grad()
        loss.total.backward(inputs=list(parameters))
        optimizer.step()
    return {"loss": loss.total.detach(), **loss.terms}


def check_finite(loss: Loss, now: Moment, *, wait: bool = False) -> None:
    """Raise :class:`NonFiniteLossError` for a loss that is NaN or infinite.

    Args:
        wait: check a loss on a GPU too, which takes until it is computed.
    """
    total, terms = loss
    if (total.is_cuda and not wait) or total.isfinite():
        return
    broken = [f"{name} = {value.item()}" for name, value in terms.items() if not value.isfinite()]
    raise NonFiniteLossError(
        f"the loss is {total.item()} in epoch {now.epoch + 1}, update {now.step + 1} of"
        f" {now.steps} ({', '.join(broken) or 'every term is finite'}): a smaller learning rate"
        " may help"
    )
