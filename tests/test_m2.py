"""M2 against Kingma et al. (2014), equations 6 to 9, written out by hand."""

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
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.hermite_e import hermegauss
from pyro import poutine
from torch import Tensor, nn

from pyro_ssvae import Objective, guides, models
from pyro_ssvae.data import Batch

N, D, K, J = 6, 7, 4, 3


@pytest.fixture
def pair() -> tuple[models.M2, guides.M2]:
    torch.manual_seed(0)
    model = models.M2(D, K, z_dim=J, hidden=(5,)).double()
    return model, guides.M2(model, hidden=(5, 4)).double()


@pytest.fixture
def images() -> Tensor:
    return torch.bernoulli(torch.full((N, D), 0.5, dtype=torch.double))


def labelled_bound(model: models.M2, guide: guides.M2, x: Tensor, y: Tensor, eps: Tensor) -> Tensor:
    """Eq. 6, -L(x, y), with z = mu + sigma * eps; (..., N)."""
    loc, scale = normal_parameters(guide.encoder.network, x, y)
    z = loc + scale * eps
    return -(
        log_bernoulli(x, dense(model.decoder.logits, z, y))
        + math.log(1 / y.shape[-1])
        + log_standard_normal(z)
        - log_normal(z, loc, scale)
    )


def unlabelled_bound(model: models.M2, guide: guides.M2, x: Tensor, eps: Tensor) -> Tensor:
    """Eq. 7, -U(x) = sum_y q(y | x) (-L(x, y)) - H(q(y | x)), with eps (K, N, J); (N,)."""
    log_q = log_softmax(dense(guide.classifier.logits, x))
    total = torch.zeros(len(x), dtype=x.dtype)
    for k in range(K):
        y = one_hot([k] * len(x), K)
        q = log_q[:, k].exp()
        total = total + q * labelled_bound(model, guide, x, y, eps[k]) + q * log_q[:, k]
    return total


def test_labelled_elbo_is_equation_6(pair, images) -> None:
    model, guide = pair
    y, eps = one_hot([0, 1, 2, 3, 3, 0], K), torch.randn(N, J, dtype=torch.double)
    derived = derived_bound(model, with_noise(guide, z=eps), images, y)
    assert_same(derived, labelled_bound(model, guide, images, y, eps).mean(), model, guide)


def test_unlabelled_elbo_is_equation_7(pair, images) -> None:
    model, guide = pair
    eps = torch.randn(K, N, J, dtype=torch.double)
    derived = derived_bound(model, with_noise(guide, z=eps), images)
    assert_same(derived, unlabelled_bound(model, guide, images, eps).mean(), model, guide)


@pytest.mark.parametrize("alpha", [0.0, 7.5])
def test_objective_is_equation_8_and_with_alpha_equation_9(pair, images, alpha) -> None:
    model, guide = pair
    x, y, u = images[:4], one_hot([3, 1, 0, 2], K), images[4:]
    # The objective draws the labelled noise first, then the unlabelled.
    objective = Objective(model, guide, labelled=2.0, unlabelled=3.0, alpha=alpha, kl="sampled")
    torch.manual_seed(1)
    derived = objective(Batch(x, y, u)).total
    torch.manual_seed(1)
    eps_l = torch.normal(torch.zeros(4, J).double(), torch.ones(4, J).double())
    eps_u = torch.normal(torch.zeros(K, 2, J).double(), torch.ones(K, 2, J).double())
    log_q = (y * log_softmax(dense(guide.classifier.logits, x))).sum(-1)
    by_hand = (
        2.0 * labelled_bound(model, guide, x, y, eps_l).mean()
        + 3.0 * unlabelled_bound(model, guide, u, eps_u).mean()
        - alpha * log_q.mean()
    )
    assert_same(derived, by_hand, model, guide)


# An exact toy: one latent dimension, linear networks, integrals by Gauss-Hermite quadrature.

NODES, WEIGHTS = map(torch.from_numpy, hermegauss(100))
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def toy(seed: int, spread: float) -> tuple[models.M2, guides.M2, Tensor]:
    torch.manual_seed(seed)
    model = models.M2(3, 2, z_dim=1, hidden=()).double()
    guide = guides.M2(model, hidden=()).double()
    for parameter in [*model.parameters(), *guide.parameters()]:
        nn.init.normal_(parameter, std=spread)
    return model, guide, torch.bernoulli(torch.full((3,), 0.5, dtype=torch.double))


def log_joint(model: models.M2, x: Tensor, z: Tensor) -> Tensor:
    """log p(y) p(x | y, z) for both y and every z, (2, len(z))."""
    rows = [
        log_bernoulli(x, dense(model.decoder.logits, z[:, None], one_hot([k] * len(z), 2)))
        for k in range(2)
    ]
    return torch.stack(rows) - math.log(2)


def log_evidence(model: models.M2, x: Tensor) -> Tensor:
    """log p(x) = log sum_y int p(y) p(z) p(x | y, z) dz."""
    return (log_joint(model, x, NODES) + WEIGHTS.log()).flatten().logsumexp(0)


def exact_bound(model: models.M2, guide: guides.M2, x: Tensor) -> Tensor:
    """U(x) as Pyro derives it, the expectation over z by quadrature: a row for each node."""
    rows = x.expand(len(NODES), -1)

    def weighted(program):
        return poutine.scale(lambda *args: program(*args), scale=WEIGHTS)

    guide_at_nodes = with_noise(guide, z=NODES[:, None])
    return -derived_bound(weighted(model), weighted(guide_at_nodes), rows) * len(rows)


def posterior_kl(model: models.M2, guide: guides.M2, x: Tensor) -> Tensor:
    """KL[q(y, z | x) || p(y, z | x)]."""
    log_q_y = log_softmax(dense(guide.classifier.logits, x))
    total = torch.zeros((), dtype=torch.double)
    for k in range(2):
        loc, scale = normal_parameters(guide.encoder.network, x, one_hot([k], 2)[0])
        z = loc + scale * NODES
        log_q = log_q_y[k] + log_normal(z[:, None], loc, scale)
        log_p = log_joint(model, x, z)[k] + log_standard_normal(z[:, None]) - log_evidence(model, x)
        total = total + log_q_y[k].exp() * (WEIGHTS * (log_q - log_p)).sum()
    return total


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), spread=st.floats(0.05, 1.5))
def test_bound_is_below_the_evidence_by_the_kl_to_the_true_posterior(seed, spread) -> None:
    model, guide, x = toy(seed, spread)
    bound, evidence = exact_bound(model, guide, x), log_evidence(model, x)
    assert bound < evidence
    gap = posterior_kl(model, guide, x)
    torch.testing.assert_close(evidence - bound, gap, rtol=1e-5, atol=1e-7)


def test_bound_is_tight_where_the_guide_is_the_true_posterior() -> None:
    # With a decoder that ignores z, the posterior is p(z) p(y | x): within the guide's family.
    model, guide, x = toy(seed=3, spread=1.0)
    with torch.no_grad():
        model.decoder.logits.first[0].weight.zero_()
        for parameter in guide.encoder.parameters():
            parameter.zero_()
        scale_one = math.log(math.expm1(1.0 - 1e-5))
        guide.encoder.network.first[0].bias.copy_(torch.tensor([0.0, scale_one]))
        for parameter in guide.classifier.parameters():
            parameter.zero_()
        log_posterior = log_joint(model, x, torch.zeros(1).double())[:, 0]
        guide.classifier.logits.first[0].bias.copy_(log_posterior)
    torch.testing.assert_close(exact_bound(model, guide, x), log_evidence(model, x))
