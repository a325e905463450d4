"""M1M2 against Kingma et al. (2014), section 2.1: M2 on M1's features, written out by hand."""

import math

import pytest
import torch
from by_hand import (
    assert_same,
    dense,
    kl_categorical,
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

from pyro_ssvae import Objective, fit, guides, models, negative_elbo
from pyro_ssvae.contract import Batch
from pyro_ssvae.experiments import pairs

N, D, K, J, A = 5, 6, 3, 2, 4
torch.manual_seed(0)
X = torch.bernoulli(torch.full((N, D), 0.5, dtype=torch.double))
Y = one_hot([0, 1, 2, 2, 0], K)
EPS_A = torch.randn(N, A, dtype=torch.double)
EPS_Z = torch.randn(K, N, J, dtype=torch.double)
Pair = tuple[models.M1M2, guides.M1M2]
each_kl = pytest.mark.parametrize("kl", ["analytic", "sampled"])


def build(stacked: bool, training: bool = True) -> Pair:
    torch.manual_seed(1)
    model = models.M1M2(D, K, z_dim=J, a_dim=A, hidden=(5,), stacked=stacked).double()
    guide = guides.M1M2(model, hidden=(4,)).double()
    return model.train(training), guide.train(training)


def features(guide: guides.M1M2) -> tuple[Tensor, Tensor, Tensor]:
    """a = mu + sigma * eps of q(a | x), mu and sigma."""
    loc, scale = normal_parameters(guide.features, X)
    return loc + scale * EPS_A, loc, scale


def kl_z(guide: guides.M1M2, a: Tensor, y: Tensor, eps: Tensor, kl: str) -> tuple[Tensor, Tensor]:
    """z of q(z | a, y), and the KL divergence to p(z), (N,)."""
    loc, scale = normal_parameters(guide.encoder, a, y)
    z = loc + scale * eps
    sampled = log_normal(z, loc, scale) - log_standard_normal(z)
    return z, kl_standard_normal(loc, scale) if kl == "analytic" else sampled


def m2_parts(model: models.M1M2, guide: guides.M1M2, a: Tensor, y: Tensor, eps: Tensor,
             kl: str) -> Tensor:
    """log p(a | y, z) - KL_z: M2's bound on log p(a, y) but for log p(y), (N,)."""
    z, divergence = kl_z(guide, a, y, eps, kl)
    return log_normal(a, *normal_parameters(model.features, z, y)) - divergence


def m2_bound(model: models.M1M2, guide: guides.M1M2, a: Tensor, labelled: bool, kl: str) -> Tensor:
    """M2's bound on the features: eq. 6 for labelled, eq. 7 for unlabelled ones, (N,)."""
    if labelled:
        return m2_parts(model, guide, a, Y, EPS_Z[0], kl) - math.log(K)
    log_q = log_softmax(dense(guide.classifier, a))
    total = -kl_categorical(log_q, -math.log(K))
    for k in range(K):
        each = m2_parts(model, guide, a, one_hot([k] * N, K), EPS_Z[k], kl)
        total = total + log_q[:, k].exp() * each
    return total


def joint_bound(model: models.M1M2, guide: guides.M1M2, labelled: bool, kl: str) -> Tensor:
    """log p(x | a) - log q(a | x) + M2's bound of log p(a) or log p(a, y), (N,)."""
    a, loc, scale = features(guide)
    image = log_bernoulli(X, dense(model.decoder, a))
    return image - log_normal(a, loc, scale) + m2_bound(model, guide, a, labelled, kl)


def vae_bound(model: models.M1M2, guide: guides.M1M2, kl: str) -> Tensor:
    """M1's bound log p(x | a) - KL[q(a | x) || N(0, I)], (N,)."""
    a, loc, scale = features(guide)
    sampled = log_normal(a, loc, scale) - log_standard_normal(a)
    divergence = kl_standard_normal(loc, scale) if kl == "analytic" else sampled
    return log_bernoulli(X, dense(model.decoder, a)) - divergence


def derived(model: models.M1M2, guide: guides.M1M2, labelled: bool, kl: str) -> Tensor:
    eps = EPS_Z[0] if labelled else EPS_Z
    fixed = with_noise(guide, a=EPS_A, z=eps)
    return negative_elbo(model, fixed, X, Y if labelled else None, kl=kl)


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("training", [True, False])
@each_kl
def test_trained_together_the_bound_is_that_of_the_joint_model(labelled, training, kl) -> None:
    pair = build(stacked=False, training=training)
    assert_same(derived(*pair, labelled, kl), -joint_bound(*pair, labelled, kl).mean(), *pair)


@pytest.mark.parametrize("labelled", [True, False])
@each_kl
def test_stacked_evaluation_is_that_of_the_joint_model(labelled, kl) -> None:
    pair = build(stacked=True, training=False)
    by_hand = -joint_bound(*pair, labelled, kl).mean()
    torch.testing.assert_close(derived(*pair, labelled, kl), by_hand, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("labelled", [True, False])
@each_kl
def test_stacked_training_is_the_vaes_bound_and_m2s_of_the_features_that_were_drawn(
    labelled, kl
) -> None:
    pair = build(stacked=True)
    a = features(pair[1])[0].detach()
    by_hand = -(vae_bound(*pair, kl) + m2_bound(*pair, a, labelled, kl)).mean()
    assert_same(derived(*pair, labelled, kl), by_hand, *pair)


@pytest.mark.parametrize("labelled", [True, False])
def test_stacked_training_is_below_the_joint_bound_by_minus_log_n_of_the_features(
    labelled,
) -> None:
    # log N(a | 0, I) is counted beside log p(a | y, z): at most -A / 2 log 2 pi.
    training = derived(*build(stacked=True), labelled, "sampled")
    joint = derived(*build(stacked=True, training=False), labelled, "sampled")
    a, _, _ = features(build(stacked=True)[1])
    torch.testing.assert_close(training - joint, -log_standard_normal(a).mean())
    assert training - joint > A / 2 * math.log(2 * math.pi)


@pytest.mark.parametrize("labelled", [True, False])
def test_stacked_m2_leaves_the_vaes_gradient_as_it_is(labelled) -> None:
    model, guide = build(stacked=True)
    of_vae = [*model.decoder.parameters(), *guide.features.parameters()]
    both = torch.autograd.grad(derived(model, guide, labelled, "analytic"), of_vae)
    alone = torch.autograd.grad(-vae_bound(model, guide, "analytic").mean(), of_vae)
    for a, b in zip(both, alone, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
        assert (a != 0).any()


def test_trained_together_m2_moves_the_features() -> None:
    # The counterpart: without it, the test above could pass for want of any gradient.
    model, guide = build(stacked=False)
    of_vae = list(guide.features.parameters())
    both = torch.autograd.grad(derived(model, guide, True, "analytic"), of_vae)
    alone = torch.autograd.grad(-vae_bound(model, guide, "analytic").mean(), of_vae)
    assert all((a - b).abs().max() > 1e-3 for a, b in zip(both, alone))


@pytest.mark.parametrize("stacked", [True, False])
def test_classification_loss_is_of_sampled_features_and_reaches_them_unless_stacked(
    stacked
) -> None:
    model, guide = build(stacked)
    objective = Objective(model, guide, labelled=0.0, unlabelled=0.0, alpha=2.0)
    torch.manual_seed(2)
    loss = objective(Batch(X, Y, X)).total
    torch.manual_seed(2)
    loc, scale = normal_parameters(guide.features, X)
    a = loc + scale * torch.normal(torch.zeros(N, A).double(), torch.ones(N, A).double())
    log_q = log_softmax(dense(guide.classifier, a.detach() if stacked else a))
    by_hand = -2.0 * (Y * log_q).sum(-1).mean()
    assert_same(loss, by_hand, model, guide)
    reached = torch.autograd.grad(loss, list(guide.features.parameters()), allow_unused=True)
    assert all((gradient is None) == stacked for gradient in reached)


@pytest.mark.parametrize("stacked", [True, False])
def test_evaluation_classifies_by_the_mean_of_the_features(stacked) -> None:
    _, guide = build(stacked, training=False)
    loc, _ = normal_parameters(guide.features, X)
    expected = log_softmax(dense(guide.classifier, loc)).exp()
    torch.testing.assert_close(guide.classify(X).probs, expected, rtol=1e-10, atol=1e-10)


def test_stacked_training_moves_the_vae_as_if_it_were_alone(digits_split) -> None:
    # One step of plain gradient descent, from one start: with alpha or without, M1 goes the same.
    moved = {}
    for alpha in (0.0, 50.0):
        torch.manual_seed(0)
        given = {"hidden": (6,), "z_dim": 2, "a_dim": 3, "alpha": alpha, "stacked": True}
        objective, _ = pairs.pair("m1m2").on(digits_split, **given)
        optimizer = torch.optim.SGD(objective.parameters(), lr=1e-3)
        next(fit(objective, digits_split, batch_unlabelled=2_000, optimizer=optimizer))
        moved[alpha] = {k: v.clone() for k, v in objective.state_dict().items()}
    differ = {k for k in moved[0.0] if not torch.equal(moved[0.0][k], moved[50.0][k])}
    assert differ == {k for k in moved[0.0] if k.startswith("guide.classifier")}
