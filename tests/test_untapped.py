"""Untapped against Gemp et al. (2017), eqs. 3, 4 and 17 and appendix A, written out by hand."""

import itertools
import math

import pytest
import torch
from by_hand import (
    Fixed,
    Given,
    assert_same,
    dense,
    gumbel,
    inference,
    kl_categorical,
    log_bernoulli,
    log_normal,
    log_softmax,
    normal_parameters,
    one_hot,
    soft_labels,
    with_noise,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from pyro_ssvae import InputError, Objective, guides, models, negative_elbo
from pyro_ssvae.contract import Batch
from pyro_ssvae.engine.noise import lifted
from pyro_ssvae.inference import reverse
from pyro_ssvae.inference.terms import evaluated
from pyro_ssvae.labels import Enumerated

N, D, K, J, BOUND = 5, 6, 3, 2, 1.5
torch.manual_seed(0)
X = torch.bernoulli(torch.full((N, D), 0.5, dtype=torch.double))
U = torch.bernoulli(torch.full((N + 1, D), 0.5, dtype=torch.double))
Y = one_hot([0, 1, 2, 2, 0], K)
Z = 2 * BOUND * torch.rand(N, J, dtype=torch.double) - BOUND
EPS = torch.randn(N, J, dtype=torch.double)
IMAGES = torch.tensor(list(itertools.product((0.0, 1.0), repeat=D))).double()  # all 2^6
Pair = tuple[models.Untapped, guides.Untapped]
each_kl = pytest.mark.parametrize("kl", ["analytic", "sampled"])


def build(**options) -> Pair:
    torch.manual_seed(1)
    model = models.Untapped(D, K, z_dim=J, hidden=(5,), bound=BOUND).double()
    return model, guides.Untapped(model, hidden=(4,), **options).double()


def into_cube(start: Tensor) -> tuple[Tensor, Tensor]:
    """z = a + (b - a) s(z~), eq. 10, and log |dz / dz~|, summed over the dimensions."""
    s = 1 / (1 + torch.exp(-start))
    return -BOUND + 2 * BOUND * s, (math.log(2 * BOUND) + (s * (1 - s)).log()).sum(-1)


def latent(guide: guides.Untapped, x: Tensor, y: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
    """z of q(z | x, y), and log p(z) - log q(z | x, y)."""
    loc, scale = normal_parameters(guide.encoder, x, y)
    start = loc + scale * eps
    z, log_det = into_cube(start)
    return z, -J * math.log(2 * BOUND) - log_normal(start, loc, scale) + log_det


def bound(model: models.Untapped, guide: guides.Untapped, y: Tensor, eps: Tensor) -> Tensor:
    """log p(x | y, z) + log p(z) - log q(z | x, y), (N,)."""
    z, ratio = latent(guide, X, y, eps)
    return log_bernoulli(X, dense(model.decoder, z, y)) + ratio


# The flow: appendix A.


def test_the_log_determinant_is_that_of_one_sigmoid() -> None:
    # At z~ = 0 and b - a = 3, dz / dz~ is 3 s(0) (1 - s(0)) = 0.75; the paper's eq. 14, which
    # applies the sigmoid twice, has 3 s(1 - s(0)) s(s(0)) = 1.162.
    _, guide = build()
    for parameter in guide.encoder.parameters():
        nn.init.zeros_(parameter)
    q = guide.encoder(X, Y)
    density = q.log_prob(torch.zeros(N, J).double())
    at_zero = -J * math.log(math.sqrt(2 * math.pi) * (math.log(2) + 1e-5))
    torch.testing.assert_close(at_zero - density, torch.full((N,), J * math.log(0.75)).double())


def test_the_density_of_the_flow_is_that_of_its_jacobian_and_integrates_to_1() -> None:
    _, guide = build()
    q = guide.encoder(X[:1], Y[:1])
    loc, scale = normal_parameters(guide.encoder, X[:1], Y[:1])
    start = loc + scale * torch.randn(7, J).double()
    z, log_det = into_cube(start)
    torch.testing.assert_close(
        q.log_prob(z), log_normal(start, loc, scale) - log_det, rtol=1e-8, atol=1e-10
    )
    middle = (torch.arange(600).double() + 0.5) / 600 * 2 * BOUND - BOUND
    cell = (2 * BOUND / 600) ** 2
    total = q.log_prob(torch.cartesian_prod(middle, middle)).exp().sum() * cell
    torch.testing.assert_close(total, torch.ones(()).double(), rtol=1e-6, atol=0)


def test_the_prior_is_uniform_on_the_cube() -> None:
    model, _ = build()
    log_p = model.cube(X).log_prob(Z)
    torch.testing.assert_close(log_p, torch.full((N,), -J * math.log(2 * BOUND)).double())


# Forward: eqs. 3 and 4.


@each_kl
def test_labelled_bound_is_equation_3(kl) -> None:
    model, guide = build()
    derived = negative_elbo(model, with_noise(guide, z=EPS), X, Y, kl=kl)
    by_hand = math.log(K) - bound(model, guide, Y, EPS)
    assert_same(derived, by_hand.mean(), model, guide)


@each_kl
def test_unlabelled_bound_is_equation_4_with_enumerated_labels(kl) -> None:
    model, guide = build(label_inference=Enumerated())
    eps = torch.randn(K, N, J, dtype=torch.double)
    log_q = log_softmax(dense(guide.classifier, X))
    by_hand = kl_categorical(log_q, -math.log(K))
    for k in range(K):
        by_hand = by_hand - log_q[:, k].exp() * bound(model, guide, one_hot([k] * N, K), eps[k])
    derived = negative_elbo(model, with_noise(guide, z=eps), X, kl=kl)
    assert_same(derived, by_hand.mean(), model, guide)


@pytest.mark.parametrize("how, temperature", [
    ("relaxed", 1.0), ("relaxed", 0.4), ("straight-through", 1.0),
])
def test_unlabelled_bound_is_equation_4_with_a_relaxed_label(how, temperature) -> None:
    model, guide = build(label_inference=inference(how, temperature))
    torch.manual_seed(2)
    derived = negative_elbo(model, with_noise(guide, z=EPS), X)
    torch.manual_seed(2)
    log_q = log_softmax(dense(guide.classifier, X))
    y = soft_labels(log_q, gumbel(N, K), temperature, hard=how == "straight-through")
    by_hand = kl_categorical(log_q, -math.log(K)) - bound(model, guide, y, EPS)
    assert_same(derived, by_hand.mean(), model, guide)


def test_labels_that_are_given_need_the_probability_of_every_class() -> None:
    with pytest.raises(InputError, match=r"leaves out no class, got Enumerated\(top=2\)"):
        build(label_inference=Enumerated(2))


# Reverse: eq. 17.


def log_labels(guide: guides.Untapped, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """log q(y | x) + log q(z | x, y)."""
    s = (z + BOUND) / (2 * BOUND)
    loc, scale = normal_parameters(guide.encoder, x, y)
    log_q = log_normal((s / (1 - s)).log(), loc, scale) - into_cube((s / (1 - s)).log())[1]
    return log_q + (y * log_softmax(dense(guide.classifier, x))).sum(-1)


def kl_image(logits: Tensor) -> Tensor:
    """KL[Bernoulli(logits) || Bernoulli(0.5)^D]: minus E[log q(x) - log p(x | y, z)]."""
    p = 1 / (1 + torch.exp(-logits))
    return (p * p.log() + (1 - p) * (1 - p).log() + math.log(2)).sum(-1)


SOFT = torch.full((N, K), 0.025, dtype=torch.double) + 0.925 * Y


@pytest.mark.parametrize("how", ["relaxed", "enumerated"])
@pytest.mark.parametrize("y", [Y, SOFT], ids=["one-hot", "nearly"])
def test_relaxed_reverse_bound_is_equation_17_with_the_straight_through_gradient(y, how) -> None:
    model, guide = build(label_inference=inference(how, 1.0))
    torch.manual_seed(3)
    derived = reverse.negative_elbo(model, guide, y, Z, X, "relaxed")
    torch.manual_seed(3)
    logits = dense(model.decoder, Z, y)
    p = 1 / (1 + torch.exp(-logits))
    x = torch.bernoulli(p).detach() + p - p.detach()
    by_hand = kl_image(logits) - log_labels(guide, x, y, Z)
    assert_same(derived, by_hand.mean(), model, guide)


@pytest.mark.parametrize("y", [Y, SOFT], ids=["one-hot", "nearly"])
def test_sleep_is_the_same_bound_without_a_gradient_to_the_decoder(y) -> None:
    model, guide = build()
    torch.manual_seed(3)
    derived = reverse.negative_elbo(model, guide, y, Z, X, "sleep")
    torch.manual_seed(3)
    with torch.no_grad():
        logits = dense(model.decoder, Z, y)
        x = torch.bernoulli(1 / (1 + torch.exp(-logits)))
    by_hand = kl_image(logits) - log_labels(guide, x, y, Z)
    assert_same(derived, by_hand.mean(), model, guide)
    decoder = list(model.parameters())
    assert set(torch.autograd.grad(derived, decoder, allow_unused=True)) == {None}


def test_reverse_samples_are_of_the_models_image() -> None:
    # E_p(x | y, z) by its mean over draws, against the sum over all 64 images.
    model, guide = build()
    for parameter in [*model.parameters(), *guide.parameters()]:
        nn.init.normal_(parameter)
    with torch.no_grad():
        exact = -reverse_bound(model, guide, Y[0], Z[0])
        y, z = Y[:1].expand(1_000, -1), Z[:1].expand(1_000, -1)
        torch.manual_seed(4)
        means = torch.stack([reverse.negative_elbo(model, guide, y, z, X) for _ in range(20)])
    error = means.std() / math.sqrt(len(means))
    assert error < 0.1
    assert abs(means.mean() - exact) < 4 * error


def reverse_bound(model, guide, y: Tensor, z: Tensor) -> Tensor:
    """The library's reverse bound of one label, its expectation summed over all images."""
    n = len(IMAGES)
    rows_y, rows_z = y.expand(n, -1), z.expand(n, -1)
    weights = log_bernoulli(IMAGES, dense(model.decoder, z, y)).exp()
    with Given(x=IMAGES):
        # Row by row the bound is log q(y | x) + ... - KL; weighted by p(x | y, z) it is exact.
        loss = reverse.negative_elbo(model, Fixed(guide, n * weights), rows_y, rows_z, IMAGES)
    return -loss


def log_evidence(guide, y: Tensor, z: Tensor) -> Tensor:
    """log q(y, z) = log sum_x q(x) q(y | x) q(z | x, y)."""
    rows = log_labels(guide, IMAGES, y.expand(len(IMAGES), -1), z.expand(len(IMAGES), -1))
    return rows.logsumexp(0) - D * math.log(2)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), spread=st.floats(0.05, 2.0), label=st.integers(0, K - 1))
def test_reverse_bound_is_below_log_q_of_y_and_z_by_the_kl_to_the_posterior_of_x(
    seed, spread, label
) -> None:
    model, guide = build()
    torch.manual_seed(seed)
    for parameter in [*model.parameters(), *guide.parameters()]:
        nn.init.normal_(parameter, std=spread)
    y, z = one_hot([label], K)[0], 2.9 * torch.rand(J).double() - 1.45
    with torch.no_grad():
        bound_, evidence = reverse_bound(model, guide, y, z), log_evidence(guide, y, z)
        log_p = log_bernoulli(IMAGES, dense(model.decoder, z, y))
        rows = log_labels(guide, IMAGES, y.expand(64, -1), z.expand(64, -1))
        gap = (log_p.exp() * (log_p - rows.log_softmax(-1))).sum()
    assert bound_ < evidence
    torch.testing.assert_close(evidence - bound_, gap, rtol=1e-6, atol=1e-8)


def test_an_unknown_gradient_is_named() -> None:
    model, guide = build()
    with pytest.raises(InputError, match="unknown gradient 'slep': .* did you mean 'sleep'"):
        reverse.negative_elbo(model, guide, Y, Z, X, "slep")


# The terms beside the bounds: eq. 8.


@pytest.mark.parametrize("gradient", ["relaxed", "sleep"])
def test_the_terms_are_the_reverse_bound_and_the_squared_error_of_images(gradient) -> None:
    model, guide = build(
        reverse=0.7, image=0.2, unfeatured=7, certainty=0.9, gradient=gradient
    )
    torch.manual_seed(5)
    terms = evaluated(guide.terms, model, guide, Batch(X, Y, U), 0.0)
    torch.manual_seed(5)
    order = torch.rand(K).argsort().tolist()
    y = 0.05 + 0.85 * one_hot([order[n % K] for n in range(7)], K)
    z = 2 * BOUND * torch.rand(7, J, dtype=torch.double) - BOUND
    expected = reverse.negative_elbo(model, guide, y, z, X, gradient)
    eps = torch.normal(torch.zeros(N, J).double(), torch.ones(N, J).double())
    z, _ = latent(guide, X, Y, eps)
    decoded = 1 / (1 + torch.exp(-dense(model.decoder, z, Y)))
    weights = {name: term.weight for name, term in guide.terms.items()}
    assert weights == {"reverse": 0.7, "image": 0.2}
    assert_same(terms["reverse"], expected, model, guide)
    assert_same(terms["image"], ((X - decoded) ** 2).sum(-1).mean(), model, guide)


@pytest.mark.parametrize("number", [1, 7, 9])
def test_unfeatured_labels_are_uniform_in_expectation_and_even_in_each_update(number) -> None:
    torch.manual_seed(0)
    drawn = torch.zeros(K, dtype=torch.long)
    for _ in range(600):
        labels = reverse.soft_labels(number, K, 0.9, X)
        counts = labels.argmax(-1).bincount(minlength=K)
        assert counts.max() - counts.min() <= 1
        drawn += counts
    assert labels.shape == (number, K) and labels.dtype == X.dtype
    torch.testing.assert_close(labels.sort(-1).values[0], torch.tensor([0.05, 0.05, 0.9]).double())
    # How often a class is among the number % K that come once more, of 600 times.
    share = number % K / K
    once_more = drawn - 600 * (number // K)
    spread = math.sqrt(600 * share * (1 - share))
    assert ((once_more - 600 * share).abs() <= 4 * spread).all()


def test_the_noise_of_unfeatured_labels_depends_on_no_parameter() -> None:
    graph = make_fx(lambda x: reverse.soft_labels(7, K, 0.9, x))(X)
    assert [(noise.draw, tuple(noise.shape)) for noise in lifted(graph)[1]] == [("uniform_", (K,))]


def test_unfeatured_labels_are_made_on_the_device_of_the_data() -> None:
    # On the device "meta" tensors have no values: with one made on the CPU this would raise.
    like = torch.empty(2, D, device="meta")
    assert reverse.soft_labels(7, K, 0.9, like).device.type == "meta"


# Labels and latents that came without images.


def test_given_labels_and_latents_take_the_place_of_drawn_ones() -> None:
    model, guide = build(given=(SOFT, Z), unfeatured=N, reverse=0.7)
    torch.manual_seed(5)
    terms = evaluated({"reverse": guide.terms["reverse"]}, model, guide, Batch(X, Y, U), 0.0)
    torch.manual_seed(5)
    assert_same(terms["reverse"], reverse.negative_elbo(model, guide, SOFT, Z, X), model, guide)


def test_an_update_takes_some_of_the_given_rows_each_with_its_own_latent(monkeypatch) -> None:
    model, guide = build(given=(SOFT, Z), unfeatured=2)
    taken = set()

    def noting(model, guide, y, z, like, gradient) -> Tensor:
        rows = [(SOFT == one).all(-1) & (Z == other).all(-1) for one, other in zip(y, z)]
        taken.add(tuple(int(row.nonzero()) for row in rows))
        return torch.zeros(())

    monkeypatch.setattr(reverse, "negative_elbo", noting)
    for _ in range(200):
        evaluated({"reverse": guide.terms["reverse"]}, model, guide, Batch(X, Y, U), 0.0)
    assert taken == set(itertools.permutations(range(N), 2))


def test_given_rows_are_kept_with_the_weights() -> None:
    _, guide = build(given=(SOFT, Z))
    state = guide.state_dict()
    torch.testing.assert_close(state["given_y"], SOFT)
    torch.testing.assert_close(state["given_z"], Z)


@pytest.mark.parametrize("rows, message", [
    ((SOFT[:, :2], Z), r"labels \(M, 3\) and latents \(M, 2\), M > 0, got \(5, 2\)"),
    ((SOFT, Z[:4]), r"got \(5, 3\) and \(4, 2\)"),
    ((SOFT[:0], Z[:0]), r"got \(0, 3\) and \(0, 2\)"),
    ((2 * SOFT, Z), "as probabilities that sum to 1 in every row"),
    ((SOFT, Z + 3), "expected given latents between -1.5 and 1.5, got"),
])
def test_given_rows_that_cannot_be_are_named(rows, message) -> None:
    with pytest.raises(InputError, match=message):
        build(given=rows)


def test_the_total_is_equation_8() -> None:
    objective = Objective(*build(reverse=0.7, image=0.2), alpha=10.0)
    torch.manual_seed(6)
    total, terms = objective(Batch(X, Y, U))
    assert terms.keys() == {"labelled", "unlabelled", "classification", "reverse", "image"}
    expected = (
        terms["labelled"] + terms["unlabelled"] + 10 * terms["classification"]
        + 0.7 * terms["reverse"] + 0.2 * terms["image"]
    )
    torch.testing.assert_close(total.detach(), expected)


@pytest.mark.parametrize("left_out", ["reverse", "image"])
def test_a_weight_of_0_leaves_a_term_out(left_out) -> None:
    objective = Objective(*build(**{left_out: 0.0}))
    terms = objective(Batch(X, Y, U)).terms
    assert terms.keys() == {"labelled", "unlabelled", "reverse", "image"} - {left_out}


def test_without_its_terms_it_trains_as_m2_does() -> None:
    objective = Objective(*build(reverse=0.0, image=0.0))
    assert objective(Batch(X, Y, U)).terms.keys() == {"labelled", "unlabelled"}


@pytest.mark.parametrize("options, message", [
    ({"reverse": -1.0}, "expected a finite reverse >= 0, got -1.0"),
    ({"image": -2.0}, "expected a finite image >= 0, got -2.0"),
    ({"certainty": 1.5}, "expected certainty <= 1, got 1.5"),
    ({"certainty": 0.0}, "expected certainty > 0, got 0.0"),
    ({"unfeatured": 0}, "expected unfeatured > 0, got 0"),
    ({"gradient": "slep"}, "unknown gradient 'slep'"),
])
def test_options_that_cannot_be_are_named(options, message) -> None:
    with pytest.raises(InputError, match=message):
        build(**options)
