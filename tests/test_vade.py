"""VaDE against Jiang et al. (2017), written out by hand, and what the guide adds to it."""

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
    normal_parameters,
    one_hot,
    with_noise,
)
from torch import Tensor

from pyro_ssvae import InputError, Objective, guides, models, negative_elbo
from pyro_ssvae.data import Batch

N, K, J, SHAPE = 5, 3, 2, (4, 6)
D = SHAPE[0] * SHAPE[1]
torch.manual_seed(0)
X = torch.bernoulli(torch.full((N, D), 0.5, dtype=torch.double))
Y = one_hot([0, 1, 2, 2, 0], K)
EPS = torch.randn(N, J, dtype=torch.double)
Pair = tuple[models.VaDE, guides.VaDE]


def build(shape: tuple[int, int] | None = None, **options) -> Pair:
    torch.manual_seed(1)
    model = models.VaDE(D, K, shape, z_dim=J, hidden=(5, 4)).double()
    torch.nn.init.normal_(model.log_scale, std=0.3)
    return model, guides.VaDE(model, hidden=(5, 4), **options).double()


def latent(guide: guides.VaDE) -> tuple[Tensor, Tensor, Tensor]:
    loc, scale = normal_parameters(guide.encoder.network, X)
    return loc + scale * EPS, loc, scale


def log_prior(model: models.VaDE, z: Tensor, k: int) -> Tensor:
    return log_normal(z, model.loc[k], model.log_scale[k].exp())


def log_image(model: models.VaDE, z: Tensor) -> Tensor:
    return log_bernoulli(X, dense(model.decoder.logits, z))


def test_labelled_bound() -> None:
    model, guide = build()
    z, loc, scale = latent(guide)
    of_class = torch.stack([log_prior(model, z, k) for k in range(K)], -1)
    by_hand = -(
        log_image(model, z) + math.log(1 / K) + (Y * of_class).sum(-1) - log_normal(z, loc, scale)
    ).mean()
    assert_same(derived_bound(model, with_noise(guide, z=EPS), X, Y), by_hand, model, guide)


def test_unlabelled_bound_is_equation_9() -> None:
    # E_q(z | x) log p(x | z) - sum_y q(y | x) KL[q(z | x) || p(z | y)] - KL[q(y | x) || p(y)]
    model, guide = build()
    z, loc, scale = latent(guide)
    log_q = log_softmax(dense(guide.classifier.logits, X))
    total = log_image(model, z)
    for k in range(K):
        mu, sigma = model.loc[k], model.log_scale[k].exp()
        kl = 0.5 * (
            2 * (sigma / scale).log() + (scale**2 + (loc - mu) ** 2) / sigma**2 - 1
        ).sum(-1)
        total = total - log_q[:, k].exp() * (kl + log_q[:, k] + math.log(K))
    derived = negative_elbo(model, with_noise(guide, z=EPS), X)
    assert_same(derived, -total.mean(), model, guide)


def test_other_vectors_have_no_jitter_and_no_consistency() -> None:
    model, guide = build(None, consistency=5.0)
    assert guide.named_terms(X, Y, X) == {}
    assert torch.equal(guide.classify(X).logits, guide.classify(X).logits)


def test_inconsistency_is_half_the_jeffreys_divergence_between_two_views() -> None:
    _, guide = build(SHAPE)
    torch.manual_seed(2)
    derived = guide.inconsistency(X)
    torch.manual_seed(2)
    p, q = (guide.classify(X).probs for _ in range(2))
    by_hand = 0.5 * ((p * (p / q).log()).sum(-1) + (q * (q / p).log()).sum(-1)).mean()
    assert derived > 0
    torch.testing.assert_close(derived, by_hand)


def test_consistency_is_a_named_term_with_its_weight() -> None:
    model, guide = build(SHAPE, consistency=3.0)
    total, terms = Objective(model, guide, alpha=2.0)(Batch(X, Y, X))
    expected = (
        terms["labelled"] + terms["unlabelled"] + 2 * terms["classification"]
        + 3 * terms["consistency"]
    )
    torch.testing.assert_close(total.detach(), expected)


@pytest.mark.parametrize("options", [{"consistency": 0.0}, {"jitter": 0.0}])
def test_without_weight_or_without_jitter_there_is_no_such_term(options) -> None:
    model, guide = build(SHAPE, **options)
    assert "consistency" not in Objective(model, guide)(Batch(X, Y, X)).terms


@pytest.mark.parametrize("options, named", [
    ({"consistency": -1.0}, "consistency >= 0, got -1"), ({"jitter": -0.5}, "jitter >= 0, got -0"),
])
def test_negative_strengths_are_refused(options, named) -> None:
    with pytest.raises(InputError, match=named):
        build(SHAPE, **options)


def test_images_are_moved_in_training_only() -> None:
    _, guide = build(SHAPE)
    guide.train()
    assert not torch.equal(guide.jitter(X), X)
    guide.eval()
    assert torch.equal(guide.jitter(X), X)
    assert torch.equal(guide.classify(X).logits, guide.classify(X).logits)
