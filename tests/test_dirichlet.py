"""Dirichlet class probabilities by their logarithms, against 50 digits of mpmath."""

import math

import mpmath
import pytest
import torch
from torch import Tensor
from torch.distributions import Dirichlet, kl_divergence

from pyro_ssvae.labels import ExpectedLogDirichlet, Label, LogDirichlet

KAPPAS = (0.1, 0.5, 1.0, 5.0, 1e2, 1e4, 1e6, 1e8)
MEANS = {"even": [0.2, 0.3, 0.1, 0.4], "sure": [0.001, 0.997, 0.001, 0.001]}
PRIOR = [1.0, 1.5, 0.3, 2.0]
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-6}  # of numbers that cancel, near 1e9

each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
each_kappa = pytest.mark.parametrize("kappa", KAPPAS)
each_mean = pytest.mark.parametrize("mean", MEANS)


def concentration(kappa: float, mean: str, dtype: torch.dtype) -> Tensor:
    return (kappa * torch.tensor(MEANS[mean], dtype=torch.double)).to(dtype).requires_grad_()


def log_beta(c: list) -> mpmath.mpf:
    return sum(map(mpmath.loggamma, c)) - mpmath.loggamma(sum(c))


def expected_log(c: list, k: int) -> mpmath.mpf:
    return mpmath.digamma(c[k]) - mpmath.digamma(sum(c))


def kl(*c) -> mpmath.mpf:
    total = log_beta(list(map(mpmath.mpf, PRIOR))) - log_beta(c)
    return total + sum((c[k] - PRIOR[k]) * expected_log(c, k) for k in range(len(c)))


def entropy(*c) -> mpmath.mpf:
    return log_beta(c) - sum((c[k] - 1) * expected_log(c, k) for k in range(len(c)))


def assert_precise(value: Tensor, function, c: Tensor) -> None:
    """The value and its gradient are those of the function, with 50 digits, of the same numbers."""
    (gradient,) = torch.autograd.grad(value, c, retain_graph=True)
    with mpmath.workdps(50):
        exact = list(map(mpmath.mpf, c.tolist()))
        expected = float(function(*exact))
        slopes = [
            float(mpmath.diff(function, tuple(exact), tuple(int(i == k) for i in range(len(c)))))
            for k in range(len(c))
        ]
    close = {"rtol": TOLERANCE[c.dtype], "atol": 0.0}
    assert value.dtype == c.dtype
    torch.testing.assert_close(value, torch.tensor(expected, dtype=c.dtype), **close)
    torch.testing.assert_close(gradient, torch.tensor(slopes, dtype=c.dtype), **close)


@each_dtype
@each_kappa
@each_mean
def test_the_kl_divergence_is_precise_at_any_concentration(kappa, mean, dtype) -> None:
    c = concentration(kappa, mean, dtype)
    prior = LogDirichlet(torch.tensor(PRIOR, dtype=torch.double))
    assert_precise(kl_divergence(LogDirichlet(c), prior), kl, c)


@each_dtype
@each_kappa
@each_mean
def test_the_mean_is_psi_of_the_concentration_less_psi_of_its_sum(kappa, mean, dtype) -> None:
    c = concentration(kappa, mean, dtype)
    for k, value in enumerate(LogDirichlet(c).mean):
        assert_precise(value, lambda *c: expected_log(c, k), c)


@each_dtype
@each_kappa
@each_mean
def test_the_entropy_is_precise_at_any_concentration(kappa, mean, dtype) -> None:
    c = concentration(kappa, mean, dtype)
    assert_precise(LogDirichlet(c).entropy(), entropy, c)


def test_the_density_is_that_of_pi() -> None:
    c = torch.tensor([[0.5, 2.0, 3.0], [1.0, 1.0, 4.0]], dtype=torch.double)
    pi = Dirichlet(c).sample((5,))
    torch.testing.assert_close(LogDirichlet(c).log_prob(pi.log()), Dirichlet(c).log_prob(pi))


@pytest.mark.parametrize("c", [
    [0.001, 0.002, 0.0005], [0.1, 0.5, 1.0], [3.0, 1.0, 20.0], [1e6, 2e6, 3e6],
])
def test_samples_in_float32_have_the_moments_of_log_pi(c) -> None:
    n = 100_000
    torch.manual_seed(0)
    samples = LogDirichlet(torch.tensor(c)).sample((n,)).double()
    exact = torch.tensor(c, dtype=torch.double)
    variance = torch.polygamma(1, exact) - torch.polygamma(1, exact.sum())
    assert samples.isfinite().all()
    torch.testing.assert_close(samples.exp().sum(-1), torch.ones(n).double(), rtol=0, atol=1e-5)
    error = (samples.mean(0) - LogDirichlet(exact).mean).abs() / (variance / n).sqrt()
    assert (error < 4).all()
    torch.testing.assert_close(samples.var(0), variance, rtol=0.05, atol=0)


@pytest.mark.parametrize("c", [[0.01, 0.02], [0.5, 1.5], [30.0, 80.0]])
def test_gradients_of_samples_are_those_of_the_mean_in_expectation(c) -> None:
    torch.manual_seed(0)
    each = torch.tensor(c).expand(200_000, -1).clone().requires_grad_()
    (gradients,) = torch.autograd.grad(LogDirichlet(each).rsample()[:, 0].sum(), each)
    exact = torch.tensor(c, dtype=torch.double, requires_grad=True)
    (expected,) = torch.autograd.grad(LogDirichlet(exact).mean[0], exact)
    error = (gradients.double().mean(0) - expected).abs()
    assert (error < 4 * gradients.std(0) / math.sqrt(len(gradients))).all()


def test_its_expectation_is_what_a_log_density_is_in_expectation() -> None:
    torch.manual_seed(0)
    c, prior = torch.tensor([0.5, 2.0, 3.0]).double(), LogDirichlet(torch.tensor(PRIOR[:3]))
    q, label = ExpectedLogDirichlet(c), torch.tensor([0.0, 1.0, 0.0]).double()
    value, samples = q.rsample(), LogDirichlet(c).sample((400_000,))
    for expected, sampled in (
        (prior.log_prob(value), prior.log_prob(samples)),
        (q.log_prob(value), LogDirichlet(c).log_prob(samples)),
        (Label(value).log_prob(label), Label(samples).log_prob(label)),
    ):
        assert abs(expected - sampled.mean()) < 4 * sampled.std() / math.sqrt(len(samples))


def test_shapes_are_those_of_a_batch_of_vectors() -> None:
    for kind in (LogDirichlet, ExpectedLogDirichlet):
        q = kind(torch.ones(3)).expand((5,))
        assert type(q) is kind and q.batch_shape == (5,)
        value = q.rsample((2,))
        assert value.shape == (2, 5, 3) and q.log_prob(value).shape == (2, 5)


def test_a_label_has_every_class_and_its_probability() -> None:
    log_pi = torch.tensor([0.2, 0.5, 0.3]).log()
    torch.testing.assert_close(Label(log_pi).log_prob(Label(log_pi).enumerate_support()), log_pi)
