"""Adult's two files: rows of numbers and texts, with question marks for gaps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pyro_ssvae.data import adult, load
from pyro_ssvae.data.adult import COLUMNS, NUMBERS, read_adult
from pyro_ssvae.errors import InputError

ROW = ("39", "State-gov", "77516", "Bachelors", "13", "Never-married", "Adm-clerical",
       "Not-in-family", "White", "Male", "2174", "0", "40", "United-States")
OTHER = ("50", "?", "83311", "HS-grad", "9", "Divorced", "?", "Wife", "Black", "Female", "0",
         "1902", "13", "?")
REMARK = "|1x3 Cross validator\n"
N, T = 20, 6


def line(row: tuple[str, ...], label: str) -> str:
    return ", ".join([*row, label]) + "\n"


def aged(row: tuple[str, ...], age: int) -> tuple[str, ...]:
    return (str(age), *row[1:])


TRAIN = [line(aged(ROW, 20 + i), "<=50K") if i % 4 else line(aged(OTHER, 20 + i), ">50K")
         for i in range(N)]
TEST = [line(aged(ROW, 30 + i), "<=50K.") if i % 2 else line(aged(OTHER, 30 + i), ">50K.")
        for i in range(T)]


def write(folder: Path, train: str | None = None, test: str | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adult.data").write_text("".join(TRAIN) + "\n" if train is None else train)
    (folder / "adult.test").write_text(REMARK + "".join(TEST) + "\n" if test is None else test)
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adult, "EXAMPLES", {"adult.data": N, "adult.test": T})


def refused(root: Path) -> str:
    """The line with which the data are refused."""
    with pytest.raises(InputError) as error:
        load("adult", root)
    assert "\n" not in str(error.value)
    return str(error.value)


# Read


@pytest.mark.parametrize("folder", [".", "adult"])
def test_files_are_read_wherever_they_may_lie(tmp_path: Path, folder: str) -> None:
    write(tmp_path / folder)
    (frame, y), (test_frame, test_y) = read_adult(tmp_path)
    assert (len(frame), len(y), len(test_frame), len(test_y)) == (N, N, T, T)
    assert frame["age"].tolist() == list(range(20, 40))
    assert test_frame["age"].tolist() == list(range(30, 36))


def test_a_frame_has_fourteen_columns_numbers_and_texts(tmp_path: Path) -> None:
    (frame, _), _ = read_adult(write(tmp_path))
    assert tuple(frame.columns) == COLUMNS
    for name, value in zip(COLUMNS, ROW):
        column = frame[name]
        assert (column.dtype == np.float64) == (name in NUMBERS)
        if name != "age":
            assert column[1] == (float(value) if name in NUMBERS else value)


def test_a_question_mark_is_a_gap(tmp_path: Path) -> None:
    (frame, _), _ = read_adult(write(tmp_path))
    gaps = [name for name in COLUMNS if frame[name].isna()[0]]
    assert gaps == ["workclass", "occupation", "native-country"]


def test_a_number_may_be_a_gap(tmp_path: Path) -> None:
    row = (*ROW[:12], "?", ROW[13])
    (frame, _), _ = read_adult(write(tmp_path, "".join([*TRAIN[:-1], line(row, ">50K")])))
    assert frame["hours-per-week"].isna().tolist() == [False] * (N - 1) + [True]


def test_classes_are_those_of_the_training_file_without_the_dot_of_the_test_file(
    tmp_path: Path
) -> None:
    (_, y), (_, test_y) = read_adult(write(tmp_path))
    assert y.tolist() == [">50K", "<=50K", "<=50K", "<=50K"] * 5
    assert test_y.tolist() == [">50K", "<=50K"] * 3


def test_the_test_file_is_the_test_part(tmp_path: Path) -> None:
    data = load("adult", write(tmp_path))
    assert data.target.names == ("<=50K", ">50K")
    assert data.test.tolist() == list(range(N, N + T))
    assert data.y.tolist() == [1, 0, 0, 0] * 5 + [1, 0] * 3
    assert (data.name, data.kind, data.validation) == ("adult", "frame", 2)
    assert data.columns is not None


def test_lines_may_end_as_on_windows(tmp_path: Path) -> None:
    write(tmp_path)
    content = (tmp_path / "adult.data").read_bytes().replace(b"\n", b"\r\n")
    (tmp_path / "adult.data").write_bytes(content)
    (_, y), _ = read_adult(tmp_path)
    assert y[:2].tolist() == [">50K", "<=50K"]


# Refused


def test_missing_files_are_answered_with_where_to_put_them_and_where_they_are_from(
    tmp_path: Path
) -> None:
    message = refused(tmp_path)
    for part in ("adult.data and adult.test", str(tmp_path / "adult"), "got neither",
                 "archive.ics.uci.edu", "--data-root", "$PYRO_SSVAE_DATA"):
        assert part in message


def test_one_file_without_the_other_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "adult.test").unlink()
    assert f"got {tmp_path / 'adult.data'} alone; put both there" in refused(tmp_path)


@pytest.mark.parametrize("bad", [
    line(ROW, "50K"), line(ROW[:-1], "<=50K"), line((*ROW, "x"), "<=50K"), line(ROW, "?"),
    "hello\n", ",".join([*ROW, "<=50K"]) + "\n", line(("", *ROW[1:]), "<=50K"),
    TRAIN[2][:40] + "\n", "age, workclass\n",
])
def test_a_line_of_another_form_is_shown_with_its_number(tmp_path: Path, bad: str) -> None:
    write(tmp_path, "".join([*TRAIN[:2], bad, *TRAIN[3:]]))
    message = refused(tmp_path)
    assert message.startswith(f"{tmp_path / 'adult.data'}: expected 14 values and <=50K or >50K")
    assert "in line 3, got" in message


@pytest.mark.parametrize("value", ["young", "-1", "1e3", "nan", "inf", "9" * 400, "\u00b2"])
def test_a_number_that_is_none_is_named(tmp_path: Path, value: str) -> None:
    row = (value, *ROW[1:])
    write(tmp_path, "".join([*TRAIN[:2], line(row, "<=50K"), *TRAIN[3:]]))
    message = refused(tmp_path)
    assert message.startswith(f"{tmp_path / 'adult.data'}: expected ")
    if value.isascii():
        assert "expected whole numbers as 'age', got" in message


@pytest.mark.parametrize("number", [0, 1, N - 1])
def test_a_file_cut_off_after_a_whole_line_is_refused(tmp_path: Path, number: int) -> None:
    write(tmp_path, "".join(TRAIN[:number]))
    assert f"adult.data: expected 20 examples, got {number}; the file is" in refused(tmp_path)


def test_the_two_files_may_not_change_places(tmp_path: Path) -> None:
    write(tmp_path, "".join(TEST), "".join(TRAIN))
    assert "adult.data: expected 20 examples, got 6" in refused(tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\x00\x01", b"PK\x03\x04", "\u00e9".encode()])
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    write(tmp_path)
    (tmp_path / "adult.test").write_bytes(content)
    assert refused(tmp_path).startswith(f"{tmp_path / 'adult.test'}: expected ")
