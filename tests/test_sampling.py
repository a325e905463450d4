"""Examples drawn from a model, given a label."""

from __future__ import annotations

from typing import Any

import pyro
import pytest
import small
import torch
from pyro import distributions as dist
from torch import Tensor
from torch.nn import functional as F

from pyro_ssvae import InputError, models
from pyro_ssvae.inference import sampling
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.labels import OneHots

X = torch.zeros(400, 2)


def label_first(x: Tensor, y: Tensor | None = None) -> None:
    """p(y) p(x | y), where x says the class."""
    with pyro.plate("data", len(x)):
        y = pyro.sample("y", dist.OneHotCategorical(x.new_tensor([0.2, 0.3, 0.5])), obs=y)
        mean = y @ x.new_tensor([[0.0, 5], [1, 5], [2, 5]])
        pyro.sample("x", dist.Normal(mean, 0.01).to_event(1), obs=x)


def latent_first(x: Tensor, y: Tensor | None = None) -> None:
    """p(z) p(y | z) p(x | y, z), where x says the class and z."""
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(x.new_zeros(1), 1.0).to_event(1))
        logits = torch.cat([50 * z, -50 * z, torch.full_like(z, -1e4)], -1)
        y = pyro.sample("y", dist.OneHotCategorical(logits=logits), obs=y)
        mean = torch.stack([y @ x.new_tensor([0.0, 1, 2]), z.squeeze(-1)], -1)
        pyro.sample("x", dist.Normal(mean, 0.01).to_event(1), obs=x)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_draws_are_of_the_label_that_is_given(k: int) -> None:
    x = sampling.drawn(label_first, X, torch.eye(3)[k])
    assert x.shape == X.shape and ((x[:, 0] - k).abs() < 0.1).all()


def test_what_the_model_draws_before_a_label_is_of_the_label_too() -> None:
    x = sampling.drawn(latent_first, X, torch.eye(3)[1])
    assert x.shape == X.shape and ((x[:, 0] - 1).abs() < 0.1).all()
    assert (x[:, 1] < 0.2).all()  # z given the class, and not z of the prior


@pytest.mark.parametrize("model", [label_first, latent_first])
def test_each_example_may_have_a_label_of_its_own(model: Any) -> None:
    k = torch.arange(len(X)) % 2
    x = sampling.drawn(model, X, torch.eye(3)[k])
    assert ((x[:, 0] - k).abs() < 0.1).all()


def test_rows_of_a_class_are_drawn_by_bayes_rule_where_y_follows_z() -> None:
    torch.manual_seed(0)
    model = models.LatentClassifier(4, 2, z_dim=1, hidden=(5,))
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4)
    like, y = torch.zeros(3_000, 4), F.one_hot(torch.tensor(1), 2).float().expand(3_000, -1)
    with evaluating(model):
        drawn = sampling.drawn(model, like, y).mean(0)
        z = torch.randn(100_000, 1)
        share = model.classifier(z).probs[:, 1]
        means = model.decoder(z, y[:1].expand(len(z), -1)).mean
    expected = (share.unsqueeze(1) * means).mean(0) / share.mean()
    assert (means.mean(0) - expected).abs().max() > 0.05  # p(z) alone is told apart
    assert torch.allclose(drawn, expected, atol=0.04)


def test_a_label_that_is_not_drawn_is_refused_in_the_end() -> None:
    with pytest.raises(InputError, match=r"400 draws of the label, got 0 in 80,000.*ask for fewer"):
        sampling.drawn(latent_first, X, torch.eye(3)[2])


def test_without_a_label_the_model_draws_it() -> None:
    shares = sampling.drawn(label_first, X)[:, 0].round().long().bincount() / len(X)
    torch.testing.assert_close(shares, torch.tensor([0.2, 0.3, 0.5]), atol=0.1, rtol=0)


def test_a_mean_has_no_noise_of_x() -> None:
    x = sampling.drawn(label_first, X, torch.eye(3)[2], value=sampling.mean)
    assert torch.equal(x, torch.tensor([2.0, 5.0]).expand(400, 2))


def test_labels_that_are_not_asked_for_are_drawn() -> None:
    asked: list[Tensor] = []

    class Noting(models.Factored):
        def forward(self, x: Tensor, y: Tensor | None = None) -> None:
            with pyro.plate("data", len(x)):
                y = pyro.sample("y", self.prior(x))
                asked.append(y)
                pyro.sample("x", dist.Normal(x, 1.0).to_event(1), obs=x)

    y = torch.tensor([torch.nan, torch.nan, 0, 1])
    sampling.drawn(Noting(2, (2, 2), **small.SIZES), X, y)
    assert (asked[-1][:, 2:] == y[2:]).all() and 100 < asked[-1][:, 0].sum() < 300


@pytest.mark.parametrize(("model", "y", "message"), [
    (models.Supervised(2, 3, hidden=()), None, "Supervised has no model of x, and draws none"),
    (models.VAE(2, z_dim=1, hidden=()), torch.eye(3)[0], "VAE's model has no label to draw x of"),
])
def test_models_that_cannot_draw_it_say_so(model: Any, y: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sampling.drawn(model, X, y)


def test_labels_that_are_not_given_are_drawn_where_y_is_not_the_first_site() -> None:
    def model(x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(x.new_zeros(1), 1.0).to_event(1))
            logits = torch.cat([z, -z, 0 * z, 0 * z], -1)
            y = pyro.sample("y", OneHots(logits, (2, 2)), obs=y)
            pyro.sample("x", dist.Normal(y, 0.01).to_event(1), obs=x)

    torch.manual_seed(0)
    nan = torch.nan
    made = sampling.drawn(model, torch.zeros(300, 4), torch.tensor([nan, nan, 0.0, 1.0]))
    assert ((made[:, 3] - 1).abs() < 0.1).all()
    assert 0.3 < made[:, 0].mean() < 0.7
