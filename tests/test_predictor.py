"""Predictions of runs for new examples, where the training data are not at hand."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import small
import torch

from pyro_ssvae.data import Dataset, from_arrays
from pyro_ssvae.data.described import described, without_examples
from pyro_ssvae.errors import InputError
from pyro_ssvae.experiments import predictor, runs
from pyro_ssvae.experiments.prepared import Run
from pyro_ssvae.targets import Number

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(256, size=(80, 3), dtype=np.uint8)
FRAME = pd.DataFrame({
    "age": np.where(np.arange(80) % 9 == 0, np.nan, np.arange(80) * 1.0),
    "city": ["oslo", "rome", None, "lima"] * 20,
    "member": [True, False] * 40,
})
Y = {
    "classes": np.array(["dog", "cat", None, "dog"] * 20, dtype=object),
    "sets": [{1}, {2, 3}, 3, 2] * 20,
    "labels": np.arange(160).reshape(80, 2) % 3 - 1,
    "number": np.where(np.arange(80) % 3 == 0, np.nan, np.arange(80) / 7),
}


def dataset(kind: str = "classes", x: Any = PIXELS) -> Dataset:
    return from_arrays(x, Y[kind], name="mine")


def train(folder: Path, kind: str = "classes", x: Any = PIXELS, name: str = "m2") -> Run:
    """A run of a pair of small networks, and what is read back of it."""
    data = dataset(kind, x)
    options = {} if name == "m1" else {"hidden": (4,)}
    with small.few_figures():
        runs.train(name, data.split(20), folder, options=options, epochs=1, device="cpu")
    return runs.load(folder, dataset=data, device="cpu")


@pytest.mark.parametrize("x", [PIXELS, FRAME], ids=["array", "frame"])
@pytest.mark.parametrize("kind", list(Y))
def test_a_description_is_the_data_set_without_its_examples(kind: str, x: Any) -> None:
    data = dataset(kind, x)
    target = data.split(labels=10).target
    again = without_examples(json.loads(json.dumps(described(data, target))))
    assert (again.name, again.target, again.columns, again.divisor) == (
        "mine", target, data.columns, data.divisor,
    )
    assert again.x.shape == (0, data.x.shape[1]) and len(again.y) == 0
    assert torch.equal(again.encoded(x), data.x)


@pytest.mark.parametrize(("kind", "name"), [
    ("classes", "m2"), ("sets", "m2"), ("labels", "factored"), ("number", "regression"),
])
def test_a_run_predicts_without_its_data_what_it_predicts_with_them(
    tmp_path: Path, kind: str, name: str
) -> None:
    run = train(tmp_path / "run", kind, name=name)
    alone = predictor.load(tmp_path / "run", device="cpu")
    expected = run.predictor.predicted(PIXELS[:5])
    assert torch.equal(alone.predicted(PIXELS[:5]), expected)
    assert alone.predict(PIXELS[:5]) == run.split.target.named(expected)


def test_a_real_number_is_predicted_as_the_user_has_it(tmp_path: Path) -> None:
    run = train(tmp_path / "run", "number", name="regression")
    target = run.split.target
    assert isinstance(target, Number) and target.scale != 1
    standardised = run.predictor.predicted(PIXELS[:5])[:, 0].double()
    np.testing.assert_allclose(
        run.predictor.predict(PIXELS[:5]), standardised * target.scale + target.loc, rtol=1e-6
    )


def test_a_frame_is_predicted_in_a_new_process(tmp_path: Path) -> None:
    run = train(tmp_path / "run", x=FRAME)
    FRAME[:6].to_json(tmp_path / "new.json", orient="records")
    code = (
        "import sys, pandas, pyro_ssvae.experiments.predictor as predictor\n"
        "frame = pandas.read_json(sys.argv[2], orient='records')\n"
        "print(predictor.load(sys.argv[1], device='cpu').predict(frame))\n"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path / "run"), str(tmp_path / "new.json")]
    result = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == str(run.predictor.predict(FRAME[:6]))


def test_pairs_that_cannot_predict_alone_are_refused(tmp_path: Path) -> None:
    train(tmp_path / "m1", name="m1")
    with pytest.raises(InputError, match=r"m1's classifier is fitted .* runs\.load\(FOLDER\)"):
        predictor.load(tmp_path / "m1", device="cpu")
    train(tmp_path / "vae", name="vae")
    with pytest.raises(InputError, match="expected a pair that predicts labels, got vae"):
        predictor.load(tmp_path / "vae", device="cpu")


@pytest.mark.parametrize(("changes", "message"), [
    ({"shape": [0]}, "a whole number above 0, got 0"),
    ({"shape": [True]}, "a whole number above 0, got True"),
    ({"target": "kinds"}, "no description of data: KeyError"),
    ({"labels": {"names": [1, 2]}}, "expected a text, got 1"),
    ({"labels": {"names": []}}, "the name of at least one class, got none"),
    ({"target": "number", "labels": {"name": "y", "loc": 0, "scale": 0}}, "a scale above 0, got 0"),
    ({"shape": [2, 2]}, r"x of shape \(N, D\) or \(N, C, H, W\) .*, got \(0, 2, 2\)"),
    ({"columns": [{"name": "a", "kind": "date"}]}, "a column of number, binary, category, got"),
    ({"divisor": "x"}, "a whole number above 0, got 'x'"),
])
def test_a_description_of_something_else_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    content = described(dataset(), dataset().target)
    with pytest.raises(ValueError, match=message):
        without_examples({**content, **changes})


def test_a_missing_or_broken_description_is_refused_with_its_path(tmp_path: Path) -> None:
    train(tmp_path / "run")
    (tmp_path / "run" / "data.json").write_text("{")
    with pytest.raises(InputError, match=r"data\.json: expected the data of a run, got: "):
        predictor.load(tmp_path / "run", device="cpu")


def test_a_predictors_programs_are_in_evaluation_mode(tmp_path: Path) -> None:
    train(tmp_path / "run")
    assert not predictor.load(tmp_path / "run").objective.guide.classifier.training


def test_examples_far_beyond_the_training_data_are_warned_of(tmp_path: Path) -> None:
    x = PIXELS / 255
    train(tmp_path / "run", x=x)
    loaded = predictor.load(tmp_path / "run")
    with pytest.warns(UserWarning, match="numbers from 0 to 16, where .* are from 0 to 1: scale"):
        loaded.predict(np.array([[0.0, 16.0, 3.0]]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loaded.predict(x[:3] * 1.5) and loaded.predict(x[:0]) == []
    about = json.loads((tmp_path / "run" / "data.json").read_text())
    assert about.pop("extent") == [pytest.approx(x.min()), pytest.approx(x.max())]
    (tmp_path / "run" / "data.json").write_text(json.dumps(about))  # as older runs have it
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predictor.load(tmp_path / "run").predict(np.array([[0.0, 16.0, 3.0]]))
