"""Losses and gradients that are not finite: kept from moving a weight, and told of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor, nn

from pyro_ssvae.engine.outcome import Outcome
from pyro_ssvae.errors import NonFiniteLossError

if TYPE_CHECKING:
    from pyro_ssvae.training.updates import Moment

OnNonFinite = Literal["stop", "skip"]


class Checked(NamedTuple):
    """An outcome, with the moment of its update and the names of its P parameters."""

    outcome: Outcome
    now: Moment
    names: list[str]

    def error(self) -> NonFiniteLossError:
        """What to raise if it is not finite."""
        total, terms, finite = self.outcome
        when = f"in epoch {self.now.epoch + 1}, update {self.now.step + 1} of {self.now.steps}"
        if finite[0]:
            broken = [name for name, fine in zip(self.names, finite[1:].tolist()) if not fine]
            others = f" and of {len(broken) - 1} other parameters" if len(broken) > 1 else ""
            what = (
                f"the gradient of {broken[0]}{others} is not finite {when}, where the loss is"
                f" {total.item():.4g}"
            )
        else:
            broken = [f"{name} = {v.item()}" for name, v in terms.items() if not v.isfinite()]
            which = ", ".join(broken) or "every term is finite"
            what = f"the loss is {total.item()} {when} ({which})"
        if self.now.epoch == self.now.step == 0:
            advice = (
                "at the first update it is rarely the learning rate; look at the scale of the data,"
                " the options and the initial weights"
            )
        else:
            advice = "a smaller learning rate may help"
        return NonFiniteLossError(f"{what}: {advice}")


class Guard:
    """Stops, or counts, where a loss or a gradient is not finite.

    On a CPU it stops at once. A GPU is not waited for: there it stops when :meth:`end` is called,
    and the updates in between have been made. That weights are left alone is :func:`step`'s work.

    Args:
        objective: The objective that is trained.
        on_nonfinite: What to do: ``"stop"`` raises, ``"skip"`` goes on.
    """

    def __init__(self, objective: nn.Module, on_nonfinite: OnNonFinite = "stop") -> None:
        self.objective, self.on_nonfinite = objective, on_nonfinite
        self.names: dict[int, str] = {}
        self.checked: list[Checked] = []

    def take(self, outcome: Outcome, learnt: Sequence[nn.Parameter], now: Moment) -> None:
        """Take an outcome into account, whose gradients are of these parameters."""
        if any(id(p) not in self.names for p in learnt):
            self.names = {id(p): name for name, p in self.objective.named_parameters()}
        checked = Checked(outcome, now, [self.names[id(p)] for p in learnt])
        self.checked.append(checked)
        if self.on_nonfinite == "stop" and not outcome.finite.is_cuda and not outcome.finite.all():
            raise checked.error()

    def end(self) -> int:
        """The number of updates skipped since the last call; raises as :func:`judge`."""
        checked, self.checked = self.checked, []
        return judge(checked, self.on_nonfinite)


def judge(checked: Sequence[Checked], on_nonfinite: OnNonFinite) -> int:
    """The number of updates that were skipped.

    Raises:
        NonFiniteLossError: if there is one, or if ``on_nonfinite`` is ``"skip"`` and all were.
    """
    if not checked:
        return 0
    fine = torch.stack([one.outcome.finite.all() for one in checked]).tolist()
    broken = [one for one, is_fine in zip(checked, fine) if not is_fine]
    if not broken:
        return 0
    if on_nonfinite == "stop":
        raise broken[0].error()
    if len(broken) == len(checked):
        raise NonFiniteLossError(f"every update of an epoch was skipped; {broken[0].error()}")
    return len({one.now for one in broken})  # of players in turns, two may have been


def step(optimizer: torch.optim.Optimizer, finite: Tensor) -> None:
    """An optimizer's step, if the loss and all gradients are finite, see :class:`Outcome`.

    Otherwise nothing is moved, nor are the optimizer's averages and counts. Torch's fused
    optimizers do that on the GPU; others wait for it.
    """
    if finite.is_cuda and getattr(optimizer, "_step_supports_amp_scaling", False):
        # As torch.amp.GradScaler has them skip a step.
        optimizer.found_inf = 1.0 - finite.all().float()  # type: ignore[attr-defined]
        try:
            optimizer.step()
        finally:
            del optimizer.found_inf  # type: ignore[attr-defined]
    elif finite.all():
        optimizer.step()
