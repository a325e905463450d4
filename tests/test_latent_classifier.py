"""LatentClassifier against Jurasinski (2019), propositions 1 and 2, written out by hand."""

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

from pyro_ssvae import guides, models

N, D, K, J = 5, 6, 3, 2
Pair = tuple[models.LatentClassifier, guides.LatentClassifier]


def build(simplified: bool = False, **options) -> Pair:
    torch.manual_seed(0)
    model = models.LatentClassifier(D, K, z_dim=J, hidden=(4,), simplified=simplified).double()
    return model, guides.LatentClassifier(model, hidden=(4,), **options).double()


X = torch.bernoulli(torch.full((N, D), 0.5, dtype=torch.double))
Y = one_hot([0, 1, 2, 2, 0], K)
EPS = torch.randn(N, J, dtype=torch.double)


def latent(guide: guides.LatentClassifier) -> tuple[Tensor, Tensor]:
    """z = mu + sigma * eps, and log p(z) - log q(z | x)."""
    loc, scale = normal_parameters(guide.encoder, X)
    z = loc + scale * EPS
    return z, log_standard_normal(z) - log_normal(z, loc, scale)


def log_image(model: models.LatentClassifier, z: Tensor, y: Tensor) -> Tensor:
    inputs = (z,) if model.simplified else (z, y)
    return log_bernoulli(X, dense(model.decoder, *inputs))


def each_class(model: models.LatentClassifier, z: Tensor) -> tuple[Tensor, Tensor]:
    """log p(y | z) and log p(x | y, z) for every y, (N, K)."""
    images = [log_image(model, z, one_hot([k] * N, K)) for k in range(K)]
    return log_softmax(dense(model.classifier, z)), torch.stack(images, -1)


@pytest.mark.parametrize("simplified", [False, True])
@pytest.mark.parametrize("bound", ["jensen", "exact"])
def test_labelled_bound_is_proposition_1(simplified, bound) -> None:
    model, guide = build(simplified, bound=bound)
    z, minus_kl = latent(guide)
    log_p = (Y * log_softmax(dense(model.classifier, z))).sum(-1)
    by_hand = -(log_image(model, z, Y) + log_p + minus_kl).mean()
    derived = derived_bound(model, with_noise(guide, z=EPS), X, Y)
    assert_same(derived, by_hand, model, guide)


@pytest.mark.parametrize("simplified", [False, True])
def test_unlabelled_jensen_bound_is_proposition_2(simplified) -> None:
    model, guide = build(simplified, bound="jensen")
    z, minus_kl = latent(guide)
    log_p, images = each_class(model, z)
    by_hand = -((log_p.exp() * images).sum(-1) + minus_kl).mean()
    derived = derived_bound(model, with_noise(guide, z=EPS), X)
    torch.testing.assert_close(derived, by_hand, rtol=1e-10, atol=1e-10)
    if not simplified:  # simplified, the classifier's gradient is zero, by hand even absent
        assert_same(derived, by_hand, model, guide)


def test_unlabelled_exact_bound_sums_y_out() -> None:
    model, guide = build(bound="exact")
    z, minus_kl = latent(guide)
    log_p, images = each_class(model, z)
    by_hand = -((log_p + images).logsumexp(-1) + minus_kl).mean()
    assert_same(derived_bound(model, with_noise(guide, z=EPS), X), by_hand, model, guide)


def test_exact_is_above_jensen_by_the_kl_from_the_classifier_to_the_posterior_of_y() -> None:
    model, guide = build(bound="jensen")
    bounds = {}
    for guide.bound in ("jensen", "exact"):
        bounds[guide.bound] = -derived_bound(model, with_noise(guide, z=EPS), X)
    log_p, images = each_class(model, latent(guide)[0])
    log_posterior = log_softmax(log_p + images)
    gap = (log_p.exp() * (log_p - log_posterior)).sum(-1).mean()
    assert gap > 0
    torch.testing.assert_close(bounds["exact"] - bounds["jensen"], gap)


def test_simplified_bounds_do_not_differ() -> None:
    model, guide = build(simplified=True)
    bounds = []
    for guide.bound in ("jensen", "exact"):
        bounds.append(derived_bound(model, with_noise(guide, z=EPS), X))
    torch.testing.assert_close(bounds[0], bounds[1])


def test_classify_averages_over_the_posterior_of_z() -> None:
    model, guide = build(samples=200_000)
    z = torch.distributions.Normal(*normal_parameters(guide.encoder, X[0]))
    grid = z.icdf(torch.linspace(0.0005, 0.9995, 1000).double()[:, None])
    points = torch.cartesian_prod(*grid.T)
    exact = log_softmax(dense(model.classifier, points)).exp().mean(0)
    with torch.no_grad():
        torch.testing.assert_close(guide.classify(X[:1]).probs[0], exact, atol=2e-3, rtol=0)
