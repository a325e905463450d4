"""Examples drawn from a model, given a label or whatever the model draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from pyro_ssvae.errors import InputError
from pyro_ssvae.inference import query

TOGETHER = 250  # that are drawn at a time where the model does not begin with the label
TRIES = 200  # times that it draws as many

Value = Callable[[Any], Tensor]


def mean(fn: Distribution) -> Tensor:
    """The mean of p(x | ...), as figures of images show it."""
    return fn.mean


def sample(fn: Distribution) -> Tensor:
    """A sample of p(x | ...)."""
    return fn.sample()


def drawn(
    model: Callable[..., Any], x: Tensor, y: Tensor | None = None, *, value: Value = sample
) -> Tensor:
    """Draws of the model, (N, ...): from p(x), or from p(x | y).

    Where the model samples y before all else it is given it, and what comes after is drawn. Else
    the model draws until it has drawn the label as often as is asked for, which is exact too.

    Args:
        model: The model.
        x: N examples, (N, ...), of which only shape, type and device count.
        y: The encoded label of all, (S,), or of each, (N, S); a block that is NaN is drawn, as the
            model draws it. None has the model draw all of it.
        value: A function of p(x | ...), (N, ...), that gives what stands for x.

    Raises:
        InputError: If the model has no x, or no y that is asked for, or draws it too rarely.
    """
    first = query.order(model, x[:1])
    if "x" not in first:
        raise InputError(f"{type(model).__name__} has no model of x, and draws none")
    if y is None:
        return value(query.draw(model, x)[0])
    if "y" not in first:
        raise InputError(f"{type(model).__name__}'s model has no label to draw x of; give none")
    labels = y.expand(len(x), -1)
    if first[0] == "y":
        if y.isnan().any() and (own := query.draw(model, x)[1]) is not None:
            labels = torch.where(y.isnan(), own, labels)
        return value(query.likelihood(model, x, y=labels))
    result = x.clone()
    same = labels.nan_to_num(-1.0).unique(dim=0, return_inverse=True)[1]
    for group in range(int(same.max()) + 1):
        result[same == group] = _of_label(
            model, x[same == group], labels[same == group][0], value
        )
    return result


def _of_label(model: Callable[..., Any], x: Tensor, y: Tensor, value: Value) -> Tensor:
    like = x[:1].expand(max(TOGETHER, len(x)), *x.shape[1:])
    parts: list[Tensor] = []
    found = 0
    for _ in range(TRIES):
        fn, own = query.draw(model, like)
        right = (y.isnan() | (own == y)).all(-1)
        parts.append(value(fn)[right])
        found += len(parts[-1])
        if found >= len(x):
            return torch.cat(parts)[:len(x)]
    raise InputError(
        f"expected {len(x)} draws of the label, got {found} in {TRIES * len(like):,}, for the model"
        " draws it rarely; ask for fewer"
    )
