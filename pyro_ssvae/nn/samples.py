"""Samples by noise that all examples share, so that what is said of one is said of it alone."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal, TransformedDistribution

SEED = 0


def noise(*shape: int, seed: int = SEED) -> Tensor:
    """Standard normal noise of a shape, the same ever again."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def drawn(fn: Distribution, noise: Tensor, *, own: bool) -> Tensor:
    """Samples (S, N, J) of normal variables, or of flows on them, (N, J).

    Args:
        fn: The distribution.
        noise: The noise (S, 1, J).
        own: Whether each example has random noise of its own, as in training. Otherwise all have
            the one that is given.
    """
    return fn.rsample(noise.shape[:1]) if own else moved(fn, noise)


def moved(fn: Distribution, noise: Tensor) -> Tensor:
    """What a normal distribution, or a flow on one, makes of standard normal noise."""
    if isinstance(fn, TransformedDistribution):
        value = moved(fn.base_dist, noise)
        for transform in fn.transforms:
            value = transform(value)
        return value
    if isinstance(fn, Independent):
        return moved(fn.base_dist, noise)
    if not isinstance(fn, Normal):
        raise NotImplementedError(f"expected a normal distribution, or a flow on one, got {fn}")
    return fn.loc + fn.scale * noise
