"""Labels as users of scikit-learn have them: masked, in columns, as objects, of a wrong shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score
from sklearn.model_selection import cross_val_score

from pyro_ssvae import InputError
from pyro_ssvae.estimators import (
    LabelledKFold,
    SemiSupervisedVAEClassifier,
    SemiSupervisedVAERegressor,
)

RNG = np.random.default_rng(0)
N = 90
CLASS = np.arange(N) % 3
KNOWN = np.arange(N) % 2 == 0
X = RNG.normal(size=(N, 4)) * 0.3
X[np.arange(N), CLASS] += 2.0
FEW: dict[str, Any] = {"epochs": 3, "lr": 2e-2, "hidden": (16,), "random_state": 0}
SEVERAL = pd.DataFrame({"a": CLASS == 0, "b": CLASS > 0, "c": CLASS == 2}).astype(int)


def classifier(**changes: Any) -> SemiSupervisedVAEClassifier:
    return SemiSupervisedVAEClassifier(**FEW | changes)


def regressor(**changes: Any) -> SemiSupervisedVAERegressor:
    return SemiSupervisedVAERegressor(**FEW | changes)


@pytest.fixture(scope="module")
def of_several() -> SemiSupervisedVAEClassifier:
    return classifier(method="factored", epochs=20).fit(X, SEVERAL)


def test_masked_labels_are_unknown() -> None:
    masked = np.ma.array(CLASS, mask=~KNOWN)
    assert len(classifier().fit(X, masked).split_.labelled) == KNOWN.sum()
    numbers = np.ma.array(X.sum(1), mask=~KNOWN)
    assert len(regressor().fit(X, numbers).split_.labelled) == KNOWN.sum()
    tested = [test for _, test in LabelledKFold(3).split(X, masked)]
    assert np.sort(np.concatenate(tested)).tolist() == np.flatnonzero(KNOWN).tolist()


@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
@pytest.mark.parametrize("form", [lambda y: y[:, None], lambda y: pd.DataFrame({"y": y})])
def test_folds_of_a_column_are_stratified_as_those_of_its_values(form: Any) -> None:
    y = np.where(KNOWN, np.sort(CLASS), -1)
    folds = [test.tolist() for _, test in LabelledKFold(3).split(X, y)]
    assert [test.tolist() for _, test in LabelledKFold(3).split(X, form(y))] == folds
    assert all(set(y[test]) == {0, 1, 2} for test in folds)


def test_folds_of_fewer_rows_than_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        next(LabelledKFold(3).split(X[:10], CLASS))


@pytest.mark.parametrize("unknown", [None, np.nan, pd.NA, -1])
def test_classes_among_objects_have_their_own_type(unknown: Any) -> None:
    y = np.array([int(k) if known else unknown for k, known in zip(CLASS, KNOWN)], dtype=object)
    model = classifier(abstain_below=1.0).fit(X, y)
    assert model.classes_.dtype.kind == "i"
    assert (model.predict(X) == -1).all()  # an abstention from whole numbers
    assert 0 <= accuracy_score(CLASS, classifier().fit(X, y).predict(X)) <= 1


def test_booleans_of_pandas_are_classes() -> None:
    y = pd.Series(CLASS == 0, dtype="boolean").mask(~KNOWN)
    model = classifier().fit(X, y)
    assert model.classes_.tolist() == [False, True] and model.predict(X).dtype == bool


def test_real_numbers_among_objects_are_no_classes() -> None:
    with pytest.raises(InputError, match="continuous"):
        classifier().fit(X, [value if known else None for value, known in zip(X[:, 0], KNOWN)])


def test_the_score_knows_several_labels_by_their_names(of_several) -> None:
    assert of_several.score(X, SEVERAL) > 0.8
    assert of_several.score(X, SEVERAL[["c", "a", "b"]]) == of_several.score(X, SEVERAL)


@pytest.mark.parametrize("y, message", [
    (SEVERAL[["a", "b"]], "expected the labels a, b, c"),
    (SEVERAL.to_numpy()[:, :2], "expected class_names|expected labels"),
    (CLASS, "expected labels"),
    (np.full((N, 3), -1), "known"),
])
def test_a_score_by_other_than_several_labels_is_refused(of_several, y: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        of_several.score(X, y)


def test_a_score_by_several_of_one_label_is_refused() -> None:
    with pytest.raises(InputError, match="expected one class a row"):
        classifier().fit(X, CLASS).score(X, SEVERAL)
    with pytest.raises(InputError, match="expected a number for each example"):
        regressor().fit(X, X.sum(1)).score(X, X[:, :2])


@pytest.mark.parametrize("y", [[], [np.inf], [np.nan], [[1.0], [2.0]]])
def test_rows_of_no_number_are_refused(y: Any) -> None:
    with pytest.raises(InputError, match="expected finite numbers"):
        regressor(epochs=1).fit(X, X.sum(1)).sample(y)


@pytest.mark.parametrize("y", [[], [[0, 1], [1, 0]]])
def test_rows_of_no_class_are_refused(y: Any) -> None:
    with pytest.raises(InputError, match="expected a class for each row"):
        classifier(epochs=1).fit(X, CLASS).sample(y)


def test_samples_are_of_numbers_to_their_last_digits() -> None:
    model = regressor(epochs=5)
    by = {far: model.fit(X, far + X[:, 0]).sample(far + X[:4, 0]) for far in (0.0, 2.0**31)}
    assert by[0.0] == pytest.approx(by[2.0**31], rel=1e-3)


@pytest.mark.parametrize("fraction", [0, None, 1.0, "some"])
def test_a_share_of_no_rows_is_refused_where_training_is_to_stop_by_them(fraction: Any) -> None:
    with pytest.raises(InputError, match="validation_fraction between 0 and 1"):
        classifier(early_stopping=True, validation_fraction=fraction).fit(X, CLASS)
    classifier(early_stopping=False, validation_fraction=fraction).fit(X, CLASS)


@pytest.mark.parametrize("parameters, message", [
    ({"device": None}, "expected a device"), ({"scaling": None}, "scaling"),
    ({"n_iter_no_change": "a"}, "n_iter_no_change"), ({"n_iter_no_change": 0}, "n_iter_no_change"),
])
def test_parameters_of_no_use_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        classifier(**parameters).fit(X, CLASS)


@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
def test_cross_validation_of_a_column_scores_as_that_of_its_values() -> None:
    y, folds = np.where(KNOWN, np.sort(CLASS), -1), LabelledKFold(2)
    one, other = (
        cross_val_score(classifier(), X, form, cv=folds) for form in (y, pd.DataFrame({"y": y}))
    )
    assert one == pytest.approx(other)


def test_classes_that_no_array_holds_stay_objects() -> None:
    y = np.empty(N, dtype=object)
    y[:] = [((1, 2), (2, 3), (3, 4))[k] for k in CLASS]
    model = classifier().fit(X, y)
    assert model.classes_.tolist() == [(1, 2), (2, 3), (3, 4)] and 0 <= model.score(X, y) <= 1
