"""Sets of classes: bounds on log p(x, y in the set), against sums by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import small
import torch
from by_hand import (
    assert_same,
    dense,
    kl_standard_normal,
    log_bernoulli,
    log_softmax,
    normal_parameters,
    with_noise,
)
from torch import Tensor

from pyro_ssvae import InputError, Objective, fit, guides, models, pair
from pyro_ssvae.contract import Batch
from pyro_ssvae.data import Split, from_arrays
from pyro_ssvae.engine.capture import Captured
from pyro_ssvae.experiments import pairs
from pyro_ssvae.inference.bounds import elbo_terms
from pyro_ssvae.inference.terms import Classification
from pyro_ssvae.labels import OneHots, RelaxedOneHots, TopClasses
from pyro_ssvae.targets import ClassSets
from pyro_ssvae.training.optimizers import adam

N, D, K = 4, 7, 3
SETS = torch.tensor([[1, 1, 1], [0, 1, 0], [1, 0, 1], [0, 1, 1]]).double()  # rows of examples


@pytest.fixture
def x() -> Tensor:
    torch.manual_seed(1)
    return torch.rand(N, D).double()


def double(name: str, **options: Any) -> Objective:
    torch.manual_seed(0)
    data = from_arrays(np.linspace(0, 1, 60 * D).reshape(60, D), np.arange(60) % K)
    return small.objective(name, data, **options).double().eval()


def value(objective: Objective, x: Tensor, y: Tensor | None, sets: Tensor | None) -> float:
    torch.manual_seed(2)
    terms = elbo_terms(objective.model, objective.guide, x, y, possible=sets)
    return sum(term.value.item() for term in terms.values())


def test_the_bound_of_m2_is_a_sum_over_the_classes_of_the_set(x: Tensor) -> None:
    """E over q(y | x, y in S) of log p(x | y, z) + log p(y) - KL[z] - log q(y | x, y in S)."""
    model = models.M2(D, K, z_dim=2, hidden=(5,)).double()
    guide = guides.M2(model, hidden=(5,)).double()
    eps = torch.randn(K, N, 2).double()
    sets, noisy = SETS.clone(), with_noise(guide, z=eps)
    derived = -sum(
        (term.value for term in elbo_terms(model, noisy, x, possible=sets).values()),
        torch.zeros(()).double(),
    )
    log_q = log_softmax(dense(guide.classifier, x))
    expected = torch.zeros(()).double()
    for i in range(N):
        members = [k for k in range(K) if sets[i, k]]
        total = torch.stack([log_q[i, k] for k in members]).logsumexp(0)
        for k in members:
            y = torch.eye(K).double()[k].expand(N, K)
            loc, scale = normal_parameters(guide.encoder, x, y)
            z = loc + scale * eps[k]
            bound = log_bernoulli(x, dense(model.decoder, z, y)) - kl_standard_normal(loc, scale)
            log_within = log_q[i, k] - total
            expected = expected - log_within.exp() * (
                bound[i] - math.log(K) - log_within
            )
    assert_same(derived, expected / N, model, guide)


def test_the_mixtures_evidence_is_that_of_the_set_exactly(x: Tensor) -> None:
    objective = double("gaussianmixture")
    model = objective.model
    log_joint = torch.stack([
        model.logits.log_softmax(-1)[k] + model.component(torch.eye(K).double()[k]).log_prob(x)
        for k in range(K)
    ], dim=1)
    expected = log_joint.masked_fill(SETS == 0, -torch.inf).logsumexp(1).mean()
    assert value(objective, x, None, SETS) == pytest.approx(expected.item(), rel=1e-12)


WITH_CLASSES = [name for name in pairs.names() if pair(name).has_classes]


@pytest.mark.parametrize("name", WITH_CLASSES)
def test_the_set_of_all_classes_is_an_unknown_label(name: str, x: Tensor) -> None:
    objective = double(name)
    everything = value(objective, x, None, torch.ones(N, K).double())
    assert everything == pytest.approx(value(objective, x, None, None), rel=1e-12)


@pytest.mark.parametrize("name", ["latentclassifier", "splitlatent", "supervised", "vade"])
def test_the_set_of_one_class_is_a_label_that_is_given(name: str, x: Tensor) -> None:
    objective = double(name)  # whose noise does not depend on the label
    y = torch.eye(K).double()[[0, 1, 2, 1]]
    assert value(objective, x, None, y) == pytest.approx(value(objective, x, y, None), rel=1e-10)


@pytest.mark.parametrize("name", ["m2", "factored", "dirichletm2", "m1m2", "vade", "sdgm"])
def test_gradients_are_finite_in_single_precision(name: str, x: Tensor) -> None:
    objective = double(name).float().train()
    batch = Batch(x.float(), torch.eye(K)[[0, 1, 2, 1]], x.float(), SETS.float())
    loss = objective(batch).total
    gradients = torch.autograd.grad(loss, list(objective.parameters()), allow_unused=True)
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients if gradient is not None)


def test_a_classifier_loses_the_probability_that_it_gives_outside_the_set(x: Tensor) -> None:
    objective = double("m2", labelled=0.0, unlabelled=0.0, alpha=2.0)
    y = torch.eye(K).double()[[0, 1, 2, 1]]
    guide = objective.guide
    log_q = log_softmax(dense(guide.classifier, x))
    labels = -(log_q * y).sum(1).mean()
    sets = -log_q.masked_fill(SETS == 0, -torch.inf).logsumexp(1).mean()
    expected = 2.0 * (labels + sets)
    assert_same(objective(Batch(x, y, x, SETS)).total, expected, guide.classifier)


def test_labels_within_a_set_keep_their_odds_and_their_kind() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0]]).double()
    possible = torch.tensor([[1.0, 0.0, 1.0]]).double()
    expected = torch.tensor([[1.0, -torch.inf, 3.0]]).double().softmax(-1)
    for labels in (OneHots(logits), RelaxedOneHots(OneHots(logits), 0.5), TopClasses(logits, 3)):
        within = labels.within(possible)
        assert type(within) is type(labels)
        torch.testing.assert_close(within.logits.exp(), expected)


def test_the_likeliest_classes_are_those_of_the_set() -> None:
    within = TopClasses(torch.tensor([[1.0, 2.0, 3.0]]), 1).within(torch.tensor([[1.0, 1.0, 0.0]]))
    assert within.probs.tolist() == [[0.0, 1.0, 0.0]]


def test_sets_of_another_shape_are_refused(x: Tensor) -> None:
    batch = Batch(x, torch.eye(K).double()[[0, 1, 2, 1]], x, SETS[:, :2])
    with pytest.raises(InputError, match=r"sets of classes of shape \(4, 3\), got \(4, 2\)"):
        double("m2")(batch)


# From data to training


def coarse() -> Split:
    """Blobs of 4 classes, of which 8 examples are labelled and half of the others by a pair."""
    rng = np.random.default_rng(0)
    classes = np.arange(240) % 4
    x = rng.normal(size=(240, 2)) * 0.3 + np.array([[0, 0], [0, 2], [2, 0], [2, 2]])[classes]
    y = np.empty(240, dtype=object)
    for i, k in enumerate(classes):
        y[i] = {k} if i < 120 else {k - k % 2, k - k % 2 + 1} if i < 180 else None
    return from_arrays(x, y, name="coarse").split(8, validation=10)


def test_batches_have_the_sets_of_their_unlabelled_examples() -> None:
    split = coarse()
    assert isinstance(split.target, ClassSets)
    possible = split.possible(split.unlabelled)
    assert possible is not None
    assert torch.equal(possible.bool(), split.dataset.y[split.unlabelled])
    assert set(possible.sum(1).tolist()) == {1.0, 2.0, 4.0}
    assert split.part("labelled")[1].sum(1).tolist() == [1.0] * 8


@pytest.mark.parametrize("name", ["m2", "supervised"])
def test_training_learns_from_sets(name: str) -> None:
    split = coarse()
    objective, how = pair(name).on(split, hidden=(16,))
    losses = [epoch.losses["loss"] for epoch in fit(objective, split, epochs=3, **how)]
    assert losses[-1] < losses[0]
    assert objective.weights["unlabelled"] == 1.0


def test_a_captured_update_takes_sets_as_inputs() -> None:
    split = coarse()
    batch = Batch(*split.part("labelled"), split.dataset.x[split.unlabelled[:6]],
                  split.possible(split.unlabelled[:6]))
    other = batch._replace(possible=torch.ones(6, 4))
    losses = []
    for capture in (False, True):
        objective = small.objective("m2", split, lr=0.0)
        optimizer = adam(objective, 1e-9)
        step = Captured(objective, optimizer, batch, compile=False) if capture else objective
        for given in (batch, other):
            torch.manual_seed(0)
            losses.append(step(given, 0.0).total if capture else step(given).total)
    eager_sets, eager_all, captured_sets, captured_all = map(float, losses)
    assert captured_sets == pytest.approx(eager_sets, rel=1e-5)
    assert captured_all == pytest.approx(eager_all, rel=1e-5)
    assert eager_sets != pytest.approx(eager_all, rel=1e-3)


@pytest.mark.parametrize("bounded, rows", [(0.5, 2), (1.0, 4)])
def test_the_objectives_bound_has_each_rows_own_set(bounded: float, rows: int, x: Tensor) -> None:
    whole = double("m2")
    objective = Objective(whole.model, whole.guide, labelled=0.0, bounded=bounded)
    torch.manual_seed(2)
    found = objective(Batch(x, SETS, x, SETS)).terms["unlabelled"]
    assert found.item() == pytest.approx(-value(objective, x[:rows], None, SETS[:rows]))


def test_the_loss_of_sets_is_of_the_view(x: Tensor) -> None:
    objective, y = double("m2"), torch.eye(K).double()[[0, 1, 2, 1]]
    pair_of = objective.model, objective.guide
    seen = Classification(view=lambda x: 2 * x)(*pair_of, Batch(x, y, x, SETS), 0.0)
    plain = Classification()(*pair_of, Batch(2 * x, y, 2 * x, SETS), 0.0)
    torch.testing.assert_close(seen, plain)
