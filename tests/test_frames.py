"""Data frames: what is read off them, what is refused, and a training on one."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas
import pytest
import small
import torch
from click.testing import CliRunner
from torch.testing import assert_close

from pyro_ssvae import pair
from pyro_ssvae.cli import main
from pyro_ssvae.data import Dataset, from_arrays
from pyro_ssvae.data.frames import encode, read_frames
from pyro_ssvae.errors import InputError
from pyro_ssvae.experiments import pairs, runs
from pyro_ssvae.nn import Columns
from pyro_ssvae.report import plots
from pyro_ssvae.targets import Classes

NAN = math.nan


def frame(**columns: Any) -> pandas.DataFrame:
    return pandas.DataFrame(columns)


def people(number: int = 60, seed: int = 0) -> tuple[pandas.DataFrame, list[str]]:
    """A frame with gaps in every column, and labels that follow from it."""
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=number)
    columns = {
        "age": rng.normal(40 + 20 * y, 10), "member": rng.integers(2, size=number).astype(object),
        "colour": np.where(y, "red", rng.choice(["blue", "green"], number)).astype(object),
    }
    for column in columns.values():
        column[rng.random(number) < 0.2] = None
    return frame(**columns), ["yes" if label else "no" for label in y]


def dataset(**options: Any) -> Dataset:
    return from_arrays(*people(), name="people", **options)


# What x is


def test_a_frame_is_standardised_values_and_then_marks() -> None:
    x, columns, notes = read_frames(frame(
        colour=["red", None, "blue", "red"], age=[10.0, 30.0, NAN, 50.0], member=[1, 0, None, 1],
    ))
    assert [c.name for c in columns.columns] == ["age", "member", "colour"] and not notes
    assert [c.kind for c in columns.columns] == ["number", "binary", "category"]
    assert columns.columns[2].levels == ("blue", "red")
    s = math.sqrt((20**2 + 0 + 20**2) / 3)  # of 10, 30 and 50, which are there
    expected = torch.tensor([
        # age, member, blue, red; and the marks of age, member, colour
        [-20 / s, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0],
        [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0],
        [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        [20 / s, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0],
    ])
    assert_close(x, expected)


def test_a_test_frame_is_read_in_terms_of_the_training_frame() -> None:
    train = frame(age=[10.0, 30.0], colour=["red", "blue"])
    test = frame(colour=["blue", None], other=[1, 2], age=[50, 20])
    x, columns, notes = read_frames(train, test)
    assert_close(x[2:], torch.tensor([[3.0, 1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0, 0.0]]))
    assert torch.equal(x[:2], read_frames(train)[0]) and columns == read_frames(train)[1]
    assert torch.equal(encode(columns, test), x[2:])
    assert notes == ["in the test set alone, left out: other"]


@pytest.mark.parametrize("values, kind", [
    ([1, 2, 3], "number"), ([0.5, NAN, 1.0], "number"), ([True, False, None], "binary"),
    ([0, 1, 1], "binary"), ([1.0, NAN, 0.0], "binary"), ([-1, 1, 1], "number"),
    (["0", "1", "1"], "category"), (["a", "", "b"], "category"), ([1, None, True], "constant"),
    (pandas.array([1, None, 5], dtype="Int64"), "number"),
    (pandas.array([True, None, False], dtype="boolean"), "binary"),
    (pandas.array(["a", None, "b"], dtype="string"), "category"),
    (pandas.Categorical([1, 2, None]), "category"), (np.array([1, 2, 3], np.uint8), "number"),
])
def test_the_entries_decide_what_a_column_is(values, kind) -> None:
    _, columns, notes = read_frames(frame(other=[1, 2, 3], column=values))
    found = {column.name: column.kind for column in columns.columns}
    assert found.get("column", "constant") == kind
    assert notes == (["constant, left out: column"] if kind == "constant" else [])


@pytest.mark.parametrize("gap", [None, NAN, pandas.NA, pandas.NaT, ""])
def test_every_kind_of_gap_is_one(gap) -> None:
    column = pandas.Series(["a", gap, "b"], dtype=object)
    x, columns, _ = read_frames(frame(column=column))
    assert columns.columns[0].levels == ("a", "b")
    assert torch.equal(x, torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 1]]))


@pytest.mark.parametrize("texts", [
    [f"id-{i % 17}" for i in range(20)],  # levels come again
    [f"id-{i}" for i in range(19)],  # too few rows to tell
    [*map(str, range(8)), "?", "?"],  # no more than 80 % are numbers
    [*map(str, [*range(10), *range(10)])],  # codes, all of them
    pandas.Categorical([f"id-{i}" for i in range(60)]),  # levels that are declared
    pandas.Categorical([*map(str, range(9)), "?"]),
], ids=["again", "few", "some numbers", "codes", "declared", "declared codes"])
def test_texts_are_a_category_unless_they_name_the_rows_or_are_numbers(texts: Any) -> None:
    assert read_frames(frame(a=texts))[1].columns[0].kind == "category"


def test_a_categorical_column_keeps_its_levels_and_their_order() -> None:
    sizes = pandas.Categorical(["small", "large", None], categories=["small", "middle", "large"])
    x, columns, _ = read_frames(frame(size=sizes))
    assert columns.columns[0].levels == ("small", "middle", "large")
    assert torch.equal(x[:, :3], torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, 0, 0]]))
    assert torch.equal(encode(columns, frame(size=["middle"])), torch.tensor([[0.0, 1, 0, 1]]))


def test_levels_that_are_whole_numbers_are_the_same_beside_gaps() -> None:
    _, columns, _ = read_frames(frame(code=pandas.Categorical([1, 2])))
    expected = torch.tensor([[0.0, 1, 1], [0, 0, 0]])
    assert torch.equal(encode(columns, frame(code=[2.0, NAN])), expected)


def test_far_and_close_numbers_are_standardised() -> None:
    x, _, _ = read_frames(frame(far=[1e9, 1e9 + 1], tiny=[1e-9, 3e-9], huge=[1e100, 3e100]))
    assert_close(x[:, :3], torch.tensor([[-1.0] * 3, [1.0] * 3]))


def test_names_need_not_be_texts_nor_the_frame_one_of_pandas() -> None:
    class Table(dict):
        @property
        def columns(self) -> list[Any]:
            return list(self)

    x, columns, _ = read_frames(Table({7: [1.0, None, 3.0], "b": ["u", "v", "u"]}))
    assert [column.name for column in columns.columns] == ["7", "b"] and x.shape == (3, 5)


def test_the_columns_are_part_of_what_tells_data_apart() -> None:
    features, labels = people()
    renamed = from_arrays(features.rename(columns={"age": "years"}), labels, name="people")
    assert renamed.fingerprint != dataset().fingerprint == dataset().fingerprint
    assert torch.equal(renamed.x, dataset().x)


def test_a_data_set_says_what_was_made_of_a_frame() -> None:
    features, labels = people()
    text = str(from_arrays(features.assign(site=3), labels, name="people"))
    for part in ("1 column of numbers: age (", "1 column of 0 and 1: member (",
                 "1 column of categories: colour (3 levels, ", " of 180 entries missing (",
                 "constant, left out: site"):
        assert part in text, text


# What is refused


def two_names() -> pandas.DataFrame:
    return pandas.DataFrame([[1, 2], [3, 4]], columns=["a", "a"])


@pytest.mark.parametrize("make, error", [
    (two_names, "columns of different names, got 'a' twice"),
    (lambda: frame(a=[1, "x", 2]), "column 'a': expected numbers or texts, and not both, got 1 an"),
    (lambda: frame(a=[1.0, math.inf]), "column 'a': expected finite numbers, got inf in row 1"),
    (lambda: frame(a=[None, None], b=[1, 2]), "column 'a': expected an entry that is no gap, got"),
    (lambda: frame(a=[3, 3], b=["x", "x"]), "a column that varies, got 2 columns of which none"),
    (lambda: frame(), "a column that varies, got 0 columns"),
    (lambda: frame(a=[f"id-{i % 1_001}" for i in range(2_002)]),
     "column 'a': expected at most 1,000 levels of a category, got 1,001; leave the column out"),
    (lambda: frame(a=[f"id-{i % 18}" for i in range(20)]),
     "column 'a': expected a category whose levels come again, got 18 levels in 20 rows; leave the"
     " column out, of a file also by --ignore 'a'"),
    (lambda: frame(a=[str(i) for i in range(9)] + ["?"]),
     "column 'a' has numbers and '?': leave these entries empty, or, if they are codes"),
    (lambda: frame(a=[*map(str, range(2_000)), *[None] * 500, "?", "?"]),
     "column 'a' has numbers and '?': leave these entries empty"),
    (lambda: frame(a=pandas.to_datetime(["2020-01-01", "2021-01-01"])),
     "column 'a': expected numbers or texts, got datetime64"),
    (lambda: frame(a=[{}, {}]), "column 'a': expected numbers or texts, got lists or the like"),
    (lambda: frame(a=[(), 1]), "column 'a': expected numbers or texts, got (), tuple"),
    (lambda: frame(a=pandas.Series([1, 10**400], dtype=object)),
     "column 'a': expected numbers of 64 bits, got larger ones"),
    (lambda: frame(a=[1.0, 1e200]), "column 'a': expected numbers between 1e-150 and 1e150"),
])
def test_a_frame_that_cannot_be_read_is_refused_in_a_line(make: Callable[[], Any], error) -> None:
    features = make()
    with pytest.raises(InputError) as raised:
        from_arrays(features, [0, 1] * (len(features) // 2) or [0, 1], name="mine")
    assert error in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("test, error", [
    (frame(age=[1.0]), "the columns of the training data, got a frame without colour"),
    (frame(age=[1.0], colour=["violet"]),
     "column 'colour': expected one of the training data's levels blue, red, got 'violet' in row"),
    (frame(age=["old"], colour=["red"]),
     "column 'age': expected numbers as in the training data, got the category 'old'"),
    (frame(age=[math.inf], colour=["red"]), "column 'age': expected finite numbers, got inf"),
    (frame(age=[1.0], colour=["red"], member=[2]),
     "column 'member': expected 0 or 1 as in the training data, got 2 in row 0"),
    (np.zeros((1, 2)), "expected a data frame as the training data, got array"),
])
def test_a_test_frame_that_does_not_go_with_the_other_is_refused_in_a_line(test, error) -> None:
    train = frame(age=[10.0, 30.0], colour=["red", "blue"])
    if "member" in str(error):
        train = train.assign(member=[0, 1])
    with pytest.raises(InputError) as raised:
        from_arrays(train, ["a", "b"], name="mine", test=(test, ["a"]))
    assert error in str(raised.value) and "\n" not in str(raised.value)


# Pairs


def test_the_likelihood_of_a_frame_is_mixed() -> None:
    data = dataset()
    objective, _ = pair("m2").on(data, hidden=(4,), z_dim=2)
    assert data.kind == "frame" and pair("m2").resolve(data, {})["likelihood"] == "mixed:0.5"
    assert objective.model.decoder.head.columns is data.columns
    of_another_kind = dataset(kind="features")
    assert pair("m2").resolve(of_another_kind, {})["likelihood"] == "mixed:0.5"


@pytest.mark.parametrize("name, options, error", [
    ("m2", {"likelihood": "normal"},
     "m2: expected the likelihood mixed:0.5 for people, a data frame, got normal$"),
    ("untapped", {}, "untapped has no likelihood of columns of several types, got people"),
    ("gaussianmixture", {}, "gaussianmixture has no likelihood of columns of several types, got"),
])
def test_a_pair_with_another_likelihood_is_refused_on_a_frame(name, options, error) -> None:
    with pytest.raises(InputError, match=error):
        pair(name).on(dataset(), **options)


@pytest.mark.parametrize("options", [{"likelihood": "mixed"}, {}])
def test_a_mixed_likelihood_is_refused_without_a_frame(options) -> None:
    data = from_arrays(np.random.rand(20, 3), [0, 1] * 10, kind="" if options else "frame")
    with pytest.raises(InputError, match="bernoulli or normal:1.0 for arrays, which is no data fr"):
        pair("m2").on(data, **options)


@pytest.mark.parametrize("name", ["m2", "vae"])
def test_the_command_line_knows_the_likelihood_by_name(name, tmp_path) -> None:
    assert pairs.pair(name).options["likelihood"].textual
    arguments = ["train", name, "--out", str(tmp_path / "out"), "--set"]
    result = CliRunner().invoke(main, [*arguments, "likelihood=mixed"])
    assert result.exit_code == 2 and "digits, which is no data frame" in result.stderr
    result = CliRunner().invoke(main, [*arguments, "likelihood=mixd"])
    assert result.exit_code == 2 and "did you mean 'mixed'?" in result.stderr


def test_a_run_on_a_frame_is_kept_read_back_and_predicts_further_rows(tmp_path) -> None:
    data = dataset()
    split = data.split(10, validation=10)
    metrics = runs.train(
        "m2", split, tmp_path, options=small.SIZES, epochs=2, device="cpu", capture="off"
    )
    assert metrics["options"]["likelihood"] == "mixed:0.5"
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["options"]["likelihood"] == "mixed:0.5"
    assert metrics["test"]["elbo"] <= metrics["test"]["iwae"] < 0
    assert {path.stem for path in (tmp_path / "figures").iterdir()} >= {
        "learning_curves", "latent", "confusion", "reliability",
    }
    run = runs.load(tmp_path, dataset=dataset(), device="cpu")
    x = encode(data.columns, frame(age=[NAN, 70.0], member=[1, None], colour=[None, "red"]))
    predicted = run.objective.guide.classify(x).probs
    assert predicted.shape == (2, 2) and predicted.isfinite().all()
    renamed = people()[0].rename(columns={"age": "years"})
    with pytest.raises(InputError, match="got other data"):
        runs.load(tmp_path, dataset=from_arrays(renamed, people()[1], name="people"))


@pytest.mark.parametrize("name", ["vade", "m1", "supervised"])
def test_pairs_are_evaluated_on_a_frame_that_is_no_picture_and_no_plane(name) -> None:
    features, labels = people()
    data = from_arrays(features[["age"]], labels, name="people")
    assert data.x.shape[1] == 2  # the number and its mark are no point in the plane
    split = data.split(10, validation=10)
    objective = small.objective(name, split)
    history = [{"epoch": 1, "updates": 1, "seconds": 1.0, "val_elbo": 1.0}]
    assert not {"samples", "mistakes"} & set(plots.figures(objective, split, history))


def test_columns_can_be_told_by_hand() -> None:
    _, columns, _ = read_frames(people()[0])
    x = encode(columns, people()[0])
    y = torch.arange(len(x)) % 2
    data = Dataset("mine", x, y, Classes(("a", "b")), torch.tensor([0]), 5, columns=columns)
    objective, _ = pair("vae").on(data, hidden=(4,))
    assert isinstance(objective.model.decoder.head.columns, Columns)


def test_a_number_of_a_further_row_that_float32_does_not_hold_is_refused() -> None:
    rows = frame(a=[1.0, 2.0, 3.0], b=["u", "v", "u"])
    made = from_arrays(rows, np.array([0, 1, 0]), test=None)
    with pytest.raises(InputError, match="expected finite x, got NaN or infinity in 1 of 2"):
        made.encoded(frame(a=[1e39, 1.0], b=["u", "v"]))
