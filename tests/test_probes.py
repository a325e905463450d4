"""What the latent space holds, in guides where it is known."""

import math
from collections.abc import Callable

import pyro
import pytest
import small
import torch
from by_hand import bias_of, weight_of
from pyro import distributions as dist
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import guides, models, nn
from pyro_ssvae.data import Dataset, from_arrays
from pyro_ssvae.evaluation import probes
from pyro_ssvae.evaluation.probes import active_units, leakage, mutual_information
from pyro_ssvae.inference import query
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.labels import Relaxed


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


class Guide(PyroModule):
    """Draws z from x as told, and whatever else on the way."""

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


def test_a_scale_that_follows_x_tells_what_it_is() -> None:
    # z ~ N(0, 1) or N(0, 25): the mixture's entropy minus the mean of the two, on a grid.
    scales = torch.tensor([1.0, 5.0], dtype=torch.float64)
    grid = torch.linspace(-60, 60, 200_001, dtype=torch.float64)
    density = dist.Normal(0.0, scales[:, None]).log_prob(grid).exp().mean(0)
    entropy = -torch.trapezoid(torch.xlogy(density, density), grid)
    exact = entropy - (0.5 * math.log(2 * math.pi * math.e) + scales.log()).mean()
    guide = Guide(lambda x: dist.Normal(torch.zeros_like(x), x).to_event(1))
    found = mutual_information(guide, scales.repeat(2_000)[:, None])
    assert found == pytest.approx(exact.item(), abs=0.02)


def test_no_more_examples_are_used_than_said(monkeypatch) -> None:
    monkeypatch.setattr(probes, "EXAMPLES", 50)
    x = torch.arange(200, dtype=torch.float64)[:, None]
    assert mutual_information(normal(1.0, 0.01), x) == pytest.approx(math.log(50))


def test_an_invertible_map_of_z_leaves_the_mutual_information_as_it_is() -> None:
    x = torch.randn(300, 2)
    base, flow = nn.network("mlp", nn.Normal(), 2, 3, ()), nn.posterior("mlp", 2, 3, (), flows=2)
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


# z given what else the guide draws

EYE = torch.eye(4, dtype=torch.float64).repeat(25, 1)


def one_hot_y(x: Tensor, sharpness: float, how: str | None = "parallel") -> Tensor:
    labels = dist.OneHotCategorical(logits=sharpness * x)
    return pyro.sample("y", labels, infer={"enumerate": how})


def near(value: Tensor, scale: float = 0.1) -> dist.Distribution:
    return dist.Normal(10 * value, scale).to_event(1)


@pytest.mark.parametrize("how", ["parallel", None])
@pytest.mark.parametrize("sharpness, nats, units", [(0.0, 0.0, 0), (100.0, math.log(4), 4)])
def test_a_y_that_the_guide_draws_is_summed_out(how, sharpness, nats, units) -> None:
    guide = Guide(lambda x: near(one_hot_y(x, sharpness, how)))
    assert mutual_information(guide, EYE) == pytest.approx(nats, abs=1e-9)
    assert active_units(guide, EYE) == units


def test_a_y_that_is_noisy_tells_what_its_channel_does() -> None:
    # Right with probability 0.7, or each of the others with 0.1.
    guide = Guide(lambda x: near(one_hot_y(x, math.log(7))))
    x = EYE.repeat(10, 1)
    entropy = -(0.7 * math.log(0.7) + 3 * 0.1 * math.log(0.1))
    assert mutual_information(guide, x) == pytest.approx(math.log(4) - entropy, abs=0.1)


def test_the_posterior_mean_is_over_the_classes() -> None:
    guide = Guide(lambda x: near(one_hot_y(x, math.log(7))))
    expected = 10 * (0.1 + 0.6 * EYE)
    torch.testing.assert_close(query.posterior_mean(guide, EYE), expected)


@pytest.mark.parametrize("draw", [
    lambda x: near(pyro.sample("a", dist.Normal(torch.zeros_like(x), 1.0).to_event(1))),
    lambda x: near(pyro.sample("a", dist.Normal(torch.zeros_like(x), 1.0).to_event(1))
                   + one_hot_y(x, 0.0)),
])
def test_an_a_that_is_independent_of_x_tells_nothing_of_it(draw) -> None:
    assert mutual_information(Guide(draw), EYE) == pytest.approx(0.0, abs=1e-9)
    assert active_units(Guide(draw), EYE) == 0


def test_a_and_y_that_follow_x_tell_what_it_is() -> None:
    def draw(x: Tensor) -> dist.Distribution:
        a = pyro.sample("a", dist.Normal(x, 0.01).to_event(1))
        return near(one_hot_y(a, 1_000.0))

    assert mutual_information(Guide(draw), EYE) == pytest.approx(math.log(4))
    assert active_units(Guide(draw), EYE) == 4


def test_noise_of_a_is_noise_of_the_channel() -> None:
    # z = x + a's noise + its own: I = log(1 + signal / noise) / 2, and the estimate is not below.
    def draw(x: Tensor) -> dist.Distribution:
        return dist.Normal(pyro.sample("a", dist.Normal(x, 1.0).to_event(1)), 0.7).to_event(1)

    x = 2 * torch.randn(800, 1, dtype=torch.float64)
    exact = 0.5 * math.log(1 + 4 / (1 + 0.7**2))
    assert exact - 0.05 < mutual_information(Guide(draw), x) < exact + 0.15


def test_an_a_without_noise_that_can_be_shared_is_sampled_for_each_example() -> None:
    guide = Guide(lambda x: dist.Normal(
        pyro.sample("a", dist.Gamma(1e6, 1e6).expand(x.shape).to_event(1)) * x, 0.01).to_event(1))
    assert mutual_information(guide, EYE) == pytest.approx(math.log(4), abs=0.02)


def test_what_comes_after_z_has_no_part() -> None:
    class Classifies(PyroModule):
        def forward(self, x: Tensor, y: Tensor | None = None) -> None:
            with pyro.plate("data", len(x)):
                z = pyro.sample("z", near(x))
                pyro.sample("y", dist.OneHotCategorical(logits=z), infer={"enumerate": "parallel"})

    assert mutual_information(Classifies(), EYE) == pytest.approx(math.log(4))
    assert query.posterior(Classifies(), EYE).log_weights.shape == (1, len(EYE))


def test_more_values_than_can_be_summed_over_are_sampled(monkeypatch) -> None:
    monkeypatch.setattr(query, "VALUES", 3)
    guide = Guide(lambda x: near(one_hot_y(x, 100.0)))
    assert query.posterior(guide, EYE).log_weights.shape == (2 * query.PAIRS, len(EYE))
    assert mutual_information(guide, EYE) == pytest.approx(math.log(4), abs=1e-6)


def test_of_a_mixture_fewer_examples_are_taken(monkeypatch) -> None:
    # 20^2 * 4 densities.
    monkeypatch.setattr(probes, "DENSITIES", 1_600)
    monkeypatch.setattr(probes, "AT_ONCE", 7 * 80)
    x = torch.arange(100, dtype=torch.float64)[:, None] + torch.zeros(4)
    guide = Guide(lambda x: dist.Normal(x + 0 * one_hot_y(x, 0.0), 0.01).to_event(1))
    assert mutual_information(guide, x) == pytest.approx(math.log(20))


def test_examples_are_taken_from_all_over_the_data(monkeypatch) -> None:
    monkeypatch.setattr(probes, "EXAMPLES", 50)
    x = torch.cat([torch.zeros(200, 2), torch.eye(2).repeat(200, 1)])
    assert mutual_information(normal(10.0, 0.1), x) > 0.9
    assert active_units(normal(10.0, 0.1), x) == 2


def test_relaxed_labels_of_training_are_those_of_evaluation() -> None:
    model = models.M2(4, 4, z_dim=2, hidden=(5,))
    guide = guides.M2(model, hidden=(5,), label_inference=Relaxed())
    found = []
    for mode in (True, False):
        guide.train(mode)
        torch.manual_seed(1)
        found.append(mutual_information(guide, EYE.float()))
        assert guide.training is mode and guide.labels.training is mode
    assert found[0] == found[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_flows_are_measured_in_both_precisions(dtype) -> None:
    model = models.M2(4, 4, z_dim=2, hidden=(5,))
    guide = guides.M2(model, hidden=(5,), flows=2).to(dtype)
    assert mutual_information(guide, EYE.to(dtype)) >= 0


def test_a_map_of_z_that_depends_on_x_is_not_left_out() -> None:
    # z = x + noise: the map carries all the information.
    def draw(x: Tensor) -> dist.Distribution:
        noise = dist.Normal(torch.zeros_like(x), 0.01).to_event(1)
        return dist.TransformedDistribution(noise, [dist.transforms.AffineTransform(x, 1.0)])

    assert mutual_information(Guide(draw), EYE) == pytest.approx(math.log(4))


def test_any_distribution_with_a_density_is_measured() -> None:
    correlated = torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=torch.float64)
    x = torch.randn(1_000, 2, dtype=torch.float64) @ torch.linalg.cholesky(correlated).T
    guide = Guide(lambda x: dist.MultivariateNormal(x, covariance_matrix=correlated / 4))
    assert mutual_information(guide, x) == pytest.approx(math.log(5), abs=0.15)


# Units


def test_the_noise_of_samples_makes_no_unit_active() -> None:
    # A flow that has collapsed on the prior: its mean is one of 64 samples, the same for every x.
    flow = nn.posterior("mlp", 3, 2, (), flows=1)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.zero_()
        bias_of(flow)[2:] = math.log(math.e - 1)
    x = torch.randn(2_000, 3)
    assert query.posterior_mean(Guide(flow), x).var(0).max() < 1e-12
    assert active_units(Guide(flow), x) == 0


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
        weight_of(guide.encoder)[0, 0] = 3.0
        bias_of(guide.encoder)[2:] = -5.0
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


def sorted_data(classes: int) -> Dataset:
    """600 one-hot images, class after class; 60 of them, of every class, for testing."""
    y = torch.arange(600) * classes // 600
    x = torch.nn.functional.one_hot(y, 3).float()
    return Dataset("sorted", x, y, small.classes(classes), torch.arange(600)[::10], validation=10)


def test_the_probe_learns_from_all_classes_of_sorted_data(monkeypatch) -> None:
    monkeypatch.setattr(probes, "EXAMPLES", 60)
    with evaluating():
        assert leakage(Encoder("x"), sorted_data(3).split(9)) == 1


@pytest.mark.parametrize("labels, found", [(10, 1), ("all", None)])
def test_the_probe_learns_from_unlabelled_examples_of_known_classes_alone(labels, found) -> None:
    classes = torch.arange(400) % 2
    x = torch.nn.functional.one_hot(classes, 2).float()
    some = classes[:300].masked_fill(torch.arange(300) >= 60, -1)
    split = from_arrays(x[:300], some, test=(x[300:], classes[300:])).split(labels)
    with evaluating():
        assert leakage(Encoder("x"), split) == found


def test_a_single_class_leaks_nothing() -> None:
    assert leakage(Encoder("x"), sorted_data(1).split(9)) is None


def test_the_probe_is_not_judged_by_classes_that_nobody_knows() -> None:
    data = sorted_data(3)
    y = data.y.clone()
    y[[i for i in range(600) if i % 10 == 5]] = -1
    split = Dataset("some unknown", data.x, y, data.target, data.test, validation=10).split(9)
    assert (split.part("unlabelled")[1].isnan().any(-1)).any()
    with evaluating():
        assert leakage(Encoder("x"), split, "unlabelled") == 1


def test_no_chunk_of_examples_has_one_row(monkeypatch) -> None:
    """Of which it cannot be told whether a map of z depends on the example."""
    monkeypatch.setattr(probes, "CHUNK", 10)
    rows: list[int] = []
    of = probes._Mixture.of
    monkeypatch.setattr(
        probes._Mixture, "of", lambda guide, x: rows.append(len(x)) or of(guide, x)
    )
    x = torch.arange(21, dtype=torch.float64)[:, None]
    assert mutual_information(normal(1.0, 0.01), x) == pytest.approx(math.log(21))
    assert sum(rows) == 21 and min(rows) > 1


def test_active_units_are_told_by_two_samples_of_what_z_depends_on() -> None:
    """The mean of z is 0 for every x, and an estimate of it is a sample's, times x."""
    def draw(x: Tensor) -> dist.Distribution:
        a = pyro.sample("a", dist.Normal(torch.zeros_like(x), 1.0).to_event(1))
        return dist.Normal(x * (a**2 - 1), 0.1).to_event(1)

    x = 3 * torch.randn(500, 6, dtype=torch.float64)
    first, second = (query.posterior_mean(Guide(draw), x, seed=seed) for seed in (0, 1))
    assert not torch.equal(first, second)
    assert active_units(Guide(draw), x) < 6
