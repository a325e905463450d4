"""Whether what is given to a training goes together, beyond what the objective itself finds."""

from __future__ import annotations

import warnings

import torch

from pyro_ssvae.data import Split
from pyro_ssvae.errors import InputError
from pyro_ssvae.inference.check import check
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.system import processes

CHECKED = 8  # examples that a pair of one's own is checked with


def check_optimizer(optimizer: torch.optim.Optimizer | None) -> None:
    """Raise :class:`InputError` unless it is an optimizer of torch's, or None."""
    if optimizer is not None and not isinstance(optimizer, torch.optim.Optimizer):
        raise InputError(
            "expected an optimizer of torch, such as torch.optim.SGD(objective.parameters(),"
            f" lr=0.1), got {optimizer!r:.60}"
        )


def check_precision(objective: Objective, split: Split) -> None:
    """Raise :class:`InputError` unless the weights have the type of the examples."""
    weights, x = next(objective.parameters()).dtype, split.dataset.x
    if isinstance(x, torch.Tensor) and x.dtype != weights:
        raise InputError(
            f"{split.dataset.name}: expected x of {weights}, which the weights have, got {x.dtype};"
            f" use x.to({weights}), or objective.to({x.dtype})"
        )


def warn_of_own(objective: Objective, split: Split) -> None:
    """Warn of what is wrong with a pair of one's own, which training may not show, or late."""
    programs = type(objective.model), type(objective.guide)
    if all(program.__module__.startswith("pyro_ssvae.") for program in programs):
        return
    if not processes.first():
        return
    some = split.labelled.repeat(2)[:CHECKED]  # one is too few
    try:
        check(objective.model, objective.guide, *split.examples(some))
    except Exception as error:  # whatever it is, training may show it or not
        warnings.warn(f"pyro_ssvae.check would refuse the pair: {error}", stacklevel=3)
