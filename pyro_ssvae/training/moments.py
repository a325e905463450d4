"""When an update takes place."""

from __future__ import annotations

from typing import NamedTuple


class Moment(NamedTuple):
    """When an update takes place.

    Attributes:
        epoch: The number of epochs that are done.
        step: The number of updates that are done in the epoch under way.
        steps: The number of updates in an epoch.
    """

    epoch: int
    step: int
    steps: int

    @property
    def epochs(self) -> float:
        """The epochs that are done when the update is."""
        return self.epoch + (self.step + 1) / self.steps
