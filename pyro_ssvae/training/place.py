"""Where a training stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pyro_ssvae.training.saved import NUMBER, check_types

KINDS: dict[str, Any] = {
    "epoch": int, "step": int, "seconds": NUMBER, "losses": dict, "noise": dict,
}


@dataclass(frozen=True)
class Place:
    """Where a training stands: at the beginning of an epoch, or within.

    Attributes:
        epoch: The number of epochs that are done.
        step: The number of updates that are done in the epoch under way; 0 is its beginning.
        seconds: The time spent on that epoch.
        losses: The losses and terms of its updates by name, (step, ...) each.
        noise: The states of the generators of its noise by name.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    losses: dict[str, Tensor] = field(default_factory=dict)
    noise: dict[str, Tensor] = field(default_factory=dict)

    def updates(self) -> list[dict[str, Tensor]]:
        """The losses, update by update."""
        return [
            {name: values[i] for name, values in self.losses.items()} for i in range(self.step)
        ]

    def state_dict(self) -> dict[str, Any]:
        """The attributes by name."""
        return dict(vars(self))

    @classmethod
    def read(cls, state: Any) -> Place:
        """The place whose :meth:`state_dict` this was.

        Raises:
            ValueError: If it is none.
        """
        if not isinstance(state, dict) or state.keys() != KINDS.keys():
            raise ValueError(f"the place has other parts than {', '.join(KINDS)}")
        check_types("the parts of the place", state, KINDS)
        place = cls(**state)
        if min(place.epoch, place.step) < 0:
            raise ValueError("the place is before the beginning")
        for name, values in place.losses.items():
            if not isinstance(values, Tensor) or values.shape[:1] != (place.step,):
                raise ValueError(f"the place has not the {name} of its updates")
        if place.step and not ("loss" in place.losses and place.noise):
            raise ValueError("the place has no losses or no state of the noise")
        return place


def stacked(losses: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Losses of updates by name, (updates, ...) each."""
    return {name: torch.stack([loss[name] for loss in losses]) for name in losses[0]}
