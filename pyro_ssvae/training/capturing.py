"""Updates by a captured graph, where there can be one and it is worth the time that it takes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor

from pyro_ssvae.contract import Batch
from pyro_ssvae.data import Split
from pyro_ssvae.engine.capture import Captured
from pyro_ssvae.engine.outcome import to_skip
from pyro_ssvae.engine.program import CaptureError
from pyro_ssvae.errors import one_of
from pyro_ssvae.system import processes
from pyro_ssvae.training.finite import copies, put_back, step
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.noise import Noise
from pyro_ssvae.training.steps import Eager, Losses, Wrapping

Way = Literal["on", "traced", "off"]
Capture = Literal["auto", "on", "traced", "off"] | bool
WORTH_TRACING = 150  # updates on a CPU: one or two seconds, against 10 ms an update
WORTH_UPDATES = 2_500  # a compiler's 15 to 50 s, against 10 ms an update
FEW = 256  # numbers of an example: with fewer an update is small, and compiled 3 ms shorter
WORTH_UPDATES_OF_FEW = 10_000


def decided(capture: Capture, updates: int, split: Split, device: torch.device) -> Way:
    """The way in which so many updates on a device are computed.

    It depends on what a run is started with and on nothing measured, so that a run that is
    resumed goes on in the same way, to the last bit.

    Args:
        capture: The way that is asked for.
        updates: The number of updates of the run, or of all runs that share its program.
        split: The data.
        device: The device that they are computed on.

    Returns:
        ``"on"`` for a graph that is compiled, ``"traced"`` for one that is replayed as it was
        traced, ``"off"`` for updates as Pyro computes them.
    """
    if isinstance(capture, bool):
        return "on" if capture else "off"
    one_of("capture", capture, ("auto", "on", "traced", "off"))
    if capture != "auto":
        return capture
    if updates >= worth_compiling(split):
        return "on"
    return "traced" if device.type == "cuda" or updates >= WORTH_TRACING else "off"


def worth_compiling(split: Split) -> int:
    """The number of updates from which on a compiler pays, by the size of the examples."""
    few = math.prod(split.dataset.shape) < FEW
    return WORTH_UPDATES_OF_FEW if few else WORTH_UPDATES


class Capturing(Wrapping):
    """The eager step, in whose place a captured graph computes the batches that fit it.

    These are the batches of the first one's shape. On a CPU those of another shape, such as an
    epoch's last one, have a graph that is replayed as traced. All others are computed eagerly, and
    so are all where nothing can be captured: one warning says why. An objective whose parameters
    move in several turns is not captured. A weight that is changed has effect at once. What else
    has changed by the beginning of an epoch, such as a temperature, is captured anew.

    Args:
        eager: The step to take where nothing is captured.
        compile: Whether to compile the graph. Where that fails it is replayed as traced, which one
            warning says. A GPU records either, and where that fails it is replayed unrecorded.
    """

    def __init__(self, eager: Eager, *, compile: bool = True) -> None:
        super().__init__(eager)
        self.eager, self.compile = eager, compile
        self.possible = len(eager.turns) == 1
        self.captured: Captured | None = None
        self.other: Captured | None = None
        # Whether batches of other shapes have no graph: several processes do not meet them at once.
        self.one_shape_only = processes.number() > 1

    @contextmanager
    def epoch(
        self, seeds: Sequence[int], noise: Mapping[str, Tensor]
    ) -> Iterator[Callable[[], Noise]]:
        """See :class:`pyro_ssvae.training.steps.Step`."""
        if self.captured is not None and not self.captured.lasts():
            self.captured = self.other = None
        with super().epoch(seeds, noise) as state:
            yield state

    def __call__(self, batch: Batch, now: Moment) -> Losses:
        """See :class:`pyro_ssvae.training.steps.Step`."""
        captured = self._captured(batch)
        if captured is None:
            return self.eager(batch, now)
        before = copies(buffers := self.eager.guard.at_risk())
        outcome = captured(batch, now.epochs)
        self.eager.guard.take(outcome, captured.program.learnt, now)
        if captured.adam is None:
            step(self.eager.optimizer, outcome.finite)
        put_back(buffers, before, to_skip(outcome.finite))
        return outcome.losses

    def _captured(self, batch: Batch) -> Captured | None:
        """The graph that computes a batch, None where there is none."""
        if self.captured is None and self.possible:
            self.captured = self._first(batch)
        if self.captured is None or self.captured.fits(batch):
            return self.captured
        if self.other is None and not (self.one_shape_only or batch.x.is_cuda):
            try:
                self.other = self._made(batch, compile=False, beside=self.captured)
            except CaptureError:
                self.one_shape_only = True
        return self.other if self.other is not None and self.other.fits(batch) else None

    def _first(self, batch: Batch) -> Captured | None:
        result = reason = None
        for going_on, how in self._ways(batch):
            why = None
            try:
                result = self._made(batch, **how)
            except CaptureError as error:
                why = str(error)
            if (why := processes.said(why)) is None:  # of all of several processes
                break
            result, reason = None, reason or why
        self.possible = result is not None
        if reason is not None and processes.first():
            told = going_on if self.possible else "without capture"
            warnings.warn(f"training goes on {told}: {reason}", stacklevel=4)
        return result

    def _ways(self, batch: Batch) -> list[tuple[str, dict[str, bool]]]:
        """The ways to make a graph, the best first, with what to say of going on by each."""
        ways = [("with a graph that is not compiled", {"compile": False})]
        if self.compile:
            ways.insert(0, ("with a compiled graph", {"compile": True}))
        if batch.x.is_cuda:
            plain = {"compile": False, "record": False}
            ways.append(("with a graph that is neither compiled nor recorded", plain))
        return ways

    def _made(self, batch: Batch, **how: Any) -> Captured:
        eager = self.eager
        return Captured(eager.objective, eager.optimizer, batch, precision=eager.precision, **how)
