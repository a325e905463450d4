"""Shares of a batch: what one of several processes gives to the losses of the whole batch.

Of a batch whose rows are divided among processes each has its share. What :class:`Objective` then
computes in each is a share of every loss: their sum over the processes is the loss of the whole
batch, and the sum of their gradients is its gradient. A mean over rows has the shares
``rows here / rows in all * mean over the rows here``. What is no mean over rows, such as a
divergence of a mean, takes the whole means first, by :func:`whole`, and is then the same in every
process, of which each gives an equal share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from pyro_ssvae.system import processes

Rows = Literal["labelled", "unlabelled"]
# What a loss is a mean over; of the whole batch's value in each process; or a share by itself.
Over = Literal["labelled", "unlabelled", "whole", "share"]


@dataclass(frozen=True)
class Share:
    """Every ``of``-th row of a batch, from row ``index`` on, of either of its two parts.

    Attributes:
        index: The number of the process, from 0.
        of: The number of processes.
        labelled: The number of labelled rows in the whole batch.
        unlabelled: The number of unlabelled rows in the whole batch.
    """

    index: int
    of: int
    labelled: int
    unlabelled: int

    def rows(self, whole: int) -> int:
        """How many of so many rows are in the share. It may be none: then one row stands in."""
        return len(range(self.index, whole, self.of))

    def whole(self, rows: Rows, bounded: float = 1.0) -> int:
        """The number of rows of the whole batch, or of the first of them by their share."""
        return math.ceil(bounded * (self.labelled if rows == "labelled" else self.unlabelled))


@dataclass
class _Current:
    share: Share
    last: list[Tensor] = field(default_factory=list)  # after which the next sum is to be taken


_current: ContextVar[_Current | None] = ContextVar("share", default=None)
_local: ContextVar[bool] = ContextVar("local", default=False)


@contextmanager
def sharing(share: Share) -> Iterator[None]:
    """Have losses of the batches within be shares, of the batch that this is a share of."""
    token = _current.set(_Current(share))
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def without_sums() -> Iterator[None]:
    """Have :func:`whole` ask no other process within, while a program is only noted down."""
    token = _local.set(True)
    try:
        yield
    finally:
        _local.reset(token)


def current() -> Share | None:
    """The share that batches are, None where they are whole."""
    now = _current.get()
    return None if now is None else now.share


def share(rows: Rows, bounded: float = 1.0) -> float:
    """The share of the whole batch's rows that are here, 1.0 where a batch is whole."""
    now = current()
    if now is None:
        return 1.0
    of = now.whole(rows, bounded)
    return now.rows(of) / of


def bounded(rows: int, part: float) -> int:
    """How many of so many unlabelled rows are among the first part of the whole batch's."""
    now = current()
    if now is None:
        return math.ceil(part * rows)
    return max(1, now.rows(now.whole("unlabelled", part)))


def of_loss(value: Tensor, over: Over) -> Tensor:
    """The share of a loss, from its value for the rows that are here."""
    now = current()
    if now is None or over == "share":
        return value
    return value / now.of if over == "whole" else value * share(over)


def whole(value: Tensor) -> Tensor:
    """The sum of the shares that the processes have, in each of them, with its gradient."""
    now = _current.get()
    if now is None:
        return value
    # Each sum takes the one before: whoever reorders a program keeps to the order of the sums.
    result: Tensor = _sum(value, now.last[-1] if now.last else value.detach(), now.share.of)
    now.last[:] = [result.detach()]
    return result


@torch.library.custom_op(
    "pyro_ssvae::sum", mutates_args=(), schema="(Tensor value, Tensor after, int of) -> Tensor"
)
def _sum(value: Tensor, after: Tensor, of: int) -> Tensor:
    result = value.detach().clone(memory_format=torch.contiguous_format)
    if not _local.get():
        processes.add(result)
    return result


@_sum.register_fake
def _like(value: Tensor, after: Tensor, of: int) -> Tensor:
    return torch.empty_like(value, memory_format=torch.contiguous_format)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
    ctx.of = inputs[2]


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
    # The sum of the gradients in all processes, which are the same.
    return gradient * ctx.of, None, None


_sum.register_autograd(_backward, setup_context=_keep)
