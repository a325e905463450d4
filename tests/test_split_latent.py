"""SplitLatent against Jurasinski (2019), appendix C, eq. 7, written out by hand."""

import pytest
import torch
from by_hand import (
    assert_same,
    dense,
    kl_standard_normal,
    log_bernoulli,
    log_normal,
    log_softmax,
    log_standard_normal,
    normal_parameters,
    one_hot,
    with_noise,
)
from torch import Tensor

from pyro_ssvae import guides, models, negative_elbo, nn

N, D, K, J, A = 5, 6, 3, 2, 4
torch.manual_seed(0)
X = torch.bernoulli(torch.full((N, D), 0.5, dtype=torch.double))
Y = one_hot([0, 1, 2, 2, 0], K)
EPS_A = torch.randn(N, A, dtype=torch.double)
EPS_Z = torch.randn(N, J, dtype=torch.double)
Pair = tuple[models.SplitLatent, guides.SplitLatent]
each_kl = pytest.mark.parametrize("kl", ["analytic", "sampled"])


@pytest.fixture
def pair() -> Pair:
    torch.manual_seed(1)
    model = models.SplitLatent(D, K, z_dim=J, a_dim=A, hidden=(5,)).double()
    return model, guides.SplitLatent(model, hidden=(4,)).double()


def bound_without_label(model, guide, kl: str) -> tuple[Tensor, Tensor]:
    """log p(x | z, a) + log p(z, a) - log q(z | a, x) - log q(a | x), (N,), and a."""
    loc_a, scale_a = normal_parameters(guide.label_encoder, X)
    a = loc_a + scale_a * EPS_A
    loc, scale = normal_parameters(guide.encoder, a, X)
    z = loc + scale * EPS_Z
    if kl == "analytic":
        divergence = kl_standard_normal(loc_a, scale_a) + kl_standard_normal(loc, scale)
    else:
        log_q = log_normal(z, loc, scale) + log_normal(a, loc_a, scale_a)
        divergence = log_q - log_standard_normal(z) - log_standard_normal(a)
    return log_bernoulli(X, dense(model.decoder, z, a)) - divergence, a


@each_kl
def test_labelled_bound_is_equation_7(pair, kl) -> None:
    model, guide = pair
    bound, a = bound_without_label(model, guide, kl)
    label = (Y * log_softmax(dense(model.classifier, a))).sum(-1)
    derived = negative_elbo(model, with_noise(guide, a=EPS_A, z=EPS_Z), X, Y, kl=kl)
    assert_same(derived, -(bound + label).mean(), model, guide)


@each_kl
def test_unlabelled_bound_is_equation_7_without_the_label(pair, kl) -> None:
    # Nothing depends on y: sum_y p(y | a) = 1.
    model, guide = pair
    bound, _ = bound_without_label(model, guide, kl)
    derived = negative_elbo(model, with_noise(guide, a=EPS_A, z=EPS_Z), X, kl=kl)
    torch.testing.assert_close(derived, -bound.mean(), rtol=1e-10, atol=1e-10)
    trained = [*model.decoder.parameters(), *guide.label_encoder.parameters(),
               *guide.encoder.parameters()]
    for a, b in zip(torch.autograd.grad(derived, trained, retain_graph=True),
                    torch.autograd.grad(-bound.mean(), trained), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


def test_unlabelled_examples_do_not_move_the_classifier(pair) -> None:
    model, guide = pair
    loss = negative_elbo(model, with_noise(guide, a=EPS_A, z=EPS_Z), X)
    gradients = torch.autograd.grad(loss, list(model.classifier.parameters()), allow_unused=True)
    for gradient in gradients:
        assert gradient is None or gradient.abs().max() < 1e-12


def test_model_and_guide_share_the_classifier(pair) -> None:
    assert pair[0].classifier is pair[1].classifier


def test_classify_averages_over_the_latent_of_the_label(pair) -> None:
    model, guide = pair
    guide.noise = nn.noise(100_000, 1, A, seed=1).double()
    loc, scale = normal_parameters(guide.label_encoder, X[:1])
    a = loc + scale * torch.randn(100_000, A).double()
    expected = log_softmax(dense(model.classifier, a)).exp().mean(0)
    with torch.no_grad():
        torch.testing.assert_close(guide.classify(X[:1]).probs[0], expected, rtol=0, atol=5e-3)
