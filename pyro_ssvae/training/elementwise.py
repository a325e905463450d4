"""An optimizer of one's own for replicas side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pyro_ssvae.training.schedule import Decay

Make = Callable[[list[Tensor]], torch.optim.Optimizer]


class Elementwise:
    """An elementwise optimizer of torch's kind, which leaves alone replicas that are broken.

    Args:
        make: A function of the parameters that gives the optimizer.
        tensors: The values of the parameters, (R, ...) each, which are moved in place.
    """

    def __init__(self, make: Make, tensors: Sequence[Tensor]) -> None:
        self.parameters = [nn.Parameter(tensor) for tensor in tensors]
        self.optimizer = make(list(self.parameters))
        self.decay = Decay(self.optimizer)

    def __call__(
        self, gradients: Sequence[Tensor], broken: Tensor, progress: float | None = None
    ) -> None:
        """Move the replicas of which ``broken``, (R,), is 0; the others' averages stay too.

        A replica that is broken gets gradients of 0, for an average that holds NaN keeps it, and
        all that follows from them is undone.

        Args:
            gradients: The gradients of the parameters.
            broken: The replicas that are to be left alone.
            progress: The share of the training by which the learning rates have fallen. None
                leaves them as they are.
        """
        if progress is not None:
            self.decay(progress)
        keep = broken > 0
        for parameter, gradient in zip(self.parameters, gradients):
            parameter.grad = torch.where(_like(keep, gradient), 0.0, gradient)
        if not broken.is_cuda and not keep.any():
            self.optimizer.step()
            return
        before = {place: tensor.clone() for place, tensor in self._tensors().items()}
        self.optimizer.step()
        for place, value in self._tensors().items():
            old = before.get(place, 0.0)  # averages begin at the first step
            value.copy_(torch.where(_like(keep, value), old, value))

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken."""
        self.optimizer.load_state_dict(state)

    def _tensors(self) -> dict[tuple[int, str], Tensor]:
        """The parameters and the optimizer's averages, (R, ...) each."""
        result = {}
        for i, parameter in enumerate(self.parameters):
            result[i, "itself"] = parameter.detach()
            for name, value in self.optimizer.state[parameter].items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    result[i, name] = value
        return result


def _like(replicas: Tensor, tensor: Tensor) -> Tensor:
    """(R,) made to go with (R, ...)."""
    return replicas.view(-1, *(1,) * (tensor.dim() - 1))
