"""The references for real numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.kernel_ridge import KernelRidge
from sklearn.preprocessing import StandardScaler

from pyro_ssvae.data import Split, load
from pyro_ssvae.evaluation import regressors
from pyro_ssvae.evaluation.references import evaluate_reference, references


@pytest.fixture(scope="module")
def split() -> Split:
    return load("diabetes").split(20, seed=0)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that are trained for a moment."""
    every = regressors._candidates

    def candidates(name: str, features: int, kind: str) -> list:
        return [
            each.set_params(max_iter=20) if name == "MLPRegressor" else each
            for each in every(name, features, kind)
        ]

    monkeypatch.setattr(regressors, "_candidates", candidates)


def changed(split: Split, part: str) -> Split:
    """The same split with the numbers of a part turned around."""
    y = split.dataset.y.clone()
    y[getattr(split, part)] = 400 - y[getattr(split, part)]
    return replace(split, dataset=replace(split.dataset, y=y))


def test_they_are_the_references_of_real_numbers(split: Split) -> None:
    assert references(split.dataset) == regressors.NAMES == ("KernelRidge", "MLPRegressor")


def test_the_network_has_the_hidden_layers_that_pairs_have_on_such_data() -> None:
    hidden = {
        kind: {each.hidden_layer_sizes for each in regressors._candidates("MLPRegressor", 10, kind)}
        for kind in ("standardised", "")
    }
    assert hidden == {"standardised": {(64,)}, "": {(500,)}}


@pytest.mark.parametrize("name", regressors.NAMES)
def test_images_are_given_to_scikit_learn_as_their_pixels(name: str, split: Split) -> None:
    images = replace(split.dataset, x=split.dataset.x.reshape(-1, 1, 2, 5))
    found = evaluate_reference(name, replace(split, dataset=images))
    of_pixels = evaluate_reference(name, split)
    assert (found["options"], found["test"]) == (of_pixels["options"], of_pixels["test"])


def test_the_candidate_of_the_lowest_validation_error_is_scored_in_units(split: Split) -> None:
    x, y = split.dataset.x.numpy(), split.dataset.y.double().numpy()
    seen = np.concatenate([split.labelled, split.unlabelled])
    features = StandardScaler().fit(x[seen]).transform(x)
    labels = y[split.labelled]
    loc, scale = labels.mean(), labels.std()

    def error(fitted: KernelRidge, index: torch.Tensor) -> float:
        predicted = loc + scale * fitted.predict(features[index])
        return float(np.sqrt(np.mean((predicted - y[index]) ** 2)))

    fitted = [
        KernelRidge(kernel="rbf", gamma=g / 10, alpha=a).fit(
            features[split.labelled], (labels - loc) / scale
        )
        for g in (0.03, 0.1, 0.3, 1.0) for a in (0.01, 0.1, 1.0, 10.0)
    ]
    errors = [error(each, split.validation) for each in fitted]
    best = fitted[int(np.argmin(errors))]
    result = evaluate_reference("KernelRidge", split)
    assert result["options"] == repr(best)
    assert result["test"]["rmse"] == pytest.approx(error(best, split.test), rel=1e-4)
    # A normal around the prediction, as wide as the validation residuals are large.
    around = norm(loc + scale * best.predict(features[split.test]), min(errors))
    expected = -around.logpdf(y[split.test]).mean()
    assert result["test"]["nll"] == pytest.approx(expected, rel=1e-4)
    low, high = around.interval(0.9)
    inside = ((low <= y[split.test]) & (y[split.test] <= high)).mean()
    assert result["test"]["coverage"] == pytest.approx(inside)


@pytest.mark.parametrize("name", regressors.NAMES)
def test_unlabelled_and_test_numbers_choose_nothing(name: str, split: Split) -> None:
    expected = evaluate_reference(name, split)
    assert evaluate_reference(name, changed(split, "unlabelled"))["test"] == expected["test"]
    other = evaluate_reference(name, changed(split, "test"))
    assert other["options"] == expected["options"] and other["test"] != expected["test"]
