import math

import pyro
import pytest
import torch
from torch import Tensor, nn

from pyro_ssvae import InputError, Objective, guides, models
from pyro_ssvae.contract import Batch
from pyro_ssvae.evaluation.evaluate import elbo_parts
from pyro_ssvae.inference.feng import Capacity, Swap
from pyro_ssvae.inference.terms import Term


def test_total_is_the_weighted_sum_of_its_terms(pair, batch) -> None:
    weights = {"labelled": 0.5, "unlabelled": 2.0, "alpha": 7.0}
    total, terms = Objective(*pair, **weights)(batch)
    assert terms.keys() == {"labelled", "unlabelled", "classification"}
    expected = 0.5 * terms["labelled"] + 2 * terms["unlabelled"] + 7 * terms["classification"]
    torch.testing.assert_close(total.detach(), expected)


def test_terms_are_detached_and_total_is_not(pair, batch) -> None:
    total, terms = Objective(*pair, alpha=1.0)(batch)
    assert total.requires_grad
    assert not any(term.requires_grad for term in terms.values())


@pytest.mark.parametrize("weight", ["labelled", "unlabelled", "alpha"])
def test_a_term_of_weight_zero_is_left_out(pair, batch, weight) -> None:
    weights = {"labelled": 1.0, "unlabelled": 1.0, "alpha": 1.0} | {weight: 0.0}
    terms = Objective(*pair, **weights)(batch).terms
    assert {"alpha": "classification"}.get(weight, weight) not in terms
    assert len(terms) == 2


def test_the_weights_are_one_flat_dictionary(pair) -> None:
    terms = {"mine": Term(one, weight=3.0), "capacity_z": Capacity("z", 5.0, weight=4.0)}
    objective = Objective(*pair, labelled=0.5, alpha=2.0, terms=terms)
    assert objective.weights == {
        "labelled": 0.5, "unlabelled": 1.0, "beta": 1.0, "classification": 2.0, "mine": 3.0,
        "capacity_z": 4.0,
    }


def test_a_weight_that_is_changed_has_its_effect(pair, batch) -> None:
    objective = Objective(*pair, terms={"mine": Term(one, weight=0.0)})
    assert "mine" not in objective(batch).terms
    objective.weights.update(labelled=0.0, unlabelled=0.0, mine=7.0)
    total, terms = objective(batch)
    assert terms.keys() == {"mine"} and total == 7


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_a_weight_is_changed_to_a_finite_number_of_at_least_zero(pair, value) -> None:
    objective = Objective(*pair)
    with pytest.raises(InputError, match=f"expected a finite beta >= 0, got {value}"):
        objective.weights["beta"] = value
    assert objective.weights["beta"] == 1.0


def test_a_weight_that_there_is_not_is_refused(pair) -> None:
    objective = Objective(*pair)
    with pytest.raises(InputError, match="unknown weight 'labeled': .*did you mean 'labelled'"):
        objective.weights["labeled"] = 2.0
    with pytest.raises(InputError, match="got a deletion of beta: set it to 0"):
        objective.weights.pop("beta")


def test_weights_do_not_depend_on_the_size_of_a_batch(pair, batch) -> None:
    # The classification term has no noise: the mean over a batch that is repeated is the same.
    objective = Objective(*pair, labelled=0.0, unlabelled=0.0, alpha=1.0)
    twice = Batch(batch.x.repeat(2, 1), batch.y.repeat(2, 1), batch.u)
    torch.testing.assert_close(objective(batch).total, objective(twice).total)


@pytest.mark.parametrize("labelled", [True, False])
def test_beta_weighs_the_kl_of_z_and_nothing_else(pair, batch, labelled) -> None:
    y = batch.y if labelled else None
    torch.manual_seed(2)
    parts = elbo_parts(*pair, batch.x, y)
    torch.manual_seed(2)
    loss = Objective(*pair, beta=0.25).bound(batch.x, y).item()
    expected = -parts["reconstruction"] + 0.25 * parts["kl_z"] + parts["kl_y"]
    assert loss == pytest.approx(expected, rel=1e-5)


def test_warmup_raises_beta_linearly_from_zero(pair) -> None:
    objective = Objective(*pair, beta=2.0, warmup=4.0)
    assert [objective.kl_weight(e) for e in (0, 1, 2, 4, 5, math.inf)] == [0, 0.5, 1, 2, 2, 2]


def test_beta_is_constant_without_warmup(pair) -> None:
    assert Objective(*pair, beta=0.5).kl_weight(0) == 0.5


def test_forward_uses_the_warmup(pair, batch) -> None:
    objective = Objective(*pair, unlabelled=0.0, warmup=10.0)
    torch.manual_seed(3)
    cold = objective(batch, epoch=0).total
    torch.manual_seed(3)
    parts = elbo_parts(*pair, batch.x, batch.y)
    expected = -parts["reconstruction"] + parts["kl_y"]
    assert cold.item() == pytest.approx(expected, rel=1e-5)


def test_classification_loss_needs_a_classifier() -> None:
    model = models.VAE(4)
    with pytest.raises(InputError, match="alpha=3.*VAE's guide has no classify: use alpha=0"):
        Objective(model, guides.VAE(model), alpha=3)


@pytest.mark.parametrize(
    "weight", ["labelled", "unlabelled", "alpha", "beta", "warmup"]
)
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_weights_are_finite_and_not_negative(pair, weight, value) -> None:
    with pytest.raises(InputError, match=f"expected a finite {weight} >= 0, got {value}"):
        Objective(*pair, **{weight: value})


def test_something_must_have_weight(pair, batch) -> None:
    nothing = {"labelled": 0.0, "unlabelled": 0.0, "alpha": 0.0}
    parts = {"swap": Swap(), "capacity_y": Capacity("y", 1.0), "mine": Term(one, weight=0.0)}
    with pytest.raises(InputError, match="expected a positive weight among labelled, unlabelled"):
        Objective(*pair, **nothing, terms=parts)
    objective = Objective(*pair, **nothing, terms={"mine": Term(one)})
    assert objective(batch).total == 1
    objective.weights["mine"] = 0.0
    with pytest.raises(InputError, match="expected a positive weight among"):
        objective(batch)


def one(model, guide, batch: Batch, epoch) -> Tensor:
    return torch.ones(())


def test_shared_parameters_are_counted_once() -> None:
    model = models.Supervised(4, 3)
    parameters = list(Objective(model, guides.Supervised(model)).parameters())
    assert len(parameters) == len(list(model.parameters()))


def test_global_parameter_store_is_left_alone(pair, batch) -> None:
    pyro.clear_param_store()
    Objective(*pair, alpha=1.0)(batch).total.backward()
    assert not list(pyro.get_param_store().keys())


def test_plain_modules_that_call_pyro_module_are_pairs_too(batch) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(2, 4)

        def forward(self, x, y=None) -> None:
            pyro.module("model", self)
            with pyro.plate("data", len(x)):
                normal = pyro.distributions.Normal(torch.zeros(2), 1.0).to_event(1)
                z = pyro.sample("z", normal)
                pyro.sample("x", pyro.distributions.Normal(self.net(z), 1.0).to_event(1), obs=x)

    class Guide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(4, 2)

        def forward(self, x, y=None) -> None:
            pyro.module("guide", self)
            with pyro.plate("data", len(x)):
                pyro.sample("z", pyro.distributions.Normal(self.net(x), 1.0).to_event(1))

    objective = Objective(Model(), Guide())
    objective(batch).total.backward()
    assert all(p.grad is not None for p in objective.parameters())


@pytest.mark.parametrize("wrong, message", [
    ({"y": torch.arange(6)}, r"one-hot labels y of shape \(6, K\), got \(6,\)"),
    ({"y": torch.eye(3)}, r"one-hot labels y of shape \(6, K\), got \(3, 3\)"),
    ({"u": torch.rand(8, 5)}, r"x and u with examples of one shape, got .*\(8, 5\)"),
    ({"x": torch.rand(6, 2, 2)}, r"x and u with examples of one shape, got \(6, 2, 2\)"),
])
def test_shapes_that_disagree_are_named(pair, batch, wrong, message) -> None:
    with pytest.raises(InputError, match=message):
        Objective(*pair)(batch._replace(**wrong))
