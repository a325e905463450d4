"""Labels relaxed to samples that gradients pass through."""

from __future__ import annotations

from typing import Any

from pyro import distributions as dist
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Size, Tensor
from torch.distributions import constraints, register_kl
from torch.nn import functional as F

from pyro_ssvae.labels.onehots import (
    OneHots,
    by_label,
    categorical_kl,
    expected_log_prob,
    sizes_of,
)


class RelaxedOneHots(TorchDistribution):
    """Labels relaxed to the inside of the simplex: samples that gradients pass through.

    Jang et al. (2017), Categorical Reparameterization with Gumbel-Softmax. The relaxation serves
    the sample alone: ``log_prob`` is that of :class:`OneHots`, and the KL divergence is the
    categorical's. The Concrete density compares with no probability of a class: their difference
    bounds nothing.

    Args:
        labels: The labels to relax, :class:`OneHots` or Pyro's ``OneHotCategorical``.
        temperature: The temperature of the relaxation. Towards 0 samples become one-hot, and
            gradients noisy.
        hard: Whether samples are one-hot, with the gradient of relaxed ones ("straight-through").
    """

    arg_constraints: dict[str, Any] = {}
    support = constraints.independent(constraints.unit_interval, 1)
    has_rsample = True

    def __init__(
        self, labels: Any, temperature: float, hard: bool = False, validate_args: bool | None = None
    ) -> None:
        self.labels, self.temperature, self.hard = labels, temperature, hard
        self.logits: Tensor = labels.logits
        super().__init__(labels.batch_shape, labels.event_shape, validate_args=False)

    def expand(self, batch_shape: Size, _instance: Any = None) -> RelaxedOneHots:
        return type(self)(self.labels.expand(batch_shape), self.temperature, self.hard)

    def within(self, possible: Tensor) -> RelaxedOneHots:
        """The labels known to be in a set, see :meth:`OneHots.within`."""
        labels = OneHots(self.logits, sizes_of(self.labels)).within(possible)
        return type(self)(labels, self.temperature, self.hard)

    def rsample(self, sample_shape: Size = Size()) -> Tensor:
        logits = self.logits.expand(Size(sample_shape) + self.logits.shape)
        return by_label(
            lambda block: F.gumbel_softmax(block, self.temperature, self.hard), logits,
            sizes_of(self.labels),
        )

    def log_prob(self, value: Tensor) -> Tensor:
        return expected_log_prob(value, self.logits)


for _p in (OneHots, dist.OneHotCategorical):
    register_kl(RelaxedOneHots, _p)(categorical_kl)
