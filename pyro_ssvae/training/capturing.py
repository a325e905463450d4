"""Updates by one captured graph, where there can be one and it is worth its compiler's time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor

from pyro_ssvae.contract import Batch
from pyro_ssvae.engine.capture import Captured
from pyro_ssvae.engine.program import CaptureError
from pyro_ssvae.errors import one_of
from pyro_ssvae.system import processes
from pyro_ssvae.training.finite import step
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.noise import Noise
from pyro_ssvae.training.steps import Eager, Losses

Capture = Literal["auto", "on", "off"] | bool
WORTH_UPDATES = 2_500  # on a CPU: a compiler's 15 to 25 s, against 10 ms an update and more


def worth_capturing(capture: Capture, updates: int, device: torch.device) -> bool:
    """Whether so many updates on a device are to be captured.

    It depends on what a run is started with and on nothing measured, so that a run that is
    resumed goes on in the same way, to the last bit.
    """
    if isinstance(capture, bool):
        return capture
    one_of("capture", capture, ("auto", "on", "off"))
    if capture == "auto":
        return device.type == "cuda" or updates >= WORTH_UPDATES
    return capture == "on"


class Capturing:
    """The eager step, in whose place a captured graph computes the batches that fit it.

    These are the batches of the first one's shape. Batches of another shape, such as an epoch's
    last one, are computed eagerly, and so are all where nothing can be captured: one warning says
    why. An objective whose parameters move in several turns is not captured. A weight that is
    changed has effect at once. What else has changed by the beginning of an epoch, such as a
    temperature, is captured anew.

    Args:
        eager: The step to take where nothing is captured.
    """

    def __init__(self, eager: Eager) -> None:
        self.eager = eager
        self.possible = len(eager.turns) == 1
        self.captured: Captured | None = None

    @contextmanager
    def epoch(
        self, seeds: Sequence[int], noise: Mapping[str, Tensor]
    ) -> Iterator[Callable[[], Noise]]:
        """See :class:`pyro_ssvae.training.steps.Step`."""
        if self.captured is not None and not self.captured.lasts():
            self.captured = None
        with self.eager.epoch(seeds, noise) as state:
            yield state

    def __call__(self, batch: Batch, now: Moment) -> Losses:
        """See :class:`pyro_ssvae.training.steps.Step`."""
        if self.captured is None and self.possible:
            self._capture(batch)
        if self.captured is None or not self.captured.fits(batch):
            return self.eager(batch, now)
        outcome = self.captured(batch, now.epochs)
        self.eager.guard.take(outcome, self.captured.program.learnt, now)
        if self.captured.adam is None:
            step(self.eager.optimizer, outcome.finite)
        return outcome.losses

    def settle(self) -> None:
        """See :class:`pyro_ssvae.training.steps.Step`."""
        self.eager.settle()

    def end(self) -> list[int]:
        """See :class:`pyro_ssvae.training.steps.Step`."""
        return self.eager.end()

    def tensors(self) -> list[dict[str, Tensor]]:
        """See :class:`pyro_ssvae.training.steps.Step`."""
        return self.eager.tensors()

    def state_dict(self) -> dict[str, Any]:
        """See :class:`pyro_ssvae.training.steps.Step`."""
        return self.eager.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`pyro_ssvae.training.steps.Step`."""
        self.eager.load_state_dict(state)

    def _capture(self, batch: Batch) -> None:
        eager, why = self.eager, None
        try:
            self.captured = Captured(
                eager.objective, eager.optimizer, batch, precision=eager.precision
            )
        except CaptureError as error:
            why = str(error)
        if (why := processes.said(why)) is not None:  # all of several processes, or none
            self.captured, self.possible = None, False
            if processes.first():
                warnings.warn(f"training goes on without capture: {why}", stacklevel=3)
