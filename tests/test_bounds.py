"""What is called a bound is one: below log p(x) or log p(x, y) where these are known exactly.

Toys with linear networks and one or two latent dimensions. The guide's expectations are sums over
Gauss-Hermite nodes, one row for each, that the library's own bound is asked for; the evidence is
another such sum, over the prior. Where y is summed over in the model, Pyro takes no weights for
rows, and the guide's expectations are means over quantiles.
"""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
import torch
from by_hand import (
    Fixed,
    Given,
    bias_of,
    dense,
    derived_bound,
    log_bernoulli,
    log_softmax,
    normal_parameters,
    one_hot,
    weight_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.hermite_e import hermegauss
from numpy.polynomial.legendre import leggauss
from torch import Tensor, nn

from pyro_ssvae import guides, models, negative_elbo
from pyro_ssvae.labels import Enumerated
from pyro_ssvae.nn import Normal

D, K = 3, 2
SLACK = 1e-6  # of the quadrature
SLACK_OF_QUANTILES = 1e-3


def normal_nodes(n: int) -> tuple[Tensor, Tensor]:
    """Nodes (n, 1) and weights (n,) of expectations under N(0, 1)."""
    nodes, weights = map(torch.from_numpy, hermegauss(n))
    return nodes[:, None], weights / weights.sum()


def grid(n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Every pair of nodes, (n^2, 1) twice, and their weights, those that count."""
    nodes, weights = normal_nodes(n)
    i, j = torch.cartesian_prod(torch.arange(n), torch.arange(n)).T
    weight = weights[i] * weights[j]
    counts = weight > 1e-18
    return nodes[i[counts]], nodes[j[counts]], weight[counts]


def quantiles(n: int) -> Tensor:
    """n quantiles (n, 1) of N(0, 1), scaled to have its variance, for means over them."""
    share = (torch.arange(n, dtype=torch.double) + 0.5) / n
    nodes = torch.distributions.Normal(0.0, 1.0).icdf(share)[:, None]
    return nodes / nodes.square().mean().sqrt()


NODES, WEIGHTS = normal_nodes(100)
FIRST, SECOND, PRODUCTS = grid(48)
CLASSES = [one_hot([k], K)[0] for k in range(K)]

random_toys = given(seed=st.integers(0, 10_000), spread=st.floats(0.05, 1.2))


def examples(number: int):
    return settings(max_examples=number, deadline=None)


def randomise(seed: int, spread: float, *modules: nn.Module) -> Tensor:
    """Random weights, and the image x, (D,)."""
    torch.manual_seed(seed)
    for module in modules:
        module.double()
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=spread)
    return torch.bernoulli(torch.full((D,), 0.5, dtype=torch.double))


def expected(model, guide, x: Tensor, y: Tensor | None, weights: Tensor, **noise: Tensor) -> float:
    """The library's bound, its expectation over the guide's noise the weighted sum over rows."""
    n = len(weights)
    rows_y = None if y is None else y.expand(n, -1)
    programs = Fixed(model, weights), Fixed(guide, weights, **noise)
    with torch.no_grad():
        return -n * derived_bound(*programs, x.expand(n, -1), rows_y).item()


def mean(model, guide, x: Tensor, **noise: Tensor) -> float:
    """The library's unlabelled bound, the mean over rows of this noise; its KL in closed form."""
    (n, *_), = {values.shape for values in noise.values()}
    with torch.no_grad():
        return -negative_elbo(model, Fixed(guide, **noise), x.expand(n, -1)).item()


def bounds_of_all(model, guide, x: Tensor, weights: Tensor, **noise: Tensor) -> list[float]:
    """The bounds given each class, and the unlabelled one last."""
    return [expected(model, guide, x, y, weights, **noise) for y in [*CLASSES, None]]


def assert_below(bounds: list[float], log_joint: Tensor) -> None:
    """Bounds given each class below log p(x, y), and one without, if any, below log p(x)."""
    evidence = [*log_joint.tolist(), log_joint.logsumexp(0).item()]
    for bound, exact in zip(bounds, evidence):
        assert math.isfinite(bound)
        assert bound <= exact + SLACK


def images(model, x: Tensor, *inputs: Tensor) -> Tensor:
    """log p(x | inputs), one for each row."""
    return log_bernoulli(x, dense(model.decoder, *inputs))


def average(log_values: Tensor, weights: Tensor) -> Tensor:
    """log of the weighted sum, stably."""
    return (log_values + weights.log()).logsumexp(0)


@examples(40)
@random_toys
def test_vae(seed, spread) -> None:
    model = models.VAE(D, z_dim=1, hidden=())
    guide = guides.VAE(model, hidden=())
    x = randomise(seed, spread, model, guide)
    evidence = average(images(model, x, NODES), WEIGHTS).item()
    for y in (None, CLASSES[0]):
        assert expected(model, guide, x, y, WEIGHTS, z=NODES) <= evidence + SLACK


@examples(20)
@random_toys
def test_vae_with_a_normal_likelihood_reaches_the_evidence_at_the_true_posterior(
    seed, spread
) -> None:
    # x ~ N(W z + b, s^2): a linear Gaussian model, whose posterior is normal.
    sigma = 0.7
    model = models.VAE(D, z_dim=1, hidden=(), likelihood=Normal(sigma))
    guide = guides.VAE(model, hidden=())
    x = randomise(seed, spread, model, guide) + 0.3
    w, b = weight_of(model.decoder)[:, 0], bias_of(model.decoder)
    covariance = torch.outer(w, w) + sigma**2 * torch.eye(D).double()
    evidence = torch.distributions.MultivariateNormal(b, covariance).log_prob(x).item()
    assert expected(model, guide, x, None, WEIGHTS, z=NODES) <= evidence + SLACK
    with torch.no_grad():
        precision = 1 + (w @ w) / sigma**2
        weight, bias = weight_of(guide.encoder), bias_of(guide.encoder)
        weight.zero_()
        weight[0] = w / sigma**2 / precision
        bias[0] = -(w @ b) / sigma**2 / precision
        bias[1] = torch.log(torch.expm1(precision**-0.5 - 1e-5))
    assert expected(model, guide, x, None, WEIGHTS, z=NODES) == pytest.approx(evidence, abs=1e-8)


@examples(25)
@random_toys
def test_m2_with_flows_and_a_learned_prior(seed, spread) -> None:
    model = models.M2(D, K, z_dim=2, hidden=(), learn_prior=True)
    guide = guides.M2(model, hidden=(), flows=2)
    x = randomise(seed, spread, model, guide)
    with torch.no_grad():  # flows that bend, within reach of the nodes
        for parameter in guide.encoder.parameters_of_transforms.parameters():
            parameter.mul_(0.3)
        bias_of(guide.encoder)[2:] -= 1.0
    nodes = torch.cat([FIRST, SECOND], -1)
    log_p = log_softmax(model.prior.logits)
    log_joint = torch.stack([
        average(images(model, x, nodes, y.expand(len(nodes), -1)), PRODUCTS) + log_p[k]
        for k, y in enumerate(CLASSES)
    ])
    assert_below(bounds_of_all(model, guide, x, PRODUCTS, z=nodes), log_joint)


@examples(20)
@random_toys
def test_latent_classifier_and_its_exact_bound_is_above_jensens(seed, spread) -> None:
    model = models.LatentClassifier(D, K, z_dim=1, hidden=())
    guide = guides.LatentClassifier(model, hidden=())
    x = randomise(seed, spread, model, guide)
    log_p = log_softmax(dense(model.classifier, NODES))
    log_joint = torch.stack([
        average(images(model, x, NODES, y.expand(len(NODES), -1)) + log_p[:, k], WEIGHTS)
        for k, y in enumerate(CLASSES)
    ])
    guide.bound = "jensen"
    jensen = bounds_of_all(model, guide, x, WEIGHTS, z=NODES)
    assert_below(jensen, log_joint)
    guide.bound = "exact"
    labelled = [expected(model, guide, x, y, WEIGHTS, z=NODES) for y in CLASSES]
    assert labelled == jensen[:K]
    exact = mean(model, guide, x, z=quantiles(4_000))
    assert jensen[K] - SLACK_OF_QUANTILES < exact < log_joint.logsumexp(0) + SLACK_OF_QUANTILES


@examples(25)
@random_toys
def test_split_latent(seed, spread) -> None:
    model = models.SplitLatent(D, K, z_dim=1, a_dim=1, hidden=())
    guide = guides.SplitLatent(model, hidden=())
    x = randomise(seed, spread, model, guide)
    log_p = log_softmax(dense(model.classifier, FIRST))
    image = images(model, x, SECOND, FIRST)
    log_joint = torch.stack([average(image + log_p[:, k], PRODUCTS) for k in range(K)])
    labelled = [expected(model, guide, x, y, PRODUCTS, a=FIRST, z=SECOND) for y in CLASSES]
    assert_below(labelled, log_joint)
    nodes = quantiles(150)
    bound = mean(model, guide, x, a=nodes.repeat(150, 1), z=nodes.repeat_interleave(150, 0))
    assert bound < average(image, PRODUCTS) + SLACK_OF_QUANTILES


@pytest.mark.parametrize("name", ["ADGM", "SDGM", "M1M2"])
@examples(20)
@random_toys
def test_two_layers_of_latents(name, seed, spread) -> None:
    options = {"stacked": False} if name == "M1M2" else {}
    model = getattr(models, name)(D, K, z_dim=1, a_dim=1, hidden=(), **options)
    guide = getattr(guides, name)(model, hidden=())
    x = randomise(seed, spread, model, guide)
    rows = []
    for y in CLASSES:
        z, y = FIRST, y.expand(len(FIRST), -1)
        if name == "ADGM":  # a leaves p(x, y, z) as it is
            rows.append(average(images(model, x, z, y), PRODUCTS) - math.log(K))
            continue
        a_network = model.auxiliary if name == "SDGM" else model.features
        loc, scale = normal_parameters(a_network, z, y)
        a = loc + scale * SECOND
        inputs = (a, z, y) if name == "SDGM" else (a,)
        rows.append(average(images(model, x, *inputs), PRODUCTS) - math.log(K))
    bounds = bounds_of_all(model, guide, x, PRODUCTS, a=FIRST, z=SECOND)
    assert_below(bounds, torch.stack(rows))


SIZES = (2, 3)


@examples(25)
@random_toys
def test_factored_with_every_subset_of_its_labels_known(seed, spread) -> None:
    model = models.Factored(D, SIZES, z_dim=1, hidden=())
    guide = guides.Factored(model, hidden=(), label_inference=Enumerated())
    x = randomise(seed, spread, model, guide)
    log_joint = torch.zeros(SIZES, dtype=torch.double)
    for i, j in itertools.product(*map(range, SIZES)):
        y = torch.cat([one_hot([i], 2), one_hot([j], 3)], -1).expand(len(NODES), -1)
        log_joint[i, j] = average(images(model, x, NODES, y), WEIGHTS) - math.log(6)
    missing = [torch.full((k,), math.nan).double() for k in SIZES]
    for i, j in itertools.product([0, 1, None], [0, 2, None]):
        y = torch.cat([
            missing[0] if i is None else one_hot([i], 2)[0],
            missing[1] if j is None else one_hot([j], 3)[0],
        ])
        known = log_joint[slice(None) if i is None else i, slice(None) if j is None else j]
        evidence = known.flatten().logsumexp(0).item()
        assert expected(model, guide, x, y, WEIGHTS, z=NODES) <= evidence + SLACK
    bound = expected(model, guide, x, None, WEIGHTS, z=NODES)
    assert bound <= log_joint.flatten().logsumexp(0).item() + SLACK


@examples(20)
@random_toys
def test_untapped(seed, spread) -> None:
    model = models.Untapped(D, K, z_dim=1, hidden=(), bound=1.5)
    guide = guides.Untapped(model, hidden=(), label_inference=Enumerated())
    x = randomise(seed, spread, model, guide)
    nodes, weights = map(torch.from_numpy, leggauss(60))
    log_joint = torch.stack([
        average(images(model, x, 1.5 * nodes[:, None], y.expand(60, -1)), weights / 2)
        for y in CLASSES
    ]) - math.log(K)
    assert_below(bounds_of_all(model, guide, x, WEIGHTS, z=NODES), log_joint)


# DirichletM2: expectations over pi are closed forms, but that of "exact".

@pytest.mark.parametrize("bound", ["jensen", "sample", "exact"])
@examples(20)
@given(
    seed=st.integers(0, 10_000), spread=st.floats(0.05, 0.8), mean_pi=st.floats(0.15, 0.85),
    kappa=st.floats(1.0, 30.0), a=st.floats(0.6, 3.0),
)
def test_dirichlet_m2_with_a_dirichlet_guide(bound, seed, spread, mean_pi, kappa, a) -> None:
    model = models.DirichletM2(D, K, z_dim=1, hidden=(), concentration=a, bound=bound)
    guide = guides.DirichletM2(model, hidden=(), kappa=kappa)
    x = randomise(seed, spread, model, guide)
    with torch.no_grad():
        weight_of(guide.classifier).zero_()
        bias_of(guide.classifier).copy_(torch.tensor([mean_pi, 1 - mean_pi]).log())
    log_joint = torch.stack([
        average(images(model, x, NODES, y.expand(len(NODES), -1)), WEIGHTS) for y in CLASSES
    ]) - math.log(K)  # E pi_y = 1 / K under the symmetric prior
    assert_below([expected(model, guide, x, y, WEIGHTS, z=NODES) for y in CLASSES], log_joint)
    if bound == "jensen":
        unlabelled = expected(model, guide, x, None, WEIGHTS, z=NODES)
    elif bound == "sample":  # the expectation over y, too
        unlabelled = 0.0
        for share, y in zip((mean_pi, 1 - mean_pi), CLASSES):
            with Given(y=y.expand(len(NODES), -1)):
                unlabelled += expected(model, guide, x, None, share * WEIGHTS, z=NODES)
    else:  # the KL of pi and of z in closed form, what is left is bounded
        share = (np.arange(150) + 0.5) / 150
        quantile = scipy.stats.beta.ppf(share, kappa * mean_pi, kappa * (1 - mean_pi))
        first = torch.from_numpy(quantile)
        with Given(pi=torch.stack([first, 1 - first], -1).log().repeat(150, 1)):
            unlabelled = mean(model, guide, x, z=quantiles(150).repeat_interleave(150, 0))
    assert unlabelled < log_joint.logsumexp(0) + SLACK_OF_QUANTILES


def test_dirichlet_m2s_point_mass_is_no_bound() -> None:
    # Its entropy, minus infinity, is left out: a density of the prior above 1 is all gain.
    model = models.DirichletM2(D, K, z_dim=1, hidden=(), concentration=50.0)
    guide = guides.DirichletM2(model, hidden=())
    x = randomise(0, 0.0, model, guide)
    with torch.no_grad():
        bias_of(guide.encoder)[1] = math.log(math.expm1(1 - 1e-5))
    evidence = -D * math.log(2)
    assert expected(model, guide, x, None, WEIGHTS, z=NODES) > evidence + 1
