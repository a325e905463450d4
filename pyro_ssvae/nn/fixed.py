"""Distributions and functions without weights that models and guides are made of."""

from __future__ import annotations

from pyro import distributions as dist
from torch import Tensor

from pyro_ssvae import labels


def reverse_gradient(x: Tensor) -> Tensor:
    """x, whose gradient is passed back with its sign reversed.

    Ganin et al. (2016), Domain-Adversarial Training of Neural Networks.
    """
    return 2 * x.detach() - x


def standard_normal(like: Tensor, dim: int) -> dist.Distribution:
    """N(0, I) over ``dim`` dimensions, on ``like``'s device and of its dtype."""
    return dist.Normal(like.new_zeros(dim), like.new_ones(dim)).to_event(1)


def uniform_classes(like: Tensor, classes: int) -> dist.Distribution:
    """The uniform distribution over one-hot vectors of ``classes`` classes, as ``like``."""
    return labels.OneHots(like.new_zeros(classes))
