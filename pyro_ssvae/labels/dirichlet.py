"""Class probabilities that are random variables themselves: Dirichlet, by their logarithms."""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Size, Tensor
from torch.distributions import constraints, register_kl

from pyro_ssvae import private
from pyro_ssvae.labels.onehots import OneHots


class LogDirichlet(TorchDistribution):
    """The logarithm of class probabilities pi ~ Dirichlet(concentration).

    A small concentration makes probabilities that no float holds, and their logarithms are
    ordinary numbers. ``log_prob`` is the density of pi itself, a function of log pi. All is
    computed in float64, in which nothing cancels for concentrations of 1e-4 to 1e8, and returned
    in the type of the concentration.

    Args:
        concentration: The concentration of each class, (..., K), above 0.
    """

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, concentration: Tensor, validate_args: bool | None = None) -> None:
        self.concentration = concentration
        shape = concentration.shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """E log pi = psi(concentration) - psi(its sum), (..., K)."""
        c = self.concentration.double()
        return _expected_log(c).to(self.concentration.dtype)

    def expand(self, batch_shape: Size, _instance: Any = None) -> LogDirichlet:
        shape = Size(batch_shape) + self.event_shape
        return type(self)(self.concentration.expand(shape), validate_args=False)

    def rsample(self, sample_shape: Size = Size()) -> Tensor:
        c = self.concentration.double().expand(self._extended_shape(sample_shape))
        # G U^(1/c) is Gamma(c) for G ~ Gamma(c + 1), and its logarithm does not underflow.
        log_gamma = private.standard_gamma(c + 1).log() - torch.empty_like(c).exponential_() / c
        return log_gamma.log_softmax(-1).to(self.concentration.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        c = self.concentration.double()
        return (((c - 1) * value).sum(-1) - _log_beta(c)).to(value.dtype)

    def entropy(self) -> Tensor:
        """The entropy of pi, (...)."""
        c = self.concentration.double()
        entropy = _log_beta(c) - ((c - 1) * _expected_log(c)).sum(-1)
        return entropy.to(self.concentration.dtype)


class ExpectedLogDirichlet(LogDirichlet):
    """A :class:`LogDirichlet` that gives E log pi where a sample is asked for.

    What is linear in log pi, as log p(y | pi) of a :class:`Label` and a Dirichlet's log p(pi), is
    there its own expectation, in closed form. ``log_prob`` is the expected one too, minus the
    entropy. What is not linear in log pi needs samples.
    """

    def rsample(self, sample_shape: Size = Size()) -> Tensor:
        return self.mean.expand(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        return -self.entropy().expand(value.shape[:-1])


class Label(OneHots):
    """A one-hot label with class probabilities pi that are random themselves.

    ``log_prob`` is linear in log pi, which is taken as it is and not normalised: at E log pi it is
    E log p(y | pi).

    Args:
        log_pi: The logarithms of the class probabilities, (..., K).
    """

    def __init__(
        self, log_pi: Tensor, sizes: Any = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(log_pi, sizes, validate_args)
        self.logits = log_pi


@register_kl(LogDirichlet, LogDirichlet)
def _dirichlet_kl(q: LogDirichlet, p: LogDirichlet) -> Tensor:
    a, b = q.concentration.double(), p.concentration.double()
    kl = _log_beta(b) - _log_beta(a) + ((a - b) * _expected_log(a)).sum(-1)
    return kl.to(q.concentration.dtype)


def _expected_log(concentration: Tensor) -> Tensor:
    return concentration.digamma() - concentration.sum(-1, keepdim=True).digamma()


def _log_beta(concentration: Tensor) -> Tensor:
    return concentration.lgamma().sum(-1) - concentration.sum(-1).lgamma()
