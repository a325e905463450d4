"""The training loop: an iterator of epochs that can be saved, and gone on with."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Generic, TypeVar

import pyro
from torch import Tensor

from pyro_ssvae.contract import Batch
from pyro_ssvae.data import steps_per_epoch
from pyro_ssvae.inference.check import pointing_to_check
from pyro_ssvae.system.progress import Progress
from pyro_ssvae.training.epoch import Epoch, mean_losses
from pyro_ssvae.training.how import How
from pyro_ssvae.training.learner import Learner
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.noise import noise_seed
from pyro_ssvae.training.place import Place, stacked
from pyro_ssvae.training.steps import Step

Given = TypeVar("Given")


class Training(Iterator[Given], Generic[Given]):
    """A training under way: an iterator of epochs that can be saved, and gone on with.

    ``state_dict`` and the weights of what is trained are all that another training, started with
    the same arguments, needs to go on exactly: after an epoch, or after a pause within one.

    Args:
        learners: What is trained, one objective or several replicas.
        step: The step that trains them.
        batches: A function of an epoch's number and that of an update in it, which gives the
            batches of the epoch from this update on.
        how: How to train, with no argument left out.
        rates: A function that sets the learning rates for a share of the training, 0 to 1.
        give: A function of the epochs of all learners, None for those that have stopped, that
            makes of them what the iterator gives.

    Attributes:
        place: The epochs that are done, and the updates of the one under way.
        steps: The number of updates in an epoch.
        paused: Whether the iterator has ended at a pause.
    """

    def __init__(
        self,
        learners: Sequence[Learner],
        step: Step,
        batches: Callable[[int, int], Iterator[Batch]],
        how: How,
        *,
        rates: Callable[[float], None] | None,
        give: Callable[[list[Epoch | None]], Given],
    ) -> None:
        self.learners, self.step, self.batches, self.how = learners, step, batches, how
        self.rates, self.give = rates, give
        self.epochs = how["epochs"]
        self.steps = steps_per_epoch(learners[0].split, how["batch_unlabelled"])
        self.place, self.paused = Place(), False
        self.used, self.ended = False, False
        self.shown = ExitStack()
        self.bar: Progress | None = None

    def __repr__(self) -> str:
        """How many epochs it has, and how far it is."""
        done = f"{self.place.epoch} of them done" if self.used else "not begun: iterate over it"
        return f"training of {self.epochs} epochs, {done}"

    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:
        """Warn where no epoch was taken: who forgot to iterate has trained nothing."""
        # Nothing is set where the constructor has raised. ``warn`` is there at Python's own end.
        if not getattr(self, "used", True):
            warn(
                f"nothing was trained: fit gives an iterator, of {self.epochs} epochs here, of"
                " which none was taken; iterate over it, `for epoch in fit(...)`",
                UserWarning, stacklevel=2,
            )

    def __next__(self) -> Given:
        """The next epoch."""
        self.used, epochs = True, None
        try:
            if self.place.epoch == self.place.step == 0:
                for learner in self.learners:
                    learner.begin()
            if not self.ended and not self._over():
                with pointing_to_check():
                    epochs = self._epoch(self.place)
        finally:
            if epochs is None:  # at the end, at a pause, and where something was raised
                self.ended = True
                self.shown.close()
        if epochs is None:
            raise StopIteration
        return self.give(epochs)

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`load_state_dict` goes on from, after an epoch or a pause.

        Returns:
            Tensors and plain values: the ``place``, the state of the ``step``, and a list of the
            learners' ``stopping``, None where there is none. As those of torch, it refers to
            tensors that are trained on; copy it to keep it.
        """
        self.used = True
        return {
            "place": self.place.state_dict(),
            "step": self.step.state_dict(),
            "stopping": [
                None if learner.stopping is None else learner.stopping.state_dict()
                for learner in self.learners
            ],
        }

    def state_of(self, i: int) -> dict[str, Any]:
        """What :meth:`state_dict` would be of learner i, from 0, had it been trained alone."""
        state = self.state_dict()
        return state | {"step": self.step.state_of(i), "stopping": [state["stopping"][i]]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken, before the first epoch is taken.

        The weights are not part of it: load them into the objectives.

        Raises:
            ValueError: If it is not the state of such a training.
        """
        self.used = True
        try:
            self._load(state)
        except (AttributeError, KeyError, TypeError) as error:  # of what is something else
            raise ValueError(
                "expected what state_dict gave of such a training, got something else:"
                f" {type(error).__name__}: {error}"
            ) from error

    def _load(self, state: dict[str, Any]) -> None:
        self.place = Place.read(state["place"])
        if self.place.step > self.steps:
            raise ValueError(f"the place is after update {self.place.step} of {self.steps}")
        if (own := self.step.state_dict().keys()) != state["step"].keys():
            there, here = (", ".join(sorted(keys)) for keys in (state["step"], own))
            raise ValueError(f"the state holds {there}, and this training has {here}")
        self.step.load_state_dict(state["step"])
        for learner, stopping in zip(self.learners, state["stopping"], strict=True):
            if learner.stopping is not None:
                learner.stopping.load_state_dict(stopping)

    def _epoch(self, place: Place) -> list[Epoch | None] | None:
        """Train for an epoch, or to a pause."""
        began, bar = time.perf_counter() - place.seconds, self._progress()
        seeds = [noise_seed(learner.seed, place.epoch) for learner in self.learners]
        for learner in self.learners:
            if not learner.objective.training:  # a part alone may be kept in evaluation mode
                learner.objective.train()
        losses = place.updates()
        with _quiet(), self.step.epoch(seeds, place.noise) as noise:
            left = self.batches(place.epoch, place.step)
            for step, batch in enumerate(left, place.step):
                now = Moment(place.epoch, step, self.steps)
                if self.rates is not None:
                    self.rates((place.epoch * self.steps + step) / (self.epochs * self.steps))
                losses.append(self.step(batch, now))
                bar.advance()
                if self._pauses(step):
                    self.step.settle()
                    seconds = time.perf_counter() - began
                    self.place = Place(place.epoch, step + 1, seconds, stacked(losses), noise())
                    self.paused = True
                    return None
            skipped = self.step.end()
            validation = [
                None if learner.left else learner.validation() for learner in self.learners
            ]
        self.place = Place(place.epoch + 1)
        seconds = time.perf_counter() - began
        if len(self.learners) == 1 and validation[0] is not None:
            bar.note(**validation[0])
        return self._told(seconds, stacked(losses), validation, skipped)

    def _told(
        self,
        seconds: float,
        losses: dict[str, Tensor],
        validation: list[dict[str, float] | None],
        skipped: list[int],
    ) -> list[Epoch | None]:
        """What the epoch did, of each learner that has taken part."""
        number = self.place.epoch
        result: list[Epoch | None] = []
        for i, (learner, measured) in enumerate(zip(self.learners, validation)):
            epoch = None
            if measured is not None:
                own = {name: values.flatten(1)[:, i] if values.dim() > 1 else values
                       for name, values in losses.items()}
                epoch = Epoch(
                    number, number * self.steps, seconds, mean_losses(own), measured, skipped[i]
                )
                learner.heed(epoch)
            result.append(epoch)
        return result

    @property
    def last(self) -> bool:
        """Whether the epoch that was given is the last one."""
        return all(self.ends(i) for i in range(len(self.learners)))

    def ends(self, i: int) -> bool:
        """Whether the epoch that was given is the last one of learner i, from 0, or later."""
        return self.place.epoch >= self.epochs or self.learners[i].due(self.place.epoch)

    def _over(self) -> bool:
        """Whether there is no epoch left; learners that have stopped take no further part."""
        done = self.place.epoch >= self.epochs
        for learner in self.learners:
            if done or learner.due(self.place.epoch):
                learner.stop()
        return all(learner.left for learner in self.learners)

    def _pauses(self, step: int) -> bool:
        # Not before an epoch's last batch: the first one to come is captured, and the last one
        # may be smaller.
        pause = self.how["pause"]
        return pause is not None and pause() and step + 2 != self.steps

    def _progress(self) -> Progress:
        if self.bar is None:
            name, number = type(self.learners[0].objective.model).__name__, len(self.learners)
            what = f"training {name}" if number == 1 else f"training {number} replicas of {name}"
            done = self.place.epoch * self.steps + self.place.step
            self.bar = self.shown.enter_context(Progress(
                what, self.epochs * self.steps, "updates", done=done, show=self.how["progress"]
            ))
        return self.bar


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Pyro's checks, and its warnings of what is not finite: an error follows."""
    with warnings.catch_warnings(), pyro.validation_enabled(False):
        warnings.filterwarnings("ignore", "Encountered (NaN|inf)")
        yield
