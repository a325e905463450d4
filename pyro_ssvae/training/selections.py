"""The weights of the best epochs, by several measures of validation at once."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.training.epoch import Epoch
from pyro_ssvae.training.saved import NUMBER, check_tensor, check_types
from pyro_ssvae.training.stopping import LOWER

MEASURES = ("accuracy", "rmse", "nll", "elbo")  # of those that an epoch has, each selects weights


@dataclass
class Selected:
    """What one measure has selected.

    Attributes:
        best: The best value so far.
        epoch: The number of the first epoch that had it.
        weights: The weights after that epoch.
    """

    best: float
    epoch: int
    weights: dict[str, Any]


@dataclass
class Selections:
    """Keeps the weights of the best epoch by each measure of validation.

    It takes part in nothing: a training goes on as without it. Each epoch is to be told::

        selections = Selections()
        for epoch in fit(objective, split):
            selections.update(epoch, objective)

    Attributes:
        by: What each measure has selected, by its name. Before the first epoch it is empty.
    """

    by: dict[str, Selected] = field(default_factory=dict)

    def update(self, epoch: Epoch, objective: Objective) -> None:
        """Take an epoch into account, whose weights the objective still has."""
        better = [name for name in MEASURES if self._better(name, epoch.validation)]
        weights = copy.deepcopy(objective.state_dict()) if better else {}
        for name in better:  # they share these weights, in memory and in a file
            self.by[name] = Selected(epoch.validation[name], epoch.epoch, weights)

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`load_state_dict` goes on from."""
        return {name: dict(vars(selected)) for name, selected in self.by.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken."""
        self.by = {name: Selected(**selected) for name, selected in state.items()}

    def _better(self, name: str, validation: dict[str, float]) -> bool:
        if name not in validation or name not in self.by:
            return name in validation
        value, best = validation[name], self.by[name].best
        return value < best if name in LOWER else value > best


def check_selections(state: Any) -> None:
    """Raise ValueError unless this may be what :meth:`Selections.state_dict` gave."""
    check_types("the selections", state, {})
    for name, selected in state.items():
        if name not in MEASURES:
            raise ValueError(f"the selections have no measure {name}")
        kinds: dict[str, Any] = {"best": NUMBER, "epoch": int, "weights": dict}
        check_types(f"the selections by {name}", selected, kinds)
        if selected.keys() != kinds.keys():
            raise ValueError(f"the selections by {name} have other parts than {', '.join(kinds)}")
        for weight, tensor in selected["weights"].items():
            check_tensor(f"{weight} of the selections by {name}", tensor, finite=False)
