"""ADGM and SDGM against Maaløe et al. (2016), written out by hand."""

import math

import pytest
import torch
from by_hand import (
    assert_same,
    dense,
    derived_bound,
    log_bernoulli,
    log_normal,
    log_softmax,
    log_standard_normal,
    normal_parameters,
    one_hot,
    with_noise,
)
from torch import Tensor

from pyro_ssvae import guides, models, nn

N, D, K, J, A = 5, 6, 3, 2, 4
X = torch.bernoulli(torch.full((N, D), 0.5, dtype=torch.double))
Y = one_hot([0, 1, 2, 2, 0], K)
EPS_A = torch.randn(N, A, dtype=torch.double)
EPS_Z = torch.randn(K, N, J, dtype=torch.double)


@pytest.fixture(params=["ADGM", "SDGM"])
def pair(request):
    torch.manual_seed(0)
    model = getattr(models, request.param)(D, K, z_dim=J, a_dim=A, hidden=(5,)).double()
    return model, getattr(guides, request.param)(model, hidden=(5,)).double()


def log_model(model, y: Tensor, z: Tensor, a: Tensor) -> Tensor:
    """log p(y) p(z) p(x, a | y, z): eq. 2 for ADGM, section 2.4 for SDGM."""
    skip = isinstance(model, models.SDGM)
    pixels = dense(model.decoder, *((a, z, y) if skip else (z, y)))
    loc, scale = normal_parameters(model.auxiliary, *((z, y) if skip else (X, y, z)))
    return (
        log_bernoulli(X, pixels) + log_normal(a, loc, scale) + log_standard_normal(z)
        - math.log(K)
    )


def bound(model, guide, y: Tensor, eps_z: Tensor) -> tuple[Tensor, Tensor]:
    """log p(x, y, z, a) - log q(a | x) q(z | a, y, x), and the a that was drawn."""
    loc_a, scale_a = normal_parameters(guide.auxiliary, X)
    a = loc_a + scale_a * EPS_A
    loc, scale = normal_parameters(guide.encoder, a, y, X)
    z = loc + scale * eps_z
    log_q = log_normal(a, loc_a, scale_a) + log_normal(z, loc, scale)
    return log_model(model, y, z, a) - log_q, a


def test_labelled_bound_is_equation_6(pair) -> None:
    model, guide = pair
    derived = derived_bound(model, with_noise(guide, a=EPS_A, z=EPS_Z[0]), X, Y)
    assert_same(derived, -bound(model, guide, Y, EPS_Z[0])[0].mean(), model, guide)


def test_unlabelled_bound_is_equation_7(pair) -> None:
    model, guide = pair
    total = torch.zeros(N, dtype=torch.double)
    for k in range(K):
        each, a = bound(model, guide, one_hot([k] * N, K), EPS_Z[k])
        log_q = log_softmax(dense(guide.classifier, a, X))[:, k]
        total = total + log_q.exp() * (each - log_q)
    derived = derived_bound(model, with_noise(guide, a=EPS_A, z=EPS_Z), X)
    assert_same(derived, -total.mean(), model, guide)


def test_classify_averages_over_the_auxiliary(pair) -> None:
    _, guide = pair
    guide.noise = nn.noise(100_000, 1, A, seed=1).double()
    loc, scale = normal_parameters(guide.auxiliary, X[:1])
    a = loc + scale * torch.randn(100_000, A).double()
    expected = log_softmax(dense(guide.classifier, a, X[:1])).exp().mean(0)
    with torch.no_grad():
        torch.testing.assert_close(guide.classify(X[:1]).probs[0], expected, rtol=0, atol=5e-3)
