import math

import pyro
import pytest
import torch
from by_hand import log_bernoulli
from pyro.distributions import Delta, Normal, OneHotCategorical
from pyro.nn import PyroModule

from pyro_ssvae import guides, models, negative_elbo
from pyro_ssvae.data import from_arrays, load
from pyro_ssvae.evaluation import (
    class_probabilities,
    elbo,
    elbo_parts,
    evaluate,
    evaluating,
    iwae,
    leakage,
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


class Coin(PyroModule):
    """A mixture of two products of Bernoullis whose log p(x) is a sum of two terms."""

    probs = torch.tensor([[0.9, 0.8, 0.1], [0.2, 0.3, 0.6]])

    def forward(self, x, y=None) -> None:
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", OneHotCategorical(torch.full((2,), 0.5)), obs=y)
            pyro.sample("x", pyro.distributions.Bernoulli(y @ self.probs).to_event(1), obs=x)

    def log_evidence(self, x):
        each = log_bernoulli(x[:, None], torch.logit(self.probs)) - math.log(2)
        return each.logsumexp(-1)


class CoinGuide(PyroModule):
    def forward(self, x, y=None) -> None:
        with pyro.plate("data", len(x)):
            if y is None:
                probs = torch.tensor([0.7, 0.3]).expand(len(x), 2)
                pyro.sample("y", OneHotCategorical(probs), infer={"enumerate": "parallel"})


COINS = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])


def test_iwae_of_one_sample_is_the_elbo_in_expectation() -> None:
    torch.manual_seed(0)
    x = COINS.repeat(2_000, 1)
    exact = elbo_terms_of_coin(COINS)
    assert iwae(Coin(), CoinGuide(), x, samples=1) == pytest.approx(exact, abs=0.05)


def elbo_terms_of_coin(x) -> float:
    q = torch.tensor([0.7, 0.3])
    each = log_bernoulli(x[:, None], torch.logit(Coin.probs)) - math.log(2) - q.log()
    return (q * each).sum(-1).mean().item()


def test_iwae_rises_from_the_elbo_to_the_evidence() -> None:
    torch.manual_seed(0)
    model, guide = Coin(), CoinGuide()
    evidence = model.log_evidence(COINS).mean().item()
    x = COINS.repeat(300, 1)
    bounds = [iwae(model, guide, x, samples=k) for k in (1, 5, 200)]
    assert elbo_terms_of_coin(COINS) - 0.1 < bounds[0] < bounds[1] < bounds[2]
    assert bounds[2] == pytest.approx(evidence, abs=0.01)


class Encoder(PyroModule):
    """A guide whose z is a linear map of x, one that reads y, or one that reads nothing."""

    def __init__(self, what: str) -> None:
        super().__init__("guide")
        self.what = what

    def forward(self, x, y=None) -> None:
        with pyro.plate("data", len(x)):
            z = {"x": x, "y": y, "nothing": torch.zeros_like(x)}[self.what]
            pyro.sample("z", Normal(z, 1.0).to_event(1))


@pytest.mark.parametrize("what, low, high", [("x", 1, 1), ("y", 0, 0.6), ("nothing", 0, 0.6)])
def test_leakage_is_the_class_in_z_that_came_from_x(what, low, high) -> None:
    classes = torch.arange(400) % 2
    x = torch.nn.functional.one_hot(classes, 2).float()
    split = from_arrays(x, classes).split(labels=10)
    with evaluating():
        assert low <= leakage(Encoder(what), split) <= high


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


def test_iwae_sums_out_what_the_model_enumerates() -> None:
    model = models.GaussianMixture(4, 3)
    guide = guides.GaussianMixture(model)
    assert iwae(model, guide, X, samples=2) == pytest.approx(elbo(model, guide, X), rel=1e-5)


def test_a_point_mass_has_no_bound_on_the_evidence() -> None:
    split = load("digits").split(labels=10)
    model = models.DirichletM2(64, 10, z_dim=2, hidden=(5,))
    small = {"hidden": (5,)}
    point = evaluate(model, guides.DirichletM2(model, **small), split)
    spread = evaluate(model, guides.DirichletM2(model, kappa=10.0, **small), split)
    assert [point[name] for name in ("elbo", "iwae", "kl_pi")] == [None] * 3
    assert None not in [spread[name] for name in ("elbo", "iwae", "kl_pi")]
    assert point["reconstruction"] is not None
