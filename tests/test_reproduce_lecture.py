"""The lecture's studies: their own arithmetic, and that each runs at a tiny scale."""

import math
from collections.abc import Collection

import pytest
import torch

from pyro_ssvae.evaluation.importance import iwae
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.reproduce import (
    chains,
    em_findings,
    generation,
    lecture_autoencoder,
    lecture_collapse,
    lecture_em,
    mixtures,
    sequences,
)
from pyro_ssvae.reproduce.findings import Findings
from pyro_ssvae.reproduce.mixtures import Mixture, Seen
from pyro_ssvae.reproduce.work import Work
from pyro_ssvae.training import aggressive

TINY = 0.01


def check(
    findings: Findings, rows: int, pictures: set[str], statistical: Collection[str] | None = None
) -> None:
    """Of a single draw, claims on means are undecided: all, or those that begin as is said."""
    assert findings.title and findings.setting
    assert len(findings.rows) == rows
    assert {picture.name for picture in findings.pictures} == pictures
    for row in findings.rows:
        assert row.found and all(isinstance(value, (int, float)) for value in row.found)
    for claim in findings.claims:
        assert claim.because, claim.text
        of_means = statistical is None or claim.text.startswith(tuple(statistical))
        assert (claim.holds is None) is of_means, claim.text


# Mixtures


@pytest.fixture
def mixture() -> Mixture:
    return lecture_em.truth()


@pytest.fixture(params=[0.0, 0.3, 1.0])
def seen(mixture, request) -> Seen:
    torch.manual_seed(1)
    x, y = mixture.sample(120)
    return Seen(x, y, torch.rand(120) < request.param)


def test_an_m_step_of_known_classes_is_their_frequencies_means_and_covariances() -> None:
    x = torch.tensor([[0.0, 0.0], [2.0, 0.0], [5.0, 1.0], [5.0, 3.0], [5.0, 5.0]]).double()
    classes = torch.eye(2).double()[[0, 0, 1, 1, 1]]
    found = mixtures.m_step(classes, x)
    torch.testing.assert_close(found.weights, torch.tensor([0.4, 0.6]).double())
    torch.testing.assert_close(found.means, torch.tensor([[1.0, 0.0], [5.0, 3.0]]).double())
    by_hand = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 8 / 3]]]).double()
    torch.testing.assert_close(found.covariances, by_hand)


def test_the_pair_has_the_mixtures_parameters_and_its_likelihood(mixture, seen) -> None:
    objective = mixtures.program(mixture)
    for read, given in zip(mixtures.read(objective), mixture):
        torch.testing.assert_close(read, given)
    share = float(seen.known.double().mean())
    objective.weights["labelled"], objective.weights["unlabelled"] = share, 1 - share
    loss = objective(seen.batch(3)).total
    assert -loss.item() == pytest.approx(mixtures.likelihood(mixture, seen), abs=1e-10)


def test_em_climbs_and_ends_where_the_bound_of_pyro_has_no_slope(mixture, seen) -> None:
    best, values, _ = mixtures.maximised(mixture, seen)
    assert all(after >= before - 1e-12 for before, after in zip(values, values[1:]))
    assert values[-1] > values[0]
    objective = mixtures.program(best)
    share = float(seen.known.double().mean())
    objective.weights["labelled"], objective.weights["unlabelled"] = share, 1 - share
    objective(seen.batch(3)).total.backward()
    for name, parameter in objective.named_parameters():
        assert parameter.grad.abs().max() < 1e-5, name


def test_the_e_step_is_what_pyro_says_of_y(mixture, seen) -> None:
    assert lecture_em._e_step_apart(mixture, seen) < 1e-12


def test_iterations_are_counted_to_the_last_time_outside() -> None:
    assert em_findings.iterations([1.0, 0.5, 1e-7, 0.0]) == 2
    assert em_findings.iterations([1.0, 1e-7, 0.5, 1e-7]) == 3
    assert em_findings.iterations([0.0]) == 0
    assert math.isnan(em_findings.iterations([1.0, 0.5]))


# Chains


@pytest.mark.parametrize("k, n", [(2, 2), (2, 5), (3, 4), (4, 3)])
def test_elimination_gives_the_joint_tables_probability_and_gradient(k, n) -> None:
    initial, transitions, last = chains.of_size(k, n)
    transitions.requires_grad_()
    results = [way(initial, transitions, last) for way in (chains.eliminated, chains.jointly)]
    torch.testing.assert_close(*results)
    gradients = [torch.autograd.grad(value, (initial, transitions)) for value in results]
    for first, second in zip(*gradients):
        torch.testing.assert_close(first, second)


def test_a_chain_of_two_by_hand() -> None:
    initial = torch.tensor([0.2, 0.8]).double().log().requires_grad_()
    transitions = torch.tensor([[[0.3, 0.7], [0.9, 0.1]]]).double().log()
    found = chains.eliminated(initial, transitions, torch.tensor(1))
    assert found.exp().item() == pytest.approx(0.2 * 0.7 + 0.8 * 0.1)


def test_a_product_counts_its_multiplications_and_a_view_nothing() -> None:
    with chains.Counted() as counted:
        torch.ones(2, 3) @ torch.ones(3, 4)
    ones = 6 + 12  # the tensors themselves
    assert counted.operations == ones + 24
    x = torch.ones(5, 7)
    with chains.Counted() as counted:
        x.unsqueeze(0).mT
    assert counted.operations == 0
    with chains.Counted() as counted:
        x.sum()
    assert counted.operations == 35


def test_an_exponent_is_that_of_a_power() -> None:
    found = em_findings.exponent([2, 4, 8], [3 * 2**2.5, 3 * 4**2.5, 3 * 8**2.5])
    assert found == pytest.approx(2.5)


def test_lecture_em_at_a_tiny_scale(tmp_path, monkeypatch) -> None:
    for name, value in {
        "EXAMPLES": 100, "TESTED": 50, "SHARES": (0.0, 1.0), "VALUES": (4, 8, 16, 32),
        "VARIABLES": (4, 6), "BATCHES": 3, "MOST": 3, "SMALL": ((2, 3), (2, 4)), "LONG": 5,
    }.items():
        monkeypatch.setattr(lecture_em, name, value)
    findings = lecture_em.reproduce(Work(tmp_path, scale=TINY))
    check(findings, 2 * 8 + 4, {"inference", "shares", "chain"}, ["The more labels"])
    exact = ("EM is hill climbing", "The E-step computes", "Enumeration in parallel")
    assert [c.holds for c in findings.claims if c.text.startswith(exact)] == [True] * 3


# Collapse


def test_a_recurrent_decoder_sees_the_tokens_before_alone() -> None:
    torch.manual_seed(0)
    model = sequences.Autoregressive(4, z_dim=2, state=5, vocabulary=3)
    z, x = torch.randn(2, 2), torch.tensor([[0.0, 1.0, 2.0, 0.0], [2.0, 2.0, 1.0, 1.0]])
    changed = x.clone()
    changed[:, 1] = 0.0
    first, second = (model.decoder(z, tokens).base_dist.logits for tokens in (x, changed))
    torch.testing.assert_close(first[:, :2], second[:, :2])
    assert (first[:, 2:] != second[:, 2:]).all()
    assert (model.decoder(z + 1, x).base_dist.logits != first).all()


def test_sequences_are_the_same_for_a_seed(monkeypatch) -> None:
    for name, value in {"TRAINED": 20, "VALIDATED": 8, "TESTED": 8}.items():
        monkeypatch.setattr(sequences, name, value)
    first, again, other = sequences.drawn(0), sequences.drawn(0), sequences.drawn(1)
    assert torch.equal(first.x, again.x) and not torch.equal(first.x, other.x)
    assert first.x.shape == (36, sequences.LENGTH)
    assert 0 <= first.x.min() and first.x.max() < sequences.VOCABULARY


def test_lecture_collapse_at_a_tiny_scale(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(aggressive, "INNER_STEPS", 2)
    for name, value in {"TRAINED": 50, "VALIDATED": 20, "TESTED": 20}.items():
        monkeypatch.setattr(sequences, name, value)
    monkeypatch.setattr(lecture_collapse, "WEIGHED", 5)
    findings = lecture_collapse.reproduce(Work(tmp_path, scale=TINY))
    check(findings, 7 * 7 + 2, {"training", "ends"})


def test_a_run_counts_its_gradient_steps_and_a_longer_one_has_as_many(monkeypatch) -> None:
    monkeypatch.setattr(aggressive, "INNER_STEPS", 3)
    for name, value in {"TRAINED": 50, "VALIDATED": 20, "TESTED": 20}.items():
        monkeypatch.setattr(sequences, name, value)
    monkeypatch.setattr(lecture_collapse, "WEIGHED", 5)
    runs = {
        way: lecture_collapse.trained(way, 0, epochs=2) for way in ("autoregressive", "aggressive")
    }
    assert {way: run["steps"] for way, run in runs.items()} == {
        "autoregressive": 2, "aggressive": 2 * (3 + 1),
    }
    assert lecture_collapse._as_long(2, runs["aggressive"], runs["autoregressive"]) == 8


def test_without_z_the_bound_is_the_probability_of_the_tokens() -> None:
    torch.manual_seed(0)
    objective = lecture_collapse.built({"decoder": "blind"}, epochs=1)
    x = torch.randint(sequences.VOCABULARY, (3, sequences.LENGTH)).float()
    with evaluating(objective):
        bounds = [iwae(objective.model, objective.guide, x, samples=4) for _ in "12"]
        decoded = objective.model.decoder(torch.zeros(3, 2), x).log_prob(x)
    assert bounds == pytest.approx([decoded.mean().item()] * 2, abs=1e-5)


def test_the_cause_is_summed_out_as_by_monte_carlo(monkeypatch) -> None:
    for name, value in {"TRAINED": 20, "VALIDATED": 8, "TESTED": 8}.items():
        monkeypatch.setattr(sequences, name, value)
    network, some = sequences.source(0), sequences.drawn(0)
    torch.manual_seed(0)
    for x, corner in zip(some.x[:4].split(1), some.y[:4].tolist()):
        centre = torch.tensor(sequences.CORNERS[corner])
        causes = centre + sequences.SPREAD * torch.randn(20_000, 2)
        with torch.no_grad():
            each = sequences._given(network, causes, x)
        by_chance = each.logsumexp(0) - math.log(len(causes))
        found = sequences.log_probs(network, x)[:, corner]
        torch.testing.assert_close(found, by_chance, atol=0.1, rtol=0)


# Autoencoders


def test_the_nearest_is_by_euclidean_distance() -> None:
    points, among = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([[0.0, 1.0], [9.0, 9.0]])
    torch.testing.assert_close(
        generation.nearest(points, among), torch.tensor([1.0, math.hypot(3, 3)])
    )


def test_images_are_judged_by_hand() -> None:
    images = torch.tensor([[[[0.0, 0.0]]], [[[1.0, 1.0]]]])
    found = generation.judged(
        images, lambda x: torch.tensor([[1.0, 0.0], [0.2, 0.8]]), images[:1], images
    )
    entropy = -(0.6 * math.log(0.6) + 0.4 * math.log(0.4))
    assert found == pytest.approx({
        "sure": 0.5, "distance": math.sqrt(2) / 2, "coverage": 0.0, "classes": math.exp(entropy),
    })


def test_a_gaussians_divergence_from_the_standard_one_by_hand() -> None:
    divergence = lecture_autoencoder.gaussian_divergence
    assert divergence(torch.zeros(3), torch.eye(3)) == pytest.approx(0.0)
    assert divergence(torch.tensor([2.0]), torch.eye(1)) == pytest.approx(2.0)
    assert divergence(torch.zeros(1), 4 * torch.eye(1)) == pytest.approx(1.5 - math.log(2))


def test_binary_digits_are_the_same_every_time() -> None:
    first, again = generation.binarised(50, 0), generation.binarised(50, 0)
    assert torch.equal(first.dataset.x, again.dataset.x)
    assert set(first.dataset.x.unique().tolist()) == {0.0, 1.0}


def test_an_encoder_fitted_afterwards_leaves_the_decoder_as_it_is() -> None:
    split = generation.binarised(50, 0)
    torch.manual_seed(0)
    objective, _ = lecture_autoencoder.pair("vae").on(
        split, z_dim=2, hidden=(5,), **lecture_autoencoder.WAYS["AE"]
    )
    before = {name: p.detach().clone() for name, p in objective.model.named_parameters()}
    found = lecture_autoencoder._density(objective, split, "AE", 0, 1)
    for name, parameter in objective.model.named_parameters():
        assert torch.equal(parameter, before[name]), name
    assert found["elbo"] <= found["iwae"]


def test_lecture_autoencoder_at_a_tiny_scale(tmp_path, monkeypatch) -> None:
    def judge(split):
        return lambda images: torch.full((len(images), 10), 0.1).double()

    monkeypatch.setattr(lecture_autoencoder, "classifier", judge)
    monkeypatch.setattr(lecture_autoencoder, "leakage", lambda guide, split: 0.5)
    monkeypatch.setattr(lecture_autoencoder, "WEIGHED", 4)
    monkeypatch.setattr(lecture_autoencoder, "SAMPLES", 40)
    findings = lecture_autoencoder.reproduce(Work(tmp_path, scale=TINY))
    check(findings, 4 + 2 * (4 + 4 + 4) + 4 * 8, {"planes", "samples", "interpolations"})


def test_the_judge_is_right_about_most_real_digits() -> None:
    split = generation.binarised(50, 0)
    x, y = split.part("test")
    with evaluating():
        probs = generation.classifier(split)(x)
    assert (probs.argmax(-1) == y.argmax(-1)).double().mean() > 0.75
