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
from pyro_ssvae.contract import Batch
from pyro_ssvae.inference.agreement import inconsistency, misalignment
from pyro_ssvae.inference.terms import evaluated

N, K, J, SHAPE = 5, 3, 2, (1, 4, 6)
D = 4 * 6
torch.manual_seed(0)
X = torch.bernoulli(torch.full((N, D), 0.5, dtype=torch.double))
IMAGES = X.unflatten(1, SHAPE)
Y = one_hot([0, 1, 2, 2, 0], K)
EPS = torch.randn(N, J, dtype=torch.double)
Pair = tuple[models.VaDE, guides.VaDE]


def build(shape: int | tuple[int, ...] = D, **options) -> Pair:
    torch.manual_seed(1)
    model = models.VaDE(shape, K, z_dim=J, hidden=(5, 4)).double()
    torch.nn.init.normal_(model.log_scale, std=0.3)
    return model, guides.VaDE(model, hidden=(5, 4), **options).double()


def latent(guide: guides.VaDE) -> tuple[Tensor, Tensor, Tensor]:
    loc, scale = normal_parameters(guide.encoder, X)
    return loc + scale * EPS, loc, scale


def log_prior(model: models.VaDE, z: Tensor, k: int) -> Tensor:
    return log_normal(z, model.loc[k], model.log_scale[k].exp())


def log_image(model: models.VaDE, z: Tensor) -> Tensor:
    return log_bernoulli(X, dense(model.decoder, z))


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
    log_q = log_softmax(dense(guide.classifier, X))
    total = log_image(model, z)
    for k in range(K):
        mu, sigma = model.loc[k], model.log_scale[k].exp()
        kl = 0.5 * (
            2 * (sigma / scale).log() + (scale**2 + (loc - mu) ** 2) / sigma**2 - 1
        ).sum(-1)
        total = total - log_q[:, k].exp() * (kl + log_q[:, k] + math.log(K))
    derived = negative_elbo(model, with_noise(guide, z=EPS), X)
    assert_same(derived, -total.mean(), model, guide)


def log_probs(rows: int = 6) -> Tensor:
    torch.manual_seed(2)
    return torch.randn(rows, K, dtype=torch.double).log_softmax(-1).requires_grad_()


def test_other_vectors_have_no_jitter_and_no_consistency() -> None:
    model, guide = build(D, consistency=5.0, alignment=2.0)
    terms = Objective(model, guide)(Batch(X, Y, X)).terms
    assert terms.keys() == {"labelled", "unlabelled", "alignment"}
    assert torch.equal(guide.classify(X).logits, guide.classify(X).logits)


def test_inconsistency_is_half_the_jeffreys_divergence_between_two_views() -> None:
    one, other = log_probs(), log_probs().flip(0).detach()
    p, q = one.exp(), other.exp()
    by_hand = 0.5 * ((p * (p / q).log()).sum(-1) + (q * (q / p).log()).sum(-1)).mean()
    assert inconsistency(one, other) > 0
    assert_same_slope(inconsistency(one, other), by_hand, one)


def test_misalignment_is_the_divergence_of_the_mean_prediction_from_uniform_classes() -> None:
    log_q = log_probs()
    mean = log_q.exp().mean(0)
    by_hand = sum(mean[k] * (mean[k] / (1 / K)).log() for k in range(K))
    assert misalignment(log_q) > 0
    assert_same_slope(misalignment(log_q), by_hand, log_q)


def assert_same_slope(derived: Tensor, by_hand: Tensor, at: Tensor) -> None:
    torch.testing.assert_close(derived, by_hand)
    slopes = [torch.autograd.grad(value, at)[0] for value in (derived, by_hand)]
    torch.testing.assert_close(*slopes)


@pytest.mark.parametrize("log_q, nats", [
    (torch.eye(K).log(), 0.0),  # every class for one image, with certainty
    (torch.eye(K)[[1, 1, 1, 1]].log(), math.log(K)),  # one class swallows all others
])
def test_misalignment_goes_from_0_to_log_k(log_q, nats) -> None:
    log_q = log_q.clamp_min(torch.finfo(log_q.dtype).min)
    torch.testing.assert_close(misalignment(log_q), torch.tensor(nats), atol=1e-6, rtol=1e-6)


def test_a_class_that_has_swallowed_another_is_taken_back_at_its_border() -> None:
    # Six images, three of a class: all are taken for the first, one image nearly for the second.
    logits = torch.tensor([[9.0, 0.0]] * 5 + [[0.4, 0.0]], requires_grad=True)
    misalignment(logits.log_softmax(-1)).backward()
    towards_second = logits.grad[:, 0] - logits.grad[:, 1]  # a step goes against the gradient
    assert (towards_second > 0).all() and towards_second.argmax() == 5


def test_both_terms_speak_of_two_views_of_the_unlabelled_images() -> None:
    model, guide = build(SHAPE, consistency=3.0, alignment=4.0)
    torch.manual_seed(2)
    terms = evaluated(guide.terms, model, guide, Batch(1 - IMAGES, Y, IMAGES), 0.0)
    torch.manual_seed(2)
    one, other = (guide.classify(IMAGES).logits for _ in range(2))
    expected = {
        "consistency": (3.0, inconsistency(one, other)),
        "alignment": (4.0, misalignment(torch.cat([one, other]))),
    }
    assert not torch.equal(one, other)
    assert terms.keys() == expected.keys()
    for name, (weight, value) in expected.items():
        assert guide.terms[name].weight == weight
        torch.testing.assert_close(terms[name], value)


@pytest.mark.parametrize("options, views", [
    ({"consistency": 3.0, "alignment": 4.0}, 2), ({"consistency": 3.0}, 2),
    ({"consistency": 0.0, "alignment": 4.0}, 1), ({"consistency": 0.0}, 0),
    ({"consistency": 3.0, "alignment": 4.0, "jitter": 0.0}, 1),
])
def test_they_share_their_views_and_take_no_more_than_they_need(options, views) -> None:
    model, guide = build(SHAPE, **options)
    seen = []
    guide.classifier.register_forward_hook(lambda *_: seen.append(1))
    Objective(model, guide, labelled=1.0, unlabelled=0.0)(Batch(IMAGES, Y, IMAGES))
    assert len(seen) == views


def test_they_are_terms_of_the_objective_with_their_weights() -> None:
    model, guide = build(SHAPE, consistency=3.0, alignment=4.0)
    total, terms = Objective(model, guide, alpha=2.0)(Batch(IMAGES, Y, IMAGES))
    expected = (
        terms["labelled"] + terms["unlabelled"] + 2 * terms["classification"]
        + 3 * terms["consistency"] + 4 * terms["alignment"]
    )
    torch.testing.assert_close(total.detach(), expected)


@pytest.mark.parametrize("options, left", [
    ({"consistency": 0.0}, {"alignment"}), ({"jitter": 0.0}, {"alignment"}),
    ({"alignment": 0.0}, {"consistency"}), ({"alignment": 0.0, "consistency": 0.0}, set()),
])
def test_a_term_of_weight_0_or_without_its_views_is_left_out(options, left) -> None:
    model, guide = build(SHAPE, **{"alignment": 1.0} | options)
    terms = Objective(model, guide)(Batch(IMAGES, Y, IMAGES)).terms
    assert terms.keys() & {"consistency", "alignment"} == left


@pytest.mark.parametrize("options, named", [
    ({"consistency": -1.0}, "finite consistency >= 0, got -1"),
    ({"alignment": -2.0}, "finite alignment >= 0, got -2"),
    ({"alignment": math.inf}, "finite alignment >= 0, got inf"),
    ({"jitter": -0.5}, "jitter >= 0, got -0"),
])
def test_weights_and_strengths_out_of_range_are_refused(options, named) -> None:
    with pytest.raises(InputError, match=named):
        build(SHAPE, **options)


def test_the_classifier_sees_moved_images_in_training_only() -> None:
    _, guide = build(SHAPE)
    guide.train()
    assert not torch.equal(guide.jitter(IMAGES), IMAGES)
    assert not torch.equal(guide.classify(IMAGES).logits, guide.classify(IMAGES).logits)
    guide.eval()
    assert torch.equal(guide.jitter(IMAGES), IMAGES)
    assert torch.equal(guide.classify(IMAGES).logits, guide.classify(IMAGES).logits)
