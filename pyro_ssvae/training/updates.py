"""One update: the parameters moved to lower the loss of a batch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pyro_ssvae.contract import Batch
from pyro_ssvae.engine.capture import Captured
from pyro_ssvae.engine.outcome import Outcome
from pyro_ssvae.engine.precision import Precision, matrix_products
from pyro_ssvae.engine.program import CaptureError
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.training.finite import Guard, step


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
            several turns is not captured. A weight that is changed has effect at once. What else
            has changed by the beginning of an epoch, such as a temperature, is captured anew.
        precision: of matrix products, ``"fp32"`` or ``"bf16"``.
        guard: what is told of losses and gradients that are not finite.
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        *,
        capture: bool = False,
        precision: Precision = "fp32",
        guard: Guard | None = None,
    ) -> None:
        self.objective, self.optimizer, self.precision = objective, optimizer, precision
        self.guard = guard or Guard(objective)
        self.turns = objective.turns()
        self.capture = capture and len(self.turns) == 1
        self.captured: Captured | None = None
        self.epoch = -1  # in which the captured graph was last compared with the objective

    def __call__(self, batch: Batch, now: Moment) -> dict[str, Tensor]:
        """One update; what it returns and raises is as for :func:`update`."""
        if self.captured is not None and now.epoch != self.epoch and not self.captured.lasts():
            self.captured = None
        self.epoch = now.epoch
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
                self.objective, self.optimizer, batch, now, self.turns, self.precision, self.guard
            )
        outcome = self.captured(batch, now.epochs)
        self.guard.take(outcome, self.captured.program.learnt, now)
        if self.captured.adam is None:
            step(self.optimizer, outcome.finite)
        return outcome.losses


def update(
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    now: Moment,
    turns: Sequence[Sequence[nn.Parameter]] | None = None,
    precision: Precision = "fp32",
    guard: Guard | None = None,
) -> dict[str, Tensor]:
    """Move parameters, turn by turn, to lower the loss of a batch.

    A turn whose loss or gradient is NaN or infinite moves nothing.

    Args:
        turns: as :meth:`Objective.turns`, which is the default.
        precision: of matrix products, ``"fp32"`` or ``"bf16"``.
        guard: what is told of losses and gradients that are not finite.

    Returns:
        The loss before the last turn, and its terms.

    Raises:
        NonFiniteLossError: at a loss or a gradient that is not finite, if the guard says so.
    """
    guard = guard or Guard(objective)
    for parameters in objective.turns() if turns is None else turns:
        with matrix_products(precision):
            loss = objective(batch, now.epochs)
        optimizer.zero_grad()
        loss.total.backward(inputs=list(parameters))
        learnt = [p for p in parameters if p.grad is not None]
        outcome = Outcome.of(loss, [p.grad for p in learnt if p.grad is not None])
        guard.take(outcome, learnt, now)
        step(optimizer, outcome.finite)
    return outcome.losses
