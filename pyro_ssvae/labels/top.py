"""Labels restricted to their likeliest classes."""

from __future__ import annotations

from typing import Any

import torch
from pyro import distributions as dist
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Size, Tensor
from torch.distributions import constraints

from pyro_ssvae.labels.onehots import expected_log_prob, masked


class TopClasses(TorchDistribution):
    """A label restricted to its k likeliest classes, renormalised.

    A guide that enumerates it sums over k classes, those of each row, instead of K. It is a guide
    like any other, and so the bound is one. Where q(y | x) is the posterior, it is looser than with
    all classes by -log p(y is one of the k | x). With another q it may be looser or tighter.

    Args:
        logits: The unnormalised log-probabilities of the classes, (..., K).
        top: The number of classes to keep, k. More than K are K.
    """

    arg_constraints = {"logits": constraints.real_vector}
    support = constraints.independent(constraints.unit_interval, 1)
    has_enumerate_support = True

    def __init__(self, logits: Tensor, top: int, validate_args: bool | None = None) -> None:
        self.top = min(top, logits.shape[-1])
        self.every = logits
        kept, self.classes = logits.topk(self.top, dim=-1)
        impossible = torch.full_like(logits, torch.finfo(logits.dtype).min)
        self.logits = impossible.scatter(-1, self.classes, kept.log_softmax(-1))
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=validate_args)

    @property
    def probs(self) -> Tensor:
        """(..., K) probabilities of the classes, 0 for all but k."""
        return self.logits.exp()

    def expand(self, batch_shape: Size, _instance: Any = None) -> TopClasses:
        logits = self.every.expand(Size(batch_shape) + self.event_shape)
        return type(self)(logits, self.top, validate_args=False)

    def within(self, possible: Tensor) -> TopClasses:
        """The likeliest classes of those in a set: ``possible`` (..., K) is 0 outside it."""
        return type(self)(masked(self.every, possible), self.top)

    def sample(self, sample_shape: Size = Size()) -> Tensor:
        return dist.OneHotCategorical(logits=self.logits, validate_args=False).sample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return expected_log_prob(value, self.logits)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """The k classes of each row, the likeliest first, one-hot (k, ..., K)."""
        one_hot = torch.eye(self.event_shape[0], dtype=self.logits.dtype, device=self.logits.device)
        return one_hot[self.classes].movedim(-2, 0)
