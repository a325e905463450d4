"""KL weights where the model sums a variable out that the guide knows nothing of."""

from __future__ import annotations

from typing import Any

import pyro
import pytest
import torch
from pyro import distributions as dist
from pyro.nn import PyroModule
from torch import Tensor, nn

from pyro_ssvae import InputError, Objective, TraceEnumKL_ELBO
from pyro_ssvae.inference.bounds import elbo_terms
from pyro_ssvae.inference.programs import private_params

X = torch.rand(5, 4, generator=torch.Generator().manual_seed(0))
Y = torch.eye(3)[[0, 1, 2, 0, 1]]
PARALLEL = {"enumerate": "parallel"}


class Model(PyroModule):
    """p(y) p(c) p(z | c) p(x | z), or p(x | z, c), with c of two values that make no difference."""

    def __init__(self, *, summed: bool = True, seen: bool = False) -> None:
        super().__init__()
        self.decoder, self.summed, self.seen = nn.Linear(2, 4), summed, seen

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.OneHotCategorical(logits=x.new_zeros(3)), obs=y)
            shift = x.new_zeros(())
            if self.summed:
                c = pyro.sample("c", dist.Categorical(logits=x.new_zeros(2)), infer=PARALLEL)
                shift = 0.0 * c
            loc = shift.unsqueeze(-1).expand(*shift.shape, 2)
            z = pyro.sample("z", dist.Normal(loc, 1.0).to_event(1))
            mean = self.decoder(z) + (shift.unsqueeze(-1) if self.seen else 0.0)
            pyro.sample("x", dist.Normal(mean, 1.0).to_event(1), obs=x)


class Guide(PyroModule):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.classifier = nn.Linear(4, 2), nn.Linear(4, 3)

    def classify(self, x: Tensor) -> Any:
        return dist.OneHotCategorical(logits=self.classifier(x))

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", len(x)):
            if y is None:
                pyro.sample("y", self.classify(x), infer=PARALLEL)
            pyro.sample("z", dist.Normal(self.encoder(x), 0.5).to_event(1))


def pair(**options: bool) -> tuple[Model, Guide]:
    torch.manual_seed(0)
    return Model(**options), Guide()


def loss(beta: float, **options: bool) -> Tensor:
    objective = Objective(*pair(**options), alpha=1.0, beta=beta, kl="sampled")
    torch.manual_seed(1)
    return objective.bound(X, Y)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 3.0])
def test_a_prior_that_is_summed_out_is_weighed_as_one_that_is_not(beta: float) -> None:
    torch.testing.assert_close(loss(beta), loss(beta, summed=False))


def test_the_divergence_is_that_from_the_prior_that_is_summed_out() -> None:
    terms = []
    for summed in (True, False):
        torch.manual_seed(1)
        terms.append(elbo_terms(*pair(summed=summed), X, Y, kl="sampled"))
    assert terms[0].keys() == {"x", "y", "z"} and terms[0]["z"].latent
    torch.testing.assert_close(terms[0]["z"].value, terms[1]["z"].value)


@pytest.mark.parametrize("weights", [{"beta": 0.5}, {"warmup": 3.0}])
def test_a_divergence_within_the_sum_of_a_likelihood_has_no_weight(weights: Any) -> None:
    objective = Objective(*pair(seen=True), alpha=1.0, **weights)
    with pytest.raises(InputError, match=r"KL divergence of 'z', which is part of 'c\+x\+z'"):
        objective.bound(X, Y, epoch=1.0)
    Objective(*pair(seen=True), alpha=1.0).bound(X, Y, epoch=1.0)


def test_the_elbo_of_pyros_kind_refuses_such_a_weight_too() -> None:
    elbo = TraceEnumKL_ELBO(max_plate_nesting=1, kl_weights={"z": 0.5})
    with private_params():
        with pytest.raises(InputError, match="expected weight 1 of the KL divergence of 'z'"):
            elbo.differentiable_loss(*pair(seen=True), X, Y)
        elbo.differentiable_loss(*pair(), X, Y)
