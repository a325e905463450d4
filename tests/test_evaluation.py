import math

import pyro
import pytest
import torch
from pyro.distributions import Delta, Normal, OneHotCategorical
from pyro.nn import PyroModule

from pyro_ssvae import guides, models, negative_elbo
from pyro_ssvae.data import load
from pyro_ssvae.evaluation import (
    class_probabilities,
    elbo,
    elbo_parts,
    evaluate,
    evaluating,
)


@pytest.fixture
def pair() -> tuple[models.M2, guides.M2]:
    torch.manual_seed(0)
    model = models.M2(4, 3, z_dim=2, hidden=(5,))
    return model, guides.M2(model, hidden=(5,))


X, Y = torch.rand(9, 4), torch.eye(3).repeat(3, 1)


@pytest.mark.parametrize("y", [None, Y])
def test_elbo_is_what_its_parts_add_up_to(pair, y) -> None:
    parts = elbo_parts(*pair, X, y)
    total = parts["reconstruction"] - parts["kl_y"] - parts["kl_z"]
    assert parts["elbo"] == pytest.approx(total, rel=1e-9)
    assert parts.keys() == {"elbo", "reconstruction", "kl_y", "kl_z"}


@pytest.mark.parametrize("y", [None, Y])
def test_elbo_is_the_one_that_is_trained(pair, y) -> None:
    torch.manual_seed(1)
    measured = elbo(*pair, X, y)
    torch.manual_seed(1)
    assert measured == pytest.approx(-negative_elbo(*pair, X, y).item(), rel=1e-5)


def test_elbo_of_many_rows_is_the_mean_over_chunks(monkeypatch) -> None:
    # A supervised model has no noise: any chunking gives the same number.
    model = models.Supervised(4, 3)
    guide = guides.Supervised(model)
    whole = elbo(model, guide, X, Y)
    monkeypatch.setattr("pyro_ssvae.evaluation.CHUNK", 4)
    assert elbo(model, guide, X, Y) == pytest.approx(whole, rel=1e-6)
    assert class_probabilities(guide, X).shape == (9, 3)


def test_kl_of_y_is_that_of_the_classifier_and_the_uniform_prior(pair) -> None:
    _, guide = pair
    q = guide.classify(X)
    expected = (math.log(3) - q.entropy()).mean().item()
    assert elbo_parts(*pair, X)["kl_y"] == pytest.approx(expected, rel=1e-5)


def test_kl_of_a_given_y_is_minus_its_prior_log_probability(pair) -> None:
    assert elbo_parts(*pair, X, Y)["kl_y"] == pytest.approx(math.log(3), rel=1e-6)


def test_evaluating_leaves_random_state_and_mode_as_they_were(pair) -> None:
    model, guide = pair
    guide.eval()
    state = torch.get_rng_state()
    with evaluating(model, guide):
        assert not model.training and not torch.is_grad_enabled()
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training and not guide.training and torch.is_grad_enabled()


def test_evaluate_gives_the_same_numbers_every_time(pair) -> None:
    split = load("digits").split(labels=10)
    model = models.M2(64, 10, z_dim=2, hidden=(5,))
    guide = guides.M2(model, hidden=(5,))
    assert evaluate(model, guide, split) == evaluate(model, guide, split)


def test_what_a_pair_does_not_have_is_none() -> None:
    split = load("digits").split(labels=10)
    vae, supervised = models.VAE(64, z_dim=2, hidden=(5,)), models.Supervised(64, 10, hidden=(5,))
    of_vae = evaluate(vae, guides.VAE(vae, hidden=(5,)), split)
    of_supervised = evaluate(supervised, guides.Supervised(supervised), split)
    assert {name for name, value in of_vae.items() if value is None} == {
        "accuracy", "nll", "brier", "ece", "accuracy_elbo", "accuracy_reconstruction", "kl_y",
    }
    assert {name for name, value in of_supervised.items() if value is not None} == {
        "accuracy", "nll", "brier", "ece",
    }


def test_point_mass_latents_are_evaluated(pair) -> None:
    class PointMass(PyroModule):
        def forward(self, x, y=None) -> None:
            with pyro.plate("data", len(x)):
                pyro.sample("y", OneHotCategorical(torch.ones(3)), infer={"enumerate": "parallel"})
                pyro.sample("z", Delta(x[:, :2], event_dim=1))

    model, _ = pair
    z = X[:, :2]
    prior = Normal(0.0, 1.0).log_prob(z).sum(-1).mean().item()
    assert elbo_parts(model, PointMass(), X)["kl_z"] == pytest.approx(-prior, rel=1e-5)


def test_a_y_that_is_summed_out_in_the_model_is_part_of_the_reconstruction() -> None:
    model = models.GaussianMixture(4, 3)
    parts = elbo_parts(model, guides.GaussianMixture(model), X)
    assert parts.keys() == {"elbo", "reconstruction"}
    assert parts["elbo"] == parts["reconstruction"]


def test_a_point_mass_has_no_bound_on_the_evidence() -> None:
    split = load("digits").split(labels=10)
    model = models.DirichletM2(64, 10, z_dim=2, hidden=(5,))
    small = {"hidden": (5,)}
    point = evaluate(model, guides.DirichletM2(model, **small), split)
    spread = evaluate(model, guides.DirichletM2(model, kappa=10.0, **small), split)
    assert [point[name] for name in ("elbo", "iwae", "kl_pi")] == [None] * 3
    assert None not in [spread[name] for name in ("elbo", "iwae", "kl_pi")]
    assert point["reconstruction"] is not None
