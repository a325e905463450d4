"""Generative classifiers and importance weights, where the true posterior is known."""

import math

import pyro
import pytest
import torch
from by_hand import log_bernoulli, log_normal, one_hot
from pyro import distributions as dist
from pyro import poutine
from torch import Tensor, nn

from pyro_ssvae import guides, models
from pyro_ssvae.evaluation.evaluate import elbo
from pyro_ssvae.evaluation.importance import class_posteriors, iwae, log_weights
from pyro_ssvae.labels import Relaxed

K = 3
X = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1], [1, 0, 1, 1]], dtype=torch.double)
LOGITS = torch.linspace(-2, 2, 4 * K, dtype=torch.double).reshape(K, 4).sin() * 2
CLASS_LOGITS = torch.tensor([0.0, 0.5, -1.0], dtype=torch.double).log_softmax(-1)


class Model(nn.Module):
    """p(y) p(z) p(x | y, z), x from y alone, or with z added to every logit."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", dist.OneHotCategorical(logits=CLASS_LOGITS), obs=y)
            z = pyro.sample("z", dist.Normal(x.new_zeros(1), 1.0).to_event(1))
            likelihood = dist.Bernoulli(logits=y @ LOGITS + self.slope * z)
            pyro.sample("x", likelihood.to_event(1), obs=x)


class Guide(nn.Module):
    """q(z | x, y) = N(loc, scale), and q(y | x) uniform where y is not given."""

    def __init__(self, loc: float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        self.loc, self.scale = loc, scale

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", len(x)):
            if y is None:
                pyro.sample("y", dist.OneHotCategorical(logits=x.new_zeros(K)))
            pyro.sample("z", dist.Normal(x.new_full((1,), self.loc), self.scale).to_event(1))


def log_likelihoods() -> Tensor:
    """log p(x | y) of every class, (N, K), where x does not depend on z."""
    return torch.stack([log_bernoulli(X, LOGITS[k]) for k in range(K)], -1)


def test_with_the_exact_posterior_of_z_the_bounds_classify_as_bayes_rule() -> None:
    found = class_posteriors(Model(0.0), Guide(), X, K, samples=2)
    joint = (CLASS_LOGITS + log_likelihoods()).exp()
    torch.testing.assert_close(found["elbo"], joint / joint.sum(-1, keepdim=True))


def test_the_reconstruction_classifies_as_with_a_uniform_prior() -> None:
    found = class_posteriors(Model(0.0), Guide(), X, K, samples=2)
    likelihood = log_likelihoods().exp()
    expected = likelihood / likelihood.sum(-1, keepdim=True)
    torch.testing.assert_close(found["reconstruction"], expected)


def test_bounds_are_averaged_over_samples_of_z() -> None:
    # E_q log p(x | y, z) by a grid; the KL divergence of z is the same for every class.
    model, guide = Model(1.5), Guide(loc=0.4, scale=0.7)
    grid = torch.linspace(-6, 6, 2_001, dtype=torch.double)
    z = guide.loc + guide.scale * grid
    weights = torch.exp(-grid**2 / 2)
    weights = weights / weights.sum()
    expected = torch.stack([
        torch.stack([
            (weights * log_bernoulli(x, LOGITS[k] + model.slope * z[:, None])).sum()
            for k in range(K)
        ]) for x in X
    ])
    torch.manual_seed(0)
    found = class_posteriors(model, guide, X, K, samples=20_000)
    # log-ratios of classes: a standard error of about 0.01
    for name, offset in (("reconstruction", 0.0), ("elbo", CLASS_LOGITS)):
        truth = (expected + offset).log_softmax(-1)
        torch.testing.assert_close(found[name].log(), truth, rtol=0, atol=0.06)


def test_class_posteriors_do_not_depend_on_the_chunks(monkeypatch) -> None:
    whole = class_posteriors(Model(0.0), Guide(), X, K, samples=2)
    monkeypatch.setattr("pyro_ssvae.evaluation.importance.ROWS", 6)  # three images at a time
    parts = class_posteriors(Model(0.0), Guide(), X, K, samples=2)
    for name in ("elbo", "reconstruction"):
        assert parts[name].shape == (len(X), K)
        torch.testing.assert_close(parts[name], whole[name])


def test_classes_are_compared_with_the_same_noise() -> None:
    # The noise of z is the same factor of every class's joint; with other noise it is not.
    model, guide = Model(0.0), Guide(loc=3.0)
    found = class_posteriors(model, guide, X, K, samples=1)["elbo"]
    joint = (CLASS_LOGITS + log_likelihoods()).exp()
    torch.testing.assert_close(found, joint / joint.sum(-1, keepdim=True))


def test_noise_differs_between_chunks(monkeypatch) -> None:
    monkeypatch.setattr("pyro_ssvae.evaluation.importance.ROWS", 1)  # an image at a time
    torch.manual_seed(0)
    found = class_posteriors(Model(1.5), Guide(), X[:1].repeat(5, 1), K, samples=1)["elbo"]
    assert len(found.unique(dim=0)) == 5


def test_a_reconstruction_that_does_not_depend_on_y_is_left_out() -> None:
    class Cluster(Model):
        def forward(self, x: Tensor, y: Tensor | None = None) -> None:
            with pyro.plate("data", len(x)):
                y = pyro.sample("y", dist.OneHotCategorical(logits=CLASS_LOGITS), obs=y)
                loc = y @ torch.arange(3.0).double()[:, None]
                z = pyro.sample("z", dist.Normal(loc, 1.0).to_event(1))
                likelihood = dist.Bernoulli(logits=z.expand(*z.shape[:-1], 4))
                pyro.sample("x", likelihood.to_event(1), obs=x)

    found = class_posteriors(Cluster(0.0), Guide(), X, K, samples=2)
    assert found.keys() == {"elbo"} and (found["elbo"] != found["elbo"][:, :1]).any()


@pytest.mark.parametrize("labelled", [True, False])
def test_weights_are_the_models_joint_over_the_guides(labelled) -> None:
    model, guide = Model(1.5), Guide(loc=0.4, scale=0.7)
    y = one_hot([0, 2, 1, 1], K)
    torch.manual_seed(0)
    found = log_weights(model, guide, X, y if labelled else None, samples=5)
    assert found.joint.shape == found.image.shape == (5, len(X))
    torch.manual_seed(0)
    if not labelled:
        uniform = dist.OneHotCategorical(logits=torch.zeros(5, len(X), K, dtype=torch.double))
        y = uniform.sample()
    z = torch.normal(torch.full((5, len(X), 1), 0.4).double(), torch.tensor(0.7).double())
    image = log_bernoulli(X, y @ LOGITS + 1.5 * z)
    zero, one = torch.zeros(1).double(), torch.ones(1).double()
    log_p = (y * CLASS_LOGITS).sum(-1) + log_normal(z, zero, one)
    log_q = log_normal(z, 0.4 * one, 0.7 * one) - (0.0 if labelled else math.log(K))
    torch.testing.assert_close(found.image, image, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.joint, image + log_p - log_q, rtol=1e-6, atol=1e-6)


# The importance-weighted bound


class Coin(nn.Module):
    """A mixture of two products of Bernoullis whose log p(x) is a sum of two terms."""

    probs = torch.tensor([[0.9, 0.8, 0.1], [0.2, 0.3, 0.6]])

    def forward(self, x, y=None) -> None:
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", dist.OneHotCategorical(torch.full((2,), 0.5)), obs=y)
            pyro.sample("x", dist.Bernoulli(y @ self.probs).to_event(1), obs=x)

    def log_evidence(self, x):
        each = log_bernoulli(x[:, None], torch.logit(self.probs)) - math.log(2)
        return each.logsumexp(-1)


class CoinGuide(nn.Module):
    def forward(self, x, y=None) -> None:
        with pyro.plate("data", len(x)):
            if y is None:
                probs = torch.tensor([0.7, 0.3]).expand(len(x), 2)
                pyro.sample("y", dist.OneHotCategorical(probs), infer={"enumerate": "parallel"})


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


def test_iwae_sums_out_what_the_model_enumerates() -> None:
    model = models.GaussianMixture(4, 3)
    guide, x = guides.GaussianMixture(model), X.float()
    assert iwae(model, guide, x, samples=2) == pytest.approx(elbo(model, guide, x), rel=1e-5)


@pytest.mark.parametrize("measure", [
    lambda *pair: iwae(*pair, X.float(), samples=3),
    lambda *pair: class_posteriors(*pair, X.float(), K)["elbo"].tolist(),
    lambda *pair: log_weights(*pair, X.float(), samples=3).joint.tolist(),
])
def test_weights_are_those_of_evaluation(measure) -> None:
    torch.manual_seed(0)
    model = models.M2(4, K, z_dim=2, hidden=(5,))
    guide = guides.M2(model, hidden=(5,), label_inference=Relaxed())
    found = []
    for mode in (True, False):
        model.train(mode)
        guide.train(mode)
        torch.manual_seed(1)
        found.append(measure(model, guide))
        assert model.training is guide.training is guide.labels.training is mode
    assert found[0] == found[1]


def test_weights_are_scaled_and_masked_as_the_bound_is() -> None:
    def weights(wrapped) -> Tensor:
        torch.manual_seed(0)
        return log_weights(wrapped(Model(1.0)), wrapped(Guide()), X, samples=2).joint

    whole = weights(lambda program: program)
    torch.testing.assert_close(weights(lambda p: poutine.scale(p, scale=0.1)), 0.1 * whole)
    some = torch.tensor([True, False, True, False])
    torch.testing.assert_close(weights(lambda p: poutine.mask(p, mask=some)), some * whole)
