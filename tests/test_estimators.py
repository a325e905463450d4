"""The estimators as scikit-learn has estimators: its own checks, grids, pipelines, pickles."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyro
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

import pyro_ssvae
from pyro_ssvae import InputError, guides, models, pair
from pyro_ssvae.estimators import (
    LabelledKFold,
    SemiSupervisedVAEClassifier,
    SemiSupervisedVAERegressor,
)

FEW: dict[str, Any] = {"epochs": 4, "lr": 2e-2, "hidden": (16,), "random_state": 0}
CLASSIFIER = SemiSupervisedVAEClassifier(**FEW)
REGRESSOR = SemiSupervisedVAERegressor(**FEW)
EXPECTED = {
    SemiSupervisedVAEClassifier: {
        "check_classifiers_classes": "it has -1 for a class, which is the mark of an unknown label,"
        " as in scikit-learn's semi-supervised classifiers, which it leaves out by their names",
    },
    SemiSupervisedVAERegressor: {},
}
X, Y = load_iris(return_X_y=True)
SEEN = np.where(np.arange(150) % 5 == 0, Y, -1)


@parametrize_with_checks(
    [CLASSIFIER, REGRESSOR], expected_failed_checks=lambda estimator: EXPECTED[type(estimator)]
)
def test_it_is_an_estimator(estimator: Any, check: Any) -> None:
    if "check_regressors_train" in repr(check):  # which asks for an R² above 1/2
        estimator.set_params(epochs=25, hidden=(32,))
    check(estimator)


@pytest.mark.parametrize("name", [
    "check_classifiers_multilabel_representation_invariance",
    "check_classifiers_multilabel_output_format_predict",
    "check_classifiers_multilabel_output_format_predict_proba",
])
def test_with_a_pair_of_several_labels_it_is_a_multilabel_classifier(name: str) -> None:
    several = SemiSupervisedVAEClassifier("factored", **FEW)
    assert several.__sklearn_tags__().classifier_tags.multi_label
    assert not CLASSIFIER.__sklearn_tags__().classifier_tags.multi_label
    getattr(estimator_checks, name)("SemiSupervisedVAEClassifier", several)


@pytest.fixture(scope="module")
def fitted() -> SemiSupervisedVAEClassifier:
    return SemiSupervisedVAEClassifier(**FEW | {"epochs": 20}).fit(X, SEEN)


def test_the_package_has_them() -> None:
    assert pyro_ssvae.SemiSupervisedVAEClassifier is SemiSupervisedVAEClassifier
    assert pyro_ssvae.SemiSupervisedVAERegressor is SemiSupervisedVAERegressor


def test_it_learns_from_few_labels(fitted: SemiSupervisedVAEClassifier) -> None:
    assert fitted.score(X, Y) > 0.85
    assert len(fitted.split_.labelled) == 30 and len(fitted.history_) == 20


def test_options_of_the_pair_are_parameters() -> None:
    model = SemiSupervisedVAEClassifier(alpha=5.0, **{"guide.hidden": (7,)})
    assert model.get_params()["alpha"] == 5.0
    assert clone(model).get_params() == model.get_params()
    again = pickle.loads(pickle.dumps(model)).set_params(alpha=7.0, z_dim=3, epochs=1)
    assert (again.epochs, again.get_params()["alpha"], again.get_params()["z_dim"]) == (1, 7.0, 3)
    assert model.get_params()["alpha"] == 5.0
    assert "guide.hidden" in repr(model)
    fitted = again.fit(X, SEEN)
    assert fitted.objective_.weights["classification"] == 7.0
    assert fitted.objective_.model.z_dim == 3


def test_a_grid_searches_options_that_it_was_made_without() -> None:
    base = SemiSupervisedVAEClassifier(**FEW | {"epochs": 2})
    grid = GridSearchCV(base, {"alpha": [0.0, 20.0], "epochs": [2]}, cv=LabelledKFold(2))
    grid.fit(X, SEEN)
    assert set(grid.best_params_) == {"alpha", "epochs"}
    assert np.isfinite(grid.cv_results_["mean_test_score"]).all()
    assert grid.best_estimator_.get_params()["alpha"] == grid.best_params_["alpha"]


def test_weights_of_rows_are_routed_to_the_score() -> None:
    model = SemiSupervisedVAEClassifier(**FEW | {"epochs": 2})
    first = np.arange(150) < 75  # the rows that count: those of later ones have no weight
    with config_context(enable_metadata_routing=True):
        scored = cross_validate(
            model.set_score_request(sample_weight=True), X, SEEN, cv=LabelledKFold(2),
            params={"sample_weight": first.astype(float)}, return_estimator=True,
            return_indices=True,
        )
    for score, fitted, test in zip(
        scored["test_score"], scored["estimator"], scored["indices"]["test"]
    ):
        assert score == fitted.score(X[test[first[test]]], SEEN[test[first[test]]])


def test_an_unknown_option_is_refused_by_fit() -> None:
    with pytest.raises(InputError, match="unknown option of m2 'alpa': .* did you mean 'alpha'"):
        SemiSupervisedVAEClassifier(alpa=1.0).fit(X, SEEN)


def test_cross_validation_scores_known_labels_alone() -> None:
    model = make_pipeline(StandardScaler(), SemiSupervisedVAEClassifier(**FEW | {"epochs": 10}))
    assert cross_val_score(model, X, SEEN, cv=2).min() > 0.5
    scores = cross_val_score(model, X, SEEN, cv=LabelledKFold(2), scoring="roc_auc_ovr")
    assert scores.min() > 0.8


@pytest.mark.parametrize("y", [
    SEEN, np.where(SEEN < 0, np.nan, SEEN), np.array([None, "a", "b", "c"])[SEEN + 1],
    np.where(SEEN < 0, np.nan, np.sin(np.arange(150))), np.stack([SEEN, SEEN], 1) % 2 * 2 - 1,
], ids=["numbers", "with-gaps", "texts", "real", "several"])
def test_folds_are_of_labelled_rows_and_train_on_all_others(y: np.ndarray) -> None:
    folds = list(LabelledKFold(3, shuffle=True, random_state=0).split(X, y))
    tested = np.concatenate([test for _, test in folds])
    known = np.flatnonzero(SEEN >= 0) if y.ndim == 1 else np.arange(150)
    if y.ndim == 2:
        known = np.flatnonzero((y != -1).any(1))
    assert sorted(tested) == known.tolist()
    for train, test in folds:
        assert sorted([*train, *test]) == list(range(150))


@pytest.mark.parametrize(("y", "stratify"), [
    (np.where(SEEN < 0, np.nan, np.arange(150.0)), False), (np.arange(150) % 4 - 1, False),
    (np.array([None if SEEN[i] < 0 else i + 0.5 for i in range(150)], dtype=object), None),
], ids=["whole-numbers-with-gaps", "with-minus-one", "objects"])
def test_folds_of_real_numbers_have_each_that_is_known_once(
    y: np.ndarray, stratify: bool | None
) -> None:
    tested = [row for _, test in LabelledKFold(5, stratify=stratify).split(X, y) for row in test]
    known = [i for i in range(150) if y[i] is not None and y[i] == y[i]]
    assert sorted(tested) == known
    small_ones = clone(REGRESSOR).set_params(epochs=1)
    cv = LabelledKFold(2, stratify=stratify)
    assert np.isfinite(cross_val_score(small_ones, X, y, cv=cv)).all()


def test_folds_of_numbers_that_are_none_are_refused() -> None:
    y = np.array(["a", "b"] * 75)
    with pytest.raises(InputError, match="number"):
        list(LabelledKFold(5, stratify=False).split(X, y))


@pytest.mark.parametrize("estimator", [CLASSIFIER, REGRESSOR])
def test_a_score_of_other_numbers_of_rows_is_refused(estimator: Any) -> None:
    model = clone(estimator).set_params(epochs=1).fit(X, SEEN)
    for rows, weights in ((4, None), (5, np.ones(4))):
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            model.score(X[:5], Y[:rows], sample_weight=weights)


def test_training_depends_on_the_seed_alone(fitted: SemiSupervisedVAEClassifier) -> None:
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    torch.rand(3)
    again = clone(fitted).fit(X, SEEN)
    other = clone(fitted).set_params(random_state=1, epochs=1).fit(X, SEEN)
    clone(other).set_params(random_state=None).fit(X, SEEN)
    assert (again.predict_proba(X) == fitted.predict_proba(X)).all()
    assert (other.predict_proba(X) != fitted.predict_proba(X)).any()
    torch.set_rng_state(states[0])
    assert (np.random.get_state()[1] == states[1]).all()


def test_the_global_random_state_is_left_alone(fitted: SemiSupervisedVAEClassifier) -> None:
    before = torch.get_rng_state()
    clone(fitted).set_params(random_state=None, epochs=1).fit(X, SEEN).score_samples(X[:2])
    fitted.sample([0, 1])
    assert (torch.get_rng_state() == before).all()


def test_a_pickle_predicts_without_the_rows(fitted: SemiSupervisedVAEClassifier) -> None:
    again = pickle.loads(pickle.dumps(fitted))
    assert not hasattr(again, "split_") and hasattr(fitted, "split_")
    assert (again.predict_proba(X) == fitted.predict_proba(X)).all()
    assert np.shape(again.sample([0, 1])) == (2, 4)


def test_latent_means_can_be_a_frame(fitted: SemiSupervisedVAEClassifier) -> None:
    frame = clone(fitted).set_output(transform="pandas").set_params(epochs=1).fit_transform(X, SEEN)
    assert list(frame.columns)[0] == "semisupervisedvaeclassifier0"
    assert frame.shape == (150, 4)


@pytest.mark.parametrize("method", [
    pair("vade"), (models.M2, guides.M2), "pyro_ssvae.recipes:missing", 3,
], ids=["pair", "classes", "place", "number"])
def test_a_method_is_a_pair_in_any_form(method: Any) -> None:
    model = SemiSupervisedVAEClassifier(method, **FEW | {"epochs": 1})
    if isinstance(method, (str, int)):
        with pytest.raises(InputError, match="expected"):
            model.fit(X, SEEN)
    else:
        assert clone(model).fit(X, SEEN).predict(X).shape == (150,)


ONE_LABEL = [
    "adgm", "adversarialm2", "dirichletm2", "factored", "gaussianmixture", "latentclassifier", "m1",
    "m1m2", "sdgm", "splitlatent", "supervised", "untapped", "vade",
]


@pytest.mark.parametrize("name", ONE_LABEL)
def test_every_pair_that_infers_classes_is_a_classifier(name: str) -> None:
    options = {"scaling": "unit"} if name == "untapped" else {}
    model = SemiSupervisedVAEClassifier(name, epochs=1, random_state=0, **options).fit(X, SEEN)
    probs = model.predict_proba(X)
    assert probs.shape == (150, 3) and np.allclose(probs.sum(1), 1) and (probs >= 0).all()
    if name not in ("supervised", "gaussianmixture"):
        assert model.reconstruct(X[:3]).shape == (3, 4)
        assert np.isfinite(model.transform(X[:3])).all()
    else:
        with pytest.raises(InputError, match=f"transform: {name} infers no z"):
            model.transform(X[:3])
    if name not in ("supervised", "m1"):
        assert np.isfinite(model.sample([0, 1, 2, 2])).all()


def test_a_pair_without_labels_is_refused() -> None:
    with pytest.raises(InputError, match="expected a pair that predicts y, got vae"):
        SemiSupervisedVAEClassifier("vae", epochs=1).fit(X, SEEN)
    with pytest.raises(InputError, match="regression infers a real number"):
        SemiSupervisedVAEClassifier("regression", epochs=1).fit(X, SEEN)


@pytest.mark.parametrize("value", [90, -0.1, "0.9", np.nan])
def test_a_threshold_that_is_no_probability_is_refused_by_fit(value: Any) -> None:
    with pytest.raises(InputError, match="abstain_below as a probability in .0, 1. or None, got"):
        clone(CLASSIFIER).set_params(abstain_below=value).fit(X, SEEN)


def test_the_logarithms_of_probabilities_are_theirs(fitted: SemiSupervisedVAEClassifier) -> None:
    np.testing.assert_allclose(fitted.predict_log_proba(X), np.log(fitted.predict_proba(X)))


def test_a_single_label_makes_a_single_row(fitted: SemiSupervisedVAEClassifier) -> None:
    np.testing.assert_array_equal(fitted.sample(1), fitted.sample([1]))
    regressor = clone(REGRESSOR).set_params(epochs=1).fit(X, Y.astype(float))
    assert regressor.sample(0.5).shape == (1, 4)


def test_options_that_were_given_are_attributes() -> None:
    model = SemiSupervisedVAEClassifier(alpha=1.0)
    assert model.alpha == 1.0
    model.alpha = 50.0
    assert clone(model).get_params()["alpha"] == 50.0
    with pytest.raises(AttributeError, match="no attribute 'z_dim'"):
        model.z_dim


def test_a_fit_that_fails_leaves_nothing_behind(fitted: SemiSupervisedVAEClassifier) -> None:
    model = pickle.loads(pickle.dumps(fitted))
    assert model.predict(X[:2]).shape == (2,)
    with pytest.raises(InputError, match="alpa"):
        model.set_params(alpa=3.0).fit(100 * X, SEEN)
    with pytest.raises(NotFittedError):
        model.predict(X[:2])


def test_threads_take_turns(fitted: SemiSupervisedVAEClassifier) -> None:
    bounds, weights = fitted.score_samples(X), next(fitted.objective_.parameters())

    def asked(number: int) -> bool:
        if number % 4:
            return np.array_equal(fitted.score_samples(X), bounds)
        again = clone(fitted).fit(X, SEEN)
        return torch.equal(next(again.objective_.parameters()), weights)

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(asked, range(8)))
    assert not pyro.poutine.runtime._PYRO_STACK
