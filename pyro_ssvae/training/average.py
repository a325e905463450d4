"""Moving averages of weights, by which what is trained is judged and used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyro_ssvae import private
from pyro_ssvae.contract import Batch
from pyro_ssvae.errors import InputError
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.noise import Noise
from pyro_ssvae.training.saved import check_tensor, check_types
from pyro_ssvae.training.steps import Losses, Step, Wrapping


ETA = 8  # of Shamir and Zhang's polynomial decay


class Kinds(NamedTuple):
    """Averages and what they are of.

    Attributes:
        averages: Those of the parameters.
        trained: The parameters.
        others: Those of buffers and counts, each with what it is of.
    """

    averages: list[Tensor]
    trained: list[Tensor]
    others: list[tuple[Tensor, Tensor]]


class Averaging(Wrapping):
    """A step that averages the weights over its updates, and puts the average in their place.

    Polyak and Juditsky (1992), with weights that fall exponentially into the past. To begin with
    they fall faster, as in Shamir and Zhang (2013), section 4: after t updates no average reaches
    much further back than t / 9, so that soon nothing is left in it of how training began. Within
    an epoch the objectives hold the weights
    that are trained. At its end, and at a pause, they change places with their averages: these are
    validated, kept by early stopping, saved and loaded. Buffers are averaged as parameters are.
    Statistics of batch normalisation are moving averages too, of the same updates: averaged, they
    are those of the averaged weights as nearly as a pass over the data would tell, without one.

    Args:
        step: The step that trains.
        objectives: The objectives that it trains.
        left: The numbers of the replicas that take no further part, whose weights are left alone.
        average: The share of the past in a moving average of the weights, in [0, 1), which is
            validated, kept and saved in their place, as 0.999. With 0 none is taken.
    """

    def __init__(
        self,
        step: Step,
        objectives: Sequence[Objective],
        left: Set[int],
        average: float = 0.0,
    ) -> None:
        if not 0 <= average < 1:
            raise InputError(f"expected average in [0, 1), got {average}")
        super().__init__(step)
        self.left, self.average, self.count = left, average, 0
        self.held = [
            {name: tensor.detach() for name, tensor in changing(objective).items()}
            for objective in objectives
        ]
        # The averages within an epoch, the weights that are trained between epochs.
        self.others = [
            {name: tensor.clone() for name, tensor in held.items()} for held in self.held
        ]
        self.parameters = {name for name, _ in objectives[0].named_parameters()}
        self.kinds: Kinds | None = None

    @contextmanager
    def epoch(
        self, seeds: Sequence[int], noise: Mapping[str, Tensor]
    ) -> Iterator[Callable[[], Noise]]:
        """See :class:`pyro_ssvae.training.steps.Step`."""
        if self.count:
            self._exchange()
        self.kinds = None
        with super().epoch(seeds, noise) as state:
            yield state

    def __call__(self, batch: Batch, now: Moment) -> Losses:
        """See :class:`pyro_ssvae.training.steps.Step`."""
        losses = super().__call__(batch, now)
        self.count += 1
        weight = max(1 - self.average, (ETA + 1) / (ETA + self.count))
        if self.kinds is None:  # what is trained is the same throughout an epoch
            self.kinds = self._by_kind()
        averages, trained, others = self.kinds
        private.lerp(averages, trained, weight)
        for average, value in others:
            average.copy_(_towards(average, value, weight))
        return losses

    def settle(self) -> None:
        """See :class:`pyro_ssvae.training.steps.Step`."""
        super().settle()
        self._exchange()

    def end(self) -> list[int]:
        """See :class:`pyro_ssvae.training.steps.Step`."""
        skipped = super().end()
        self._exchange()
        return skipped

    def state_dict(self) -> dict[str, Any]:
        """See :class:`pyro_ssvae.training.steps.Step`; between epochs, with what is trained."""
        average = {"count": self.count, "weights": self.others}
        return super().state_dict() | {"average": average}

    def state_of(self, i: int) -> dict[str, Any]:
        """See :class:`pyro_ssvae.training.steps.Step`."""
        average = {"count": self.count, "weights": [self.others[i]]}
        return super().state_of(i) | {"average": average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`pyro_ssvae.training.steps.Step`."""
        super().load_state_dict(state)
        check_average(state["average"])
        self.count = state["average"]["count"]
        for others, saved in zip(self.others, state["average"]["weights"], strict=True):
            if {n: t.shape for n, t in saved.items()} != {n: t.shape for n, t in others.items()}:
                raise ValueError("the average is of other weights")
            for name in saved.keys() & self.parameters:
                check_tensor(f"the average's {name}", saved[name])
            for name, tensor in others.items():
                tensor.copy_(saved[name])

    @torch.no_grad()
    def _exchange(self) -> None:
        for i, (held, others) in enumerate(zip(self.held, self.others)):
            for name, tensor in held.items() if i not in self.left else ():
                before = tensor.clone()
                tensor.copy_(others[name])
                others[name].copy_(before)

    def _by_kind(self) -> Kinds:
        """The averages, with what they are of."""
        kinds = Kinds([], [], [])
        for others, trained in zip(self.others, self.step.tensors(), strict=True):
            for name, tensor in trained.items():
                if name in self.parameters and tensor.is_floating_point():
                    kinds.averages.append(others[name])
                    kinds.trained.append(tensor.detach())
                else:
                    kinds.others.append((others[name], tensor.detach()))
        return kinds


def _towards(average: Tensor, value: Tensor, weight: float) -> Tensor:
    """The average of a buffer; a count, and a number that is not finite, is taken as it is."""
    if not value.is_floating_point():
        return value
    finite = average.isfinite() & value.isfinite()
    return torch.where(finite, average.lerp(value, weight), value)


def changing(objective: Objective) -> dict[str, Tensor]:
    """The parameters and the buffers of an objective by name."""
    return dict(objective.named_parameters()) | dict(objective.named_buffers())


def check_average(state: Any) -> None:
    """Raise ValueError unless this may be what :meth:`Averaging.state_dict` has of its own."""
    check_types("the average", state, {"count": int, "weights": list})
    for weights in state["weights"]:
        if not isinstance(weights, dict):
            raise ValueError("the average has no named weights")
        for name, tensor in weights.items():
            check_tensor(f"the average's {name}", tensor, finite=False)  # it may be a buffer's
