"""VAE against Kingma and Welling (2014), eq. 10 and appendix B, written out by hand."""

import math
from typing import Any

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
    with_noise,
)
from torch import Tensor

from pyro_ssvae import InputError, Objective, guides, models, negative_elbo, nn
from pyro_ssvae.contract import Batch

N, D, J, V = 5, 4, 3, 6
torch.manual_seed(0)
PIXELS = torch.bernoulli(torch.full((N, D), 0.5, dtype=torch.double))
FEATURES = torch.randn(N, D, dtype=torch.double)
TOKENS = torch.randint(V, (N, D)).double()
EPS = torch.randn(N, J, dtype=torch.double)
LIKELIHOODS: dict[str, tuple[dict[str, Any], Tensor]] = {
    "bernoulli": ({"likelihood": nn.Bernoulli()}, PIXELS),
    "normal, fixed": ({"likelihood": nn.Normal(0.3)}, FEATURES),
    "normal, learned": ({"likelihood": nn.Normal()}, FEATURES),
    "categorical": ({"likelihood": nn.Categorical(V)}, TOKENS),
}
each_likelihood = pytest.mark.parametrize("likelihood", LIKELIHOODS)
each_kl = pytest.mark.parametrize("kl", ["analytic", "sampled"])


def build(likelihood: str = "bernoulli", **options) -> tuple[models.VAE, guides.VAE, Tensor]:
    torch.manual_seed(1)
    settings, x = LIKELIHOODS[likelihood]
    model = models.VAE(D, z_dim=J, hidden=(5,), **settings).double()
    return model, guides.VAE(model, hidden=(4,), **options).double(), x


def log_image(likelihood: str, model: models.VAE, x: Tensor, z: Tensor) -> Tensor:
    """log p(x | z), (N,)."""
    if likelihood == "bernoulli":
        return log_bernoulli(x, dense(model.decoder, z))
    if likelihood == "normal, fixed":
        loc = dense(model.decoder, z)
        return log_normal(x, loc, torch.full_like(loc, 0.3))
    if likelihood == "normal, learned":
        return log_normal(x, *normal_parameters(model.decoder, z))
    logits = dense(model.decoder, z).reshape(N, D, V)
    each = [
        torch.stack([log_softmax(logits[n, d])[int(x[n, d])] for d in range(D)]) for n in range(N)
    ]
    return torch.stack(each).sum(-1)


def seen(likelihood: str, x: Tensor) -> Tensor:
    """What the encoder reads: x, or each token's one-hot vector after the other."""
    if likelihood != "categorical":
        return x
    result = torch.zeros(N, D * V, dtype=torch.double)
    for n in range(N):
        for d in range(D):
            result[n, d * V + int(x[n, d])] = 1
    return result


def parts(likelihood: str, model, guide, x: Tensor, kl: str) -> tuple[Tensor, Tensor]:
    """log p(x | z) and the KL divergence of z, (N,) each."""
    loc, scale = normal_parameters(guide.encoder, seen(likelihood, x))
    z = loc + scale * EPS
    closed = kl_standard_normal(loc, scale)
    sampled = log_normal(z, loc, scale) - log_standard_normal(z)
    return log_image(likelihood, model, x, z), closed if kl == "analytic" else sampled


@each_likelihood
@each_kl
def test_elbo_is_log_likelihood_minus_kl(likelihood, kl) -> None:
    model, guide, x = build(likelihood)
    image, divergence = parts(likelihood, model, guide, x, kl)
    derived = negative_elbo(model, with_noise(guide, z=EPS), x, kl=kl)
    assert_same(derived, -(image - divergence).mean(), model, guide)


@each_kl
def test_objective_is_log_likelihood_minus_beta_kl(kl) -> None:
    model, guide, x = build()
    image, divergence = parts("bernoulli", model, guide, x, kl)
    objective = Objective(model, with_noise(guide, z=EPS), labelled=0.0, beta=0.3, kl=kl)
    derived = objective(Batch(x, torch.eye(N), x)).total
    assert_same(derived, -(image - 0.3 * divergence).mean(), model, guide)


def test_labels_have_no_part() -> None:
    model, guide, x = build()
    fixed = with_noise(guide, z=EPS)
    labelled = negative_elbo(model, fixed, x, torch.eye(N).double())
    assert labelled == negative_elbo(model, fixed, x)


@each_likelihood
@each_kl
def test_a_point_with_beta_0_is_the_autoencoders_reconstruction_loss(likelihood, kl) -> None:
    model, guide, x = build(likelihood, posterior="point")
    code = dense(guide.encoder, seen(likelihood, x))
    derived = Objective(model, guide, beta=0.0, kl=kl).bound(x)
    assert_same(derived, -log_image(likelihood, model, x, code).mean(), model, guide)


@each_kl
def test_a_point_with_beta_1_adds_half_the_squared_norm_of_the_code(kl) -> None:
    model, guide, x = build(posterior="point")
    code = dense(guide.encoder, x)
    penalty = code.square().sum(-1) / 2 + J * math.log(2 * math.pi) / 2
    by_hand = (penalty - log_image("bernoulli", model, x, code)).mean()
    assert_same(Objective(model, guide, kl=kl).bound(x), by_hand, model, guide)


@pytest.mark.parametrize("flows", [1, 3])
def test_flows_change_log_q_by_the_log_determinants_of_their_jacobians(flows) -> None:
    model, guide, x = build(flows=flows)
    for parameter in guide.encoder.parameters():  # far from the identity
        torch.nn.init.normal_(parameter, std=0.5)
    loc, scale = normal_parameters(guide.encoder, x)
    torch.manual_seed(2)
    z = start = loc + scale * torch.normal(torch.zeros(N, J).double(), torch.ones(N, J).double())
    log_q = log_normal(start, loc, scale)
    for transform in guide.encoder.transforms:
        jacobians = [
            torch.autograd.functional.jacobian(lambda row: transform(row), row, create_graph=True)
            for row in z
        ]
        log_q = log_q - torch.stack([torch.linalg.det(j).abs().log() for j in jacobians])
        z = transform(z)
    by_hand = -(log_image("bernoulli", model, x, z) + log_standard_normal(z) - log_q).mean()
    torch.manual_seed(2)
    assert_same(negative_elbo(model, guide, x), by_hand, model, guide)
    assert abs(log_q - log_normal(start, loc, scale)).min() > 0.01


def test_flows_of_an_even_and_an_odd_place_read_the_dimensions_in_opposite_orders() -> None:
    _, guide, _ = build(flows=2)
    for place, transform in enumerate(guide.encoder.transforms):
        jacobian = torch.autograd.functional.jacobian(transform, EPS[0])
        jacobian = jacobian if place == 0 else jacobian.T
        assert (jacobian.triu(1) == 0).all() and (jacobian.tril(-1) != 0).any()


@pytest.mark.parametrize("options, message", [
    ({"likelihood": "bernouli"}, "unknown likelihood 'bernouli'.* did you mean 'bernoulli'"),
    ({"likelihood": 3}, r"expected a head such as nn.Bernoulli\(\), got 3"),
])
def test_a_likelihood_that_cannot_be_built_is_named(options, message) -> None:
    with pytest.raises(InputError, match=message):
        models.VAE(D, **options)


@pytest.mark.parametrize("options, message", [
    ({"posterior": "point", "flows": 2}, "posterior='point' and flows=2: .* use flows=0, or"),
    ({"posterior": "points"}, "unknown posterior 'points': .* did you mean 'point'"),
    ({"flows": -1}, "expected flows >= 0, got -1"),
])
def test_a_posterior_that_cannot_be_built_is_named(options, message) -> None:
    with pytest.raises(InputError, match=message):
        guides.VAE(models.VAE(D), **options)
