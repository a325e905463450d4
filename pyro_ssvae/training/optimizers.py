"""Adam for all parameters, and optimizers' states read back."""

from __future__ import annotations

import math
from typing import Any

import torch

from pyro_ssvae.errors import positive
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.training.saved import check_tensor

RATES = ("lr", "initial_lr")  # options that a training may let fall


def adam(objective: Objective, lr: float = 1e-3) -> torch.optim.Optimizer:
    """Adam over all parameters of the model and the guide, in one fused step."""
    positive(lr=lr)
    return torch.optim.Adam(objective.parameters(), lr=lr, fused=True)


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load an optimizer's state; that of an Adam is checked, which torch does not do.

    Raises:
        ValueError: If it is not the state of such an optimizer of these parameters.
    """
    def options() -> list[dict[str, Any]]:
        return [{key: value for key, value in group.items() if key not in ("params", *RATES)}
                for group in optimizer.param_groups]

    expected = options()
    optimizer.load_state_dict(state)
    if type(optimizer) is not torch.optim.Adam:
        return
    parameters = {p for group in optimizer.param_groups for p in group["params"]}
    rates = [group[name] for group in optimizer.param_groups for name in RATES if name in group]
    if options() != expected or not all(math.isfinite(rate) for rate in rates):
        raise ValueError("the optimizer has other options")
    for parameter, averages in optimizer.state.items():
        if parameter not in parameters or not averages.keys() >= {"step", "exp_avg", "exp_avg_sq"}:
            raise ValueError("the optimizer has other averages than Adam's")
        for name, value in averages.items():
            check_tensor(f"the optimizer's {name}", value)
            if value.shape != (() if name == "step" else parameter.shape):
                raise ValueError(f"the optimizer's {name} has the shape {tuple(value.shape)}")
