"""Noise by rows: a process that has some rows of a batch draws the noise of all, and takes theirs.

So every row has the noise that it has in one process, whichever process it is in, and the state of
the generators is that of one process.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pyro_ssvae.contract import Batch
from pyro_ssvae.engine.noise import draws
from pyro_ssvae.engine.program import unchanged
from pyro_ssvae.errors import InputError
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.inference.shares import Rows, Share
from pyro_ssvae.system import processes

aten = torch.ops.aten
CREATED = (aten.rand.default, aten.randn.default)
MOST = 2_000  # rows of a batch to try
LIKE = (aten.rand_like.default, aten.randn_like.default)


@dataclass(frozen=True)
class Draw:
    """One draw of noise in an update.

    Attributes:
        operation: The name of torch's operation that draws.
        dim: The dimension along which what is drawn has the rows of a batch. None where it has
            nothing to do with them: then it is the same in every process.
        rows: The part of the batch whose rows they are.
        bounded: The share of that part, from its first row on.
    """

    operation: str
    dim: int | None = None
    rows: Rows = "labelled"
    bounded: float = 1.0


def draws_of(objective: Objective, batch: Batch) -> list[Draw]:
    """The draws of an update in their order, told apart by what they do in batches of other sizes.

    Nothing is changed by it.

    Args:
        objective: The objective, in the mode and on the device to train it.
        batch: A batch of it, of which rows are taken.

    Raises:
        InputError: If what is drawn has rows in a way that is not known here.
    """
    more = _telling(objective.bounded)
    few, labelled, unlabelled = (
        _drawn(objective, _of_size(batch, *sizes)) for sizes in ((2, 2), (3, 2), (2, more))
    )
    if not len(few) == len(labelled) == len(unlabelled):
        raise _unknown("whose number depends on the size of a batch")
    first = math.ceil(objective.bounded * 2), math.ceil(objective.bounded * more)
    parts: list[tuple[list[_Seen], tuple[int, int], Rows, float]] = [
        (labelled, (2, 3), "labelled", 1.0), (unlabelled, (2, more), "unlabelled", 1.0),
        (unlabelled, first, "unlabelled", objective.bounded),
    ]
    result = []
    for i, (name, shape) in enumerate(few):
        changes = {
            (dim, rows, bounded) for others, sizes, rows, bounded in parts
            for dim, now in enumerate(shape)
            if (now, others[i].shape[dim]) == sizes
        }
        if shape == labelled[i].shape and shape == unlabelled[i].shape:
            result.append(Draw(name))
        elif len({(dim, rows) for dim, rows, _ in changes}) != 1 or "randperm" in name:
            raise _unknown(f"by {name}, which mixes rows")
        else:
            dim, rows, bounded = max(changes, key=lambda change: change[2])
            result.append(Draw(name, dim, rows, bounded))
    return result


@dataclass(frozen=True)
class _Plan:
    draws: Sequence[Draw]
    share: Share


_plan: ContextVar[_Plan | None] = ContextVar("plan", default=None)


@contextmanager
def drawing(draws: Sequence[Draw], share: Share) -> Iterator[None]:
    """Have updates within draw noise by rows, where they say so by :func:`noise_by_rows`."""
    token = _plan.set(_Plan(draws, share))
    try:
        yield
    finally:
        _plan.reset(token)


@contextmanager
def noise_by_rows() -> Iterator[None]:
    """Draw the noise of an update, or of a turn of it, by rows, where a batch is a share."""
    plan = _plan.get()
    if plan is None:
        yield
    else:
        with _ByRows(plan):
            yield


class _Seen(NamedTuple):
    """A draw as it was seen."""

    operation: str
    shape: torch.Size


class _Recording(TorchDispatchMode):
    """Notes down what is drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[_Seen] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if draws(func):
            several = isinstance(result, (tuple, list))
            self.seen.append(_Seen(str(func.name()), (result[0] if several else result).shape))
        return result


class _ByRows(TorchDispatchMode):
    """Draws the noise of all rows, and gives that of those in a share."""

    def __init__(self, plan: _Plan) -> None:
        super().__init__()
        self.plan, self.left = plan, iter(plan.draws)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not draws(func):
            return func(*args, **kwargs)
        draw = next(self.left, None)
        if draw is None:
            raise _unknown("whose number is another than it was at the first update")
        if draw.dim is None:
            return func(*args, **kwargs)
        return self._of_share(func, args, kwargs, draw, draw.dim)

    def _of_share(
        self, func: Any, args: Any, kwargs: dict[str, Any], draw: Draw, dim: int
    ) -> Any:
        share = self.plan.share
        rows = share.whole(draw.rows, draw.bounded)
        if func in CREATED:
            shape = list(args[0])
            shape[dim] = rows
            return _own(func(shape, **kwargs), dim, share)
        if func.name().split(".")[0].endswith("_"):
            filled, *others = args
            whole = filled.new_empty(*filled.shape[:dim], rows, *filled.shape[dim + 1:])
            func(whole, *(self._gathered(o, dim, rows) for o in others), **kwargs)
            return filled.copy_(_own(whole, dim, share))
        like = args[0]
        if func in LIKE:
            whole = like.new_empty(*like.shape[:dim], rows, *like.shape[dim + 1:])
            return _own(func(whole, **kwargs), dim, share)
        drawn = func(*(self._gathered(a, dim, rows) for a in args), **kwargs)
        if isinstance(drawn, tuple):
            return tuple(_own(one, dim, share) for one in drawn)
        return _own(drawn, dim, share)

    def _gathered(self, value: Any, dim: int, rows: int) -> Any:
        """What all processes have of an argument that has a value for each row."""
        if not isinstance(value, Tensor) or value.dim() == 0:
            return value
        share = self.plan.share
        whole = value.new_zeros(*value.shape[:dim], rows, *value.shape[dim + 1:])
        if share.rows(rows):
            _own(whole, dim, share).copy_(value)
        processes.add(whole)
        return whole


def _telling(bounded: float) -> int:
    """How many unlabelled rows tell noise for all of them from that for the first of them."""
    rest = 1 - bounded if bounded < 1 else 1.0
    return min(2 + math.ceil(1 / min(bounded, rest)), MOST)


def _own(whole: Tensor, dim: int, share: Share) -> Tensor:
    """The rows of a share, or the one that stands in where it has none."""
    if not share.rows(whole.shape[dim]):
        return whole.narrow(dim, 0, 1)
    return whole[(slice(None),) * dim + (slice(share.index, None, share.of),)]


def _drawn(objective: Objective, batch: Batch) -> list[_Seen]:
    with unchanged(objective, batch.x.device), torch.no_grad(), _Recording() as recording:
        objective(batch, 0.0)
    return recording.seen


def _of_size(batch: Batch, labelled: int, unlabelled: int) -> Batch:
    def some(part: Tensor, number: int) -> Tensor:
        return part[torch.arange(number, device=part.device) % len(part)]

    possible = None if batch.possible is None else some(batch.possible, unlabelled)
    x, y = some(batch.x, labelled), some(batch.y, labelled)
    return Batch(x, y, some(batch.u, unlabelled), possible)


def _unknown(what: str) -> InputError:
    return InputError(
        f"expected noise of which every row of a batch has its own, got noise {what}: train in one"
        " process"
    )
