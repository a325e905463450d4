"""Factored against Feng (2019), eqs. 11, 13 and 16, and SHOT-VAE, written out by hand."""

import itertools
import math

import pytest
import scipy.stats
import torch
from by_hand import (
    Fixed,
    assert_same,
    bias_of,
    dense,
    derived_bound,
    gumbel,
    inference,
    kl_categorical,
    kl_standard_normal,
    log_bernoulli,
    log_normal,
    log_softmax,
    log_standard_normal,
    normal_parameters,
    one_hot,
    soft_labels,
    weight_of,
    with_noise,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.hermite_e import hermegauss
from torch import Tensor, nn

from pyro_ssvae import InputError, Objective, guides, models, negative_elbo
from pyro_ssvae.contract import Batch
from pyro_ssvae.inference.interpolation import distances
from pyro_ssvae.inference.terms import evaluated
from pyro_ssvae.labels import Enumerated, Relaxed

N, D, J = 5, 6, 2
SIZES = (2, 3, 4)
torch.manual_seed(0)
X = torch.bernoulli(torch.full((N, D), 0.5, dtype=torch.double))
U = torch.bernoulli(torch.full((N + 2, D), 0.5, dtype=torch.double))
CLASSES = ([0, 1, 1, 0, 1], [2, 0, 1, 1, 2], [3, 0, 2, 1, 1])
Y = torch.cat([one_hot(c, k) for c, k in zip(CLASSES, SIZES)], -1)
EPS = torch.randn(N, J, dtype=torch.double)
Pair = tuple[models.Factored, guides.Factored]
each_kl = pytest.mark.parametrize("kl", ["analytic", "sampled"])


def build(sizes: tuple[int, ...] = SIZES, **options) -> Pair:
    torch.manual_seed(1)
    model = models.Factored(D, sizes, z_dim=J, hidden=(5,)).double()
    return model, guides.Factored(model, hidden=(4,), **options).double()


def log_q_each(guide: guides.Factored, x: Tensor, sizes: tuple[int, ...]) -> list[Tensor]:
    """log q(y_j | x) of each label, (N, k_j)."""
    return [log_softmax(block) for block in dense(guide.classifier, x).split(sizes, -1)]


def latent(guide: guides.Factored, x: Tensor, eps: Tensor, kl: str) -> tuple[Tensor, Tensor]:
    """z and its KL divergence, (N,)."""
    loc, scale = normal_parameters(guide.encoder, x)
    z = loc + scale * eps
    sampled = log_normal(z, loc, scale) - log_standard_normal(z)
    return z, kl_standard_normal(loc, scale) if kl == "analytic" else sampled


def log_image(model: models.Factored, x: Tensor, z: Tensor, y: Tensor) -> Tensor:
    return log_bernoulli(x, dense(model.decoder, z, y))


def combinations(sizes: tuple[int, ...], n: int):
    """Every combination of classes, and its one-hot vectors for n examples."""
    for classes in itertools.product(*(range(k) for k in sizes)):
        yield classes, torch.cat([one_hot([c] * n, k) for c, k in zip(classes, sizes)], -1)


def kl_labels(log_q: list[Tensor]) -> Tensor:
    """sum_j KL[q(y_j | x) || 1 / k_j], (N,)."""
    return torch.stack([kl_categorical(q, -math.log(q.shape[-1])) for q in log_q]).sum(0)


def enumerated(model, guide, sizes, kl: str, given: Tensor | None = None) -> Tensor:
    """Eq. 11, with labels that are given as points: minus the bound, (N,)."""
    log_q = log_q_each(guide, X, sizes)
    if given is not None:
        log_q = [
            torch.where(y.isnan(), q, y.log()) for q, y in zip(log_q, given.split(sizes, -1))
        ]
    z, kl_z = latent(guide, X, EPS, kl)
    total = kl_z
    for classes, y in combinations(sizes, N):
        log_joint = torch.stack([q[:, c] for q, c in zip(log_q, classes)]).sum(0)
        prob = log_joint.exp()
        uniform = -math.log(math.prod(sizes))
        each = torch.where(prob > 0, log_joint, 0.0) - uniform - log_image(model, X, z, y)
        total = total + prob * each
    return total


# Unlabelled: eq. 11.


@each_kl
@pytest.mark.parametrize("sizes", [(4,), (3, 2), (2, 3, 4)])
def test_unlabelled_bound_is_equation_11_summed_over_every_combination(sizes, kl) -> None:
    model, guide = build(sizes, label_inference=Enumerated())
    derived = negative_elbo(model, with_noise(guide, z=EPS), X, kl=kl)
    assert_same(derived, enumerated(model, guide, sizes, kl).mean(), model, guide)


@each_kl
@pytest.mark.parametrize("temperature", [0.4, 0.67])
@pytest.mark.parametrize("how", ["relaxed", "straight-through"])
def test_unlabelled_bound_is_equation_11_with_relaxed_labels(how, temperature, kl) -> None:
    model, guide = build(label_inference=inference(how, temperature))
    torch.manual_seed(2)
    derived = negative_elbo(model, with_noise(guide, z=EPS), X, kl=kl)
    torch.manual_seed(2)
    log_q = log_q_each(guide, X, SIZES)
    y = [soft_labels(q, gumbel(*q.shape), temperature, how != "relaxed") for q in log_q]
    z, kl_z = latent(guide, X, EPS, kl)
    kl_y = kl_labels(log_q)
    if kl == "sampled":  # linear in the soft label, never the Concrete density's
        kl_y = torch.stack([(v * (q + math.log(k))).sum(-1) for v, q, k in zip(y, log_q, SIZES)])
        kl_y = kl_y.sum(0)
    by_hand = kl_z + kl_y - log_image(model, X, z, torch.cat(y, -1))
    assert_same(derived, by_hand.mean(), model, guide)


def spread_out(how: str, temperature: float) -> Pair:
    """A pair in which the image depends on the labels much, and little noise comes from z."""
    torch.manual_seed(5)
    model = models.Factored(D, (2, 3), z_dim=J, hidden=()).double()
    guide = guides.Factored(
        model, hidden=(), label_inference=inference(how, temperature)
    ).double()
    with torch.no_grad():
        weight_of(model.decoder, input=1).normal_(std=2.0)
        weight_of(model.decoder).mul_(0.1)
        bias_of(guide.encoder)[J:] = -4.0
    return model, guide


def mean_and_error(how: str, temperature: float = 0.67) -> tuple[float, float]:
    """The mean bound of one image over 20,000 samples, and its standard error."""
    pair = spread_out(how, temperature)
    torch.manual_seed(6)
    with torch.no_grad():
        means = torch.stack([negative_elbo(*pair, X[:1].expand(500, -1)) for _ in range(40)])
    return means.mean().item(), means.std().item() / math.sqrt(len(means))


def test_relaxed_labels_tend_to_the_enumerated_as_the_temperature_falls() -> None:
    exact, noise = mean_and_error("enumerated")
    gaps = []
    for temperature in (5.0, 1.0, 0.2, 0.01):
        mean, error = mean_and_error("relaxed", temperature)
        gaps.append(abs(mean - exact))
    assert gaps[0] > gaps[1] > gaps[2] > 4 * math.hypot(error, noise) > gaps[3]


def test_straight_through_labels_estimate_equation_11_without_bias() -> None:
    exact, noise = mean_and_error("enumerated")
    mean, error = mean_and_error("straight-through")
    assert error < 0.05
    assert abs(mean - exact) < 4 * math.hypot(error, noise)


def test_more_than_100_000_combinations_are_not_enumerated() -> None:
    sizes = (10,) * 6
    model, guide = build(sizes, label_inference=Enumerated())
    with pytest.raises(InputError, match="at most 100000 combinations.* 1000000.*=Relaxed"):
        negative_elbo(model, guide, X)
    relaxed = guides.Factored(model, hidden=(4,), label_inference=Relaxed()).double()
    assert negative_elbo(model, relaxed, X).isfinite()


# Labelled: eq. 13.


@each_kl
@pytest.mark.parametrize("sizes", [(4,), SIZES])
@pytest.mark.parametrize("how", ["relaxed", "straight-through", "enumerated"])
def test_labelled_bound_is_that_of_points(sizes, how, kl) -> None:
    model, guide = build(sizes, label_inference=inference(how))
    y = Y[:, -sum(sizes):] if sizes == (4,) else Y
    z, kl_z = latent(guide, X, EPS, kl)
    by_hand = kl_z + math.log(math.prod(sizes)) - log_image(model, X, z, y)
    derived = negative_elbo(model, with_noise(guide, z=EPS), X, y, kl=kl)
    assert_same(derived, by_hand.mean(), model, guide.encoder)
    classifier = list(guide.classifier.parameters())
    for gradient in torch.autograd.grad(derived, classifier, allow_unused=True):
        assert gradient is None or (gradient == 0).all()


def equation_13(model, guide, x: Tensor, y: Tensor, eps: Tensor, smoothing: float = 0.0) -> Tensor:
    """Minus eq. 13, (N,): KL[p(y | x) || q(y | x)] of the given label, smoothed or not."""
    log_q = log_q_each(guide, x, guide.classifier.head.sizes)
    z, kl_z = latent(guide, x, eps, "analytic")
    total = kl_z + kl_labels(log_q) - log_image(model, x, z, y)
    for q, block in zip(log_q, y.split(guide.classifier.head.sizes, -1)):
        k = q.shape[-1]
        p = (1 - smoothing) * block + smoothing / k
        total = total + (p * (torch.where(p > 0, p, 1.0).log() - q)).sum(-1)
    return total


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_labelled_objective_is_equation_13_with_swap_and_alpha_1(smoothing) -> None:
    model, guide = build(swap=1.0)
    objective = Objective(
        model, Fixed(guide, z=EPS), unlabelled=0.0, alpha=1.0, smoothing=smoothing
    )
    derived = objective(Batch(X, Y, U)).total
    assert_same(derived, equation_13(model, guide, X, Y, EPS, smoothing).mean(), model, guide)


# Eq. 16: capacities.


@pytest.mark.parametrize("epoch, share", [(math.inf, 1.0), (2.0, 0.5)])
def test_objective_is_equation_16_with_its_signs_corrected(epoch, share) -> None:
    model, guide = build(
        label_inference=Enumerated(), swap=1.0, capacity_z=3.0, capacity_y=0.7, gamma_z=2.0,
        gamma_y=5.0, ramp=4.0,
    )
    objective = Objective(model, Fixed(guide, z=EPS), alpha=1.0)
    derived = objective(Batch(X, Y, X), epoch).total
    by_hand = torch.zeros((), dtype=torch.double)
    for labelled in (True, False):
        log_q = log_q_each(guide, X, SIZES)
        z, kl_z = latent(guide, X, EPS, "analytic")
        by_hand = by_hand + 2 * (kl_z.mean() - 3.0 * share).abs()
        by_hand = by_hand + 5 * (kl_labels(log_q).mean() - 0.7 * share).abs()
        if labelled:
            cross_entropy = -(Y * torch.cat(log_q, -1)).sum(-1)
            by_hand = by_hand + (cross_entropy - log_image(model, X, z, Y)).mean()
            continue
        for classes, y in combinations(SIZES, N):
            prob = torch.stack([q[:, c] for q, c in zip(log_q, classes)]).sum(0).exp()
            by_hand = by_hand - (prob * log_image(model, X, z, y)).mean()
    assert_same(derived, by_hand, model, guide)


@pytest.mark.parametrize("swap", [0.0, 0.4, 1.0])
def test_the_capacity_of_the_labels_leaves_log_p_of_given_ones_as_it_is(swap: float) -> None:
    # With a learned p(y), |KL - C| of given labels too would make them less likely where KL < C.
    torch.manual_seed(1)
    model = models.Factored(D, SIZES, z_dim=J, hidden=(5,), learn_prior=True).double()
    with torch.no_grad():
        model.prior.logits += torch.randn(sum(SIZES))
    guide = guides.Factored(
        model, hidden=(4,), label_inference=Enumerated(), swap=swap, capacity_y=0.9, gamma_y=5.0
    ).double()
    partly = Y.clone()
    partly[:3, SIZES[0]:SIZES[0] + SIZES[1]] = math.nan  # the second label of three examples
    derived = Objective(model, Fixed(guide, z=EPS)).bound(X, partly)
    log_q = log_q_each(guide, X, SIZES)
    log_p = [log_softmax(block) for block in model.prior.logits.split(SIZES)]
    divergences = torch.stack(
        [(q.exp() * (q - p)).sum(-1) for q, p in zip(log_q, log_p)], -1
    )  # (N, labels)
    known = torch.ones(N, len(SIZES)).bool()
    known[:3, 1] = False
    of_given = torch.stack([p[classes] for p, classes in zip(log_p, CLASSES)], -1)
    log_given = (of_given * known).sum(-1).mean()
    kl = (1 - swap) * (divergences * ~known).sum(-1).mean() + swap * divergences.sum(-1).mean()
    z, kl_z = latent(guide, X, EPS, "analytic")
    image = torch.zeros(N, dtype=torch.double)
    for c in range(SIZES[1]):
        second = torch.where(known[:, 1], torch.tensor(CLASSES[1]), c)
        y = torch.cat([one_hot(k, s) for k, s in zip(
            (CLASSES[0], second.tolist(), CLASSES[2]), SIZES
        )], -1)
        weight = torch.where(known[:, 1], 1 / SIZES[1], log_q[1][:, c].exp())
        image = image + weight * log_image(model, X, z, y)
    by_hand = (kl_z - image).mean() - (1 - swap) * log_given + 5 * (kl - 0.9).abs()
    assert_same(derived, by_hand, model, guide)


def test_the_capacity_of_the_labels_is_at_most_the_sum_of_log_k() -> None:
    largest, bounds = math.log(2 * 3 * 4), []
    for capacity in (largest, 100.0, largest - 0.5):
        model, guide = build(label_inference=Enumerated(), capacity_y=capacity)
        bounds.append(Objective(model, Fixed(guide, z=EPS)).bound(X))
    torch.testing.assert_close(bounds[0], bounds[1])
    torch.testing.assert_close(bounds[0] - bounds[2], torch.tensor(0.5).double())


# Bounds and what is none, where log p(x, y) is known: one latent dimension, by quadrature.

NODES, WEIGHTS = map(torch.from_numpy, hermegauss(60))
WEIGHTS = WEIGHTS / WEIGHTS.sum()
TOY = (2, 3)


def toy(seed: int, spread: float) -> tuple[models.Factored, guides.Factored, Tensor]:
    torch.manual_seed(seed)
    model = models.Factored(3, TOY, z_dim=1, hidden=()).double()
    guide = guides.Factored(model, hidden=(), label_inference=Enumerated(), swap=1.0).double()
    for parameter in [*model.parameters(), *guide.parameters()]:
        nn.init.normal_(parameter, std=spread)
    return model, guide, torch.bernoulli(torch.full((3,), 0.5, dtype=torch.double))


def log_joint(model: models.Factored, x: Tensor) -> Tensor:
    """log p(x, y) for every combination of classes, (6,)."""
    rows = []
    for _, y in combinations(TOY, len(NODES)):
        image = log_image(model, x, NODES[:, None], y)
        rows.append((image + WEIGHTS.log()).logsumexp(0) - math.log(6))
    return torch.stack(rows)


def labelled_exactly(model, guide, x: Tensor, y: Tensor) -> Tensor:
    """Minus the labelled objective of eq. 13, the expectation over z by quadrature."""
    n = len(NODES)
    weights = n * WEIGHTS  # the objective is a mean over rows
    objective = Objective(
        Fixed(model, weights), Fixed(guide, weights, z=NODES[:, None]),
        alpha=1.0, unlabelled=0.0, kl="sampled",
    )
    rows = x.expand(n, -1)
    return -objective(Batch(rows, y.expand(n, -1), rows)).total


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), spread=st.floats(0.05, 1.5))
def test_equation_13_exceeds_log_p_of_x_and_y_by_at_most_the_entropy_of_q(seed, spread) -> None:
    model, guide, x = toy(seed, spread)
    with torch.no_grad():
        log_q = log_q_each(guide, x[None], TOY)
        entropy = -sum((q.exp() * q).sum() for q in log_q)
        evidence = log_joint(model, x)
        for i, (_, y) in enumerate(combinations(TOY, 1)):
            value = labelled_exactly(model, guide, x, y[0])
            assert value < evidence[i] + entropy + (y * torch.cat(log_q, -1)).sum() + 1e-6
            assert value < evidence[i] + entropy


def test_equation_13_is_not_a_bound() -> None:
    # A decoder that ignores z and knows y, and a classifier that is right but not sure: eq. 13
    # exceeds log p(x, y) and even log p(x), where eq. 11 does not.
    model, guide, _ = toy(0, 0.0)
    x = torch.ones(3, dtype=torch.double)
    y = torch.tensor([1.0, 0, 1, 0, 0]).double()
    with torch.no_grad():
        weight_of(model.decoder, input=1).copy_(20 * (2 * y - 1).expand(3, -1))
        bias_of(model.decoder).fill_(-20.0)
        bias_of(guide.encoder).copy_(
            torch.tensor([0.0, math.log(math.expm1(1.0 - 1e-5))])
        )
        bias_of(guide.classifier).copy_(1.2 * y)
        evidence = log_joint(model, x)
        value = labelled_exactly(model, guide, x, y)
    log_q = log_q_each(guide, x[None], TOY)
    entropy = -sum((q.exp() * q).sum() for q in log_q)
    excess = (value - evidence[0]).item()
    assert excess == pytest.approx((entropy + sum(q[0, 0] for q in log_q)).item(), abs=1e-6)
    assert excess > 0.1 and value > evidence.logsumexp(0) + 0.1
    rows = x.expand(len(NODES), -1)
    programs = Fixed(model, WEIGHTS), Fixed(guide, WEIGHTS, z=NODES[:, None])
    equation_11 = -derived_bound(*programs, rows) * len(NODES)
    assert equation_11 < evidence.logsumexp(0)


# Labels that are missing one by one.


def hide(*blocks: tuple[int, int]) -> Tensor:
    """Y without the labels of these (example, label)."""
    y = Y.clone()
    for n, j in blocks:
        y[n, sum(SIZES[:j]):sum(SIZES[:j + 1])] = math.nan
    return y


HIDDEN = {
    "one": hide((2, 1)),
    "a column": hide(*((n, 2) for n in range(N))),
    "some": hide((0, 0), (0, 2), (1, 1), (3, 0), (3, 1), (3, 2)),
    "all": torch.full_like(Y, math.nan),
}


@each_kl
@pytest.mark.parametrize("hidden", HIDDEN)
def test_known_labels_are_points_and_unknown_ones_enumerated(hidden, kl) -> None:
    model, guide = build(label_inference=Enumerated())
    y = HIDDEN[hidden]
    derived = negative_elbo(model, with_noise(guide, z=EPS), X, y, kl=kl)
    assert_same(derived, enumerated(model, guide, SIZES, kl, y).mean(), model, guide)


def test_without_any_known_label_the_bound_is_the_unlabelled_one() -> None:
    model, guide = build(label_inference=Enumerated())
    fixed = with_noise(guide, z=EPS)
    assert_same(
        negative_elbo(model, fixed, X, HIDDEN["all"]), negative_elbo(model, fixed, X), model, guide
    )


def test_one_unknown_label_is_the_average_of_the_labelled_bounds_and_its_entropy() -> None:
    # U = sum_c q(c | x) L(x, y with c) + H[q(c | x)], L the bound of all labels known.
    model, guide = build(label_inference=Enumerated())
    fixed = with_noise(guide, z=EPS)
    log_q = log_q_each(guide, X, SIZES)[1]
    by_hand = (log_q.exp() * log_q).sum(-1).mean()
    for c in range(SIZES[1]):
        y = Y.clone()
        y[:, 2:5] = one_hot([c] * N, 3)
        rows = [
            negative_elbo(model, with_noise(guide, z=EPS[n:n + 1]), X[n:n + 1], y[n:n + 1])
            for n in range(N)
        ]
        by_hand = by_hand + (log_q[:, c].exp() * torch.stack(rows)).mean()
    y = hide(*((n, 1) for n in range(N)))
    assert_same(negative_elbo(model, fixed, X, y), by_hand, model, guide)


@pytest.mark.parametrize("how", ["relaxed", "straight-through"])
def test_known_labels_are_points_among_relaxed_ones(how) -> None:
    model, guide = build(label_inference=inference(how))
    given = HIDDEN["some"]
    torch.manual_seed(4)
    derived = negative_elbo(model, with_noise(guide, z=EPS), X, given)
    torch.manual_seed(4)
    z, kl_z = latent(guide, X, EPS, "analytic")
    blocks, total = [], kl_z
    for q, known in zip(log_q_each(guide, X, SIZES), given.split(SIZES, -1)):
        k = q.shape[-1]
        soft = soft_labels(q, gumbel(*q.shape), 0.67, hard=how == "straight-through")
        blocks.append(torch.where(known.isnan(), soft, known))
        missing = known.isnan().any(-1)
        total = total + torch.where(missing, kl_categorical(q, -math.log(k)), math.log(k))
    by_hand = total - log_image(model, X, z, torch.cat(blocks, -1))
    assert_same(derived, by_hand.mean(), model, guide)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_unknown_labels_have_no_part_in_the_classification_loss(smoothing) -> None:
    model, guide = build()
    given = HIDDEN["some"]
    objective = Objective(
        model, guide, labelled=0.0, unlabelled=0.0, alpha=2.0, smoothing=smoothing
    )
    by_hand = torch.zeros(N, dtype=torch.double)
    for n in range(N):
        for q, known in zip(log_q_each(guide, X, SIZES), given.split(SIZES, -1)):
            if known[n].isnan().any():
                continue
            p = (1 - smoothing) * known[n] + smoothing / len(known[n])
            by_hand[n] += (p * (torch.where(p > 0, p, 1.0).log() - q[n])).sum()
    assert_same(objective(Batch(X, given, U)).total, 2 * by_hand.mean(), model, guide)


def test_swap_with_unknown_labels_takes_the_classifiers_kl_of_all() -> None:
    model, guide = build(label_inference=Enumerated(), swap=1.0)
    given, fixed = HIDDEN["some"], Fixed(guide, z=EPS)
    log_q = log_q_each(guide, X, SIZES)
    known = torch.zeros(N, dtype=torch.double)
    for q, y in zip(log_q, given.split(SIZES, -1)):
        k = q.shape[-1]
        kl_y = kl_categorical(q, -math.log(k))
        known = known + torch.where(y.isnan().any(-1), kl_y, math.log(k))
    plain = negative_elbo(model, fixed, X, given)
    derived = Objective(model, fixed).bound(X, given)
    assert_same(derived, plain + (kl_labels(log_q) - known).mean(), model, guide)


# SHOT-VAE's interpolation.


def nearest(loc: Tensor, scale: Tensor) -> list[int]:
    """The other row with the smallest KL[N_i || N_j], for each row i."""
    partner = []
    for i in range(len(loc)):
        apart = [
            (torch.log(scale[j] / scale[i]) - 0.5
             + (scale[i] ** 2 + (loc[i] - loc[j]) ** 2) / (2 * scale[j] ** 2)).sum().item()
            if i != j else math.inf
            for j in range(len(loc))
        ]
        partner.append(apart.index(min(apart)))
    return partner


def interpolated(guide: guides.Factored, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
    """The distances of labels and of moments, means over rows."""
    loc, scale = (part.detach() for part in normal_parameters(guide.encoder, x))
    partner = nearest(loc, scale)
    assert len(set(partner)) > 1 and partner != [partner[i] for i in partner]
    share = torch.rand(3, len(x), 1, dtype=torch.double).median(0).values
    mixed = (1 - share) * x + share * x[partner]
    blocks = [None] * len(SIZES) if y is None else y.split(SIZES, -1)
    labels = torch.zeros(len(x), dtype=torch.double)
    of_each = (log_q_each(guide, rows, SIZES) for rows in (mixed, x))
    for q_mixed, q, known in zip(*of_each, blocks):
        p = q.exp().detach()
        if known is not None:
            p = torch.where(known.isnan(), p, known)
        target = (1 - share) * p + share * p[partner]
        labels = labels + (target * (torch.where(target > 0, target, 1.0).log() - q_mixed)).sum(-1)
    of_mixed = normal_parameters(guide.encoder, mixed)
    moments = torch.zeros(len(x), dtype=torch.double)
    for after, before in zip(of_mixed, (loc, scale)):
        moments = moments + ((after - (1 - share) * before - share * before[partner]) ** 2).sum(-1)
    return labels.mean(), moments.mean()


@pytest.mark.parametrize("hidden", [None, "some"])
def test_interpolation_mixes_labelled_and_unlabelled_data_with_nearest_posteriors(hidden) -> None:
    model, guide = build(interpolation=3.0, interpolation_z=0.5)
    nn.init.normal_(weight_of(guide.encoder))  # posteriors that differ
    y = Y if hidden is None else HIDDEN[hidden]
    terms = {name: guide.terms[name] for name in ("interpolation", "interpolation_z")}
    torch.manual_seed(7)
    values = evaluated(terms, model, guide, Batch(X, y, U), 0.0)
    torch.manual_seed(7)
    by_hand = [sum(pair) for pair in zip(interpolated(guide, X, y), interpolated(guide, U, None))]
    assert [term.weight for term in terms.values()] == [3.0, 0.5]
    for value, expected in zip(values.values(), by_hand, strict=True):
        assert_same(value, expected, model, guide)


def test_shares_are_drawn_from_beta_2_2() -> None:
    # Examples at 0 and 1 alone: a mixed one is its share, and the guide is asked for it.
    _, guide = build()
    asked = []
    guide.encoder.register_forward_pre_hook(lambda _, inputs: asked.append(inputs[0]))
    x = torch.zeros(2, D, dtype=torch.double)
    x[1] = 1.0
    torch.manual_seed(0)
    for _ in range(300):
        distances(guide, x)
    shares = torch.stack(asked[1::2])[:, :, 0].flatten()
    assert scipy.stats.kstest(shares.numpy(), scipy.stats.beta(2, 2).cdf).pvalue > 0.01


def test_interpolation_is_added_to_the_total_with_its_weights() -> None:
    objective = Objective(*build(interpolation=3.0, interpolation_z=0.5))
    torch.manual_seed(8)
    total, terms = objective(Batch(X, Y, U))
    expected = (
        terms["labelled"] + terms["unlabelled"] + 3 * terms["interpolation"]
        + 0.5 * terms["interpolation_z"]
    )
    torch.testing.assert_close(total.detach(), expected)


def test_the_penalty_is_half_the_squares_of_the_classifiers_weights_without_its_biases() -> None:
    model, guide = build(penalty=3.0)
    objective = Objective(model, guide, labelled=0.0, unlabelled=0.0)
    total, terms = objective(Batch(X, Y, U))
    weights = [p for name, p in guide.classifier.named_parameters() if name.endswith("weight")]
    expected = sum(float(weight.detach().square().sum()) for weight in weights) / 2
    assert float(terms["penalty"]) == pytest.approx(expected)
    assert float(total.detach()) == pytest.approx(3 * expected)
    total.backward()
    assert torch.allclose(weights[0].grad, 3 * weights[0])
    biases = [p for name, p in guide.classifier.named_parameters() if name.endswith("bias")]
    assert biases and all(bias.grad is None for bias in biases)


def test_both_parts_of_the_interpolation_share_the_mixed_examples() -> None:
    model, guide = build(interpolation=1.0, interpolation_z=1.0)
    seen = []
    guide.encoder.register_forward_hook(lambda *_: seen.append(1))
    objective = Objective(model, guide, labelled=0.0, unlabelled=0.0, alpha=1.0)
    objective(Batch(X, Y, U))
    assert len(seen) == 4  # of labelled and unlabelled examples, as they are and mixed


@pytest.mark.parametrize("weights", [{}, {"interpolation": 1.0}, {"interpolation_z": 1.0}])
def test_a_part_of_the_interpolation_without_weight_is_left_out(weights) -> None:
    terms = Objective(*build(**weights))(Batch(X, Y, U)).terms
    assert terms.keys() == {"labelled", "unlabelled"} | weights.keys()


def test_a_number_of_classes_is_one_label() -> None:
    torch.manual_seed(0)
    model = models.Factored(D, 4)
    assert model.y_dims == (4,)
    torch.manual_seed(0)
    same = models.Factored(D, (4,))
    for a, b in zip(model.parameters(), same.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("options, message", [
    ({"interpolation": 1.0, "flows": 2}, "interpolation=1.0 and flows=2: .* use flows=0"),
    ({"interpolation_z": 1.0, "flows": 2}, "interpolation_z=1.0 and flows=2: .* use flows=0"),
    ({"penalty": -1.0}, "expected a finite penalty >= 0, got -1.0"),
    ({"interpolation": -1.0}, "expected a finite interpolation >= 0, got -1.0"),
    ({"interpolation_z": math.nan}, "expected a finite interpolation_z >= 0, got nan"),
    ({"swap": -1.0}, "expected a finite swap >= 0, got -1.0"),
    ({"capacity_z": -1.0}, "expected a finite capacity_z >= 0, got -1.0"),
    ({"capacity_y": math.inf}, "expected a finite capacity_y >= 0, got inf"),
    ({"gamma_y": -2.0}, "expected a finite gamma_y >= 0, got -2.0"),
    ({"ramp": math.nan}, "expected a finite ramp >= 0, got nan"),
    ({"label_inference": 3}, r"expected labels.Enumerated\(\), .*got 3"),
    ({"label_inference": "enumerated:3"}, r"leaves out no class, got Enumerated\(top=3\)"),
    ({"label_inference": Enumerated(3)}, r"leaves out no class, got Enumerated\(top=3\)"),
])
def test_options_that_contradict_each_other_are_named(options, message) -> None:
    with pytest.raises(InputError, match=message):
        build(**options)


# A prior that is learned.


@each_kl
@pytest.mark.parametrize("labels", [Y, None], ids=["given", "unknown"])
def test_a_learned_prior_takes_the_place_of_the_uniform_one(labels, kl) -> None:
    model, guide = build(label_inference=Enumerated())
    torch.manual_seed(1)
    learned = models.Factored(D, SIZES, z_dim=J, hidden=(5,), learn_prior=True).double()
    learned.decoder.load_state_dict(model.decoder.state_dict())
    with torch.no_grad():
        learned.prior.logits.copy_(torch.linspace(-1, 2, sum(SIZES)))
    noisy = with_noise(guide, z=EPS)
    derived = negative_elbo(learned, noisy, X, labels, kl=kl)
    uniform = negative_elbo(model, noisy, X, labels, kl=kl)
    log_p = torch.cat([log_softmax(block) for block in learned.prior.logits.split(SIZES)])
    y = torch.cat([q.exp() for q in log_q_each(guide, X, SIZES)], -1) if labels is None else labels
    by_hand = uniform - (y @ log_p).mean() - math.log(math.prod(SIZES))
    torch.testing.assert_close(derived, by_hand, rtol=1e-10, atol=1e-10)
    wanted = [learned.prior.logits, *guide.parameters()]
    for one, other in zip(
        torch.autograd.grad(derived, wanted, allow_unused=True, retain_graph=True),
        torch.autograd.grad(by_hand, wanted, allow_unused=True),
    ):
        zero = torch.zeros(())
        torch.testing.assert_close(*(zero if g is None else g for g in (one, other)))
