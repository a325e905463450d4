"""Training paused within an epoch, to go on as if it had not been."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Losses = list[dict[str, Tensor]]


@dataclass
class Pause:
    """The place within an epoch where training was paused.

    Attributes:
        wanted: The function that says, after every update, whether to pause.
        step: The number of updates done in the epoch; 0 is its beginning.
        taken: The number of fresh batches that aggressive training has taken in the epoch.
        skipped: The number of updates of the epoch that were skipped.
        seconds: The time spent on the epoch.
        losses: The losses and terms of its updates by name, (step,) each.
        noise: The states of torch's generators by device, ``"cpu"`` and perhaps ``"cuda"``.
    """

    wanted: Callable[[], bool] = lambda: False
    step: int = 0
    taken: int = 0
    skipped: int = 0
    seconds: float = 0.0
    losses: dict[str, Tensor] = field(default_factory=dict)
    noise: dict[str, Tensor] = field(default_factory=dict)

    def hold(
        self, step: int, taken: int, skipped: int, losses: Losses, seconds: float
    ) -> None:
        """Keep the place, and the state of the generators."""
        self.step, self.taken, self.skipped, self.seconds = step, taken, skipped, seconds
        self.losses = {name: torch.stack([loss[name] for loss in losses]) for name in losses[0]}
        self.noise = {"cpu": torch.get_rng_state()}
        if (device := losses[0]["loss"].device).type == "cuda":
            self.noise["cuda"] = torch.cuda.get_rng_state(device)

    def go_on(self) -> tuple[int, int, int, Losses]:
        """Put the generators back.

        Returns:
            The step, the fresh batches taken, the updates skipped, and the losses so far.
        """
        losses = [{name: values[i] for name, values in self.losses.items()}
                  for i in range(self.step)]
        if "cpu" in self.noise:
            torch.set_rng_state(self.noise["cpu"].cpu())
        if "cuda" in self.noise:
            torch.cuda.set_rng_state(self.noise["cuda"].cpu(), losses[0]["loss"].device)
        place = self.step, self.taken, self.skipped, losses
        self.load_state_dict(Pause().state_dict())
        return place

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`load_state_dict` goes on from."""
        return {
            "step": self.step, "taken": self.taken, "skipped": self.skipped,
            "seconds": self.seconds, "losses": self.losses, "noise": self.noise,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken."""
        self.step, self.taken = state["step"], state["taken"]
        self.skipped, self.seconds = state["skipped"], state["seconds"]
        self.losses, self.noise = state["losses"], state["noise"]
