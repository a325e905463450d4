"""A data set on which several runs are compared, label draw by label draw."""

from __future__ import annotations

from dataclasses import dataclass

from pyro_ssvae.reproduce.draws import counted
from pyro_ssvae.reproduce.work import Work


@dataclass(frozen=True)
class Board:
    """A data set of a comparison.

    Attributes:
        data: The data set.
        labels: The number of labels.
        epochs: The number of epochs at full scale.
        draws: The number of label draws at full scale.
        first: The first label draw. Those before it had a part in choosing the options.
    """

    data: str
    labels: int
    epochs: int
    draws: int
    first: int = 0

    @property
    def name(self) -> str:
        """What the data set is called: ``"digits, 50 labels"``."""
        return f"{self.data}, {self.labels} labels"

    def seeds(self, work: Work) -> list[int]:
        """The label draws at the scale of the work."""
        return [self.first + draw for draw in work.on(self.data).draws(self.draws)]

    def trained(self, work: Work) -> int:
        """The number of epochs at the scale of the work."""
        return work.on(self.data).epochs(self.epochs)

    def said(self, work: Work) -> str:
        """The data set, the epochs and the label draws at the scale of the work, in words."""
        epochs, draws = self.trained(work), len(self.seeds(work))
        text = f"{self.name}, {counted(epochs, 'epoch')} of {self.epochs}, {counted(draws, 'draw')}"
        return f"{text} from draw {self.first} on" if self.first else text
