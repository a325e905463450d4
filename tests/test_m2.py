"""M2 against Kingma et al. (2014), equations 6 to 9, written out by hand."""

import math

import pytest
import torch
from by_hand import (
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
from pyro import poutine
from torch import Tensor, nn

from pyro_ssvae import InputError, Objective, guides, models, negative_elbo
from pyro_ssvae.contract import Batch
from pyro_ssvae.inference.feng import Capacity, Swap
from pyro_ssvae.inference.terms import Ramp

N, D, K, J = 6, 7, 4, 3


SHAPES = {"mlp": (D,), "conv": (2, 5, 4)}
each_network = pytest.mark.parametrize("network", SHAPES, indirect=True)


@pytest.fixture
def network(request: pytest.FixtureRequest) -> str:
    return getattr(request, "param", "mlp")


@pytest.fixture
def pair(network: str) -> tuple[models.M2, guides.M2]:
    torch.manual_seed(0)
    model = models.M2(SHAPES[network], K, z_dim=J, hidden=(5,), network=network).double()
    return model, guides.M2(model, hidden=(5, 4), network=network).double()


@pytest.fixture
def images(network: str) -> Tensor:
    return torch.bernoulli(torch.full((N, *SHAPES[network]), 0.5, dtype=torch.double))


def labelled_bound(model: models.M2, guide: guides.M2, x: Tensor, y: Tensor, eps: Tensor) -> Tensor:
    """Eq. 6, -L(x, y), with z = mu + sigma * eps; (..., N)."""
    loc, scale = normal_parameters(guide.encoder, x, y)
    z = loc + scale * eps
    return -(
        log_bernoulli(x.flatten(1), dense(model.decoder, z, y))
        + math.log(1 / y.shape[-1])
        + log_standard_normal(z)
        - log_normal(z, loc, scale)
    )


def unlabelled_bound(model: models.M2, guide: guides.M2, x: Tensor, eps: Tensor) -> Tensor:
    """Eq. 7, -U(x) = sum_y q(y | x) (-L(x, y)) - H(q(y | x)), with eps (K, N, J); (N,)."""
    log_q = log_softmax(dense(guide.classifier, x))
    total = torch.zeros(len(x), dtype=x.dtype)
    for k in range(K):
        y = one_hot([k] * len(x), K)
        q = log_q[:, k].exp()
        total = total + q * labelled_bound(model, guide, x, y, eps[k]) + q * log_q[:, k]
    return total


@each_network
def test_labelled_elbo_is_equation_6(pair, images) -> None:
    model, guide = pair
    y, eps = one_hot([0, 1, 2, 3, 3, 0], K), torch.randn(N, J, dtype=torch.double)
    derived = derived_bound(model, with_noise(guide, z=eps), images, y)
    assert_same(derived, labelled_bound(model, guide, images, y, eps).mean(), model, guide)


@each_network
def test_unlabelled_elbo_is_equation_7(pair, images) -> None:
    model, guide = pair
    eps = torch.randn(K, N, J, dtype=torch.double)
    derived = derived_bound(model, with_noise(guide, z=eps), images)
    assert_same(derived, unlabelled_bound(model, guide, images, eps).mean(), model, guide)


@each_network
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
    log_q = (y * log_softmax(dense(guide.classifier, x))).sum(-1)
    by_hand = (
        2.0 * labelled_bound(model, guide, x, y, eps_l).mean()
        + 3.0 * unlabelled_bound(model, guide, u, eps_u).mean()
        - alpha * log_q.mean()
    )
    assert_same(derived, by_hand, model, guide)


# With the KL divergences in closed form.


def labelled_parts(
    model: models.M2, guide: guides.M2, x: Tensor, y: Tensor, eps: Tensor
) -> tuple[Tensor, Tensor]:
    """log p(x | y, z) with z = mu + sigma * eps, and KL[q(z | x, y) || p(z)], (N,) each."""
    loc, scale = normal_parameters(guide.encoder, x, y)
    image = log_bernoulli(x.flatten(1), dense(model.decoder, loc + scale * eps, y))
    return image, kl_standard_normal(loc, scale)


def closed_labelled(model: models.M2, guide: guides.M2, x: Tensor, y: Tensor, eps: Tensor,
                    log_p: Tensor | float = -math.log(K)) -> Tensor:
    """Eq. 6, (N,), with its KL divergence in closed form and log p(y) for every class."""
    image, kl_z = labelled_parts(model, guide, x, y, eps)
    return -(image + (y * log_p).sum(-1) - kl_z)


def closed_unlabelled(model: models.M2, guide: guides.M2, x: Tensor, eps: Tensor,
                      log_p: Tensor | float = -math.log(K)) -> Tensor:
    """Eq. 7, (N,): sum_y q(y | x) (-log p(x | y, z) + KL_z) + KL[q(y | x) || p(y)]."""
    log_q = log_softmax(dense(guide.classifier, x))
    total = kl_categorical(log_q, log_p)
    for k in range(K):
        image, kl_z = labelled_parts(model, guide, x, one_hot([k] * len(x), K), eps[k])
        total = total + log_q[:, k].exp() * (kl_z - image)
    return total


def test_labelled_elbo_is_equation_6_with_the_kl_in_closed_form(pair, images) -> None:
    model, guide = pair
    y, eps = one_hot([0, 1, 2, 3, 3, 0], K), torch.randn(N, J, dtype=torch.double)
    derived = negative_elbo(model, with_noise(guide, z=eps), images, y)
    assert_same(derived, closed_labelled(model, guide, images, y, eps).mean(), model, guide)


def test_unlabelled_elbo_is_equation_7_with_the_kl_in_closed_form(pair, images) -> None:
    model, guide = pair
    eps = torch.randn(K, N, J, dtype=torch.double)
    derived = negative_elbo(model, with_noise(guide, z=eps), images)
    assert_same(derived, closed_unlabelled(model, guide, images, eps).mean(), model, guide)


# p(y): fixed or learned.

PROBS = (0.1, 0.2, 0.3, 0.4)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("kl", ["analytic", "sampled"])
def test_the_class_prior_is_given_or_learned(images, learned, labelled, kl) -> None:
    torch.manual_seed(0)
    model = models.M2(
        D, K, z_dim=J, hidden=(5,), class_probs=PROBS, learn_prior=learned
    ).double()
    guide = guides.M2(model, hidden=(5,)).double()
    logits = model.prior.logits
    assert isinstance(logits, nn.Parameter) == learned
    torch.testing.assert_close(log_softmax(logits).exp(), torch.tensor(PROBS).double())
    if learned:
        nn.init.normal_(logits)
        assert any(p is logits for p in model.parameters())  # the gradient is compared below
    log_p = log_softmax(logits)
    y = one_hot([0, 1, 2, 3, 3, 0], K) if labelled else None
    eps = torch.randn(N, J, dtype=torch.double).expand(*(() if labelled else (K,)), N, J)
    derived = negative_elbo(model, with_noise(guide, z=eps), images, y, kl=kl)
    if labelled:
        by_hand = closed_labelled(model, guide, images, y, eps, log_p)
    else:
        by_hand = closed_unlabelled(model, guide, images, eps, log_p)
    if kl == "sampled":  # the same but for the noise in the KL of z
        uniform = torch.full_like(log_p, -math.log(K))
        if labelled:
            by_hand = labelled_bound(model, guide, images, y, eps) + (y * (uniform - log_p)).sum(-1)
        else:
            q = log_softmax(dense(guide.classifier, images)).exp()
            by_hand = unlabelled_bound(model, guide, images, eps) + (q * (uniform - log_p)).sum(-1)
    assert_same(derived, by_hand.mean(), model, guide)


def test_the_class_prior_is_normalised(images) -> None:
    model = models.M2(D, K, class_probs=(1.0, 2.0, 3.0, 4.0)).double()
    torch.testing.assert_close(model.prior(images).probs, torch.tensor(PROBS).double())


def test_the_gradient_of_the_prior_moves_it_to_the_mean_of_what_is_inferred(pair, images) -> None:
    # d U / d logits = p(y) - mean q(y | x): at a stationary point p(y) is the mean posterior.
    _, guide = pair
    model = models.M2(D, K, z_dim=J, hidden=(5,), class_probs=PROBS, learn_prior=True).double()
    (gradient,) = torch.autograd.grad(negative_elbo(model, guide, images), model.prior.logits)
    q = log_softmax(dense(guide.classifier, images)).exp().mean(0)
    expected = log_softmax(model.prior.logits).exp() - q
    torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("probs", [(0.5, 0.5), (0.0, 0.2, 0.3, 0.5), (-0.1, 0.3, 0.4, 0.4)])
def test_class_probabilities_that_do_not_suit_are_refused(probs) -> None:
    with pytest.raises(InputError, match="expected 4 class probabilities above 0, got"):
        models.M2(D, K, class_probs=probs)


# Labels that are sampled: Jang et al. (2017), with the categorical KL divergence.


@pytest.mark.parametrize("temperature", [0.3, 0.67, 2.0])
@pytest.mark.parametrize("how", ["relaxed", "straight-through"])
@pytest.mark.parametrize("kl", ["analytic", "sampled"])
def test_a_relaxed_label_is_decoded_and_its_kl_is_the_categoricals(
    images, temperature, how, kl
) -> None:
    torch.manual_seed(0)
    model = models.M2(D, K, z_dim=J, hidden=(5,)).double()
    guide = guides.M2(model, hidden=(5,), label_inference=inference(how, temperature)).double()
    eps = torch.randn(N, J, dtype=torch.double)
    torch.manual_seed(3)
    derived = negative_elbo(model, with_noise(guide, z=eps), images, kl=kl)
    torch.manual_seed(3)
    log_q = log_softmax(dense(guide.classifier, images))
    y = soft_labels(log_q, gumbel(N, K), temperature, hard=how == "straight-through")
    if kl == "analytic":
        image, kl_z = labelled_parts(model, guide, images, y, eps)
        by_hand = kl_z + kl_categorical(log_q, -math.log(K)) - image
    else:
        by_hand = labelled_bound(model, guide, images, y, eps) + (y * log_q).sum(-1)
    assert_same(derived, by_hand.mean(), model, guide)


def spread_out(how: str, temperature: float = 0.67) -> tuple[models.M2, guides.M2]:
    """A pair in which the image depends on y much, and little noise comes from z."""
    torch.manual_seed(5)
    model = models.M2(D, K, z_dim=J, hidden=()).double()
    guide = guides.M2(
        model, hidden=(), label_inference=inference(how, temperature)
    ).double()
    with torch.no_grad():
        weight_of(model.decoder, input=1).normal_(std=2.0)
        weight_of(model.decoder).mul_(0.1)
        bias_of(guide.encoder)[J:] = -4.0
    return model, guide


def mean_and_error(
    how: str, image: Tensor, temperature: float = 0.67
) -> tuple[float, float]:
    """The mean bound of one image over 20,000 samples, and its standard error."""
    model, guide = spread_out(how, temperature)
    torch.manual_seed(6)
    with torch.no_grad():
        means = torch.stack([negative_elbo(model, guide, image.expand(500, -1)) for _ in range(40)])
    return means.mean().item(), means.std().item() / math.sqrt(len(means))


def test_straight_through_labels_estimate_equation_7_without_bias(images) -> None:
    exact, noise = mean_and_error("enumerated", images[0])
    mean, error = mean_and_error("straight-through", images[0])
    assert error < 0.03
    assert abs(mean - exact) < 4 * math.hypot(error, noise)


def test_relaxed_labels_tend_to_equation_7_as_the_temperature_falls(images) -> None:
    exact, noise = mean_and_error("enumerated", images[0])
    gaps = []
    for temperature in (5.0, 1.0, 0.2, 0.01):
        mean, error = mean_and_error("relaxed", images[0], temperature)
        gaps.append(abs(mean - exact))
    assert gaps[0] > gaps[1] > gaps[2] > 4 * math.hypot(error, noise) > gaps[3]


@pytest.mark.parametrize("how", ["relaxed", "straight-through"])
def test_evaluation_samples_the_categorical_itself(pair, images, how) -> None:
    model, _ = pair
    guide = guides.M2(model, hidden=(5,), label_inference=inference(how)).double()
    labels = guide.labels.eval()(guide.classify(images)).sample()
    assert set(labels.unique().tolist()) == {0.0, 1.0} and (labels.sum(-1) == 1).all()


# The objective's options.


def objective_parts(pair, images, **options):
    """The objective's loss of 4 labelled and 2 unlabelled images, and what it is made of."""
    model, guide = pair
    x, y, u = images[:4], one_hot([3, 1, 0, 2], K), images[4:]
    torch.manual_seed(1)
    derived = Objective(model, guide, **options)(Batch(x, y, u)).total
    torch.manual_seed(1)
    eps = torch.normal(torch.zeros(4, J).double(), torch.ones(4, J).double())
    image, kl_z = labelled_parts(model, guide, x, y, eps)
    log_q = log_softmax(dense(guide.classifier, x))
    eps_u = torch.normal(torch.zeros(K, 2, J).double(), torch.ones(K, 2, J).double())
    log_q_u = log_softmax(dense(guide.classifier, u))
    image_u, kl_z_u = 0.0, 0.0
    for k in range(K):
        image_k, kl_k = labelled_parts(model, guide, u, one_hot([k] * 2, K), eps_u[k])
        image_u = image_u + (log_q_u[:, k].exp() * image_k).mean()
        kl_z_u = kl_z_u + (log_q_u[:, k].exp() * kl_k).mean()
    kl_y_u = kl_categorical(log_q_u, -math.log(K)).mean()
    return derived, (y, log_q), (image.mean(), kl_z.mean()), (image_u, kl_z_u, kl_y_u)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_smoothing_spreads_the_label_in_the_classification_loss(pair, images, smoothing) -> None:
    derived, (y, log_q), _, _ = objective_parts(
        pair, images, labelled=0.0, unlabelled=0.0, alpha=3.0, smoothing=smoothing
    )
    p = (1 - smoothing) * y + smoothing / K
    entropy = -(p * torch.where(p > 0, p, 1.0).log()).sum(-1)
    by_hand = 3.0 * (-(p * log_q).sum(-1) - entropy).mean()
    assert_same(derived, by_hand, *pair)


def test_swap_takes_the_classifiers_kl_for_minus_log_p_y(pair, images) -> None:
    derived, (_, log_q), (image, kl_z), _ = objective_parts(
        pair, images, unlabelled=0.0, terms={"swap": Swap()}
    )
    by_hand = -image + kl_z + kl_categorical(log_q, -math.log(K)).mean()
    assert_same(derived, by_hand, *pair)


def test_the_weight_of_a_swap_is_the_share_of_the_place_that_it_takes(pair, images) -> None:
    derived, (_, log_q), (image, kl_z), _ = objective_parts(
        pair, images, unlabelled=0.0, terms={"swap": Swap(weight=0.25)}
    )
    kl_y = 0.75 * math.log(K) + 0.25 * kl_categorical(log_q, -math.log(K)).mean()
    assert_same(derived, -image + kl_z + kl_y, *pair)


def test_swap_leaves_the_unlabelled_bound_as_it_is(pair, images) -> None:
    derived, _, _, (image, kl_z, kl_y) = objective_parts(
        pair, images, labelled=1e-300, unlabelled=1.0, terms={"swap": Swap()}
    )
    assert_same(derived, -image + kl_z + kl_y, *pair)


def test_capacities_stand_within_the_modulus_of_the_batchs_mean(pair, images) -> None:
    capacity = kl_z_capacity(pair, images)
    terms = {
        "capacity_z": Capacity("z", capacity, weight=3.0),
        "capacity_y": Capacity("y", 0.5, weight=2.0),
    }
    derived, _, (image, kl_z), (image_u, kl_z_u, kl_y_u) = objective_parts(
        pair, images, terms=terms
    )
    labelled = -image + math.log(K) + 3 * (kl_z - capacity).abs()
    unlabelled = -image_u + 3 * (kl_z_u - capacity).abs() + 2 * (kl_y_u - 0.5).abs()
    assert_same(derived, labelled + unlabelled, *pair)


def kl_z_capacity(pair, images) -> float:
    """A capacity below the largest KL divergence of z and above the mean: for the two differ."""
    kl_z = labelled_parts(*pair, images, one_hot([3, 1, 0, 2, 0, 0], K), torch.zeros(N, J))[1]
    return (0.8 * kl_z.mean() + 0.2 * kl_z.max()).item()


@pytest.mark.parametrize("order", [("swap", "capacity_y"), ("capacity_y", "swap")])
def test_a_capacity_weighs_what_a_swap_has_put_in_whatever_their_order(pair, images, order) -> None:
    parts = {"swap": Swap(), "capacity_y": Capacity("y", 0.5, weight=2.0)}
    derived, (_, log_q), (image, kl_z), _ = objective_parts(
        pair, images, unlabelled=0.0, terms={name: parts[name] for name in order}
    )
    kl_y = kl_categorical(log_q, -math.log(K)).mean()
    assert_same(derived, -image + kl_z + 2 * (kl_y - 0.5).abs(), *pair)


def test_a_capacity_of_weight_zero_leaves_the_divergence_in_its_place(pair, images) -> None:
    capacity = Capacity("z", 2.0, weight=0.0)
    derived, _, (image, kl_z), _ = objective_parts(
        pair, images, unlabelled=0.0, terms={"capacity_z": capacity}
    )
    assert_same(derived, -image + kl_z + math.log(K), *pair)


def capacities(z: float, y: float, ramp: Ramp | None = None) -> dict[str, Capacity]:
    nats = {"z": z, "y": y}
    return {f"capacity_{site}": Capacity(site, c, schedule=ramp) for site, c in nats.items()}


@pytest.mark.parametrize("epoch, share", [(0.0, 0.0), (1.0, 0.25), (4.0, 1.0), (9.0, 1.0)])
def test_capacities_grow_linearly_over_the_ramp(pair, images, epoch, share) -> None:
    model, guide = pair
    fixed = with_noise(guide, z=torch.zeros(K, N, J).double())
    plain = Objective(model, fixed, terms=capacities(2.0 * share, 0.4 * share))
    ramped = Objective(model, fixed, terms=capacities(2.0, 0.4, Ramp(4.0)))
    assert_same(ramped.bound(images, None, epoch), plain.bound(images), model, guide)


def test_the_capacity_of_y_is_at_most_log_k(pair, images) -> None:
    model, guide = pair
    fixed = with_noise(guide, z=torch.zeros(K, N, J).double())
    bounds = [
        Objective(model, fixed, terms={"capacity_y": Capacity("y", c)}).bound(images)
        for c in (math.log(K), 5.0, math.log(K) - 0.1)
    ]
    torch.testing.assert_close(bounds[0], bounds[1])
    torch.testing.assert_close(bounds[0] - bounds[2], torch.tensor(0.1).double())


@pytest.mark.parametrize("options, message", [
    ({"smoothing": 1.0}, r"expected smoothing in \[0, 1\), got 1.0"),
    ({"smoothing": -0.1}, r"expected smoothing in \[0, 1\), got -0.1"),
    ({"smoothing": math.nan}, r"expected smoothing in \[0, 1\), got nan"),
    ({"terms": {"mine": Capacity("y", 1.0, weight=-2.0)}}, "a finite mine >= 0, got -2.0"),
    ({"terms": {"mine": Capacity("z", 2.0)}, "beta": 0.5},
     "mine=2.0 and beta=0.5, warmup=0.0: both weigh the KL divergence of z"),
    ({"terms": {"mine": Capacity("z", 2.0)}, "warmup": 3.0},
     "mine=2.0 and beta=1.0, warmup=3.0: both weigh the KL divergence of z"),
    ({"kl": "exact"}, "unknown kl 'exact': expected one of analytic, sampled"),
])
def test_options_that_contradict_each_other_are_named(pair, options, message) -> None:
    with pytest.raises(InputError, match=message):
        Objective(*pair, **options)


@pytest.mark.parametrize("site, nats", [("z", -1.0), ("y", math.inf), ("z", math.nan)])
def test_a_capacity_is_a_finite_number_of_nats(site, nats) -> None:
    with pytest.raises(InputError, match=f"expected a finite capacity_{site} >= 0, got {nats}"):
        Capacity(site, nats)


def test_beta_and_a_capacity_of_the_label_weigh_two_things(pair) -> None:
    objective = Objective(*pair, beta=0.5, terms={"capacity_y": Capacity("y", 1.0)})
    assert objective.weights["beta"] == 0.5


@pytest.mark.parametrize("flows, kl", [(1, "analytic"), (0, "sampled")])
def test_a_capacity_needs_the_kl_in_closed_form(images, flows, kl) -> None:
    model = models.M2(D, K, z_dim=J, hidden=()).double()
    objective = Objective(
        model, guides.M2(model, hidden=(), flows=flows).double(), kl=kl,
        terms={"capacity_z": Capacity("z", 2.0)},
    )
    with pytest.raises(InputError, match="a capacity of 2.0 nats: .* of z in closed form"):
        objective.bound(images)


def test_a_capacity_of_a_site_that_the_pair_does_not_have_is_named(images) -> None:
    vae = models.VAE(D, z_dim=J, hidden=()).double()
    guide = guides.VAE(vae, hidden=()).double()
    objective = Objective(vae, guide, terms={"capacity_y": Capacity("y", 1.0)})
    with pytest.raises(InputError, match="the pair has no latent y of its own, only x, z"):
        objective.bound(images)


def test_swap_needs_a_prior_and_a_classifier() -> None:
    model = models.VAE(D)
    with pytest.raises(InputError, match=r"swap=1.0 .* VAE has no p\(y\) of its own"):
        Objective(model, guides.VAE(model), terms={"swap": Swap()})


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
        log_bernoulli(x, dense(model.decoder, z[:, None], one_hot([k] * len(z), 2)))
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
    log_q_y = log_softmax(dense(guide.classifier, x))
    total = torch.zeros((), dtype=torch.double)
    for k in range(2):
        loc, scale = normal_parameters(guide.encoder, x, one_hot([k], 2)[0])
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
        weight_of(model.decoder).zero_()
        for parameter in guide.encoder.parameters():
            parameter.zero_()
        scale_one = math.log(math.expm1(1.0 - 1e-5))
        bias_of(guide.encoder).copy_(torch.tensor([0.0, scale_one]))
        for parameter in guide.classifier.parameters():
            parameter.zero_()
        log_posterior = log_joint(model, x, torch.zeros(1).double())[:, 0]
        bias_of(guide.classifier).copy_(log_posterior)
    torch.testing.assert_close(exact_bound(model, guide, x), log_evidence(model, x))


# Schedules and priors of Feng's parts.


def bound_with(pair, images, part: Swap | Capacity, y: Tensor | None, epoch: float) -> Tensor:
    torch.manual_seed(2)
    return Objective(*pair, terms={"part": part}).bound(images, y, epoch)


def test_a_swap_comes_in_by_its_schedule(pair, images) -> None:
    y = one_hot([3, 1, 0, 2, 0, 0], K)
    early = bound_with(pair, images, Swap(0.8, Ramp(4.0)), y, 1.0)
    torch.testing.assert_close(early, bound_with(pair, images, Swap(0.2), y, math.inf))
    assert early != bound_with(pair, images, Swap(0.8), y, math.inf)


def test_the_capacity_of_y_is_at_most_minus_log_of_the_rarest_class() -> None:
    torch.manual_seed(0)
    model = models.M2(7, 3, z_dim=2, hidden=(5,), class_probs=(0.6, 0.3, 0.1)).double()
    rare, x = (model, guides.M2(model, hidden=(5,)).double()), torch.rand(4, 7).double()
    less, most, more = (
        bound_with(rare, x, Capacity("y", nats), None, math.inf)
        for nats in (math.log(10) - 0.1, math.log(10), 5.0)
    )
    torch.testing.assert_close(most, more, rtol=0.0, atol=1e-6)
    torch.testing.assert_close(most - less, torch.tensor(0.1).double(), rtol=0.0, atol=1e-6)
