"""DirichletM2: the bound that derives M2's classification term, written out by hand."""

import math

import mpmath
import pytest
import torch
from by_hand import (
    Given,
    assert_same,
    bias_of,
    dense,
    derived_bound,
    kl_standard_normal,
    log_bernoulli,
    log_normal,
    log_softmax,
    log_standard_normal,
    normal_parameters,
    one_hot,
    weight_of,
    with_noise,
)
from pyro import poutine
from torch import Tensor

from pyro_ssvae import Objective, guides, models, negative_elbo
from pyro_ssvae.contract import Batch
from pyro_ssvae.engine.capture import Captured
from pyro_ssvae.engine.noise import lifted
from pyro_ssvae.engine.program import trace
from pyro_ssvae.evaluation.importance import iwae
from pyro_ssvae.inference.programs import evaluating

N, D, K, J = 5, 6, 4, 2
torch.manual_seed(0)
X = torch.bernoulli(torch.full((N, D), 0.5, dtype=torch.double))
Y = one_hot([0, 1, 2, 3, 0], K)
EPS = torch.randn(N, J, dtype=torch.double)
EPS_K = torch.randn(K, N, J, dtype=torch.double)


def build(kappa: float | None = None, k: int = K, **options):
    torch.manual_seed(0)
    model = models.DirichletM2(D, k, z_dim=J, hidden=(4,), **options).double()
    return model, guides.DirichletM2(model, hidden=(4,), kappa=kappa).double()


def image_bound(model, guide, y: Tensor, eps: Tensor) -> Tensor:
    """log p(x | y, z) + log p(z) - log q(z | x, y), (N,)."""
    inputs = (X,) if guide.bound == "exact" else (X, y)
    loc, scale = normal_parameters(guide.encoder, *inputs)
    z = loc + scale * eps
    image = log_bernoulli(X, dense(model.decoder, z, y))
    return image + log_standard_normal(z) - log_normal(z, loc, scale)


def log_dirichlet(log_pi: Tensor, a: float) -> Tensor:
    k = log_pi.shape[-1]
    return (a - 1) * log_pi.sum(-1) + math.lgamma(k * a) - k * math.lgamma(a)


@pytest.mark.parametrize("a", [1.0, 2.5])
def test_labelled_bound_with_a_point_mass(a) -> None:
    model, guide = build(concentration=a)
    log_pi = log_softmax(dense(guide.classifier, X))
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
    log_pi = log_softmax(dense(plain[1].classifier, X))
    torch.testing.assert_close(losses[1] - losses[0], -6 * (Y * log_pi).sum(-1).mean())


def test_unlabelled_jensen_bound_is_that_of_m2_without_the_entropy() -> None:
    model, guide = build(concentration=1.5)
    log_pi = log_softmax(dense(guide.classifier, X))
    each = [image_bound(model, guide, one_hot([k] * N, K), EPS_K[k]) for k in range(K)]
    expected = (log_pi.exp() * torch.stack(each, -1)).sum(-1)
    by_hand = -(expected + log_dirichlet(log_pi, 1.5)).mean()
    assert_same(derived_bound(model, with_noise(guide, z=EPS_K), X), by_hand, model, guide)


def test_unlabelled_exact_bound_sums_y_out() -> None:
    model, guide = build(concentration=1.5, bound="exact")
    log_pi = log_softmax(dense(guide.classifier, X))
    loc, scale = normal_parameters(guide.encoder, X)
    z = loc + scale * EPS
    images = torch.stack(
        [log_bernoulli(X, dense(model.decoder, z, one_hot([k] * N, K))) for k in range(K)],
        -1,
    )
    by_hand = -(
        (log_pi + images).logsumexp(-1)
        + log_standard_normal(z) - log_normal(z, loc, scale) + log_dirichlet(log_pi, 1.5)
    ).mean()
    assert_same(derived_bound(model, with_noise(guide, z=EPS), X), by_hand, model, guide)


def test_sample_bound_is_the_jensen_bound_in_expectation() -> None:
    model, guide = build()
    rows = X[:1].expand(20_000, -1)
    with torch.no_grad():
        bias_of(guide.encoder, -1)[J:] = -4.0  # little noise from z
    jensen = derived_bound(model, guide, rows)
    model.bound = guide.bound = "sample"
    torch.testing.assert_close(derived_bound(model, guide, rows), jensen, rtol=0, atol=0.02)


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
    """A pair with a Dirichlet guide of K = k, and q's concentration."""
    model, guide = build(kappa, k, concentration=a, **options)
    return model, guide, kappa * log_softmax(dense(guide.classifier, X)).exp()


def closed_image_bound(model, guide, y: Tensor, eps: Tensor) -> Tensor:
    """log p(x | y, z) - KL[q(z | x, y) || p(z)], (N,)."""
    inputs = (X,) if guide.bound == "exact" else (X, y)
    loc, scale = normal_parameters(guide.encoder, *inputs)
    image = log_bernoulli(X, dense(model.decoder, loc + scale * eps, y))
    return image - kl_standard_normal(loc, scale)


def expected_log(q: Tensor) -> Tensor:
    """E log pi under Dir(q), (N, K)."""
    return torch.digamma(q) - torch.digamma(q.sum(-1, keepdim=True))


IMAGE_BOUND = {"analytic": closed_image_bound, "sampled": image_bound}
each_kl = pytest.mark.parametrize("estimate", IMAGE_BOUND)  # pi has closed forms in both
each_k = pytest.mark.parametrize("k, kl", [(2, kl_dirichlet), (2, kl_beta), (4, kl_dirichlet)])
# For two classes the Dirichlet distributions are Beta distributions.


@each_kl
@each_k
@pytest.mark.parametrize("bound", ["jensen", "sample", "exact"])
def test_labelled_bound_with_a_dirichlet_guide(k, kl, bound, estimate) -> None:
    model, guide, concentration = around(k, bound=bound)
    y = one_hot([n % k for n in range(N)], k)
    label = (y * expected_log(concentration)).sum(-1)
    image = IMAGE_BOUND[estimate](model, guide, y, EPS)
    derived = negative_elbo(model, with_noise(guide, z=EPS), X, y, kl=estimate)
    assert_same(derived, (kl(concentration, 1.5) - label - image).mean(), model, guide)


@each_kl
@each_k
def test_unlabelled_jensen_bound_with_a_dirichlet_guide(k, kl, estimate) -> None:
    model, guide, concentration = around(k)
    by_hand = kl(concentration, 1.5)
    for c in range(k):
        image = IMAGE_BOUND[estimate](model, guide, one_hot([c] * N, k), EPS_K[c])
        by_hand = by_hand - concentration[:, c] / 20.0 * image
    derived = negative_elbo(model, with_noise(guide, z=EPS_K[:k]), X, kl=estimate)
    assert_same(derived, by_hand.mean(), model, guide)


def test_unlabelled_sample_bound_with_a_dirichlet_guide_is_jensens_in_expectation() -> None:
    model, guide, concentration = around(K)
    jensen = negative_elbo(model, with_noise(guide, z=EPS_K[:, :1]), X[:1])
    model.bound = guide.bound = "sample"
    total = torch.zeros((), dtype=torch.double)
    for c in range(K):
        with Given(y=one_hot([c], K)):
            loss = negative_elbo(model, with_noise(guide, z=EPS_K[c, :1]), X[:1])
        total = total + concentration[0, c] / 20.0 * loss
    torch.testing.assert_close(total, jensen)


@pytest.mark.parametrize("k, kl", [(2, kl_beta), (4, kl_dirichlet)])
def test_unlabelled_exact_bound_with_a_dirichlet_guide(k, kl) -> None:
    model, guide, concentration = around(k, bound="exact")
    torch.manual_seed(1)
    log_pi = torch.distributions.Dirichlet(concentration).rsample().log()
    each = torch.stack(
        [closed_image_bound(model, guide, one_hot([c] * N, k), EPS) for c in range(k)], -1
    )  # the KL divergence of z has no class and passes through the logarithm
    by_hand = kl(concentration, 1.5) - (log_pi + each).logsumexp(-1)
    with Given(pi=log_pi):
        derived = negative_elbo(model, with_noise(guide, z=EPS), X)
    assert_same(derived, by_hand.mean(), model, guide)


@pytest.mark.parametrize("labelled", [True, False])
def test_for_large_kappa_the_bound_is_the_point_masss_and_the_entropy(labelled) -> None:
    y, eps = (Y, EPS) if labelled else (None, EPS_K)
    gaps = []
    for kappa in (1e2, 1e5, 1e8):
        model, guide, concentration = around(K, kappa)
        point = guides.DirichletM2(model, hidden=(4,)).double()
        point.load_state_dict(guide.state_dict())
        loss = negative_elbo(model, with_noise(guide, z=eps), X, y)
        limit = negative_elbo(model, with_noise(point, z=eps), X, y)
        entropy = torch.distributions.Dirichlet(concentration).entropy().mean()
        gaps.append((loss + entropy - limit).abs().item())
    assert gaps[0] > 10 * gaps[1] > 100 * gaps[2] and gaps[2] < 1e-3


@pytest.mark.parametrize("bound", ["jensen", "sample", "exact"])
@pytest.mark.parametrize("kappa", [None, 5.0])
def test_an_unknown_label_is_not_tempered(kappa, bound) -> None:
    losses = []
    for temper in (1.0, 7.0):
        model, guide = build(temper=temper, kappa=kappa, bound=bound)
        torch.manual_seed(1)
        losses.append(negative_elbo(model, guide, X))
    torch.testing.assert_close(*losses, rtol=0, atol=0)


def test_in_evaluation_importance_weights_rise_to_the_evidence() -> None:
    # An image that depends on y alone; pi matters to nobody, and is sampled.
    torch.manual_seed(0)
    model = models.DirichletM2(D, K, z_dim=J, hidden=(), concentration=2.0)
    guide = guides.DirichletM2(model, hidden=(), kappa=3.0)
    with torch.no_grad():
        weight_of(model.decoder).zero_()
        for parameter in guide.parameters():
            parameter.zero_()
        bias_of(guide.encoder)[J:] = math.log(math.expm1(1.0))
    x = X[:1].float()
    decode = [dense(model.decoder, torch.zeros(1, J), one_hot([k], K).float()) for k in range(K)]
    evidence = torch.stack([log_bernoulli(x, logits) for logits in decode]).logsumexp(0)
    with evaluating(model, guide):
        bound = iwae(model, guide, x, samples=20_000)
    assert bound == pytest.approx(evidence.item() - math.log(K), abs=0.02)


# Precision: q(pi | x) alone, against 50 digits.

LOGITS = {"unsure": [0.3, -0.2, 0.5, 0.0], "confidently wrong": [-9.0, 6.0, -3.0, 0.0]}


def loss_of_pi(bias: list, kappa: float, a: float, temper: float | None) -> mpmath.mpf:
    """KL[q(pi | x) || p(pi)] and, with a temper, its multiple of -E log p(y = 0 | pi)."""
    exps = [mpmath.exp(b) for b in bias]
    least = mpmath.mpf(1) / 100 / len(exps) / (1 + kappa)
    mean = [max(e / sum(exps), least) for e in exps]
    q = [kappa * m / sum(mean) for m in mean]
    logs = [mpmath.digamma(c) - mpmath.digamma(sum(q)) for c in q]
    log_beta = [
        sum(map(mpmath.loggamma, c)) - mpmath.loggamma(sum(c)) for c in (q, [mpmath.mpf(a)] * K)
    ]
    kl = log_beta[1] - log_beta[0] + sum((c - a) * log for c, log in zip(q, logs))
    return kl - (temper or 0) * logs[0]


def without_image(program):
    """The program without z and x."""
    z = {"z": torch.zeros(2, J).to(next(program.parameters()))}
    return poutine.block(poutine.condition(lambda *args: program(*args), data=z), hide=["z", "x"])


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 2e-5), (torch.float64, 1e-6)])
@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("logits", LOGITS)
@pytest.mark.parametrize("kappa", [0.1, 0.5, 1.0, 5.0, 1e2, 1e4, 1e6, 1e8])
def test_pi_is_precise_at_any_concentration(kappa, logits, labelled, dtype, tolerance) -> None:
    model = models.DirichletM2(D, K, z_dim=J, hidden=(4,), concentration=1.5, temper=3.0)
    guide = guides.DirichletM2(model, hidden=(), kappa=kappa)
    model, guide = model.to(dtype), guide.to(dtype)
    bias = bias_of(guide.classifier)
    with torch.no_grad():
        weight_of(guide.classifier).zero_()
        bias.copy_(torch.tensor(LOGITS[logits]))
    y = one_hot([0, 0], K).to(dtype) if labelled else None
    loss = negative_elbo(without_image(model), without_image(guide), X[:2].to(dtype), y)
    (gradient,) = torch.autograd.grad(loss, bias)

    def exact(*bias) -> mpmath.mpf:
        return loss_of_pi(bias, kappa, 1.5, 3.0 if labelled else None)

    with mpmath.workdps(50):
        point = tuple(map(mpmath.mpf, bias.tolist()))
        expected = float(exact(*point))
        slopes = [
            float(mpmath.diff(exact, point, tuple(int(i == k) for i in range(K))))
            for k in range(K)
        ]
    assert loss.item() == pytest.approx(expected, rel=tolerance)
    scale = max(map(abs, slopes))
    torch.testing.assert_close(gradient.tolist(), slopes, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("kappa", [None, 0.5, 1e4])
@pytest.mark.parametrize("logits", LOGITS)
def test_the_classifier_is_the_mean_of_q(kappa, logits) -> None:
    _, guide = build(kappa=kappa)
    with torch.no_grad():
        bias_of(guide.classifier, -1).copy_(torch.tensor(LOGITS[logits]))
    site = poutine.trace(guide).get_trace(X, Y).nodes["pi"]["fn"]
    if kappa is None:
        mean = site.v.exp()
    else:
        mean = site.concentration / site.concentration.sum(-1, keepdim=True)
        torch.testing.assert_close(site.concentration.sum(-1), torch.full((N,), kappa).double())
    torch.testing.assert_close(guide.classify(X).probs, mean)


def test_the_exact_bound_is_captured() -> None:
    model, guide = build(kappa=5.0, bound="exact")
    batch = Batch(X, Y, X)
    objective = Objective(model, guide)
    optimizer = torch.optim.SGD(objective.parameters(), lr=0.1)
    captured = Captured(objective, optimizer, batch, compile=False)
    losses = []
    for update in (captured, objective):
        torch.manual_seed(2)
        losses.append(update(batch, 1.0).total.detach())
    assert losses[0] == losses[1]


def test_no_noise_depends_on_parameters_so_that_ensembles_can_train() -> None:
    model, guide = build(kappa=5.0)
    program = trace(Objective(model, guide), Batch(X, Y, X))
    assert {noise.draw for noise in lifted(program.graph)[1]} == {"normal_"}  # that of z


@pytest.mark.parametrize("gap, a", [(20.0, 1.0), (60.0, 1.0), (200.0, 1.0), (200.0, 1.5)])
def test_a_confidently_wrong_classifier_still_has_finite_gradients(gap, a) -> None:
    torch.manual_seed(0)
    model = models.DirichletM2(D, K, z_dim=J, hidden=(), concentration=a)
    guide = guides.DirichletM2(model, hidden=())
    bias = bias_of(guide.classifier)
    with torch.no_grad():
        weight_of(guide.classifier).zero_()
        bias.copy_(torch.tensor([0.0] + [gap] + [0.0] * (K - 2)))
    loss = derived_bound(model, guide, X.float(), one_hot([0] * N, K).float())
    (gradient,) = torch.autograd.grad(loss, bias)
    assert loss.isfinite() and gradient.isfinite().all()
    if a == 1.0:  # that of the cross-entropy
        torch.testing.assert_close(gradient, torch.tensor([-1.0, 1.0] + [0.0] * (K - 2)))
