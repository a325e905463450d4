"""Heads: what makes a distribution of the raw numbers that a body gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from pyro import distributions as dist
from torch import Tensor, nn
from torch.distributions import constraints
from torch.nn import functional as F

from pyro_ssvae import labels
from pyro_ssvae.errors import InputError, positive

MIN_SCALE = 1e-5  # keeps a posterior that collapses on a point from dividing by zero


class Head(Protocol):
    """What makes a distribution of raw numbers; it has no weights."""

    def raw(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the raw numbers for a value of a shape."""

    def __call__(self, raw: Tensor, shape: tuple[int, ...]) -> dist.Distribution:
        """The distribution over values (..., *shape), one event, from raw numbers."""


class GreyBernoulli(dist.Bernoulli):
    """A Bernoulli likelihood that also takes grey pixels in [0, 1].

    Its ``log_prob`` is the cross-entropy ``x log p + (1 - x) log(1 - p)``, the field's convention.
    For binary x this is the Bernoulli; for grey x it is no normalised density, and bounds on
    grey images compare with each other only.
    """

    support = constraints.unit_interval


@dataclass(frozen=True)
class Bernoulli:
    """Bernoulli values, for pixels in [0, 1]: see :class:`GreyBernoulli`."""

    word: ClassVar[str] = "bernoulli"

    def raw(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The log-odds of each value."""
        return shape

    def __call__(self, raw: Tensor, shape: tuple[int, ...]) -> dist.Distribution:
        """The distribution over values (..., *shape)."""
        return GreyBernoulli(logits=raw).to_event(len(shape))


@dataclass(frozen=True)
class Normal:
    """Independent normal values.

    Attributes:
        sigma: The fixed standard deviation. ``1 / sigma**2`` weighs the reconstruction against the
            rest of the bound. With None the network gives one for every value.
    """

    sigma: float | None = None
    word: ClassVar[str] = "normal"

    def __post_init__(self) -> None:
        if self.sigma is not None:
            positive(sigma=self.sigma)

    def raw(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The means, and behind them the raw scales unless sigma is fixed."""
        return shape if self.sigma is not None else (2 * shape[0], *shape[1:])

    def __call__(self, raw: Tensor, shape: tuple[int, ...]) -> dist.Distribution:
        """The distribution over values (..., *shape)."""
        if self.sigma is not None:
            return dist.Normal(raw, self.sigma).to_event(len(shape))
        loc, scale = raw.chunk(2, dim=-len(shape))
        return dist.Normal(loc, F.softplus(scale) + MIN_SCALE).to_event(len(shape))


@dataclass(frozen=True)
class OneHots:
    """One-hot labels, independent of each other.

    Attributes:
        sizes: The number of classes of each label; of one label, all values. With None there is
            one.
    """

    sizes: tuple[int, ...] | None = None

    def raw(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The unnormalised log-probabilities of the classes."""
        return shape

    def __call__(self, raw: Tensor, shape: tuple[int, ...]) -> labels.OneHots:
        """The distribution over the concatenated one-hot vectors (..., sum(sizes))."""
        return labels.OneHots(raw, self.sizes or shape)


@dataclass(frozen=True)
class Categorical:
    """Tokens, each one of a vocabulary of V, which are whole numbers 0..V-1.

    Attributes:
        vocabulary: The number of different tokens, V.
    """

    vocabulary: int
    word: ClassVar[str] = "categorical"

    def __post_init__(self) -> None:
        if not isinstance(self.vocabulary, int):
            raise InputError(
                f"expected the number of different tokens, such as 256, got {self.vocabulary!r}"
            )
        positive(vocabulary=self.vocabulary)

    def raw(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """V unnormalised log-probabilities for each value, along the first dimension."""
        return (shape[0] * self.vocabulary, *shape[1:])

    def __call__(self, raw: Tensor, shape: tuple[int, ...]) -> dist.Distribution:
        """The distribution over tokens (..., *shape)."""
        each = raw.unflatten(-len(shape), (shape[0], self.vocabulary))
        return dist.Categorical(logits=each.movedim(-len(shape), -1)).to_event(len(shape))


@dataclass(frozen=True)
class Point:
    """The point mass at the raw numbers."""

    def raw(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The point itself."""
        return shape

    def __call__(self, raw: Tensor, shape: tuple[int, ...]) -> dist.Distribution:
        """The point mass in (..., *shape)."""
        return dist.Delta(raw, event_dim=len(shape))


class Tokens(nn.Module):
    """Reads tokens (..., D), whole numbers 0..V-1, as one-hot vectors (..., D * V)."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary

    def forward(self, x: Tensor) -> Tensor:
        return labels.onehot(x.long(), self.vocabulary).flatten(-2).to(x.dtype)
