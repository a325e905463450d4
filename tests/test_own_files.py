"""Files of one's own: arrays and tables, from Python and from the command line."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from pyro_ssvae import data
from pyro_ssvae.cli import main
from pyro_ssvae.errors import InputError
from pyro_ssvae.targets import Classes, SeveralLabels

QUICK = ["--epochs", "1", "--set", "hidden=4", "--device", "cpu"]


def arrays(path: Path, **changes: Any) -> Path:
    """A file of 90 bytes-valued examples of classes 3, 5 and 7, every other label unknown."""
    rng = np.random.default_rng(0)
    labels = np.where(np.arange(90) % 2 == 0, 3 + 2 * (np.arange(90) % 3), -1)
    given = {"x": rng.integers(256, size=(90, 4), dtype=np.uint8), "y": labels}
    given |= changes
    np.savez(path, **{name: value for name, value in given.items() if value is not None})
    return path


def table(path: Path, text: str | None = None) -> Path:
    """A table of a number with gaps, a category and a label that is mostly unknown."""
    lines = ["age, city, income"] + [
        f"{'' if i % 7 == 0 else 20 + i % 40}, {['rome', 'oslo'][i % 2]},"
        f" {['low', 'high'][i // 3 % 2] if i % 3 == 0 else ''}"
        for i in range(120)
    ]
    path.write_text("\n".join(lines) + "\n" if text is None else text)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


# Reading


def test_arrays_are_read_as_from_arrays_takes_them(tmp_path: Path) -> None:
    dataset = data.load(str(arrays(tmp_path / "mine.npz")))
    assert (dataset.name, dataset.target) == ("mine.npz", Classes(("3", "5", "7")))
    assert (dataset.within_unit, dataset.fully_known, dataset.divisor) == (True, False, 255)


def test_a_test_set_may_be_in_the_file(tmp_path: Path) -> None:
    path = arrays(tmp_path / "mine.npz", x_test=np.zeros((2, 4), dtype=np.uint8), y_test=[5, 3])
    assert data.load(str(path)).test.tolist() == [90, 91]


def test_several_labels_and_texts_may_be_in_a_file(tmp_path: Path) -> None:
    several = arrays(tmp_path / "several.npz", y=np.arange(180).reshape(90, 2) % 2)
    assert data.load(str(several)).target == SeveralLabels(("0", "1"))
    texts = arrays(tmp_path / "texts.npz", y=np.array(["b", "a", ""] * 30))
    assert data.load(str(texts)).target == Classes(("a", "b"))


def test_a_table_has_labels_in_the_column_that_is_named(tmp_path: Path) -> None:
    dataset = data.load(str(table(tmp_path / "people.csv")), target="income")
    assert (dataset.name, dataset.target) == ("people.csv", Classes(("high", "low")))
    assert int(dataset.target.known(dataset.y).sum()) == 40
    assert dataset.columns is not None
    assert [column.name for column in dataset.columns.columns] == ["age", "city"]


def test_whole_numbers_with_gaps_are_classes(tmp_path: Path) -> None:
    text = "a,k\n" + "".join(f"{i},{'' if i % 3 else i % 2 + 1}\n" for i in range(60))
    dataset = data.load(str(table(tmp_path / "t.csv", text)), target="k")
    assert dataset.target == Classes(("1", "2"))


# What is refused


@pytest.mark.parametrize(("changes", "message"), [
    ({"y": None}, "expected arrays x and y, and x_test and y_test or neither, got x$"),
    ({"x_test": np.zeros((2, 4))}, "got x, x_test, y$"),
    ({"X": np.zeros(3)}, "unknown array of .*'X': expected one of x, x_test, y, y_test"),
    ({"y": np.array(["a", None] * 45, dtype=object)}, "arrays of numbers or texts .* got Value"),
])
def test_a_file_of_other_arrays_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        data.load(str(arrays(tmp_path / "mine.npz", **changes)))


@pytest.mark.parametrize(("text", "target", "message"), [
    (None, None, "expected the name of the column of labels, .* columns are age, city, income"),
    (None, "incme", "unknown column of .*'incme'.*did you mean 'income'"),
    ("", "y", "expected the names of the columns in the first line, got none"),
    ("a,a,y\n1,2,3\n", "y", "expected columns of different names, got 'a' twice"),
    ("a,y\n1,b,3\n2,b,4\n", "y", "expected 2 fields in every line"),
    ("a,y\n1,b\n2,b,4,5\n", "y", "expected 2 fields in every line, .*, got 4 in line 3"),
    ('a,y\n1,"b\n', "y", "expected a table of comma-separated values"),
    ("a,y\n1,\n2,\n", "y", "expected a label that is known, got 2 that are unknown"),
    ("a,y\n1,1.0\n2,2.0\n", "y", "say target="),
])
def test_a_broken_table_is_refused(
    tmp_path: Path, text: str | None, target: str | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        data.load(str(table(tmp_path / "t.csv", text)), target=target)


def test_a_file_that_is_not_there_or_no_file_of_arrays_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mine\.npz: expected a file of data, got none"):
        data.load(str(tmp_path / "mine.npz"))
    (tmp_path / "mine.npz").write_bytes(b"PK\x03\x04 nothing more")
    with pytest.raises(InputError, match=r"mine\.npz: expected arrays of numbers or texts"):
        data.load(str(tmp_path / "mine.npz"))


def test_a_target_is_of_tables_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a target of a file of one's own alone, got 'y' of 'dig"):
        data.load("digits", target="y")
    with pytest.raises(InputError, match="expected no target of arrays, whose labels are y"):
        data.load(str(arrays(tmp_path / "mine.npz")), target="y")


def test_an_array_that_no_memory_holds_is_refused(tmp_path: Path) -> None:
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 1000), }"
    header = header.ljust(117) + "\n"
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(80)
    with zipfile.ZipFile(tmp_path / "mine.npz", "w") as file:
        for name in ("x.npy", "y.npy"):
            file.writestr(name, array)
    with pytest.raises(InputError, match=r"mine\.npz: expected arrays .* got MemoryError"):
        data.load(str(tmp_path / "mine.npz"))


# The command line


def test_a_table_trains_and_is_evaluated_again_from_its_file(tmp_path: Path) -> None:
    path, out = table(tmp_path / "people.csv"), tmp_path / "out"
    trained = run("train", "m2", "--data", path, "--target", "income", *QUICK, "--out", out)
    assert trained.exit_code == 0, trained.output
    assert "2 classes: high 20, low 20" in trained.stdout
    assert "80 of 120 labels unknown (66.7%)" in trained.stdout
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["data"], metrics["options"]["likelihood"]) == ("people.csv", "mixed:0.5")
    again = run("evaluate", out, "--data", path, "--target", "income", "--device", "cpu")
    assert again.exit_code == 0, again.output
    assert f"{metrics['test']['accuracy']:.6g}" in again.stdout
    alone = run("evaluate", out, "--device", "cpu")
    assert alone.exit_code == 2 and alone.stderr.endswith(
        "give them: runs.load(FOLDER, dataset=...), or --data FILE on the command line\n"
    )


def test_what_is_drawn_is_said_on_the_command_line(tmp_path: Path) -> None:
    path, out = arrays(tmp_path / "mine.npz", y=np.arange(90) % 3), tmp_path / "out"
    result = run(
        "train", "supervised", "--data", path, "--labels", "0=4,1=2", "--unlabelled", "20",
        "--only", "0,1", "--foreign", "0.25", *QUICK, "--out", out,
    )
    assert result.exit_code == 0, result.output
    dataset = data.load(str(path)).only("0", "1")
    split = data.Split.load(out / "split.json", dataset)
    assert dataset.y[split.labelled].bincount().tolist() == [4, 2]
    assert dataset.foreign is not None
    assert len(split.unlabelled) == 20
    assert sum(i in dataset.foreign for i in split.unlabelled.tolist()) == 5


@pytest.mark.parametrize(("arguments", "message"), [
    (["--labels", "few"], "a number of examples, all, or a number for each class .*, got 'few'"),
    (["--labels", "0=1,0=2"], "a number for each class"),
    (["--labels", "x=1"], "unknown class 'x'"),
    (["--draw", "fair"], "unknown draw 'fair'"),
    (["--only", "0,z"], "unknown class 'z'"),
    (["--target", "y"], "a target of a file of one's own alone"),
    (["--data", "nothing.csv"], "expected a file of data, got none there"),
])
def test_a_mistake_is_answered_in_one_line(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = run("train", "m2", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert re.search(message, result.stderr)
