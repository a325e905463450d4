"""Aggressive training of the guide, against posterior collapse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch

from pyro_ssvae.contract import Batch
from pyro_ssvae.data import Split, feed
from pyro_ssvae.errors import InputError, positive
from pyro_ssvae.evaluation.probes import mutual_information
from pyro_ssvae.inference import query
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.steps import Eager, Losses, Step, Wrapping

INNER_STEPS, WINDOW = 100, 10
FRESH = 1_000_000  # epochs from this on number the batches of inner loops


@dataclass
class AggressiveInference:
    """Trains the guide as far as it goes before every step of the model, at the start of training.

    He et al. (2019), Lagging Inference Networks and Posterior Collapse in VAEs, algorithm 1: VAE
    training closer to EM. It ends when I_q(x; z) on validation has not risen for ``patience``
    epochs; plain training follows.

    Attributes:
        patience: The number of epochs without a rise after which it ends.
        active: Whether it goes on.
        best: The highest mutual information so far, in nats.
        stale: The number of epochs since.
    """

    patience: int = 5
    active: bool = True
    best: float = -torch.inf
    stale: int = 0

    def __post_init__(self) -> None:
        positive(patience=self.patience)

    def check(self, objective: Objective, split: Split) -> None:
        """Raise :class:`InputError` unless the pair has a z with a density to go by."""
        x, _ = split.examples(split.validation[:1])
        with evaluating(objective):
            has = query.sites(objective.guide, x) - query.point_masses(objective.guide, x)
        if "z" not in has:
            raise InputError(
                f"aggressive training and {type(objective.model).__name__}: it goes by the mutual"
                " information of x and z, and this pair has no z with a density; train it without"
            )

    def judge(self, objective: Objective, split: Split) -> dict[str, float]:
        """Measure the mutual information on validation after an epoch, and end when it is time."""
        x, _ = split.part("validation")
        with evaluating(objective):
            nats = mutual_information(objective.guide, x)
        assert nats is not None  # a density, as check() made sure
        if nats > self.best:
            self.best, self.stale = nats, 0
        else:
            self.stale += 1
        self.active = self.active and self.stale < self.patience
        return {"mutual_information": nats}

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`load_state_dict` goes on from."""
        return {"active": self.active, "best": self.best, "stale": self.stale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken."""
        self.active, self.best, self.stale = state["active"], state["best"], state["stale"]


class Aggressive(Wrapping):
    """Updates of the guide as far as it goes before each of the model; afterwards plain ones.

    Args:
        eager: The step that moves either.
        plain: The step to take when aggressive training has ended.
        inference: The rule that says when that is.
        fresh: A function of an epoch's number that gives the batches to train the guide on, from
            the one on whose number is its second argument.
    """

    def __init__(
        self,
        eager: Eager,
        plain: Step,
        inference: AggressiveInference,
        fresh: Callable[[int, int], Iterator[Batch]],
    ) -> None:
        super().__init__(plain)
        self.eager, self.inference, self.fresh = eager, inference, fresh
        self.number, self.taken = -1, 0  # of the epoch, and of the fresh batches taken in it
        self.batches: Iterator[Batch] | None = None

    def __call__(self, batch: Batch, now: Moment) -> Losses:
        """See :class:`pyro_ssvae.training.steps.Step`."""
        if not self.inference.active:
            return super().__call__(batch, now)
        fresh = self._fresh(now.epoch)
        self.taken += train_guide(self.eager, batch, fresh, now)
        return self.eager(batch, now, [list(self.eager.objective.model.parameters())])

    def state_dict(self) -> dict[str, Any]:
        """See :class:`pyro_ssvae.training.steps.Step`."""
        return super().state_dict() | {
            "aggressive": self.inference.state_dict(),
            "fresh": {"epoch": self.number, "taken": self.taken},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`pyro_ssvae.training.steps.Step`."""
        super().load_state_dict(state)
        self.inference.load_state_dict(state["aggressive"])
        self.number, self.taken = int(state["fresh"]["epoch"]), int(state["fresh"]["taken"])
        self.batches = None

    def _fresh(self, epoch: int) -> Iterator[Batch]:
        """The fresh batches of an epoch, from where they were left."""
        if epoch != self.number:
            self.number, self.taken, self.batches = epoch, 0, None
        if self.batches is None:
            self.batches = self.fresh(epoch, self.taken)
        return self.batches


def train_guide(eager: Eager, batch: Batch, fresh: Iterator[Batch], now: Moment) -> int:
    """Updates of the guide alone, on this batch and then on fresh ones.

    They end after :data:`INNER_STEPS`, or when the mean loss of :data:`WINDOW` of them is no lower
    than that of those before.

    Returns:
        The number of fresh batches that were taken.
    """
    of_model = {id(p) for p in eager.objective.model.parameters()}
    guide = [p for p in eager.objective.guide.parameters() if id(p) not in of_model]
    before, losses = torch.inf, []
    for step in range(1, INNER_STEPS + 1):
        losses.append(eager(batch, now, [guide])["loss"])
        if step % WINDOW == 0:
            mean = torch.stack(losses[-WINDOW:]).mean().item()
            if mean >= before:
                return step - 1
            before = mean
        batch = next(fresh)
    return INNER_STEPS


def fresh_batches(
    split: Split, labelled: int, unlabelled: int, *, seed: int, epoch: int, start: int = 0
) -> Iterator[Batch]:
    """Batches without end, others than those of :func:`pyro_ssvae.data.batches`, by epoch.

    The first is that of number ``start``.
    """
    source = feed(split, labelled, unlabelled)
    passes, start = divmod(start, source.steps)
    for again in count(passes):
        yield from source.epoch(seed, FRESH * (epoch + 1) + again, start)
        start = 0
