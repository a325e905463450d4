"""Early stopping."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from pyro_ssvae.errors import InputError, positive
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.training.epoch import Epoch

USUAL = ("accuracy", "rmse", "elbo")  # the measures to go by: the first that there is
LOWER = ("nll", "rmse")  # those that are the better the lower


@dataclass
class EarlyStopping:
    """Stops when validation has not improved for ``patience`` epochs, and keeps the best weights.

    Attributes:
        patience: The number of epochs without improvement after which to stop.
        metric: The name of the measure to go by, one of :attr:`Epoch.validation`: ``"accuracy"``,
            ``"rmse"``, ``"elbo"`` or ``"nll"``. None takes the accuracy where there is one, of
            real numbers the RMSE, else the ELBO.
        best: The best value so far, the higher the better.
        best_epoch: The number of the epoch that had it.
        weights: The weights after that epoch.
    """

    patience: int
    metric: str | None = None
    best: float | None = None
    best_epoch: int = 0
    weights: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        positive(patience=self.patience)

    def due(self, epoch: int) -> bool:
        """Whether to stop, ``epoch`` epochs done."""
        return self.best is not None and epoch - self.best_epoch >= self.patience

    def update(self, epoch: Epoch, objective: Objective) -> None:
        """Take an epoch into account."""
        metric = self.metric or next((m for m in USUAL if m in epoch.validation), "elbo")
        if metric not in epoch.validation:
            raise InputError(
                f"expected a metric among {sorted(epoch.validation)} to stop early, got {metric!r}"
            )
        score = epoch.validation[metric] * (-1 if metric in LOWER else 1)
        if self.best is None or score > self.best:
            self.best, self.best_epoch = score, epoch.epoch
            self.weights = copy.deepcopy(objective.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`load_state_dict` goes on from."""
        return {"best": self.best, "best_epoch": self.best_epoch, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken."""
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self.weights = state["weights"]
