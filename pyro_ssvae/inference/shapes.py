"""What the shapes of a batch have to do with one another."""

from __future__ import annotations

from pyro_ssvae.contract import Batch
from pyro_ssvae.errors import InputError


def check_shapes(batch: Batch) -> None:
    """Raise :class:`InputError` if the shapes of a batch's parts disagree."""
    x, y, u, possible = batch
    if x.dim() < 2 or x.shape[1:] != u.shape[1:]:
        raise InputError(
            f"expected x and u with examples of one shape, got {tuple(x.shape)} and"
            f" {tuple(u.shape)}"
        )
    if y.dim() != 2 or len(y) != len(x):
        raise InputError(
            f"expected one-hot labels y of shape ({len(x)}, K), got {tuple(y.shape)}"
        )
    if possible is not None and possible.shape != (len(u), y.shape[1]):
        raise InputError(
            f"expected sets of classes of shape ({len(u)}, {y.shape[1]}), got"
            f" {tuple(possible.shape)}"
        )
