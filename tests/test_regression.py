"""Semi-supervised regression: Kingma et al. (2014), eqs. 2 to 9, with a normal y, by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from by_hand import (
    assert_same,
    bias_of,
    dense,
    derived_bound,
    kl_standard_normal,
    log_bernoulli,
    log_normal,
    log_standard_normal,
    normal_parameters,
    weight_of,
    with_noise,
)
from torch import Tensor

from pyro_ssvae import EarlyStopping, InputError, Objective, fit, guides, models, negative_elbo
from pyro_ssvae import pair as pair_of
from pyro_ssvae.contract import Batch
from pyro_ssvae.data import Dataset, from_arrays, load
from pyro_ssvae.evaluation.evaluate import elbo, evaluate, predictions
from pyro_ssvae.experiments import runs
from pyro_ssvae.experiments.compare import compare
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.nn import Normal
from pyro_ssvae.targets import Number

N, D, J = 6, 7, 3


@pytest.fixture
def pair() -> tuple[models.Regression, guides.Regression]:
    torch.manual_seed(0)
    model = models.Regression(D, z_dim=J, hidden=(5,)).double()
    return model, guides.Regression(model, hidden=(5, 4)).double()


@pytest.fixture
def x() -> Tensor:
    torch.manual_seed(1)
    return torch.bernoulli(torch.full((N, D), 0.5, dtype=torch.double))


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.double)


def linear(examples: int = 300) -> Dataset:
    """A number that is a sum of features, far from 0 and in large units, and a little noise."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(examples, 4))
    y = 500 + 20 * (x @ [1.0, -2.0, 0.5, 0.0] + 0.1 * rng.normal(size=examples))
    return from_arrays(x, y, name="linear", kind="standardised")


# The equations


def test_the_labelled_bound_is_eq_6_with_a_normal_y(pair, x) -> None:
    model, guide = pair
    y, eps = noise(N, 1), noise(N, J)
    loc, scale = normal_parameters(guide.encoder, x, y)
    z = loc + scale * eps
    by_hand = -(
        log_bernoulli(x, dense(model.decoder, z, y)) + log_standard_normal(y)
        + log_standard_normal(z) - log_normal(z, loc, scale)
    ).mean()
    assert_same(derived_bound(model, with_noise(guide, z=eps), x, y), by_hand, model, guide)


def unlabelled_parts(
    model: models.Regression, guide: guides.Regression, x: Tensor, of_y: Tensor, of_z: Tensor
) -> tuple[Tensor, ...]:
    """The samples of y and z and the moments of their posteriors, y from its own noise."""
    y_loc, y_scale = normal_parameters(guide.regressor, x)
    y = y_loc + y_scale * of_y
    z_loc, z_scale = normal_parameters(guide.encoder, x, y)
    return y, z_loc + z_scale * of_z, y_loc, y_scale, z_loc, z_scale


def test_the_unlabelled_bound_samples_y_and_passes_its_gradient(pair, x) -> None:
    model, guide = pair
    of_y, of_z = noise(N, 1), noise(N, J)
    y, z, y_loc, y_scale, z_loc, z_scale = unlabelled_parts(model, guide, x, of_y, of_z)
    by_hand = -(
        log_bernoulli(x, dense(model.decoder, z, y))
        + log_standard_normal(y) - log_normal(y, y_loc, y_scale)
        + log_standard_normal(z) - log_normal(z, z_loc, z_scale)
    ).mean()
    derived = derived_bound(model, with_noise(guide, y=of_y, z=of_z), x)
    assert_same(derived, by_hand, model, guide)


def test_both_divergences_are_taken_in_closed_form(pair, x) -> None:
    model, guide = pair
    of_y, of_z = noise(N, 1), noise(N, J)
    y, z, y_loc, y_scale, z_loc, z_scale = unlabelled_parts(model, guide, x, of_y, of_z)
    by_hand = -(
        log_bernoulli(x, dense(model.decoder, z, y))
        - kl_standard_normal(y_loc, y_scale) - kl_standard_normal(z_loc, z_scale)
    ).mean()
    derived = negative_elbo(model, with_noise(guide, y=of_y, z=of_z), x)
    assert_same(derived, by_hand, model, guide)


def test_the_loss_adds_minus_the_log_density_of_the_number(pair, x) -> None:
    model, guide = pair
    y = noise(N, 1)
    objective = Objective(model, guide, labelled=0.0, unlabelled=0.0, alpha=3.0)
    loss = objective(Batch(x, y, x))
    by_hand = -log_normal(y, *normal_parameters(guide.regressor, x)).mean()
    assert loss.terms.keys() == {"classification"}
    torch.testing.assert_close(loss.terms["classification"], by_hand.detach())
    assert_same(loss.total, 3.0 * by_hand, guide.regressor)


def test_the_elbo_is_below_the_evidence_of_a_linear_model() -> None:
    torch.manual_seed(0)
    model = models.Regression(D, z_dim=J, hidden=(), likelihood=Normal(0.5)).double()
    guide = guides.Regression(model, hidden=(5,)).double()
    x = noise(200, D)
    with evaluating(model, guide), torch.no_grad():
        w = torch.cat([weight_of(model.decoder, input=0), weight_of(model.decoder, input=1)], 1)
        covariance = w @ w.T + 0.25 * torch.eye(D)
        normal = torch.distributions.MultivariateNormal(bias_of(model.decoder), covariance)
        evidence = normal.log_prob(x).mean().item()
        bound = elbo(model, guide, x)
        for _ in range(3):
            assert elbo(model, guide, x) < evidence
    assert bound < evidence


# What it is trained and asked with


def test_smoothing_is_refused_for_there_are_no_classes(pair) -> None:
    with pytest.raises(InputError, match="smoothing=0.1 spreads a label .* use smoothing=0"):
        Objective(*pair, alpha=1.0, smoothing=0.1)
    assert pair_of("regression").takes("alpha") and not pair_of("regression").takes("smoothing")


def test_data_of_classes_and_pairs_of_classes_are_refused() -> None:
    with pytest.raises(InputError, match="regression infers a real number, got digits .* use m2"):
        pair_of("regression").on(load("digits"))
    with pytest.raises(InputError, match="m2 infers classes, got linear .* use regression"):
        pair_of("m2").on(linear())


def test_a_pair_without_y_is_trained_on_numbers() -> None:
    split = linear().split(20)
    objective, how = pair_of("vae").on(split, hidden=(5,), z_dim=2)
    (epoch,) = fit(objective, split, epochs=1, **how)
    assert epoch.validation.keys() == {"elbo"}


def test_a_frame_with_gaps_and_numbers_partly_unknown_is_trained_on() -> None:
    rng = np.random.default_rng(0)
    width, place = rng.normal(size=100), rng.integers(2, size=100)
    y = np.where(np.arange(100) % 2 == 0, 3 * width + place, np.nan)
    frame = pandas.DataFrame({
        "width": np.where(np.arange(100) % 5 == 0, np.nan, width),
        "place": np.array(["hill", "sea"])[place],
    })
    dataset = from_arrays(frame, y, name="houses")
    split = dataset.split(20)
    objective, how = pair_of("regression").on(split, hidden=(5,), z_dim=2)
    (epoch,) = fit(objective, split, epochs=1, **how)
    assert epoch.validation.keys() == {"rmse", "nll", "elbo"}
    assert len(split.unlabelled) == 100 - 10 - 20 - 5  # without test, labels and validation


def trained(split, epochs: int = 12, **options):
    torch.manual_seed(0)
    objective, how = pair_of("regression").on(
        split, **{"hidden": (16,), "z_dim": 2, "likelihood": "normal:0.5", "lr": 1e-2} | options
    )
    return objective, list(fit(objective, split, epochs=epochs, capture="off", **how))


def test_a_short_training_lowers_the_error_in_the_units_of_the_number() -> None:
    split = linear().split(40)
    objective, epochs = trained(split)
    first, last = (epoch.validation["rmse"] for epoch in (epochs[0], epochs[-1]))
    spread = split.dataset.y.std().item()
    assert last < 0.6 * first and last < 0.6 * spread
    x, _ = split.part("test")
    named = split.target.named(predictions(objective.guide, split.target, x))
    truth = split.dataset.y[split.test].numpy()
    assert np.sqrt(np.mean((np.array(named) - truth) ** 2)) < 0.6 * spread


def test_the_metrics_of_a_number_take_the_place_of_those_of_a_class() -> None:
    split = linear().split(40)
    objective, _ = trained(split, epochs=1)
    result = evaluate(objective.model, objective.guide, split)
    scored = {name for name, value in result.items() if value is not None}
    assert {"rmse", "nll", "coverage", "r2", "elbo", "iwae", "kl_y", "kl_z"} <= scored
    assert scored.isdisjoint({"accuracy", "brier", "ece", "leakage", "accuracy_elbo"})
    assert result["elbo"] <= result["iwae"]


def test_early_stopping_keeps_the_weights_of_the_lowest_error() -> None:
    split = linear().split(20)
    torch.manual_seed(0)
    objective, how = pair_of("regression").on(split, hidden=(16,), z_dim=2, lr=3e-2)
    stopping = EarlyStopping(patience=50)
    epochs = fit(objective, split, epochs=8, stopping=stopping, capture="off", **how)
    errors = [epoch.validation["rmse"] for epoch in epochs]
    assert -stopping.best == min(errors) and stopping.best_epoch == 1 + errors.index(min(errors))
    x, y = split.part("validation")
    found = split.target.validation(predictions(objective.guide, split.target, x), y)
    assert found["rmse"] == pytest.approx(min(errors), rel=1e-9)


def test_a_run_is_kept_with_its_figures_and_predicts_the_same_when_read_back(
    tmp_path: Path
) -> None:
    split = linear().split(20)
    options = {"hidden": (5,), "z_dim": 2}
    metrics = runs.train("regression", split, tmp_path / "run", options=options, epochs=2)
    figures = {path.stem for path in (tmp_path / "run" / "figures").iterdir()}
    assert figures == {"learning_curves", "latent", "regression"}
    run = runs.load(tmp_path / "run", dataset=split.dataset)
    assert run.split.target == split.target
    assert runs.test_metrics(run)["rmse"] == pytest.approx(metrics["test"]["rmse"], rel=1e-6)


def test_a_comparison_has_its_columns_its_references_and_its_figures(tmp_path: Path) -> None:
    result = compare(
        ["regression", "vae"], linear(120), tmp_path / "out", labels=20, seeds=1, epochs=1,
        options={"hidden": (5,), "z_dim": 2},
    )
    head, _, *rows = [line for line in result.table.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in head.split("|")[1:-1]] == [
        "model", "NLL", "RMSE", "90 % interval %", "ELBO", "IWAE", "seconds",
    ]
    assert [row.split("|")[1].strip() for row in rows] == [
        "regression", "vae", "KernelRidge", "MLPRegressor",
    ]
    assert result.table.count("predicts no distribution") == 2
    page = result.report.read_text()
    assert "Test RMSE of every run" in page and "Validation RMSE: mean and range" in page
    assert "central 90 % interval, against the true number" in page


def test_diabetes_has_ten_standardised_features_and_a_real_number() -> None:
    dataset = load("diabetes")
    assert (dataset.x.shape, dataset.target) == ((442, 10), Number())
    assert (dataset.y.min(), dataset.y.max()) == (25, 346)
    torch.testing.assert_close(dataset.x.mean(0), torch.zeros(10), atol=1e-5, rtol=0)
    torch.testing.assert_close(dataset.x.std(0, correction=0), torch.ones(10))
    split = dataset.split(20, seed=1)
    _, y = split.part("labelled")
    assert y.mean().item() == pytest.approx(0, abs=1e-6)
    assert math.sqrt(y.square().mean().item()) == pytest.approx(1, rel=1e-5)
