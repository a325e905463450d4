"""What goes wrong silently in semi-supervised VAEs on Pyro, and does not here."""

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, TraceEnum_ELBO
from pyro.poutine.enum_messenger import EnumMessenger

from pyro_ssvae import guides, models, zoo
from pyro_ssvae.data import load


def enumerated(program) -> poutine.Trace:
    return poutine.trace(EnumMessenger(first_available_dim=-2)(program))


@pytest.fixture
def pair() -> tuple[models.M2, guides.M2]:
    torch.manual_seed(0)
    model = models.M2(4, 3, z_dim=2, hidden=(5,))
    return model, guides.M2(model, hidden=(5,))


@pytest.mark.parametrize("name", zoo.names())
def test_model_and_guide_share_no_key_of_the_parameter_store(name) -> None:
    # Two modules with equally named children would share parameters under pyro.optim: the
    # second's would never move.
    dataset = load("digits")
    objective = zoo.build(name, dataset, zoo.resolve(name, dataset, {}))
    elbo = TraceEnum_ELBO(max_plate_nesting=1, strict_enumeration_warning=False)
    with pyro.get_param_store().scope():
        svi = SVI(objective.model, objective.guide, pyro.optim.Adam({}), elbo)
        svi.step(dataset.x[:2], torch.eye(dataset.classes)[dataset.y[:2]])
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
