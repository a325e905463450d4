"""Steps: what moves the parameters, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from pyro_ssvae.contract import Batch
from pyro_ssvae.engine.outcome import Outcome, to_skip
from pyro_ssvae.engine.precision import Precision, matrix_products
from pyro_ssvae.engine.rows import noise_by_rows
from pyro_ssvae.engine.sums import summed
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.training.finite import Guard, OnNonFinite, copies, put_back, step
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.noise import Noise, torch_noise
from pyro_ssvae.training.optimizers import load_optimizer

Losses = dict[str, Tensor]


class Step(Protocol):
    """What moves parameters to lower the loss of a batch, with all that it takes.

    Steps wrap one another, see :class:`pyro_ssvae.training.steps.Wrapping`. None knows the loop
    that takes it.
    """

    def epoch(
        self, seeds: Sequence[int], noise: Mapping[str, Tensor]
    ) -> AbstractContextManager[Callable[[], Noise]]:
        """The context of an epoch; it gives a function that returns the state of the noise.

        Args:
            seeds: The seeds of the noise, one for each replica.
            noise: The state of the noise to go on from; an empty one stands for an epoch's
                beginning.
        """

    def __call__(self, batch: Batch, now: Moment) -> Losses:
        """One update.

        Returns:
            The loss and its terms by name: scalars, or (R,) for R replicas.

        Raises:
            NonFiniteLossError: At a loss or a gradient that is not finite, where that is asked for
                and can be told without waiting.
        """

    def settle(self) -> None:
        """Do what was put off, so that weights and state are whole: before a pause.

        Raises:
            NonFiniteLossError: If something was not finite, where that is asked for.
        """

    def end(self) -> list[int]:
        """The numbers of the epoch's updates that moved nothing, one for each replica.

        Raises:
            NonFiniteLossError: As :meth:`settle`, and if no update moved anything.
        """

    def tensors(self) -> list[dict[str, Tensor]]:
        """What updates change, by the names it has in an objective, of each of the replicas."""

    def state_dict(self) -> dict[str, Any]:
        """What is to be saved beside the weights, in tensors and plain values."""

    def state_of(self, i: int) -> dict[str, Any]:
        """What :meth:`state_dict` would be of replica i, from 0, had it been trained alone."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken, of a step that may be wrapped otherwise.

        Raises:
            ValueError: If it is not the state of such a step.
        """


class Eager:
    """Updates as Pyro and torch compute them.

    Args:
        objective: The objective whose loss is lowered.
        optimizer: The optimizer of its parameters.
        precision: The precision of matrix products, ``"fp32"`` or ``"bf16"``.
        on_nonfinite: What to do about an update that is not finite, ``"stop"`` or ``"skip"``.
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        *,
        precision: Precision = "fp32",
        on_nonfinite: OnNonFinite = "stop",
    ) -> None:
        self.objective, self.optimizer, self.precision = objective, optimizer, precision
        self.guard = Guard(objective, on_nonfinite)
        self.turns = objective.turns()

    def epoch(
        self, seeds: Sequence[int], noise: Mapping[str, Tensor]
    ) -> AbstractContextManager[Callable[[], Noise]]:
        """See :class:`Step`."""
        (seed,) = seeds
        return torch_noise(self.objective, seed, noise)

    def __call__(
        self, batch: Batch, now: Moment, turns: Sequence[Sequence[nn.Parameter]] | None = None
    ) -> Losses:
        """Move parameters, turn by turn, to lower the loss of a batch.

        A turn whose loss or gradient is NaN or infinite moves no parameter. Parameters that do not
        require a gradient stay as they are.

        Args:
            batch: The batch.
            now: The moment.
            turns: The parameters that move together, turn by turn; by default those of
                :meth:`Objective.turns`.

        Returns:
            The loss before the last turn, and its terms.

        Raises:
            NonFiniteLossError: See :class:`Step`.
        """
        for parameters in self.turns if turns is None else turns:
            before = copies(buffers := self.guard.at_risk())
            with matrix_products(self.precision), noise_by_rows():
                loss = self.objective(batch, now.epochs)
            self.objective.zero_grad()  # of all: the optimizer may have some of them alone
            if trained := [p for p in parameters if p.requires_grad]:
                loss.total.backward(inputs=trained)
            learnt = [p for p in parameters if p.grad is not None]
            gradients = [p.grad for p in learnt if p.grad is not None]
            outcome = Outcome.of(summed(loss, gradients), gradients)
            self.guard.take(outcome, learnt, now)
            step(self.optimizer, outcome.finite)
            put_back(buffers, before, to_skip(outcome.finite))
        return outcome.losses

    def settle(self) -> None:
        """See :class:`Step`."""
        self.guard.settle()

    def end(self) -> list[int]:
        """See :class:`Step`."""
        return [self.guard.end()]

    def tensors(self) -> list[dict[str, Tensor]]:
        """See :class:`Step`."""
        return [dict(self.objective.named_parameters()) | dict(self.objective.named_buffers())]

    def state_dict(self) -> dict[str, Any]:
        """See :class:`Step`."""
        return {"optimizer": self.optimizer.state_dict(), "guards": [self.guard.state_dict()]}

    def state_of(self, i: int) -> dict[str, Any]:
        """See :class:`Step`."""
        return self.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`Step`."""
        load_optimizer(self.optimizer, state["optimizer"])
        (guard,) = state["guards"]
        self.guard.load_state_dict(guard)


class Wrapping:
    """A step around another one, to which it hands on all that it does not do itself.

    Args:
        step: The step within.
    """

    def __init__(self, step: Step) -> None:
        self.step = step

    def epoch(
        self, seeds: Sequence[int], noise: Mapping[str, Tensor]
    ) -> AbstractContextManager[Callable[[], Noise]]:
        """See :class:`Step`."""
        return self.step.epoch(seeds, noise)

    def __call__(self, batch: Batch, now: Moment) -> Losses:
        """See :class:`Step`."""
        return self.step(batch, now)

    def settle(self) -> None:
        """See :class:`Step`."""
        self.step.settle()

    def end(self) -> list[int]:
        """See :class:`Step`."""
        return self.step.end()

    def tensors(self) -> list[dict[str, Tensor]]:
        """See :class:`Step`."""
        return self.step.tensors()

    def state_dict(self) -> dict[str, Any]:
        """See :class:`Step`."""
        return self.step.state_dict()

    def state_of(self, i: int) -> dict[str, Any]:
        """See :class:`Step`."""
        return self.step.state_of(i)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`Step`."""
        self.step.load_state_dict(state)
