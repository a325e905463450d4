"""Lists of examples, as splits hold them and as their files do."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyro_ssvae.errors import InputError


def numbers(content: Any) -> Tensor:
    """A list of whole numbers, as int64; TypeError where it is none."""
    if not isinstance(content, list) or not all(type(index) is int for index in content):
        raise TypeError("expected lists of whole numbers")
    return torch.tensor(content, dtype=torch.int64)


def pairs(content: Any) -> Tensor:
    """A list of pairs of whole numbers, (n, 2) int64; TypeError where it is none."""
    if not isinstance(content, list) or any(len(numbers(pair)) != 2 for pair in content):
        raise TypeError("expected pairs of whole numbers")
    return numbers([index for pair in content for index in pair]).reshape(-1, 2)


def mask(pairs: Tensor, y: Tensor) -> Tensor:
    """The booleans of the shape of y (N, L) that are True at pairs of an example and a label."""
    hidden = torch.zeros(y.shape, dtype=torch.bool, device=y.device)
    outside = (pairs < 0) | (pairs >= torch.tensor([len(y), *y.shape[1:], 0][:2]))
    if outside.any():
        raise InputError(
            f"expected hidden labels within those of the data, {tuple(y.shape)}, got"
            f" {pairs[outside.any(dim=1)][0].tolist()}"
        )
    if len(pairs):
        hidden[pairs[:, 0], pairs[:, 1]] = True
    return hidden


def check(what: str, indices: Tensor, examples: int) -> None:
    """Raise :class:`InputError` unless these are examples below a number, each once."""
    distinct, counts = indices.unique(return_counts=True)
    outside = distinct[(distinct < 0) | (distinct >= examples)]
    repeated = distinct[counts > 1]
    wrong = [str(int(i)) for i in outside[:1]] + [f"{int(i)} more than once" for i in repeated[:1]]
    if wrong:
        raise InputError(f"expected disjoint {what} below {examples}, got {wrong[0]}")
