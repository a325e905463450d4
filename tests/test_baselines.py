from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from pyro_ssvae import data
from pyro_ssvae.data import Dataset, Split
from pyro_ssvae.evaluation import references as baselines
from pyro_ssvae.evaluation.references import evaluate_reference, references
from pyro_ssvae.nn import Column, Columns

REFERENCES = ("LabelSpreading", "SelfTraining")
CENTRES = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])


def blobs(spread: float) -> Dataset:
    rng = np.random.default_rng(0)
    y = np.arange(300) % 3
    x = CENTRES[y] + spread * rng.normal(size=(300, 2))
    return data.from_arrays(x, y, name="blobs")


@pytest.fixture(scope="module")
def split() -> Split:
    """Three classes that overlap."""
    return blobs(2.5).split(9, validation=45, seed=1)


def relabelled(split: Split, part: str) -> Split:
    """The same split, with the true classes of a part moved on by one."""
    index, y = getattr(split, part), split.dataset.y.clone()
    y[index] = (y[index] + 1) % len(split.target.names)
    return replace(split, dataset=replace(split.dataset, y=y))


def several(spread: float, missing: float = 0.0) -> Split:
    """Two labels: whether x is in the left blob or not, and whether in the lower one."""
    rng = np.random.default_rng(0)
    k = np.arange(300) % 3
    x = CENTRES[k] + spread * rng.normal(size=(300, 2))
    y = np.stack([k == 1, k == 2], axis=1).astype(int)
    return data.from_arrays(x, y, name="blobs").split(30, validation=45, missing=missing)


def relabel(split: Split, part: str) -> Split:
    """The same split with every label of a part turned around."""
    y = split.dataset.y.clone()
    y[getattr(split, part)] = 1 - y[getattr(split, part)]
    return replace(split, dataset=replace(split.dataset, y=y))


def arrays(split: Split) -> tuple[Any, Any]:
    """What scikit-learn is to be given, put together by hand: -1 marks the unlabelled."""
    x = np.concatenate([split.dataset.x[split.labelled], split.dataset.x[split.unlabelled]])
    y = [*split.dataset.y[split.labelled].tolist(), *[-1] * len(split.unlabelled)]
    return x, np.array(y)


@pytest.mark.parametrize("name", REFERENCES)
def test_images_are_given_to_scikit_learn_as_their_pixels(name: str, split: Split) -> None:
    images = replace(split.dataset, x=split.dataset.x.reshape(-1, 1, 1, 2))
    found = evaluate_reference(name, replace(split, dataset=images))
    assert found["test"] == evaluate_reference(name, split)["test"]


def test_the_references_of_classes_are_semi_supervised_and_of_frames_boosting_too() -> None:
    dataset = blobs(0.3)
    assert references(dataset) == REFERENCES
    frame = replace(dataset, columns=Columns((Column("width", "number"),)))
    assert references(frame) == (*REFERENCES, "GradientBoosting")


@pytest.mark.parametrize("examples, expected", [
    (25_000, (*REFERENCES, "LogisticRegression")), (25_001, ("LogisticRegression",)),
])
def test_of_many_labels_of_many_examples_the_supervised_reference_is_left(
    examples: int, expected: tuple[str, ...]
) -> None:
    y = np.arange(2 * examples).reshape(-1, 2) % 3 % 2
    assert references(data.from_arrays(np.zeros((examples, 1)), y)) == expected


@pytest.mark.parametrize("name, make", [
    ("LogisticRegression", several), ("GradientBoosting", lambda spread: blobs(spread).split(60)),
])
def test_a_supervised_reference_separates_what_is_separate(name: str, make: Any) -> None:
    split = make(0.3)
    assert evaluate_reference(name, split)["test"]["accuracy"] == 1.0
    hidden = relabelled(split, "unlabelled") if name == "GradientBoosting" else relabel(
        split, "unlabelled"
    )
    assert evaluate_reference(name, hidden)["test"] == evaluate_reference(name, split)["test"]


@pytest.mark.filterwarnings("ignore")
def test_a_logistic_regression_for_each_label_is_fitted_on_its_known_examples() -> None:
    split = several(2.5, missing=0.4)
    assert split.hidden is not None
    x, truth = split.dataset.x.numpy(), split.dataset.y.numpy()
    known = [split.labelled[~split.hidden[split.labelled, k]] for k in (0, 1)]
    rows = []
    for c in (0.01, 0.1, 1.0, 10.0, 100.0):
        fitted = [
            LogisticRegression(C=c, max_iter=1000).fit(x[known[k]], truth[known[k], k])
            for k in (0, 1)
        ]
        held, test = (
            np.mean([each.predict(x[i]) == truth[i, k] for k, each in enumerate(fitted)])
            for i in (split.validation, split.test)
        )
        rows.append((held, -len(rows), repr(fitted[0]), test))
    _, _, options, expected = max(rows)
    result = evaluate_reference("LogisticRegression", split)
    assert result["options"] == options
    assert result["test"]["accuracy"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", REFERENCES)
def test_a_reference_separates_what_is_separate(name: str) -> None:
    assert evaluate_reference(name, blobs(0.3).split(6, seed=0))["test"]["accuracy"] == 1.0


@pytest.mark.parametrize("name", REFERENCES)
def test_a_reference_is_scored_as_the_pairs_are(name: str, split: Split) -> None:
    result = evaluate_reference(name, split)
    assert result.keys() == {"seed", "seconds", "options", "test", "clipped"}
    assert result["seed"] == split.seed == 1
    assert result["test"].keys() == {"accuracy", "nll", "brier", "ece"}
    assert result["seconds"] > 0


@pytest.mark.parametrize("draw", [1, 5, 7, 9, 11])
@pytest.mark.parametrize("name, candidates", [
    ("LabelSpreading",
     [LabelSpreading(kernel="knn", n_neighbors=7, alpha=a, max_iter=1000) for a in (0.2, 0.8)]
     + [LabelSpreading(kernel="rbf", gamma=g, alpha=a) for g in (5, 20) for a in (0.2, 0.9)]),
    ("SelfTraining",
     [SelfTrainingClassifier(LogisticRegression(), threshold=t) for t in (0.75, 0.9)]),
])
@pytest.mark.filterwarnings("ignore")
def test_the_candidate_of_the_best_validation_accuracy_is_scored_on_the_test_part(
    name: str, candidates: list[Any], draw: int, split: Split
) -> None:
    split = split.dataset.split(9, validation=45, seed=draw)
    (held_x, held_y), (test_x, test_y) = (
        (split.dataset.x[i].numpy(), split.dataset.y[i].numpy())
        for i in (split.validation, split.test)
    )
    fitted = [candidate.fit(*arrays(split)) for candidate in candidates]
    best = max(fitted, key=lambda candidate: candidate.score(held_x, held_y))
    result = evaluate_reference(name, split)
    assert result["options"] == repr(best)
    assert result["test"]["accuracy"] == pytest.approx(best.score(test_x, test_y), abs=1e-12)


@pytest.mark.parametrize("name", REFERENCES)
def test_the_classes_of_unlabelled_examples_are_not_used(name: str, split: Split) -> None:
    hidden = evaluate_reference(name, relabelled(split, "unlabelled"))
    assert hidden["test"] == evaluate_reference(name, split)["test"]


@pytest.mark.parametrize("name", REFERENCES)
def test_the_classes_of_test_examples_choose_nothing(name: str, split: Split) -> None:
    other = evaluate_reference(name, relabelled(split, "test"))
    expected = evaluate_reference(name, split)
    assert other["options"] == expected["options"]
    assert other["test"]["accuracy"] < expected["test"]["accuracy"]


def test_examples_that_no_label_reaches_get_every_class_alike() -> None:
    dataset = blobs(0.3)
    near, far = dataset.x, dataset.x + 1000.0  # a copy of every blob, far away
    copied = replace(
        dataset, x=torch.cat([near, far]), y=torch.cat([dataset.y, dataset.y]),
        test=torch.cat([dataset.test, dataset.test + 300]),
    )
    split = dataset.split(6, seed=0)
    split = replace(split, dataset=copied, unlabelled=torch.cat([
        split.unlabelled, split.unlabelled + 300
    ]))
    test = evaluate_reference("LabelSpreading", split)["test"]
    # Half of the test part is certain and right, half is spread over three classes.
    assert test["nll"] == pytest.approx(0.5 * math.log(3), abs=1e-3)
    assert test["brier"] == pytest.approx(0.5 * 2 / 3, abs=1e-3)


def test_an_example_that_no_label_reached_may_be_of_any_class_also_of_unseen_ones() -> None:
    class Lost:
        classes_ = np.array([0, 2])

        def predict_proba(self, x: np.ndarray) -> np.ndarray:
            return np.array([[0.25, 0.75], [np.nan, np.nan]])

    probs = baselines._probabilities([Lost()], torch.zeros(2, 1), [3])
    expected = torch.tensor([[0.25, 0.0, 0.75], [1 / 3, 1 / 3, 1 / 3]], dtype=torch.double)
    torch.testing.assert_close(probs, expected)


def test_large_data_are_spared_the_full_kernel_matrix(
    split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = len(split.labelled) + len(split.unlabelled)
    kernels = []
    for limit in (examples, examples - 1):
        monkeypatch.setattr(baselines, "DENSE", limit)
        kernels.append({c.kernel for c in baselines._candidates("LabelSpreading", examples)})
    assert kernels == [{"knn", "rbf"}, {"knn"}]


class Certain:
    """A classifier that gives one class the probability 1, and to others 0 or next to it."""

    classes_ = np.arange(3)

    def __init__(self, rest: float) -> None:
        self.rest = rest

    def predict_proba(self, x: Any) -> Any:
        return np.tile([1 - 2 * self.rest, self.rest, self.rest], (len(x), 1))


@pytest.mark.parametrize("rest, counted, clipped", [
    (0.0, 1e-6, 2 / 3), (1e-7, 1e-6, 2 / 3), (1e-5, 1e-5, 0.0),
])
def test_an_impossible_probability_counts_as_one_in_a_million_and_is_told(
    rest: float, counted: float, clipped: float, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baselines, "fit_label", lambda *arguments: Certain(rest))
    result = evaluate_reference("SelfTraining", split)
    share = (split.dataset.y[split.test] > 0).double().mean().item()
    assert share == pytest.approx(2 / 3)
    expected = -share * math.log(counted) - (1 - share) * math.log(1 - 2 * rest)
    assert result["test"]["nll"] == pytest.approx(expected, rel=1e-9)
    assert result["test"]["accuracy"] == pytest.approx(1 - share)
    assert result["clipped"] == pytest.approx(clipped)


# Several labels


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_several_labels_are_separated_one_by_one(name: str, missing: float) -> None:
    test = evaluate_reference(name, several(0.3, missing))["test"]
    assert test.keys() == {
        "accuracy", "nll", "brier", "ece", "macro_f1", "subset_accuracy",
        "mean_average_precision", "macro_auroc", "ranking_loss",
    }
    assert test["accuracy"] == test["macro_f1"] == test["subset_accuracy"] == 1.0
    assert test["mean_average_precision"] == test["macro_auroc"] == 1.0
    assert test["ranking_loss"] == 0.0


def test_the_share_of_impossible_labels_is_one_of_the_known_ones(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    class Absent(Certain):
        classes_ = np.arange(2)

        def predict_proba(self, x: Any) -> Any:
            return np.tile([1.0, 0.0], (len(x), 1))

    monkeypatch.setattr(baselines, "fit_label", lambda *arguments: Absent(0.0))
    split = several(0.3)
    y = split.dataset.y.clone()
    y[split.test[:10], 1] = -1
    known = y[split.test][y[split.test] >= 0]
    result = evaluate_reference("SelfTraining", replace(split, dataset=replace(split.dataset, y=y)))
    assert result["clipped"] == pytest.approx(known.double().mean().item())


@pytest.mark.filterwarnings("ignore")
def test_a_label_is_fitted_with_its_own_marks_and_the_setting_that_suits_all() -> None:
    split = several(2.5, missing=0.4)
    assert split.hidden is not None
    y = split.dataset.y.masked_fill(split.hidden, -1).numpy()
    x = split.dataset.x.numpy()
    index = np.concatenate([split.labelled, split.unlabelled])
    y[split.unlabelled] = -1
    truth = split.dataset.y.numpy()
    held, test = split.validation.numpy(), split.test.numpy()
    rows = []
    for threshold in (0.75, 0.9):
        fitted = [
            SelfTrainingClassifier(LogisticRegression(), threshold=threshold).fit(
                x[index], y[index, label]
            )
            for label in (0, 1)
        ]
        validated, tested = (
            np.mean([c.predict(x[i]) == truth[i, k] for k, c in enumerate(fitted)])
            for i in (held, test)
        )
        rows.append((validated, -len(rows), repr(fitted[0]), tested))
    _, _, options, expected = max(rows)
    result = evaluate_reference("SelfTraining", split)
    assert result["options"] == options
    assert result["test"]["accuracy"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", REFERENCES)
def test_hidden_and_unlabelled_labels_are_not_used(name: str) -> None:
    split = several(2.5, missing=0.4)
    assert split.hidden is not None
    y = split.dataset.y.clone()
    y[split.hidden] = 1 - y[split.hidden]
    other = relabel(replace(split, dataset=replace(split.dataset, y=y)), "unlabelled")
    assert evaluate_reference(name, other)["test"] == evaluate_reference(name, split)["test"]


@pytest.mark.parametrize("name", REFERENCES)
def test_a_label_seen_with_one_value_or_never_is_answered_with_its_share(name: str) -> None:
    split = several(0.3)
    y = split.dataset.y.clone()
    y[split.labelled] = torch.tensor([0, -1])
    test = evaluate_reference(name, replace(split, dataset=replace(split.dataset, y=y)))["test"]
    # 30 of 30 are absent: 31/32 by the rule of succession; nothing is known of the other label.
    absent = int((y[split.test, 0] == 0).sum()) / len(split.test)
    expected = -absent * math.log(31 / 32) - (1 - absent) * math.log(1 / 32) + math.log(2)
    assert test["nll"] == pytest.approx(expected, rel=1e-9)
