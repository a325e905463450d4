"""What the estimators take and give: texts, gaps, sparse rows, several labels, abstentions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array

from pyro_ssvae import InputError
from pyro_ssvae.estimators import (
    SemiSupervisedVAEClassifier,
    SemiSupervisedVAERegressor,
    inputs,
    rows,
    splitting,
)

RNG = np.random.default_rng(0)
N = 120
CLASS = np.arange(N) % 3
X = RNG.normal(size=(N, 4)) * 0.3 + 5.0
X[np.arange(N), CLASS] += 2.0
FEW: dict[str, Any] = {"epochs": 15, "lr": 2e-2, "hidden": (16,), "random_state": 0}
FRAME = pd.DataFrame({
    "age": 30 + 10 * CLASS + RNG.normal(size=N),
    "city": np.array(["lima", "oslo", "rome"])[CLASS],
    "always": "the same",
    "member": CLASS == 1,
}).mask(RNG.random((N, 4)) < 0.1)
TEXTS = pd.Series(np.array(["low", "middle", "high"])[CLASS]).mask(np.arange(N) % 2 == 0)


def classifier(**changes: Any) -> SemiSupervisedVAEClassifier:
    return SemiSupervisedVAEClassifier(**FEW | changes)


@pytest.fixture(scope="module")
def of_frame() -> SemiSupervisedVAEClassifier:
    return classifier(epochs=40).fit(FRAME, TEXTS)


@pytest.mark.parametrize("values", [
    [-1, 10, 20, 30], [np.nan, 1.0, 2.0, 3.0], [-1.0, 1.0, 2.0, 3.0], [None, "a", "b", "c"],
    ["", "a", "b", "c"], [pd.NA, "a", "b", "c"],
], ids=["-1", "NaN", "-1.0", "None", "empty", "NA"])
def test_unknown_labels_are_marked_as_users_mark_them(values: list[Any]) -> None:
    unknown = np.arange(N) % 4 == 0
    y = [values[0 if gone else k + 1] for k, gone in zip(CLASS, unknown)]
    model = classifier(epochs=1).fit(X, y)
    assert len(model.split_.labelled) == N - unknown.sum()
    assert model.classes_.tolist() == values[1:]
    assert set(model.predict(X)) <= set(values[1:])
    assert model.score(X, y) == np.mean(
        [p == label for p, label, gone in zip(model.predict(X), y, unknown) if not gone]
    )


def test_a_frame_with_gaps_is_learned_from(of_frame: SemiSupervisedVAEClassifier) -> None:
    assert of_frame.score(FRAME, np.array(["low", "middle", "high"])[CLASS]) > 0.9
    assert of_frame.feature_names_in_.tolist() == list(FRAME.columns)
    assert set(of_frame.predict(FRAME)) == {"low", "middle", "high"}


def test_a_reconstruction_is_a_frame_without_gaps(of_frame: SemiSupervisedVAEClassifier) -> None:
    made = of_frame.reconstruct(FRAME)
    assert list(made.columns) == list(FRAME.columns) and not made.isna().any().any()
    gaps = FRAME["city"].isna()
    right = made["city"][gaps] == np.array(["lima", "oslo", "rome"])[CLASS[gaps]]
    assert gaps.sum() > 5 and right.mean() > 0.7
    assert set(made["always"]) == {"the same"}


def test_no_row_is_refused(of_frame: SemiSupervisedVAEClassifier) -> None:
    with pytest.raises(InputError, match="expected 1 row.s. or more, got 0 sample"):
        of_frame.predict(FRAME[:0])


def test_samples_of_a_class_are_like_it(of_frame: SemiSupervisedVAEClassifier) -> None:
    made = of_frame.sample(["low"] * 40 + ["high"] * 40)
    assert (made["city"][:40] == "lima").mean() > 0.5 < (made["city"][40:] == "rome").mean()
    assert made["age"][40:].mean() - made["age"][:40].mean() > 10
    assert of_frame.sample(["low"], random_state=1).equals(of_frame.sample(["low"], random_state=1))
    with pytest.raises(InputError, match="expected classes among .*, got 'top'"):
        of_frame.sample(["top"])


def test_an_array_with_gaps_is_a_table_without_names() -> None:
    gaps = np.where(RNG.random(X.shape) < 0.1, np.nan, X)
    model = classifier().fit(gaps, CLASS)
    assert model.score(gaps, CLASS) > 0.8 and model.score(X, CLASS) > 0.8
    made = model.reconstruct(gaps)
    assert isinstance(made, np.ndarray) and abs(made - X).mean() < 1.0


def test_gaps_that_training_had_none_of_are_refused() -> None:
    model = classifier(epochs=1).fit(X, CLASS)
    with pytest.raises(InputError, match="expected X without gaps as the training data, got NaN"):
        model.predict(np.where(X > X.max() - 0.01, np.nan, X))


def test_numbers_in_a_frame_are_as_those_in_an_array() -> None:
    frame = pd.DataFrame(X, columns=list("abcd"))
    of_frame, of_array = classifier().fit(frame, CLASS), classifier().fit(X, CLASS)
    assert (of_frame.predict_proba(frame) == of_array.predict_proba(X)).all()
    assert list(of_frame.sample([0]).columns) == list("abcd")


def test_sparse_rows_are_as_dense_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    sparse = csr_array(np.where(X > 6, X, 0.0))
    dense = sparse.toarray()
    monkeypatch.setattr(rows, "ENTRIES", 40)  # ten rows at a time
    ours, theirs = classifier().fit(sparse, CLASS), classifier().fit(dense, CLASS)
    assert np.allclose(ours.predict_proba(sparse), theirs.predict_proba(dense))
    assert np.allclose(ours.score_samples(sparse), ours.score_samples(dense))
    monkeypatch.setattr(inputs, "MAX_DENSE", 1_000)
    with pytest.raises(InputError, match="sparse X of at most .* GiB; .* TruncatedSVD"):
        classifier().fit(sparse, CLASS)


def test_scales_of_columns_do_not_matter_and_the_bound_is_in_units_of_x() -> None:
    factors = np.array([1e-3, 1.0, 1e3, 1e6])
    one, other = classifier().fit(X, CLASS), classifier().fit(X * factors, CLASS)
    assert np.allclose(one.predict_proba(X), other.predict_proba(X * factors), atol=1e-3)
    change = other.score_samples(X * factors) - one.score_samples(X)
    assert np.allclose(change, -np.log(factors).sum(), atol=0.05)
    assert np.allclose(one.reconstruct(X) * factors, other.reconstruct(X * factors), rtol=1e-2)


def test_the_unit_scaling_is_for_bernoulli_likelihoods() -> None:
    model = classifier(scaling="unit", likelihood="bernoulli").fit(X, CLASS)
    made = model.reconstruct(X)
    assert (made >= X.min(0) - 1e-6).all() and (made <= X.max(0) + 1e-6).all()
    assert np.isfinite(model.predict_proba(X * 1e300)).all()


def test_novel_rows_score_low() -> None:
    model = classifier(epochs=40).fit(X, np.where(np.arange(N) % 4 == 0, CLASS, -1))
    usual, novel = model.score_samples(X), model.score_samples(X[:20] + 10)
    assert novel.max() < np.quantile(usual, 0.05)


def test_probabilities_are_finite_far_away() -> None:
    probs = classifier().fit(X, CLASS).predict_proba(np.array([[1e300] * 4, [-1e300] * 4]))
    assert np.isfinite(probs).all() and np.allclose(probs.sum(1), 1)


def test_what_is_unsure_is_left_open() -> None:
    numbers = classifier(epochs=2).fit(X, CLASS)
    probs = numbers.predict_proba(X)
    threshold = float(np.median(probs.max(1)))
    expected = np.where(probs.max(1) < threshold, -1, probs.argmax(1))
    assert (numbers.set_params(abstain_below=threshold).predict(X) == expected).all()
    texts = classifier(epochs=2, abstain_below=1.0).fit(X, np.array(["a", "b", "c"])[CLASS])
    assert texts.predict(X[:3]).tolist() == [None] * 3
    assert texts.score(X, np.array(["a", "b", "c"])[CLASS]) == 0


def test_several_labels_of_which_some_are_unknown() -> None:
    y = pd.DataFrame({"first": CLASS == 0, "second": CLASS > 0}).astype(float)
    holes = y.mask(RNG.random(y.shape) < 0.4)
    model = classifier(method="factored", epochs=40).fit(X, holes)
    probs = model.predict_proba(X)
    assert probs.shape == (N, 2) and ((probs >= 0) & (probs <= 1)).all()
    assert [classes.tolist() for classes in model.classes_] == [[0, 1]] * 2
    assert model.score(X, y) > 0.8 and model.score(X, holes) >= model.score(X, y)
    unsure = model.set_params(abstain_below=1.1).predict(X)
    assert (unsure == -1).all()
    assert model.sample([[1, 0], [0, 1]]).shape == (2, 4)
    for wrong in ([1, 0], [[1, 0, 1]], [[2, 5]], [[1, -1]]):
        with pytest.raises(InputError, match=r"expected labels \(N, 2\) that are 0 or 1, got"):
            model.sample(wrong)
    with pytest.raises(InputError, match="m2 has one label an example, .*; use factored"):
        classifier().fit(X, holes)


@pytest.mark.parametrize(("y", "message"), [
    (np.full(N, -1), "expected a label that is known, got 120"),
    (np.zeros(N, dtype=int), "two classes or more, got only 0"),
    (np.linspace(0, 1, N), "Unknown label type: continuous"),
    ([{0, 1}] * N, "expected one class an example, got sets"),
    (CLASS[:5], "inconsistent numbers of samples"),
    (None, "requires y to be passed"),
], ids=["unknown", "one", "real", "sets", "short", "none"])
def test_labels_of_no_use_are_refused(y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classifier().fit(X, y)


def test_a_regressor_learns_numbers_of_which_some_are_unknown() -> None:
    number = 1e3 * X.sum(1)
    y = np.where(np.arange(N) % 3 == 0, number, np.nan)
    model = SemiSupervisedVAERegressor(**FEW | {"epochs": 60}).fit(X, y)
    assert model.score(X, number) > 0.8
    mean, deviation = model.predict(X, return_std=True)
    assert (mean == model.predict(X)).all() and (deviation > 0).all()
    assert model.sample(number[:5]).shape == (5, 4)
    with pytest.raises(InputError, match="expected a known number to score by, got 120"):
        model.score(X, np.full(N, np.nan))


def test_early_stopping_holds_labelled_rows_out(monkeypatch: pytest.MonkeyPatch) -> None:
    y = np.where(np.arange(N) % 4 == 0, CLASS, -1)
    monkeypatch.setattr(splitting, "AUTO", 31)
    without = classifier(epochs=2).fit(X, y)
    assert len(without.split_.labelled) == 30
    assert not any("val" in name for name in without.history_[0])
    monkeypatch.setattr(splitting, "AUTO", 30)
    model = classifier(epochs=50, n_iter_no_change=2, validation_fraction=0.3).fit(X, y)
    split = model.split_
    assert (len(split.labelled), len(split.validation), len(split.unlabelled)) == (21, 9, 90)
    assert np.bincount(CLASS[split.validation]).tolist() == [3, 3, 3]
    assert "val_accuracy" in model.history_[0] and len(model.history_) < 50
    with pytest.raises(InputError, match="early_stopping=False"):
        classifier(early_stopping=True).fit(X[:3], CLASS[:3])


def test_a_fully_labelled_set_is_passed_over_without_its_labels_too() -> None:
    split = classifier(epochs=1).fit(X, CLASS).split_
    assert len(split.labelled) == len(split.unlabelled) == N
    unlabelled, _ = split.part("unlabelled")
    assert (unlabelled == split.part("labelled")[0]).all()


# Units, and what several labels and real numbers are.


def test_the_bound_of_unit_columns_is_in_units_of_x() -> None:
    options = {"scaling": "unit", "likelihood": "bernoulli", "epochs": 2}
    factors = np.array([0.5, 1.0, 4.0, 16.0])
    one = classifier(**options).fit(X, CLASS)
    other = classifier(**options).fit(X * factors, CLASS)
    change = other.score_samples(X * factors) - one.score_samples(X)
    assert np.allclose(change, -np.log(factors).sum(), atol=0.01)


def test_gaps_of_a_frame_have_no_part_in_the_units_of_its_bound() -> None:
    wider = FRAME.assign(age=1024 * FRAME["age"])
    one, other = (classifier(epochs=2).fit(frame, TEXTS) for frame in (FRAME, wider))
    change = other.score_samples(wider) - one.score_samples(FRAME)
    assert np.allclose(change, np.where(FRAME["age"].isna(), 0.0, -np.log(1024)), atol=0.05)


@pytest.fixture(scope="module")
def of_several() -> tuple[SemiSupervisedVAEClassifier, np.ndarray[Any, Any]]:
    y = np.stack([CLASS == 0, CLASS > 0], 1).astype(int)
    return classifier(method="factored", epochs=40).fit(X, y), y


def test_a_label_of_several_is_abstained_from_on_either_side(of_several) -> None:
    model, _ = of_several
    probs = model.predict_proba(X)
    sure = np.maximum(probs, 1 - probs)
    threshold = float(np.median(sure))
    expected = np.where(sure < threshold, -1, probs > 0.5)
    assert {-1, 0, 1} == set(expected.ravel())
    model.set_params(abstain_below=threshold)
    try:
        assert (model.predict(X) == expected).all()
    finally:
        model.set_params(abstain_below=None)


def test_the_score_of_several_labels_is_of_rows_with_all_that_are_known_right(of_several) -> None:
    model, y = of_several
    half = y.copy()
    half[:, 1] = 1 - half[:, 1]
    assert model.score(X, half) < 0.2
    half[:, 1] = -1
    assert model.score(X, half) > 0.8


def test_samples_of_several_labels_are_like_them(of_several) -> None:
    model, _ = of_several
    made = model.sample([[1, 0]] * 40 + [[0, 1]] * 40)
    assert made[:40, 0].mean() > made[40:, 0].mean() + 0.5  # X[:, 0] is large in class 0


def test_samples_of_a_number_are_like_it_and_another_state_draws_others() -> None:
    number = 1e3 * X.sum(1)
    model = SemiSupervisedVAERegressor(**FEW | {"epochs": 60}).fit(X, number)
    low, high = np.quantile(number, [0.1, 0.9])
    less, more = (model.sample([value] * 200).sum(1).mean() for value in (low, high))
    assert more - less > 0.3 * (high - low) / 1e3
    one, other = (model.sample([low], random_state=state) for state in (0, 1))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("share, held", [(0.3, [3, 0, 1]), (0.5, [4, 0, 1])])
def test_a_share_is_held_out_of_each_class_and_never_its_last_row(share, held) -> None:
    classes = torch.tensor([0] * 7 + [1] + [2] * 2)
    chosen = splitting.held_out(torch.arange(10), classes, share, 0)
    assert classes[chosen].bincount(minlength=3).tolist() == held
