"""Losses and gradients that are not finite: kept from moving a weight, and told of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from pyro_ssvae import private
from pyro_ssvae.engine.outcome import Outcome, to_skip
from pyro_ssvae.errors import NonFiniteLossError
from pyro_ssvae.training.moments import Moment

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
            further = f" and of {len(broken) - 1} other parameters" if len(broken) > 1 else ""
            what = (
                f"the gradient of {broken[0]}{further} is not finite {when}, where the loss is"
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

    def of_replica(self, i: int) -> Checked:
        """That of one replica, of an outcome of several."""
        total, terms, finite = self.outcome
        terms = {name: value[i] for name, value in terms.items()}
        return self._replace(outcome=Outcome(total[i], terms, finite[i]))


class Guard:
    """Stops, or counts, where a loss or a gradient is not finite.

    On a CPU it stops at once. A GPU is not waited for: there it stops when :meth:`settle` or
    :meth:`end` is called, and the updates in between have been made. That weights are left alone
    is :func:`step`'s work.

    Args:
        objective: The objective that is trained.
        on_nonfinite: What to do: ``"stop"`` raises, ``"skip"`` goes on.
        who: The words that begin the messages.
    """

    def __init__(
        self, objective: nn.Module, on_nonfinite: OnNonFinite = "stop", who: str = ""
    ) -> None:
        self.objective, self.on_nonfinite, self.who = objective, on_nonfinite, who
        self.names: dict[int, str] = {}
        self.checked: list[Checked] = []
        self.fine, self.skipped, self.first = 0, 0, ""

    def at_risk(self) -> list[Tensor]:
        """The buffers that a skipped update would spoil, such as those of batch normalisation."""
        return list(self.objective.buffers()) if self.on_nonfinite == "skip" else []

    def take(self, outcome: Outcome, learnt: Sequence[nn.Parameter], now: Moment) -> None:
        """Take an outcome into account, whose gradients are of these parameters."""
        if any(id(p) not in self.names for p in learnt):
            self.names = {id(p): name for name, p in self.objective.named_parameters()}
        checked = Checked(outcome, now, [self.names[id(p)] for p in learnt])
        self.checked.append(checked)
        if self.on_nonfinite == "stop" and not outcome.finite.is_cuda and not outcome.finite.all():
            raise self._error(checked)

    def settle(self) -> None:
        """Count what was taken.

        Raises:
            NonFiniteLossError: If something is not finite, and ``on_nonfinite`` is ``"stop"``.
        """
        checked, self.checked = self.checked, []
        if not checked:
            return
        fine = torch.stack([each.outcome.finite.all() for each in checked]).tolist()
        self.count(sum(fine), [each for each, is_fine in zip(checked, fine) if not is_fine])

    def count(self, fine: int, broken: Sequence[Checked]) -> None:
        """Count so many finite outcomes, and those that are not.

        Raises:
            NonFiniteLossError: If there are some, and ``on_nonfinite`` is ``"stop"``.
        """
        self.fine += fine
        self.skipped += len({each.now for each in broken})  # of players in turns, two may have been
        if broken and self.on_nonfinite == "stop":
            raise self._error(broken[0])
        if broken and not self.first:
            self.first = str(broken[0].error())

    def end(self) -> int:
        """The number of updates skipped since the last call.

        Raises:
            NonFiniteLossError: As :meth:`settle`, and if every update was skipped.
        """
        self.settle()
        skipped, fine, first = self.skipped, self.fine, self.first
        self.fine, self.skipped, self.first = 0, 0, ""
        if skipped and not fine:
            raise NonFiniteLossError(
                f"{self.who}every update of an epoch was skipped; {first}"
            )
        return skipped

    def state_dict(self) -> dict[str, Any]:
        """What was counted since the last :meth:`end`."""
        return {"fine": self.fine, "skipped": self.skipped, "first": self.first}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken."""
        self.fine, self.skipped = int(state["fine"]), int(state["skipped"])
        self.first = str(state["first"])

    def _error(self, checked: Checked) -> NonFiniteLossError:
        return NonFiniteLossError(f"{self.who}{checked.error()}")


def copies(tensors: Sequence[Tensor]) -> list[Tensor]:
    """What :func:`put_back` takes: the tensors as they are before an update."""
    return [tensor.clone() for tensor in tensors]


def put_back(tensors: Sequence[Tensor], before: Sequence[Tensor], broken: Tensor) -> None:
    """Undo what an update has done to tensors, where it was not finite; no GPU is waited for.

    Args:
        tensors: The tensors, (...), or (R, ...) of R replicas.
        before: What :func:`copies` gave before the update.
        broken: 1 where it was not finite, else 0: a scalar, or (R,).
    """
    for tensor, old in zip(tensors, before, strict=True):
        of_each = broken.bool().view(broken.shape + (1,) * (tensor.dim() - broken.dim()))
        tensor.copy_(torch.where(of_each, old, tensor))


def step(optimizer: torch.optim.Optimizer, finite: Tensor) -> None:
    """An optimizer's step, if the loss and all gradients are finite, see :class:`Outcome`.

    Otherwise nothing is moved, nor are the optimizer's averages and counts. Torch's fused
    optimizers do that on the GPU; others wait for it.
    """
    if finite.is_cuda and private.can_skip(optimizer):
        with private.skipping(optimizer, to_skip(finite)):
            optimizer.step()
    elif finite.all():
        optimizer.step()
