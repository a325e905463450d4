"""Labels as random variables, against torch's own distributions and formulas written out."""

import math
from itertools import product

import pyro
import pytest
import torch
from by_hand import log_softmax, one_hot
from pyro import poutine
from torch import Tensor
from torch.distributions import OneHotCategorical, kl_divergence
from torch.testing import assert_close

from pyro_ssvae.errors import InputError
from pyro_ssvae.labels import (
    Enumerated,
    LabelInference,
    LabelPrior,
    OneHots,
    Relaxed,
    RelaxedOneHots,
    StraightThrough,
    TopClasses,
    completed,
    label_divergence,
)

SIZES, N = (2, 4, 3), 5
DRAWS = 40_000
NAN = math.nan


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def logits(*shape: int) -> Tensor:
    return 2 * torch.randn(*shape, dtype=torch.float64)


def categoricals(of: Tensor) -> list[OneHotCategorical]:
    return [OneHotCategorical(logits=block) for block in of.split(SIZES, dim=-1)]


def given(*classes: tuple[int, ...]) -> Tensor:
    """One-hot labels (len(classes), sum(SIZES)); a class of -1 is unknown."""
    rows = [
        torch.cat([
            one_hot([k], size)[0] if k >= 0 else torch.full((size,), NAN, dtype=torch.float64)
            for k, size in zip(row, SIZES, strict=True)
        ])
        for row in classes
    ]
    return torch.stack(rows)


# OneHots


def test_a_single_label_is_a_one_hot_categorical() -> None:
    scores = logits(N, 4)
    ours, theirs = OneHots(scores), OneHotCategorical(logits=scores)
    y = theirs.sample()
    assert (ours.batch_shape, ours.event_shape) == ((N,), (4,))
    assert_close(ours.log_prob(y), theirs.log_prob(y))
    assert_close(ours.probs, theirs.probs)
    assert_close(ours.mean, theirs.mean)
    assert_close(ours.entropy(), theirs.entropy())
    assert_close(ours.enumerate_support(), theirs.enumerate_support())
    assert_close(ours.enumerate_support(expand=False), theirs.enumerate_support(expand=False))


def test_several_labels_are_independent_one_hot_categoricals() -> None:
    scores = logits(N, sum(SIZES))
    ours, theirs = OneHots(scores, SIZES), categoricals(scores)
    y = torch.cat([block.sample() for block in theirs], -1)
    parts = list(zip(theirs, y.split(SIZES, -1), strict=True))
    assert_close(ours.log_prob(y), sum(block.log_prob(value) for block, value in parts))
    assert_close(ours.entropy(), sum(block.entropy() for block in theirs))
    assert_close(ours.probs, torch.cat([block.probs for block in theirs], -1))


def test_the_blocks_of_unknown_labels_count_nothing() -> None:
    scores = logits(3, sum(SIZES)).requires_grad_()
    log_q = [log_softmax(block) for block in scores.split(SIZES, -1)]
    found = OneHots(scores, SIZES).log_prob(given((1, -1, 2), (-1, -1, -1), (0, 3, -1)))
    expected = torch.stack([
        log_q[0][0, 1] + log_q[2][0, 2], torch.zeros(()), log_q[0][2, 0] + log_q[1][2, 3],
    ])
    assert_close(found, expected)
    assert_close(
        torch.autograd.grad(found.sum(), scores), torch.autograd.grad(expected.sum(), scores)
    )


def test_the_log_probability_of_a_soft_label_is_the_expected_one() -> None:
    q, p = OneHots(logits(N, 4)), logits(N, 4).softmax(-1)
    each = torch.stack([q.log_prob(one_hot([k] * N, 4)) for k in range(4)], -1)
    assert_close(q.log_prob(p), (p * each).sum(-1))


def test_impossible_classes_give_no_nan() -> None:
    scores = torch.tensor([[-math.inf, 0.3, 0.0, 1.0]], dtype=torch.float64).requires_grad_()
    q = OneHots(scores, (2, 2))
    y = torch.tensor([0.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    log_prob, entropy = q.log_prob(y), q.entropy()
    second = torch.tensor([0.0, 1.0], dtype=torch.float64).softmax(0)
    assert_close(q.probs[0], torch.tensor([0.0, 1.0, *second], dtype=torch.float64))
    assert_close(log_prob, second[0].log()[None])
    assert_close(entropy, -(second * second.log()).sum()[None])
    for value in (log_prob, entropy, kl_divergence(q, OneHots(logits(4), (2, 2)))):
        assert value.isfinite().all()
        (gradient,) = torch.autograd.grad(value.sum(), scores, retain_graph=True)
        assert gradient.isfinite().all() and gradient[0, 2:].any()
    assert q.log_prob(1 - y) < -1e300


def test_samples_have_the_frequencies_of_the_probabilities() -> None:
    q = OneHots(logits(sum(SIZES)), SIZES)
    y = q.sample((DRAWS,))
    assert all((block.sum(-1) == 1).all() for block in y.split(SIZES, -1))
    assert y.unique().tolist() == [0, 1]
    error = (q.probs * (1 - q.probs) / DRAWS).sqrt()
    assert ((y.mean(0) - q.probs).abs() < 5 * error).all()
    a, b = y[:, 0], y[:, 2]  # two labels, independent
    assert abs(torch.corrcoef(torch.stack([a, b]))[0, 1]) < 5 / DRAWS**0.5


def test_enumeration_goes_through_every_combination() -> None:
    q = OneHots(logits(N, sum(SIZES)), SIZES)
    support = q.enumerate_support(expand=False)
    assert support.shape == (24, 1, 9) and support.dtype == torch.float64
    every = given(*product(*(range(size) for size in SIZES)))
    assert torch.equal(support[:, 0], every)
    assert torch.equal(q.enumerate_support(), every[:, None].expand(24, N, 9))
    assert_close(q.log_prob(support).exp().sum(0), torch.ones(N, dtype=torch.float64))


@pytest.mark.parametrize("sizes", [(10,) * 5, (2,) * 16])
def test_a_hundred_thousand_combinations_can_be_enumerated(sizes) -> None:
    q = OneHots(torch.zeros(sum(sizes)), sizes)
    assert q.enumerate_support().shape == (math.prod(sizes), sum(sizes))


def test_more_combinations_are_refused() -> None:
    q = OneHots(torch.zeros(34), (2,) * 17)
    with pytest.raises(InputError, match="at most 100000 combinations.* got 131072.*Relaxed"):
        q.enumerate_support()


def test_labels_expand_with_their_sizes() -> None:
    scores = logits(1, sum(SIZES))
    wide, y = OneHots(scores, SIZES).expand((3, N)), given((1, 2, 0))
    assert wide.batch_shape == (3, N) and wide.sizes == SIZES
    assert_close(wide.log_prob(y), OneHots(scores, SIZES).log_prob(y).expand(3, N))


def test_pyro_sums_over_the_labels_of_a_guide() -> None:
    q, p = OneHots(logits(N, 6), (2, 4)), OneHots(logits(6), (2, 4))

    def program(labels: OneHots, infer: dict[str, str]) -> object:
        def sample() -> None:
            with pyro.plate("data", N):
                pyro.sample("y", labels, infer=infer)
        return sample

    elbo = pyro.infer.TraceEnum_ELBO(max_plate_nesting=1)
    with pyro.validation_enabled():
        loss = elbo.loss(program(p, {}), program(q, {"enumerate": "parallel"}))
    assert loss == pytest.approx(kl_divergence(q, p).sum().item())


def test_pyros_validation_accepts_labels_with_none_unknown() -> None:
    q, y = OneHots(logits(N, 4)), one_hot([0, 1, 2, 3, 0], 4)
    with pyro.validation_enabled():
        trace = poutine.trace(lambda: pyro.sample("y", q.to_event(1), obs=y)).get_trace()
        assert_close(trace.log_prob_sum(), q.log_prob(y).sum())


# RelaxedOneHots


@pytest.mark.parametrize("hard", [False, True])
def test_relaxed_samples_lie_in_the_simplex_block_by_block(hard) -> None:
    scores = logits(N, sum(SIZES)).requires_grad_()
    y = RelaxedOneHots(OneHots(scores, SIZES), 0.7, hard).rsample((100,))
    assert y.shape == (100, N, sum(SIZES))
    for block in y.split(SIZES, -1):
        assert_close(block.sum(-1), torch.ones(100, N, dtype=torch.float64))
        assert (block >= 0).all()
    if hard:
        assert_close(y, y.round(), rtol=0, atol=1e-12)
        assert_close(y.detach().amax(-1), torch.ones(100, N, dtype=torch.float64))
    else:
        assert ((y > 0.01) & (y < 0.99)).double().mean() > 0.3


def test_straight_through_samples_have_the_gradient_of_relaxed_ones() -> None:
    scores, weights = logits(N, 9).requires_grad_(), logits(N, 9)
    gradients = []
    for hard in (True, False):
        torch.manual_seed(1)
        y = RelaxedOneHots(OneHots(scores, SIZES), 0.5, hard).rsample()
        gradients.append(torch.autograd.grad((weights * y).sum(), scores)[0])
    assert gradients[0].any()
    assert_close(*gradients)


def test_a_relaxed_sample_is_the_softmax_of_scores_with_gumbel_noise() -> None:
    # At K = 2 the log-odds of a sample, times the temperature, are logistic about those of q.
    q, temperature = OneHots(logits(2)), 0.4
    y = RelaxedOneHots(q, temperature).rsample((DRAWS,))
    noise = temperature * (y[:, 0].log() - y[:, 1].log()) - (q.logits[0] - q.logits[1])
    variance = math.pi**2 / 3
    assert abs(noise.mean()) < 5 * (variance / DRAWS) ** 0.5
    assert noise.var() == pytest.approx(variance, rel=0.05)


def test_towards_temperature_0_samples_become_those_of_the_categorical() -> None:
    q = OneHots(logits(4))
    means = [(RelaxedOneHots(q, t).rsample((DRAWS,))) for t in (1e-3, 1e3)]
    assert (means[0].amax(-1) > 0.999).double().mean() > 0.99
    error = (q.probs * (1 - q.probs) / DRAWS).sqrt()
    assert ((means[0].mean(0) - q.probs).abs() < 5 * error + 1e-3).all()
    assert_close(means[1], torch.full_like(means[1], 0.25), rtol=0, atol=0.02)


def test_relaxed_labels_have_the_log_probability_of_the_labels() -> None:
    q, y = OneHots(logits(3, 9), SIZES), given((1, -1, 2), (0, 1, 0), (-1, -1, 2))
    relaxed = RelaxedOneHots(q, 0.5)
    assert_close(relaxed.log_prob(y), q.log_prob(y))
    assert_close(relaxed.log_prob(relaxed.rsample()).shape, torch.Size([3]))


def test_relaxed_labels_expand() -> None:
    relaxed = RelaxedOneHots(OneHots(logits(1, 9), SIZES), 0.5, hard=True).expand((3, N))
    y = relaxed.rsample()
    assert y.shape == (3, N, 9) and relaxed.hard
    assert all(torch.equal(b.sum(-1).round(), torch.ones(3, N).double())
               for b in y.split(SIZES, -1))


def test_pyros_one_hot_categorical_can_be_relaxed() -> None:
    scores = logits(N, 4)
    relaxed = RelaxedOneHots(pyro.distributions.OneHotCategorical(logits=scores), 0.5)
    y = relaxed.rsample()
    assert_close(y.sum(-1), torch.ones(N, dtype=torch.float64))
    assert_close(relaxed.log_prob(y), (y * log_softmax(scores)).sum(-1))


# KL divergences


def relaxed(of: object) -> RelaxedOneHots:
    return RelaxedOneHots(of, 0.5)


PYROS, OURS = pyro.distributions.OneHotCategorical, OneHots


@pytest.mark.parametrize("q_type, p_type", [
    (lambda logits: OURS(logits), OURS),
    (lambda logits: PYROS(logits=logits), OURS),
    (lambda logits: relaxed(OURS(logits)), OURS),
    (lambda logits: relaxed(PYROS(logits=logits)), OURS),
    (lambda logits: relaxed(OURS(logits)), lambda logits: PYROS(logits=logits)),
])
def test_kl_divergence_is_the_categoricals(q_type, p_type) -> None:
    q, p = logits(N, 4), logits(4)
    expected = (q.softmax(-1) * (q.softmax(-1) / p.softmax(-1)).log()).sum(-1)
    assert_close(kl_divergence(q_type(q), p_type(p)), expected)


def test_kl_divergence_of_several_labels_is_the_sum() -> None:
    q, p = logits(N, 9), logits(9)
    expected = sum(kl_divergence(a, b) for a, b in zip(categoricals(q), categoricals(p)))
    assert_close(kl_divergence(OneHots(q, SIZES), OneHots(p, SIZES)), expected)


# LabelPrior


def test_the_prior_is_uniform_unless_told_otherwise() -> None:
    prior = LabelPrior(2, 4)(torch.zeros(1, dtype=torch.float64))
    expected = torch.tensor([0.5] * 2 + [0.25] * 4, dtype=torch.float64)
    assert_close(prior.probs, expected)
    assert LabelPrior(2, 4).largest_kl == pytest.approx(math.log(8))


def test_a_fixed_prior_has_the_probabilities_given_normalised() -> None:
    module = LabelPrior(2, 3, probs=(1, 3, 2, 2, 4))
    prior = module(torch.zeros(1, dtype=torch.float64))
    expected = torch.tensor([0.25, 0.75, 0.25, 0.25, 0.5], dtype=torch.float64)
    assert_close(prior.probs, expected, rtol=1e-6, atol=0)
    assert not list(module.parameters()) and not module.state_dict()


def test_a_learned_prior_begins_where_told_and_moves_to_the_frequencies() -> None:
    prior = LabelPrior(3, probs=(0.2, 0.3, 0.5), learned=True).double()
    like = torch.zeros(1, dtype=torch.float64)
    assert_close(
        prior(like).probs.detach(), torch.tensor([0.2, 0.3, 0.5]).double(), rtol=1e-6, atol=0
    )
    assert prior.state_dict().keys() == {"logits"}
    y = one_hot([0, 0, 0, 1], 3)
    optimizer = torch.optim.Adam(prior.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        (-prior(like).log_prob(y).mean()).backward()
        optimizer.step()
    expected = torch.tensor([0.75, 0.25, 0.0], dtype=torch.float64)
    assert_close(prior(like).probs.detach(), expected, rtol=0, atol=0.02)


@pytest.mark.parametrize("probs", [(0.5, 0.5), (0.5, 0.5, 0.0), (0.7, 0.5, -0.2), (1, 1, NAN), ()])
def test_probabilities_that_are_not_are_refused(probs) -> None:
    with pytest.raises(InputError, match="expected 3 class probabilities above 0, got"):
        LabelPrior(3, probs=probs)


def test_a_label_without_classes_is_refused() -> None:
    with pytest.raises(InputError, match="expected classes of label 1 > 0, got 0"):
        LabelPrior(3, 0)


# LabelInference


def test_enumerated_labels_are_left_as_they_are_and_marked() -> None:
    inference, q = LabelInference(Enumerated()), OneHots(logits(N, 4))
    assert inference(q) is q
    assert inference.infer == {"enumerate": "parallel"}


@pytest.mark.parametrize("how, hard", [(Relaxed, False), (StraightThrough, True)])
def test_labels_are_relaxed_in_training_and_not_in_evaluation(how, hard) -> None:
    inference, q = LabelInference(how(0.3)), OneHots(logits(N, 4))
    in_training = inference(q)
    assert isinstance(in_training, RelaxedOneHots) and in_training.labels is q
    assert (in_training.temperature, in_training.hard) == (0.3, hard)
    assert inference.eval()(q) is q
    assert inference.infer == {}


def test_an_inference_may_be_given_by_its_text() -> None:
    assert LabelInference("relaxed:0.3").how == Relaxed(0.3)
    assert LabelInference("enumerated:2").how == Enumerated(2)


def test_another_inference_or_temperature_is_refused() -> None:
    with pytest.raises(InputError, match="expected labels.Enumerated.*, got 7"):
        LabelInference(7)
    with pytest.raises(InputError, match="unknown label_inference 'relax'.*relaxed"):
        LabelInference("relax")
    for how in (Relaxed, StraightThrough):
        with pytest.raises(InputError, match="expected temperature > 0, got 0"):
            how(0)
    with pytest.raises(InputError, match="expected top > 0, got 0"):
        Enumerated(0)


def test_a_guide_that_needs_every_class_refuses_to_leave_some_out() -> None:
    with pytest.raises(InputError, match=r"leaves out no class, got Enumerated\(top=3\); use"):
        LabelInference(Enumerated(3), every=True)
    assert LabelInference(Enumerated(), every=True).how == Enumerated()


# Labels that are given in part


def test_unknown_labels_are_completed_from_the_classifier() -> None:
    scores = logits(3, 9).requires_grad_()
    q = OneHots(scores, SIZES)
    y = given((1, -1, 2), (-1, -1, -1), (0, 3, 1))
    found = completed(y, q)
    expected = torch.where(y.isnan(), q.probs, y)
    assert found.sizes == SIZES
    assert_close(found.probs, expected)
    found.entropy().sum().backward()
    known = ~y.isnan()
    assert scores.grad.isfinite().all()
    assert not scores.grad[known].any() and scores.grad[~known].all()


def test_a_single_label_is_completed_too() -> None:
    q = pyro.distributions.OneHotCategorical(logits=logits(2, 3))
    y = torch.tensor([[0.0, 1.0, 0.0], [NAN, NAN, NAN]], dtype=torch.float64)
    assert_close(completed(y, q).probs, torch.stack([y[0], q.probs[1]]))


# label_divergence


def test_divergence_from_a_given_label_is_minus_its_log_probability() -> None:
    scores = logits(N, 4)
    y = one_hot([0, 1, 2, 3, 0], 4)
    expected = -(y * log_softmax(scores)).sum(-1)
    for q in (OneHots(scores), pyro.distributions.OneHotCategorical(logits=scores)):
        assert_close(label_divergence(q, y), expected)


def test_divergence_from_a_smoothed_label_is_the_kl_divergence() -> None:
    scores, y = logits(2, 9), given((1, 3, 0), (0, 0, 2))
    total = torch.zeros(2, dtype=torch.float64)
    for q, block, size in zip(categoricals(scores), y.split(SIZES, -1), SIZES):
        p = 0.9 * block + 0.1 / size
        total = total + (p * (p / q.probs).log()).sum(-1)
    assert_close(label_divergence(OneHots(scores, SIZES), y, smoothing=0.1), total)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_unknown_labels_diverge_by_nothing(smoothing) -> None:
    scores = logits(2, 9).requires_grad_()
    y = given((1, -1, -1), (-1, -1, -1))
    found = label_divergence(OneHots(scores, SIZES), y, smoothing)
    first = OneHots(scores[:, :2])
    assert_close(found[0], label_divergence(first, y[:, :2], smoothing)[0])
    assert found[1] == 0
    (gradient,) = torch.autograd.grad(found.sum(), scores)
    assert gradient.isfinite().all()
    assert gradient[0, :2].all() and not gradient[0, 2:].any() and not gradient[1].any()


def test_a_smoothed_divergence_is_least_at_the_smoothed_label() -> None:
    y = one_hot([2], 4)
    p = 0.8 * y + 0.2 / 4
    assert_close(label_divergence(OneHots(p.log()), y, 0.2), torch.zeros(1, dtype=torch.float64))
    assert (label_divergence(OneHots(y.log()), y, 0.2) > 1).all()


# The likeliest classes of a label.


def test_top_classes_are_those_of_each_row_renormalised() -> None:
    probs = torch.tensor([[0.5, 0.1, 0.4], [0.2, 0.2001, 0.5999]])
    top = TopClasses(probs.log(), 2)
    expected = torch.tensor([[5 / 9, 0, 4 / 9], [0, 0.2001 / 0.8, 0.5999 / 0.8]])
    torch.testing.assert_close(top.probs, expected, rtol=1e-5, atol=1e-7)


def test_top_classes_enumerate_their_rows_own_classes_the_likeliest_first() -> None:
    top = TopClasses(torch.tensor([[0.5, 0.1, 0.4], [0.1, 0.2, 0.7]]).log(), 2)
    assert top.enumerate_support().argmax(-1).tolist() == [[0, 2], [2, 1]]
    total = top.log_prob(top.enumerate_support()).exp().sum(0)
    torch.testing.assert_close(total, torch.ones(2))


def test_more_top_classes_than_there_are_is_all_of_them() -> None:
    logits = torch.randn(4, 3)
    torch.testing.assert_close(TopClasses(logits, 7).probs, logits.softmax(-1))


def test_top_classes_have_finite_gradients() -> None:
    logits = torch.randn(4, 3, requires_grad=True)
    top = TopClasses(logits, 2)
    values = top.enumerate_support()
    (top.log_prob(values).exp() * top.log_prob(values)).sum().backward()
    assert logits.grad.isfinite().all() and (logits.grad != 0).sum() == 8


def test_top_classes_are_of_training_only() -> None:
    inference, q = LabelInference(Enumerated(2)), OneHots(torch.randn(4, 3))
    assert isinstance(inference.train()(q), TopClasses)
    assert inference.eval()(q) is q


def test_a_restricted_relaxed_label_keeps_its_temperature_and_its_gradient() -> None:
    relaxed = RelaxedOneHots(OneHots(torch.zeros(1, 3)), 0.3, hard=True)
    within = relaxed.within(torch.tensor([[1.0, 0.0, 1.0]]))
    assert (within.temperature, within.hard) == (0.3, True)


def test_samples_of_the_likeliest_classes_are_of_these_alone() -> None:
    shares = TopClasses(torch.tensor([0.5, 0.2, 0.3]).log(), 2).sample((DRAWS,)).mean(0)
    assert_close(shares, torch.tensor([5 / 8, 0.0, 3 / 8]), rtol=0.0, atol=0.02)


def test_the_largest_divergence_from_a_prior_is_that_of_its_rarest_classes() -> None:
    prior = LabelPrior(2, 3, probs=(1, 3, 2, 2, 4))
    assert prior.largest_kl == pytest.approx(2 * math.log(4))
