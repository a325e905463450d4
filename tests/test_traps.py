"""What goes wrong silently in semi-supervised VAEs on Pyro, and does not here."""

from collections.abc import Callable

import pyro
import pytest
import small
import torch
from pyro import distributions as dist
from pyro import poutine
from pyro.infer import SVI, TraceEnum_ELBO
from pyro.poutine.enum_messenger import EnumMessenger
from torch.distributions import kl_divergence

from pyro_ssvae import Objective, guides, models
from pyro_ssvae.contract import Batch
from pyro_ssvae.engine.capture import Captured
from pyro_ssvae.experiments import pairs
from pyro_ssvae.inference import query
from pyro_ssvae.labels import OneHots, RelaxedOneHots
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.optimizers import adam
from pyro_ssvae.training.steps import Eager


def enumerated(program) -> poutine.Trace:
    return poutine.trace(EnumMessenger(first_available_dim=-2)(program))


@pytest.mark.parametrize("name", pairs.names())
def test_model_and_guide_share_no_key_of_the_parameter_store(name) -> None:
    # Two modules with equally named children would share parameters under pyro.optim: the
    # second's would never move.
    dataset = small.data_for(name)
    objective = pairs.pair(name).on(dataset)[0]
    elbo = TraceEnum_ELBO(max_plate_nesting=1, strict_enumeration_warning=False)
    with pyro.get_param_store().scope():
        svi = SVI(objective.model, objective.guide, pyro.optim.Adam({}), elbo)
        svi.step(dataset.x[:2], dataset.target.encode(dataset.y[:2], torch.float32))
        svi.step(dataset.x[:2])
        # A classifier that model and guide share has two keys and one tensor.
        stored = {value.data_ptr() for value in pyro.get_param_store().values()}
    adversary = getattr(objective.guide, "adversary", None)  # trained by a named term alone
    own = set() if adversary is None else {p.data_ptr() for p in adversary.parameters()}
    assert stored == {parameter.data_ptr() for parameter in objective.parameters()} - own


def test_classes_are_decoded_for_unlabelled_rows_only(pair) -> None:
    # pyro.sample(..., obs_mask=) would lose the enumeration; one batch of both would pay for K
    # decodes of the labelled rows too.
    model, guide = pair
    x, y = torch.rand(6, 4), torch.eye(3).repeat(2, 1)
    assert enumerated(guide).get_trace(x).nodes["z"]["value"].shape == (3, 6, 2)
    assert enumerated(guide).get_trace(x, y).nodes["z"]["value"].shape == (6, 2)


def test_enumerated_labels_are_not_tiled(pair) -> None:
    _, guide = pair
    trace = enumerated(guide).get_trace(torch.rand(6, 4))
    assert trace.nodes["y"]["value"].shape == (3, 1, 3)


def test_grey_pixels_pass_pyros_validation_and_others_do_not(pair) -> None:
    model, guide = pair
    elbo = TraceEnum_ELBO(max_plate_nesting=1)
    with pyro.validation_enabled(True):
        elbo.differentiable_loss(model, guide, torch.full((2, 4), 0.37))
        with pytest.raises(ValueError, match="within the support"):
            elbo.differentiable_loss(model, guide, torch.full((2, 4), 1.5))


def test_after_clearing_the_store_a_second_pair_trains_under_plain_svi() -> None:
    elbo = TraceEnum_ELBO(max_plate_nesting=1)
    with pyro.get_param_store().scope():
        for _ in range(2):
            pyro.clear_param_store()
            model = models.M2(4, 3, z_dim=2, hidden=(5,))
            guide = guides.M2(model, hidden=(5,))
            before = [p.detach().clone() for p in (*model.parameters(), *guide.parameters())]
            SVI(model, guide, pyro.optim.Adam({}), elbo).step(torch.rand(6, 4))
            after = (*model.parameters(), *guide.parameters())
            assert not any(torch.equal(a, b) for a, b in zip(before, after))


@pytest.mark.parametrize("name", pairs.names())
def test_no_guide_has_a_factor(name) -> None:
    # pyro.factor in a guide multiplies its gradient by (1 + loss): every site of a guide is one of
    # the model, and what is no bound is a named term outside the trace.
    dataset = small.data_for(name)
    objective = pairs.pair(name).on(dataset)[0]
    x = dataset.x[:2]
    assert query.sites(objective.guide, x) <= query.sites(objective.model, x)


def eager(objective: Objective, optimizer: torch.optim.Optimizer) -> Callable[[Batch], None]:
    step = Eager(objective, optimizer)
    return lambda batch: step(batch, Moment(0, 0, 1))


def captured(objective: Objective, optimizer: torch.optim.Optimizer) -> Callable[[Batch], None]:
    step = Captured(objective, optimizer, small.batch(), compile=False)
    return lambda batch: step(batch, 0.0)


@pytest.mark.parametrize("way", [eager, captured])
def test_weights_without_a_gradient_are_left_alone_by_the_optimizer(way) -> None:
    # With a second SVI for the classification loss, Adam's momentum would move the classifier on
    # batches without labels. Here a parameter without a gradient is not moved at all.
    objective, batch = small.m2(), small.batch()
    optimizer = adam(objective)

    def moved(parts: torch.nn.Module) -> bool:
        before = [parameter.detach().clone() for parameter in parts.parameters()]
        way(objective, optimizer)(batch)
        return any(not torch.equal(a, b) for a, b in zip(before, parts.parameters()))

    assert moved(objective.guide.classifier)  # and has momentum from here on
    objective.weights["unlabelled"] = objective.weights["classification"] = 0.0
    assert moved(objective.guide.encoder)
    assert not moved(objective.guide.classifier)


def test_the_concrete_density_would_bound_nothing_and_has_no_part() -> None:
    # At a low temperature its log-density grows without bound, and with it the "ELBO".
    labels = OneHots(torch.zeros(1, 3))
    cold = dist.RelaxedOneHotCategorical(
        torch.tensor(0.05), logits=torch.zeros(1, 3), validate_args=False
    )
    torch.manual_seed(0)
    densities = torch.stack([cold.log_prob(cold.rsample()) for _ in range(100)])
    assert (densities > 10).any()
    relaxed = RelaxedOneHots(labels, temperature=0.05)
    assert all(relaxed.log_prob(relaxed.rsample()) <= 1e-6 for _ in range(100))
    assert kl_divergence(relaxed, labels).abs() < 1e-6
