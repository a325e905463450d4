"""Labels as random variables: one-hot vectors of one label or several, known or unknown."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from pyro import distributions as dist
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Size, Tensor
from torch.distributions import constraints, register_kl

from pyro_ssvae.errors import InputError

MAX_COMBINATIONS = 100_000


def by_label(
    function: Callable[[Tensor], Tensor], values: Tensor, sizes: Sequence[int]
) -> Tensor:
    """A function of the last dimension, applied to the block (..., k) of each label.

    Labels that have equally many classes are computed together: a hundred cost little more than
    one.
    """
    if len(sizes) == 1:
        return function(values)
    if len(set(sizes)) == 1:
        return function(values.unflatten(-1, (len(sizes), sizes[0]))).flatten(-2)
    return torch.cat([function(block) for block in values.split(tuple(sizes), dim=-1)], dim=-1)


def onehot(values: Tensor, number: int) -> Tensor:
    """Whole numbers (...) from 0 to ``number`` - 1 as vectors (..., number), True at each.

    Unlike torch's own function it looks at no value: what uses it can be captured.
    """
    return values.unsqueeze(-1) == torch.arange(number, device=values.device)


def expected_log_prob(y: Tensor, logits: Tensor) -> Tensor:
    """E_y log p for one-hot or soft labels y; a block that is NaN, unknown, counts nothing."""
    known = torch.where(y.isnan(), 0.0, y)
    if logits.dim() == 2 and y.dim() == 3 and y.shape[1] == 1:
        # Every class (C, 1, K) of every example (N, K): a product, and no tensor (C, N, K).
        return known.squeeze(1) @ logits.mT
    return (known * logits).sum(-1)


def masked(logits: Tensor, possible: Tensor) -> Tensor:
    """Log-probabilities (..., S), the least number there is where ``possible`` (..., S) is 0."""
    return torch.where(possible > 0, logits, torch.finfo(logits.dtype).min)


class OneHots(TorchDistribution):
    """Independent categorical labels, their one-hot vectors concatenated.

    Its ``log_prob`` is linear in the value: that of a relaxed or soft label is the expected
    ``log p`` under it. The block of a label that is NaN, unknown, counts nothing.

    Args:
        logits: The unnormalised log-probabilities (..., S). They are normalised here, block by
            block.
        sizes: The number of classes of each label. They sum to S. With None there is a single label
            of S classes.

    Example:
        >>> import torch
        >>> from pyro_ssvae.labels import OneHots
        >>> labels = OneHots(torch.zeros(5), sizes=(2, 3))
        >>> labels.probs
        tensor([0.5000, 0.5000, 0.3333, 0.3333, 0.3333])
        >>> labels.enumerate_support().shape
        torch.Size([6, 5])
    """

    arg_constraints = {"logits": constraints.real_vector}
    support = constraints.independent(constraints.unit_interval, 1)
    has_enumerate_support = True

    def __init__(
        self,
        logits: Tensor,
        sizes: Sequence[int] | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self.sizes = tuple(logits.shape[-1:] if sizes is None else sizes)
        normalised = by_label(lambda block: block.log_softmax(-1), logits, self.sizes)
        # Finite, so that an impossible class counts 0 * log 0 = 0, without a NaN in a gradient.
        self.logits = normalised.clamp_min(torch.finfo(logits.dtype).min)
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=validate_args)

    @property
    def probs(self) -> Tensor:
        """(..., S) probabilities of the classes, label by label."""
        return self.logits.exp()

    @property
    def mean(self) -> Tensor:
        return self.probs

    def expand(self, batch_shape: Size, _instance: Any = None) -> OneHots:
        return type(self)(
            self.logits.expand(Size(batch_shape) + self.event_shape), self.sizes,
            validate_args=False,
        )

    def within(self, possible: Tensor) -> OneHots:
        """The labels known to be in a set, renormalised: ``possible`` (..., S) is 0 outside it."""
        return type(self)(masked(self.logits, possible), self.sizes)

    def sample(self, sample_shape: Size = Size()) -> Tensor:
        def drawn(logits: Tensor) -> Tensor:
            labels = torch.distributions.Categorical(logits=logits, validate_args=False)
            return onehot(labels.sample(sample_shape), logits.shape[-1]).to(logits)

        return by_label(drawn, self.logits, self.sizes)

    def log_prob(self, value: Tensor) -> Tensor:
        return expected_log_prob(value, self.logits)

    def entropy(self) -> Tensor:
        return -(self.probs * self.logits).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Every combination of classes, (prod(sizes), ..., S)."""
        if (number := math.prod(self.sizes)) > MAX_COMBINATIONS:
            raise InputError(
                f"enumerated labels of sizes {self.sizes}: expected at most"
                f" {MAX_COMBINATIONS} combinations, got {number}; use label_inference=Relaxed()"
            )
        # On the device of the logits: what is made elsewhere cannot be part of a CUDA graph.
        classes = [
            torch.eye(size, dtype=self.logits.dtype, device=self.logits.device)
            for size in self.sizes
        ]
        if len(classes) == 1:
            values = classes[0]
        else:
            numbers = (torch.arange(size, device=self.logits.device) for size in self.sizes)
            index = torch.cartesian_prod(*numbers).unbind(-1)
            values = torch.cat([eye[i] for eye, i in zip(classes, index)], dim=-1)
        values = values.reshape(number, *(1,) * len(self.batch_shape), -1)
        return values.expand(number, *self.batch_shape, -1) if expand else values


def sizes_of(labels: Any) -> tuple[int, ...]:
    """The number of classes of each label; Pyro's own ``OneHotCategorical`` is of a single one."""
    return getattr(labels, "sizes", tuple(labels.event_shape))


def categorical_kl(q: Any, p: Any) -> Tensor:
    """KL[q || p] of labels that know their ``logits``, a sum over the labels."""
    return (q.logits.exp() * (q.logits - p.logits)).sum(-1)


for _q in (OneHots, dist.OneHotCategorical):
    register_kl(_q, OneHots)(categorical_kl)
