"""Labels and examples of one's own that are easily mistaken for others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import scipy.sparse
import torch

from pyro_ssvae.data import Dataset, files, from_arrays, further
from pyro_ssvae.errors import InputError
from pyro_ssvae.targets import Classes, Number, SeveralLabels, read, read_as

X = np.random.default_rng(0).random((40, 3))
COUNTS = np.random.default_rng(0).integers(0, 101, size=(40, 2))
COUNTS[0] = 100, 0
BYTES = np.random.default_rng(0).integers(0, 256, size=(40, 5, 5), dtype=np.uint8)
HALVES = np.arange(40) % 2


# Labels


def test_a_frame_of_test_labels_is_read_by_the_names_of_its_columns() -> None:
    y = pandas.DataFrame({"a": np.arange(40) % 2, "b": np.arange(40) // 2 % 2})
    mine = from_arrays(X, y, test=(X[:8], y[["b", "a"]][:8]))
    assert torch.equal(mine.y[40:], mine.y[:8])
    with pytest.raises(InputError, match="labels a, b as in the training data, got the columns a"):
        from_arrays(X, y, test=(X, y.rename(columns={"b": "c"})))


@pytest.mark.parametrize("names", [("no", "yes"), ("1", "0"), ("1", "2")])
def test_test_labels_are_the_numbers_that_class_names_are_given_to(names: tuple[str, str]) -> None:
    mine = from_arrays(X, HALVES, class_names=names, test=(X, HALVES))
    assert mine.target.names == names and torch.equal(mine.y[40:], mine.y[:40])
    texts = np.array(names)[HALVES]
    mine = from_arrays(X, texts, class_names=names, test=(X, texts))
    assert mine.y[40:].tolist() == HALVES.tolist()


def test_test_labels_that_have_no_name_are_refused() -> None:
    with pytest.raises(InputError, match="test labels among the classes .* got 2 at index 0"):
        from_arrays(X, HALVES, class_names=["a", "b"], test=(X[:2], [2, 1]))


@pytest.mark.parametrize("y", [
    np.array([0.0, 1.0, -1.0, None], dtype=object),
    pandas.Series([0, 1, -1, None], dtype="Float64"),
    pandas.Series(pandas.Categorical([0.0, 1.0, -1.0, None])), np.array([0.0, 1.0, -1.0, np.nan]),
])
def test_minus_one_is_unknown_of_classes_however_it_is_kept(y: Any) -> None:
    target, index = read(y, "classes")
    assert target.names == ("0", "1") and index.tolist() == [0, 1, -1, -1]


def test_whole_numbers_beside_others_are_real_numbers() -> None:
    target, y = read(np.array([1, 2.5, None, 3.5], dtype=object))
    assert isinstance(target, Number) and y[:2].tolist() == [1.0, 2.5] and y[2].isnan()


def test_masked_labels_are_unknown_and_masked_examples_refused() -> None:
    _, y = read(np.ma.masked_array([0, 1, 1, 0], mask=[False, False, True, False]))
    assert y.tolist() == [0, 1, -1, 0]
    with pytest.raises(InputError, match="x without gaps, got 1 masked"):
        from_arrays(np.ma.masked_array(X, mask=np.arange(120).reshape(40, 3) == 7), HALVES)


@pytest.mark.parametrize(("y", "kind", "message"), [
    ([1.5, "", 2.5], "number", "expected real numbers as labels, got '' at index 1"),
    ([["1", "0"], ["0", "x"]], None, "expected labels in two dimensions .* got '1' at"),
    ([[1, 0], [1]], None, "equally many labels for each, got lists of several lengths"),
    ([{1, None}, {2}], None, "expected sets of classes, got .* with an unknown one in it"),
])
def test_what_are_no_labels_is_refused_in_a_line(y: Any, kind: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(y, kind)


def test_labels_may_be_tensors_of_any_precision() -> None:
    several = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.bfloat16)
    target, y = read(several)
    assert isinstance(target, SeveralLabels) and y.tolist() == [[1, 0], [0, 1]]
    assert read_as(several, target).tolist() == y.tolist()


def test_a_class_is_labelled_wherever_there_are_labels_enough() -> None:
    rare = np.array(["a"] * 990 + ["b"] * 10)
    mine = from_arrays(np.random.default_rng(0).random((1000, 2)), rare)
    for labels in (2, 20, 50):
        drawn = mine.y[mine.split(labels, draw="stratified").labelled]
        assert drawn.bincount(minlength=2).tolist() == [labels - 1, 1]


def test_foreign_examples_stay_foreign_when_further_classes_are() -> None:
    mine = from_arrays(np.random.default_rng(0).random((200, 2)), np.arange(200) % 5)
    twice, once = mine.only("0", "1", "2").only("0", "1"), mine.only("0", "1")
    assert twice.foreign is not None and once.foreign is not None
    assert torch.equal(twice.foreign, once.foreign)
    unlabelled = twice.split(4, validation=4, foreign=0.0).unlabelled
    assert set(mine.y[unlabelled].tolist()) <= {0, 1}


# Examples


def test_further_examples_are_divided_by_what_they_are_alone() -> None:
    mine = from_arrays(COUNTS, HALVES)
    assert mine.divisor == 100
    rows = np.array([[1.0, 0.0], [30.0, 5.0], [30.5, 5.0]])
    together = mine.encoded(rows)
    for row, (alone, beside) in enumerate(zip(rows[1:], together[1:])):
        assert torch.equal(mine.encoded(alone[None])[0], beside), row
    assert torch.equal(mine.encoded(rows[:1].astype(int))[0], together[0])
    assert torch.equal(mine.encoded(rows / 100), together)
    with pytest.raises(InputError, match="got 0 and 1 in floating point, which may be either"):
        mine.encoded(rows[:1])


def test_pixels_that_are_no_longer_whole_are_divided_as_before() -> None:
    mine = from_arrays(BYTES, HALVES)
    resized = mine.encoded(BYTES[:4] + 0.5)
    torch.testing.assert_close(resized, mine.x[:4] + 0.5 / 255)
    torch.testing.assert_close(mine.encoded(BYTES[:4] / 255), mine.x[:4])
    black_and_white = (BYTES[:4] > 127).astype(float)
    assert mine.encoded(black_and_white).unique().tolist() == [0.0, 1.0]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_further_examples_are_finite(value: float) -> None:
    rows = X[:3].copy()
    rows[1, 2] = value
    with pytest.raises(InputError, match="NaN or infinity in 1 of 3 .* the first at index 1"):
        from_arrays(X, HALVES).encoded(rows)


def test_a_test_set_in_other_units_is_refused() -> None:
    with pytest.raises(InputError, match="in the same units"):
        from_arrays(BYTES, HALVES, test=(BYTES / 255, HALVES))
    assert from_arrays(BYTES, HALVES, test=((BYTES > 127).astype(int), HALVES)).divisor == 255


# Tables in files


def loaded(path: Path, text: str, **options: Any) -> Dataset:
    path.write_text(text)
    return files.load(path, "y", **options)


def lines(labels: list[str], second: list[str] = ["a", "b", "c", "a"]) -> str:
    rows = [f"{i},{second[i % len(second)]},{labels[i % len(labels)]}" for i in range(40)]
    return "\n".join(["n,c,y", *rows]) + "\n"


def test_a_text_that_marks_a_gap_elsewhere_is_a_class_and_a_level(tmp_path: Path) -> None:
    mine = loaded(tmp_path / "t.csv", lines(["None", "low", "high"], ["None", "NA", "x"]))
    assert set(mine.target.names) == {"None", "low", "high"}
    assert mine.columns is not None and mine.columns.columns[1].levels == ("NA", "None", "x")
    assert bool((mine.y >= 0).all())


def test_among_numbers_it_is_a_gap(tmp_path: Path) -> None:
    mine = loaded(tmp_path / "t.csv", lines(["u", "v"], ["1", "NA", "2.5", "nan"]))
    assert mine.columns is not None and mine.columns.columns[1].kind == "number"


def test_codes_that_begin_with_zero_are_no_numbers(tmp_path: Path) -> None:
    mine = loaded(tmp_path / "t.csv", lines(["007", "7", "012"]))
    assert isinstance(mine.target, Classes) and mine.target.names == ("007", "012", "7")


def test_levels_are_read_as_texts_where_a_file_has_numbers_alone(tmp_path: Path) -> None:
    mine = loaded(tmp_path / "t.csv", lines(["u", "v"], ["01", "1", "A"]))
    (tmp_path / "new.csv").write_text("n,c\n3,01\n4,1\n5,01\n")
    x = mine.encoded(further.read(tmp_path / "new.csv", mine).x)
    whole = mine.encoded(pandas.DataFrame({"n": [3, 4, 5], "c": ["01", "1", "01"]}))
    assert torch.equal(x, whole) and not torch.equal(x[0, 1:], x[1, 1:])


def test_a_first_line_of_numbers_is_no_names(tmp_path: Path) -> None:
    mine = from_arrays(COUNTS, HALVES)
    (tmp_path / "new.csv").write_text("90,5\n10,7\n20,8\n")
    with pytest.raises(InputError, match="names of the columns in the first line, got the numbers"):
        further.read(tmp_path / "new.csv", mine)
    (tmp_path / "new.csv").write_text("0,1\n10,7\n20,8\n")
    assert len(further.read(tmp_path / "new.csv", mine).x) == 2


def test_an_empty_line_of_one_column_is_a_gap(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("a\n1\n\n3\n")
    assert len(files.table_in(tmp_path / "one.csv")) == 3


def test_real_numbers_far_from_zero_keep_their_digits() -> None:
    y = 1.7e9 + np.linspace(-100, 100, 40)
    mine = from_arrays(X, y)
    assert np.array_equal(mine.y.numpy(), y)
    target = Number().standardised(mine.y)
    encoded = target.encode(mine.y, torch.float32)
    assert encoded.dtype == torch.float32
    expected = (y - y.mean()) / y.std()
    assert encoded[:, 0].tolist() == pytest.approx(expected.tolist(), abs=1e-6)


class Items(torch.utils.data.Dataset):
    """Examples of torch, which a loop over indices would never come to the end of."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.tensor(X[index % len(X)]), index % 2


@pytest.mark.parametrize("x, advice", [
    (Items(), "got Items: stack its items"),
    (torch.utils.data.DataLoader(Items()), "got DataLoader: stack its items"),
    (scipy.sparse.csr_matrix(X), r"got csr_matrix: use x.toarray\(\)"),
    (torch.tensor(X).to_sparse(), r"got Tensor: use x.to_dense\(\)"),
])
def test_examples_of_other_forms_are_refused_with_what_to_do(x: Any, advice: str) -> None:
    with pytest.raises(InputError, match=advice):
        from_arrays(x, HALVES)


def test_real_numbers_in_two_dimensions_are_refused_with_what_to_do() -> None:
    with pytest.raises(InputError, match=r"a real number is one for each example, y\[:, 0\]"):
        from_arrays(X, X[:, :1])


def test_the_number_of_labels_that_nobody_asked_for_is_told_as_the_default() -> None:
    y = np.arange(400) >= 390
    rare = from_arrays(np.random.default_rng(0).random((400, 2)), y)
    with pytest.raises(InputError, match='needs 50 .*; 100 is the default, and labels="all" keeps'):
        rare.split()
    with pytest.raises(InputError, match="needs 50 ((?!default).)*$"):
        rare.split(labels=100)
