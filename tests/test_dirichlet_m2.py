"""DirichletM2: the bound that derives M2's classification term, written out by hand."""

import math

import pytest
import torch
from by_hand import (
    assert_same,
    dense,
    derived_bound,
    kl_standard_normal,
    log_bernoulli,
    log_normal,
    log_softmax,
    log_standard_normal,
    normal_parameters,
    one_hot,
    with_noise,
)
from pyro import poutine
from pyro.distributions import Delta
from torch import Tensor

from pyro_ssvae import Objective, guides, models, negative_elbo
from pyro_ssvae.data import Batch

N, D, K, J = 5, 6, 4, 2
X = torch.bernoulli(torch.full((N, D), 0.5, dtype=torch.double))
Y = one_hot([0, 1, 2, 3, 0], K)
EPS = torch.randn(N, J, dtype=torch.double)
EPS_K = torch.randn(K, N, J, dtype=torch.double)


def build(concentration: float = 1.0, temper: float = 1.0, **options):
    torch.manual_seed(0)
    model = models.DirichletM2(
        D, K, z_dim=J, hidden=(4,), concentration=concentration, temper=temper
    ).double()
    return model, guides.DirichletM2(model, hidden=(4,), **options).double()


def image_bound(model, guide, y: Tensor, eps: Tensor) -> Tensor:
    """log p(x | y, z) + log p(z) - log q(z | x, y), (N,)."""
    inputs = (X,) if guide.bound == "exact" else (X, y)
    loc, scale = normal_parameters(guide.encoder.network, *inputs)
    z = loc + scale * eps
    image = log_bernoulli(X, dense(model.decoder.logits, z, y))
    return image + log_standard_normal(z) - log_normal(z, loc, scale)


def log_dirichlet(log_pi: Tensor, a: float) -> Tensor:
    k = log_pi.shape[-1]
    return (a - 1) * log_pi.sum(-1) + math.lgamma(k * a) - k * math.lgamma(a)


@pytest.mark.parametrize("a", [1.0, 2.5])
def test_labelled_bound_with_a_point_mass(a) -> None:
    model, guide = build(concentration=a)
    log_pi = log_softmax(dense(guide.classifier.logits, X))
    by_hand = -(
        image_bound(model, guide, Y, EPS) + (Y * log_pi).sum(-1) + log_dirichlet(log_pi, a)
    ).mean()
    assert_same(derived_bound(model, with_noise(guide, z=EPS), X, Y), by_hand, model, guide)


def test_labelled_bound_is_equation_9_of_m2_with_alpha_1_up_to_constants() -> None:
    model, guide = build()
    m2 = models.M2(D, K, z_dim=J, hidden=(4,)).double()
    m2_guide = guides.M2(m2, hidden=(4,)).double()
    m2.load_state_dict(model.state_dict())
    m2_guide.load_state_dict(guide.state_dict())
    torch.manual_seed(1)
    objective = Objective(m2, m2_guide, unlabelled=0.0, alpha=1.0, kl="sampled")
    equation_9 = objective(Batch(X, Y, X)).total
    torch.manual_seed(1)
    derived = derived_bound(model, guide, X, Y)
    constants = -math.log(K) - math.lgamma(K)  # log p(y) of M2, and -log Gamma(K)
    torch.testing.assert_close(derived - equation_9, torch.tensor(constants).double())
    for mine, theirs in ((model, m2), (guide, m2_guide)):
        gradients = torch.autograd.grad(derived, list(mine.parameters()), retain_graph=True)
        expected = torch.autograd.grad(equation_9, list(theirs.parameters()), retain_graph=True)
        for a, b in zip(gradients, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


def test_tempering_the_label_is_the_weight_of_the_classification_loss() -> None:
    plain, tempered = build(temper=1.0), build(temper=7.0)
    losses = [derived_bound(m, with_noise(g, z=EPS), X, Y) for m, g in (plain, tempered)]
    log_pi = log_softmax(dense(plain[1].classifier.logits, X))
    torch.testing.assert_close(losses[1] - losses[0], -6 * (Y * log_pi).sum(-1).mean())


def test_unlabelled_jensen_bound_is_that_of_m2_without_the_entropy() -> None:
    model, guide = build(concentration=1.5)
    log_pi = log_softmax(dense(guide.classifier.logits, X))
    each = [image_bound(model, guide, one_hot([k] * N, K), EPS_K[k]) for k in range(K)]
    expected = (log_pi.exp() * torch.stack(each, -1)).sum(-1)
    by_hand = -(expected + log_dirichlet(log_pi, 1.5)).mean()
    assert_same(derived_bound(model, with_noise(guide, z=EPS_K), X), by_hand, model, guide)


def test_unlabelled_exact_bound_sums_y_out() -> None:
    model, guide = build(concentration=1.5, bound="exact")
    log_pi = log_softmax(dense(guide.classifier.logits, X))
    loc, scale = normal_parameters(guide.encoder.network, X)
    z = loc + scale * EPS
    images = torch.stack(
        [log_bernoulli(X, dense(model.decoder.logits, z, one_hot([k] * N, K))) for k in range(K)],
        -1,
    )
    by_hand = -(
        (log_pi + images).logsumexp(-1)
        + log_standard_normal(z) - log_normal(z, loc, scale) + log_dirichlet(log_pi, 1.5)
    ).mean()
    assert_same(derived_bound(model, with_noise(guide, z=EPS), X), by_hand, model, guide)


def test_sample_bound_is_the_jensen_bound_in_expectation() -> None:
    model, guide = build()
    guide.bound = "jensen"
    rows = X[:1].expand(20_000, -1)
    with torch.no_grad():
        guide.encoder.network.rest[-1].bias[J:] = -4.0  # little noise from z
    jensen = derived_bound(model, guide, rows)
    guide.bound = "sample"
    torch.testing.assert_close(derived_bound(model, guide, rows), jensen, rtol=0, atol=0.02)


@pytest.mark.parametrize("k", [2, 4])
def test_a_dirichlet_guide_has_the_closed_forms(k) -> None:
    # E log pi_y = psi(kappa pi_y) - psi(kappa), and the KL divergence between Dirichlets;
    # for two classes these are Beta distributions.
    torch.manual_seed(0)
    kappa, a = 20.0, 1.5
    model = models.DirichletM2(D, k, z_dim=J, hidden=(4,), concentration=a, temper=1.0).double()
    guide = guides.DirichletM2(model, hidden=(4,), kappa=kappa).double()
    y = one_hot([0] * 40_000, k)
    rows = X[:1].expand(len(y), -1)
    concentration = kappa * guide.classify(X[:1]).probs[0]
    expected_log = torch.special.digamma(concentration) - torch.special.digamma(
        concentration.sum()
    )
    entropy = (
        torch.lgamma(concentration).sum() - torch.lgamma(concentration.sum())
        - ((concentration - 1) * expected_log).sum()
    )
    prior = (a - 1) * expected_log.sum() + math.lgamma(k * a) - k * math.lgamma(a)
    exact = -(expected_log[0] + prior + entropy)

    def without_image(program):
        return poutine.block(lambda *args: program(*args), hide=["x", "z"])

    def fixed_z(x: Tensor, y: Tensor) -> None:
        with poutine.condition(data={"z": torch.zeros(len(x), J).double()}):
            guide(x, y)

    derived = derived_bound(without_image(model), without_image(fixed_z), rows, y)
    torch.testing.assert_close(derived, exact, rtol=0, atol=0.02)


def kl_dirichlet(q: Tensor, a: float) -> Tensor:
    """KL[Dir(q) || Dir(a 1)] in closed form, (N,)."""
    total, k = q.sum(-1), q.shape[-1]
    expected_log = torch.digamma(q) - torch.digamma(total).unsqueeze(-1)
    log_b_q = torch.lgamma(q).sum(-1) - torch.lgamma(total)
    log_b_p = k * math.lgamma(a) - math.lgamma(k * a)
    return log_b_p - log_b_q + ((q - a) * expected_log).sum(-1)


def kl_beta(q: Tensor, a: float) -> Tensor:
    """KL[Beta(q_1, q_2) || Beta(a, a)] in closed form, (N,)."""
    one, two = q.unbind(-1)
    log_b_q = torch.lgamma(one) + torch.lgamma(two) - torch.lgamma(one + two)
    log_b_p = 2 * math.lgamma(a) - math.lgamma(2 * a)
    return (
        log_b_p - log_b_q + (one - a) * torch.digamma(one) + (two - a) * torch.digamma(two)
        + (2 * a - one - two) * torch.digamma(one + two)
    )


def around(k: int, kappa: float = 20.0, a: float = 1.5, **options):
    """A pair with a Dirichlet guide of K = k, pi as the seed draws it, and q's concentration."""
    torch.manual_seed(0)
    model = models.DirichletM2(D, k, z_dim=J, hidden=(4,), concentration=a).double()
    guide = guides.DirichletM2(model, hidden=(4,), kappa=kappa, **options).double()
    concentration = kappa * log_softmax(dense(guide.classifier.logits, X)).exp()
    torch.manual_seed(1)
    return model, guide, torch.distributions.Dirichlet(concentration).rsample(), concentration


def closed_image_bound(model, guide, y: Tensor, eps: Tensor) -> Tensor:
    """log p(x | y, z) - KL[q(z | x, y) || p(z)], (N,)."""
    inputs = (X,) if guide.bound == "exact" else (X, y)
    loc, scale = normal_parameters(guide.encoder.network, *inputs)
    image = log_bernoulli(X, dense(model.decoder.logits, loc + scale * eps, y))
    return image - kl_standard_normal(loc, scale)


@pytest.mark.parametrize("k, kl", [(2, kl_dirichlet), (2, kl_beta), (4, kl_dirichlet)])
def test_labelled_bound_with_a_dirichlet_guide(k, kl) -> None:
    # For two classes the Dirichlet distributions are Beta distributions.
    model, guide, pi, concentration = around(k)
    y = one_hot([n % k for n in range(N)], k)
    by_hand = (
        kl(concentration, 1.5) - (y * pi.log()).sum(-1) - closed_image_bound(model, guide, y, EPS)
    )
    torch.manual_seed(1)
    derived = negative_elbo(model, with_noise(guide, z=EPS), X, y)
    assert_same(derived, by_hand.mean(), model, guide)


@pytest.mark.parametrize("bound", ["jensen", "exact"])
@pytest.mark.parametrize("k, kl", [(2, kl_beta), (4, kl_dirichlet)])
def test_unlabelled_bounds_with_a_dirichlet_guide(k, kl, bound) -> None:
    model, guide, pi, concentration = around(k, bound=bound)
    eps = EPS_K[:k] if bound == "jensen" else EPS.expand(k, N, J)
    each = torch.stack(
        [closed_image_bound(model, guide, one_hot([c] * N, k), eps[c]) for c in range(k)], -1
    )
    if bound == "jensen":
        expected = (pi * each).sum(-1)
    else:  # the KL divergence of z has no class and passes through the logarithm
        expected = (pi.log() + each).logsumexp(-1)
    torch.manual_seed(1)
    derived = negative_elbo(model, with_noise(guide, z=EPS_K[:k] if bound == "jensen" else EPS), X)
    by_hand = (kl(concentration, 1.5) - expected).mean()
    assert_same(derived, by_hand, model, guide)


@pytest.mark.parametrize("labelled", [True, False])
def test_for_large_kappa_the_bound_is_the_point_masss_and_the_entropy(labelled) -> None:
    y, eps = (Y, EPS) if labelled else (None, EPS_K)
    gaps = []
    for kappa in (1e2, 1e5, 1e8):
        model, guide, _, concentration = around(K, kappa)
        point = guides.DirichletM2(model, hidden=(4,)).double()
        point.load_state_dict(guide.state_dict())
        torch.manual_seed(1)
        loss = negative_elbo(model, with_noise(guide, z=eps), X, y)
        limit = negative_elbo(model, with_noise(point, z=eps), X, y)
        entropy = torch.distributions.Dirichlet(concentration).entropy().mean()
        gaps.append((loss + entropy - limit).abs().item())
    assert gaps[0] > 10 * gaps[1] > 100 * gaps[2] and gaps[2] < 1e-3


def test_a_concentrated_dirichlet_is_the_point_mass() -> None:
    model, guide = build(kappa=1e7)
    point = guides.DirichletM2(model, hidden=(4,)).double()
    point.load_state_dict(guide.state_dict())
    near, at = (guide._around(guide.classify(X).probs), point._around(guide.classify(X).probs))
    assert isinstance(at, Delta)
    torch.testing.assert_close(near.rsample(), at.rsample(), rtol=0, atol=2e-3)


@pytest.mark.parametrize("gap, a", [(20.0, 1.0), (60.0, 1.0), (200.0, 1.0), (60.0, 1.5)])
def test_a_confidently_wrong_classifier_still_has_finite_gradients(gap, a) -> None:
    torch.manual_seed(0)
    model = models.DirichletM2(D, K, z_dim=J, hidden=(), concentration=a)
    guide = guides.DirichletM2(model, hidden=())
    bias = guide.classifier.logits.first[0].bias
    with torch.no_grad():
        guide.classifier.logits.first[0].weight.zero_()
        bias.copy_(torch.tensor([0.0] + [gap] + [0.0] * (K - 2)))
    loss = derived_bound(model, guide, X.float(), one_hot([0] * N, K).float())
    (gradient,) = torch.autograd.grad(loss, bias)
    assert loss.isfinite() and gradient.isfinite().all()
    if a == 1.0 and gap < 80:  # that of the cross-entropy; beyond, a float32 softmax is 0
        torch.testing.assert_close(gradient, torch.tensor([-1.0, 1.0] + [0.0] * (K - 2)))
