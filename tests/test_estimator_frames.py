"""Frames and arrays with gaps in an estimator: what it gives back is of the kind that it took."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pyro_ssvae import InputError
from pyro_ssvae.estimators import SemiSupervisedVAEClassifier

RNG = np.random.default_rng(0)
N = 120
CLASS = np.arange(N) % 3
X = RNG.normal(size=(N, 3)) * 0.3
X[np.arange(N), CLASS] += 5.0
GAPS = RNG.random(X.shape) < 0.1
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])
SIZES = pd.CategoricalDtype([3, 2, 1, 7])
MIXED = FRAME.assign(flag=CLASS > 0, size=pd.Categorical(CLASS + 1, dtype=SIZES))
FEW: dict[str, Any] = {"epochs": 20, "lr": 2e-2, "hidden": (16,), "random_state": 0}


def classifier(**changes: Any) -> SemiSupervisedVAEClassifier:
    return SemiSupervisedVAEClassifier(**FEW | changes)


@pytest.fixture(scope="module")
def of_mixed() -> SemiSupervisedVAEClassifier:
    partly = MIXED.mask(RNG.random(MIXED.shape) < 0.1).astype({"size": SIZES})
    return classifier().fit(partly, CLASS)


def test_gaps_are_filled_in_their_own_rows() -> None:
    frame = FRAME.mask(GAPS).sample(frac=1, random_state=0)
    model = classifier(epochs=60).fit(frame, CLASS[frame.index])
    filled = frame.fillna(model.reconstruct(frame)).sort_index()  # pandas goes by the index
    error = np.abs(filled.to_numpy() - X)[GAPS].mean()
    assert error < 0.5 * np.abs(X - X.mean(0))[GAPS].mean()


def test_reconstructions_are_taken_as_further_rows(of_mixed: SemiSupervisedVAEClassifier) -> None:
    made = of_mixed.reconstruct(MIXED)
    assert made["flag"].dtype == bool and made["size"].dtype == SIZES
    assert (made[["flag", "size"]] == MIXED[["flag", "size"]]).to_numpy().mean() > 0.9
    assert (of_mixed.predict(made) == CLASS).mean() > 0.9


def test_gaps_of_categories_can_be_filled(of_mixed: SemiSupervisedVAEClassifier) -> None:
    gaps = MIXED.copy()
    gaps.loc[::5, "size"] = None
    filled = gaps.fillna(of_mixed.reconstruct(gaps))
    assert not filled.isna().any().any() and (filled["size"] == MIXED["size"]).mean() > 0.9


def test_samples_have_the_levels_themselves(of_mixed: SemiSupervisedVAEClassifier) -> None:
    drawn = of_mixed.sample([0, 1, 2])
    assert set(drawn["size"]) <= {1, 2, 3, 7} and drawn["flag"].dtype == bool


def test_a_rare_number_of_an_array_with_gaps_is_taken() -> None:
    counts = np.where(GAPS, np.nan, (X > 2).astype(float))
    model = classifier(epochs=2).fit(counts, CLASS)
    assert model.predict(np.full((1, 3), 2.0)) in (0, 1, 2)


def test_a_column_of_an_array_that_is_all_gaps_is_left_out() -> None:
    gone = np.where(GAPS, np.nan, X)
    gone[:, 1] = np.nan
    model = classifier(epochs=2).fit(gone, CLASS)
    assert np.isnan(model.reconstruct(gone)).all(0).tolist() == [False, True, False]


def test_an_estimator_of_an_array_with_gaps_is_asked_about_a_frame() -> None:
    array = np.where(GAPS, np.nan, X)
    model = classifier(epochs=2).fit(array, CLASS)
    with pytest.warns(UserWarning, match="X has feature names"):
        answers = model.predict_proba(FRAME.mask(GAPS))
    assert answers == pytest.approx(model.predict_proba(array))


def test_masked_entries_are_gaps() -> None:
    masked, gone = np.ma.array(np.where(GAPS, 1e9, X), mask=GAPS), np.where(GAPS, np.nan, X)
    model, same = (classifier(epochs=2).fit(rows, CLASS) for rows in (masked, gone))
    assert model.predict_proba(masked) == pytest.approx(same.predict_proba(gone))


def test_errors_name_the_rows_of_the_whole_frame(of_mixed: SemiSupervisedVAEClassifier) -> None:
    rows = pd.concat([MIXED] * 50, ignore_index=True).astype({"flag": float})
    rows.loc[5_555, "flag"] = 3.0
    with pytest.raises(InputError, match="got 3 in row 5555"):
        of_mixed.predict(rows)


def test_categories_of_false_and_true_come_back_as_such() -> None:
    frame = FRAME.assign(flag=pd.Categorical(CLASS > 0))
    made = classifier(epochs=2).fit(frame, CLASS).reconstruct(frame)
    assert made["flag"].dtype == frame["flag"].dtype
