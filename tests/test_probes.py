"""What the latent space holds, in guides where it is known."""

import math
from collections.abc import Callable

import pyro
import pytest
import torch
from pyro import distributions as dist
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import guides, models, nn, probes
from pyro_ssvae.data import from_arrays
from pyro_ssvae.evaluation import evaluating
from pyro_ssvae.probes import active_units, leakage, mutual_information


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


class Guide(PyroModule):
    """z from x as told."""

    def __init__(self, of: Callable[[Tensor], dist.Distribution]) -> None:
        super().__init__("guide")
        self.of = of

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", self.of(x))


def normal(slope: float, scale: float) -> Guide:
    return Guide(lambda x: dist.Normal(slope * x, scale).to_event(1))


def test_a_posterior_that_is_the_prior_knows_nothing_of_x() -> None:
    x = torch.randn(200, 3, dtype=torch.float64)
    assert mutual_information(normal(0.0, 1.0), x) == pytest.approx(0.0, abs=1e-12)


def test_narrow_posteriors_far_apart_tell_every_x() -> None:
    x = torch.arange(200, dtype=torch.float64)[:, None]
    assert mutual_information(normal(1.0, 0.01), x) == pytest.approx(math.log(200))


def test_groups_of_equal_posteriors_tell_the_group() -> None:
    x = torch.arange(200, dtype=torch.float64)[:, None] % 8
    assert mutual_information(normal(1.0, 0.01), x) == pytest.approx(math.log(8))


def test_a_channel_with_gaussian_noise_has_its_capacity() -> None:
    # I = log(1 + signal / noise) / 2, for each of two dimensions; several chunks of rows.
    x = torch.randn(3_000, 2, dtype=torch.float64)
    found = mutual_information(normal(2.0, 1.5), x)
    assert found == pytest.approx(math.log(1 + (2 / 1.5) ** 2), abs=0.08)


def test_no_more_examples_are_used_than_said(monkeypatch) -> None:
    monkeypatch.setattr(probes, "EXAMPLES", 50)
    x = torch.arange(200, dtype=torch.float64)[:, None]
    assert mutual_information(normal(1.0, 0.01), x) == pytest.approx(math.log(50))


def test_an_invertible_map_of_z_leaves_the_mutual_information_as_it_is() -> None:
    x = torch.randn(300, 2)
    base, flow = nn.Normal(2, (), 3), nn.posterior(2, (), 3, flows=2)
    flow.base = base
    for parameter in flow.parameters():
        parameter.data.normal_(std=0.5)
    found = []
    for network in (base, flow):
        torch.manual_seed(1)
        with torch.no_grad():
            found.append(mutual_information(Guide(network), x))
    assert found[0] > 0.5
    assert found[1] == pytest.approx(found[0], rel=1e-4)


def test_a_point_mass_has_no_mutual_information() -> None:
    point = Guide(lambda x: dist.Delta(x, event_dim=1))
    assert mutual_information(point, torch.rand(5, 2)) is None


def test_a_guide_that_reads_y_is_given_one_that_it_infers() -> None:
    class ReadsY(PyroModule):
        def forward(self, x, y=None) -> None:
            with pyro.plate("data", len(x)):
                if y is None:
                    y = pyro.sample("y", dist.OneHotCategorical(logits=100 * x))
                pyro.sample("z", dist.Normal(10 * y, 0.1).to_event(1))

    x = torch.eye(4, dtype=torch.float64).repeat(25, 1)
    assert mutual_information(ReadsY(), x) == pytest.approx(math.log(4))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_units_that_vary_with_x_are_active(count) -> None:
    x = torch.randn(500, 3, dtype=torch.float64)
    slopes = torch.tensor([1.0 if i < count else 0.0 for i in range(3)], dtype=torch.float64)
    guide = Guide(lambda x: dist.Normal(slopes * x + 5.0, 1.0).to_event(1))
    assert active_units(guide, x) == count


def test_a_unit_is_active_above_a_variance_of_a_hundredth() -> None:
    x = torch.tensor([[1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    slopes = torch.tensor([0.0999, 0.1001], dtype=torch.float64)
    guide = Guide(lambda x: dist.Normal(slopes * x, 1.0).to_event(1))
    assert active_units(guide, x) == 1


def test_units_of_a_flow_are_counted_from_samples() -> None:
    model = models.VAE(3, z_dim=2, hidden=(4,))
    guide = guides.VAE(model, hidden=(), flows=1)
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.zero_()
        guide.encoder.base.network.first[0].weight[0, 0] = 3.0
        guide.encoder.base.network.first[0].bias[2:] = -5.0
    assert active_units(guide, torch.randn(400, 3)) == 1


class Encoder(PyroModule):
    """A guide whose z is a linear map of x, one that reads y, or one that reads nothing."""

    def __init__(self, what: str) -> None:
        super().__init__("guide")
        self.what = what

    def forward(self, x, y=None) -> None:
        with pyro.plate("data", len(x)):
            z = {"x": x, "y": y, "nothing": torch.zeros_like(x)}[self.what]
            pyro.sample("z", dist.Normal(z, 1.0).to_event(1))


@pytest.mark.parametrize("what, low, high", [("x", 1, 1), ("y", 0, 0.6), ("nothing", 0, 0.6)])
def test_leakage_is_the_class_in_z_that_came_from_x(what, low, high) -> None:
    classes = torch.arange(400) % 2
    x = torch.nn.functional.one_hot(classes, 2).float()
    split = from_arrays(x, classes).split(labels=10)
    with evaluating():
        assert low <= leakage(Encoder(what), split) <= high
