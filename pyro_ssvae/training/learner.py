"""What is trained: one objective on one split, with what is its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyro_ssvae.data import Split
from pyro_ssvae.errors import InputError
from pyro_ssvae.evaluation.evaluate import fit_classifier
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.training.epoch import Epoch
from pyro_ssvae.training.stopping import EarlyStopping

Measure = Callable[[Objective, Split], dict[str, float]]


@dataclass
class Learner:
    """An objective that is trained on a split, alone or as one replica of several.

    Attributes:
        objective: The objective.
        split: The data.
        seed: The seed of its batches and its noise.
        measures: The functions that measure it after every epoch.
        stopping: Its early stopping.
        leave: The function to call when it takes no further part.
        left: Whether it takes no further part.
    """

    objective: Objective
    split: Split
    seed: int
    measures: Sequence[Measure]
    stopping: EarlyStopping | None = None
    leave: Callable[[], None] = lambda: None
    left: bool = False

    def begin(self) -> None:
        """Raise :class:`InputError` unless early stopping begins with the training."""
        if self.stopping is not None and self.stopping.best_epoch > 0:
            raise InputError(
                "expected an EarlyStopping of its own for a training, got one that has seen"
                f" another, whose best epoch was {self.stopping.best_epoch}: make a new one"
            )

    def due(self, epoch: int) -> bool:
        """Whether it is to stop, ``epoch`` epochs done."""
        return self.stopping is not None and self.stopping.due(epoch)

    def stop(self) -> None:
        """Take no further part, with the best weights of early stopping."""
        if self.left:
            return
        self.left = True
        self.leave()
        if self.stopping is not None and self.stopping.weights:
            self.objective.load_state_dict(self.stopping.weights)
            fit_classifier(self.objective.guide, self.split)  # to the features of these weights

    def validation(self) -> dict[str, float]:
        """All its measures."""
        result: dict[str, float] = {}
        for measure in self.measures:
            result |= measure(self.objective, self.split)
        return result

    def heed(self, epoch: Epoch) -> None:
        """Have early stopping take an epoch into account."""
        if self.stopping is not None:
            self.stopping.update(epoch, self.objective)
