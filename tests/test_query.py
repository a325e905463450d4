import pytest
import torch

from pyro_ssvae import guides, models, query


@pytest.fixture
def pair() -> tuple[models.M2, guides.M2]:
    torch.manual_seed(0)
    model = models.M2(4, 3, z_dim=2, hidden=(5,))
    return model, guides.M2(model, hidden=(5,))


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
