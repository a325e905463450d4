"""Updates by several processes, each with its share of the rows of every batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from pyro_ssvae.contract import Batch
from pyro_ssvae.data import Split
from pyro_ssvae.engine.program import constants
from pyro_ssvae.engine.rows import Draw, drawing, draws_of
from pyro_ssvae.errors import InputError
from pyro_ssvae.inference.interpolation import interpolation
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.inference.shares import Share, sharing
from pyro_ssvae.inference.terms import Rewriting, Term
from pyro_ssvae.nn.running import NORMALISES
from pyro_ssvae.system import processes
from pyro_ssvae.training.learner import Measure
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.noise import Noise
from pyro_ssvae.training.steps import Losses, Step, Wrapping


class Together(Wrapping):
    """A step that every process takes with its rows of the batch, and all take as one would.

    Losses are those of the whole batch, and gradients too: their shares are summed over the
    processes before anything moves. Noise is drawn by rows. So the weights are the same in all
    processes, and those that one process would have, up to rounding. What is saved has nothing of
    the processes.

    Args:
        step: The step that trains; it sums what :mod:`pyro_ssvae.engine.sums` says.
        objective: The objective that it trains.
        split: The data.
        labelled: The number of labelled examples in a whole batch.
        unlabelled: The number of unlabelled examples in a whole batch.

    Raises:
        InputError: If a part of the loss or of a network is none that has shares.
    """

    def __init__(
        self, step: Step, objective: Objective, split: Split, labelled: int, unlabelled: int
    ) -> None:
        check_shared(objective)
        super().__init__(step)
        self.objective = objective
        self.labelled, self.unlabelled, self.examples = labelled, unlabelled, len(split.unlabelled)
        self.constants: dict[str, Any] = {}
        self.draws: list[Draw] | None = None

    @contextmanager
    def epoch(
        self, seeds: Sequence[int], noise: Mapping[str, Tensor]
    ) -> Iterator[Callable[[], Noise]]:
        """See :class:`pyro_ssvae.training.steps.Step`; weights are those of the first process."""
        check_shared(self.objective)
        with torch.no_grad():
            processes.tensors_from_first([*self.objective.parameters(), *self.objective.buffers()])
        if (now := constants(self.objective)) != self.constants:
            self.constants, self.draws = now, None
        with super().epoch(seeds, noise) as state:
            yield state

    def __call__(self, batch: Batch, now: Moment) -> Losses:
        """See :class:`pyro_ssvae.training.steps.Step`; of a batch of the rows of this process."""
        if self.draws is None:
            self.draws = draws_of(self.objective, batch)
        share = self.share(now)
        with sharing(share), drawing(self.draws, share):
            return self.step(batch, now)

    def share(self, now: Moment) -> Share:
        """What the batch at a moment is a share of: an epoch's last one may be smaller."""
        unlabelled = min(self.unlabelled, self.examples - now.step * self.unlabelled)
        return Share(processes.index(), processes.number(), self.labelled, unlabelled)


def check_shared(objective: Objective) -> None:
    """Raise :class:`InputError` unless several processes can share the losses of an objective."""
    advice = "train in one process"
    for name, part in objective.terms.items():
        if not objective.counts(name):
            continue
        if isinstance(part, Term) and part.function is interpolation:
            raise InputError(
                f"{name}={objective.weights[name]} mixes the examples of a batch, of which each of"
                f" {processes.number()} processes has a share: use {name}=0, or {advice}"
            )
        if isinstance(part, Term) and part.over is None:
            raise InputError(
                f"expected to know of which examples the term {name!r} is a mean, for"
                f" {processes.number()} processes share them: use Term(..., over='labelled') or"
                f" 'unlabelled', or {advice}"
            )
        if isinstance(part, Rewriting) and not part.shared:
            raise InputError(
                f"{name}={objective.weights[name]} changes a bound in a way of its own, which"
                f" {processes.number()} processes cannot share: use {name}=0, or {advice}"
            )
    for name, module in objective.named_modules():
        if isinstance(module, NORMALISES):
            raise InputError(
                f"batch normalisation, in {name}, is over all examples of a batch, of which each"
                f" of {processes.number()} processes has a share: use a network without, or"
                f" {advice}"
            )


def of_all(measure: Measure) -> Measure:
    """A measure that has the numbers of the first process in all: they stop early together."""
    return lambda objective, split: processes.from_first(measure(objective, split))


def by_any(pause: Callable[[], bool] | None) -> Callable[[], bool] | None:
    """A pause that all processes take together where one of them is to, None where none is."""
    if not processes.largest(int(pause is not None)):
        return None
    return lambda: bool(processes.largest(int(pause is not None and pause())))
