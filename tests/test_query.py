import pyro
import small
import torch
from pyro import distributions as dist
from torch import Tensor

from pyro_ssvae import guides, models
from pyro_ssvae.evaluation.evaluate import elbo
from pyro_ssvae.inference import query
from pyro_ssvae.inference.programs import evaluation_mode

X, Y = torch.full((3, 4), 0.5), torch.eye(3)


def test_sites_are_the_random_variables_without_the_plate(pair) -> None:
    model, guide = pair
    assert query.sites(model, X, Y) == {"x", "y", "z"}
    assert query.sites(guide, X, Y) == {"z"}
    assert query.sites(guide, X) == {"y", "z"}


def test_site_is_the_distribution_or_none(pair) -> None:
    model, guide = pair
    fn = query.site(guide, "z", X, Y)
    torch.testing.assert_close(fn.mean, guide.encoder(X, Y).mean)
    assert query.site(guide, "x", X, Y) is None


def test_posterior_mean_is_that_of_z(pair) -> None:
    _, guide = pair
    torch.testing.assert_close(query.posterior_mean(guide, X, Y), guide.encoder(X, Y).mean)


def test_posterior_mean_of_an_unknown_y_is_over_the_classes(pair) -> None:
    _, guide = pair
    probs = guide.classify(X).probs
    each = [guide.encoder(X, Y[k].expand(3, 3)).mean for k in range(3)]
    expected = sum(probs[:, k:k + 1] * each[k] for k in range(3))
    torch.testing.assert_close(query.posterior_mean(guide, X), expected)


def test_posterior_weighs_the_components_by_class(pair) -> None:
    _, guide = pair
    log_weights, components = query.posterior(guide, X)
    assert log_weights.shape == components.batch_shape == (3, 1, 3)
    torch.testing.assert_close(log_weights[:, 0].T.exp(), guide.classify(X).probs)
    for k in range(3):
        torch.testing.assert_close(components.mean[k, 0], guide.encoder(X, Y[k].expand(3, 3)).mean)


def test_posterior_of_a_given_y_is_that_component(pair) -> None:
    _, guide = pair
    log_weights, components = query.posterior(guide, X, Y)
    assert torch.equal(log_weights, torch.zeros(1, 3))
    torch.testing.assert_close(components.mean[0], guide.encoder(X, Y).mean)


def test_the_weights_of_classes_and_samples_sum_to_one() -> None:
    torch.manual_seed(0)
    guide = guides.ADGM(models.ADGM(4, 3, z_dim=2, a_dim=2, hidden=(5,)), hidden=(5,))
    log_weights, components = query.posterior(guide, X)
    assert log_weights.shape == components.batch_shape == (3, 2 * query.PAIRS, 3)
    torch.testing.assert_close(log_weights.exp().sum((0, 1)), torch.ones(3))


def test_samples_of_a_normal_variable_come_in_opposite_pairs() -> None:
    def guide(x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", len(x)):
            a = pyro.sample("a", dist.Normal(x, 2.0).to_event(1))
            pyro.sample("z", dist.Normal(3 * a, 1.0).to_event(1))

    torch.testing.assert_close(query.posterior_mean(guide, X), 3 * X)
    spread = query.posterior(guide, X).components.mean.std(-3)
    assert (spread > 1.0).all()


def test_a_discrete_z_is_not_summed_out() -> None:
    def guide(x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.OneHotCategorical(logits=x))

    log_weights, components = query.posterior(guide, X)
    assert torch.equal(log_weights, torch.zeros(1, 3)) and components.batch_shape == (1, 3)


def test_evaluation_mode_puts_every_module_back(pair) -> None:
    model, guide = pair
    guide.encoder.eval()
    with evaluation_mode(model, guide, lambda: None):
        assert not any(m.training for m in [*model.modules(), *guide.modules()])
    assert model.training and guide.training and guide.classifier.training
    assert not any(m.training for m in guide.encoder.modules())


def test_some_rows_are_always_the_same_ones_and_in_order() -> None:
    chosen = query.some(100, 30)
    assert len(chosen.unique()) == 30 and torch.equal(chosen, chosen.sort().values)
    assert torch.equal(query.some(100, 30), chosen)
    assert chosen.max() > 80 and chosen.min() < 20
    assert torch.equal(query.some(100, 200), torch.arange(100))


def test_likelihood_takes_given_sites_and_samples_the_others(pair) -> None:
    model, _ = pair
    z = torch.randn(3, 2)
    fixed = query.likelihood(model, X, y=Y, z=z).mean
    torch.testing.assert_close(fixed, model.decoder(z, Y).mean)
    assert not torch.equal(query.likelihood(model, X, y=Y).mean, fixed)


def test_likelihood_does_not_read_x(pair) -> None:
    model, _ = pair
    z = torch.randn(3, 2)
    a, b = (query.likelihood(model, x, y=Y, z=z).mean for x in (X, torch.rand(3, 4)))
    assert torch.equal(a, b)


def test_what_is_asked_of_programs_in_training_is_answered_as_in_evaluation() -> None:
    split = small.split()
    objective = small.objective("m2", split, network="conv")
    model, guide, x = objective.model, objective.guide, split.part("test")[0][:6]

    def asked() -> list[Tensor]:
        torch.manual_seed(0)
        y, z = torch.eye(10)[:6], torch.zeros(6, model.z_dim)
        return [
            query.posterior_mean(guide, x), query.posterior(guide, x).log_weights.detach(),
            query.likelihood(model, x, y=y, z=z).mean, query.draw(model, x)[0].mean,
            query.site(guide, "y", x).probs.detach(), torch.tensor(elbo(model, guide, x)),
        ]

    before = {name: value.clone() for name, value in objective.state_dict().items()}
    in_training = asked()
    assert objective.training and all(module.training for module in objective.modules())
    assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())
    objective.eval()
    for found, expected in zip(in_training, asked(), strict=True):
        torch.testing.assert_close(found, expected)
