"""VaDE against Jiang et al. (2017), and what classifiers learn beside it, by hand."""

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

from pyro_ssvae import guides, models, negative_elbo
from pyro_ssvae.inference.agreement import inconsistency, misalignment

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
