"""Files of one's own: arrays and tables, from Python and from the command line."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from click.testing import CliRunner, Result

from pyro_ssvae import data, pair
from pyro_ssvae.cli import main
from pyro_ssvae.errors import InputError
from pyro_ssvae.targets import Classes, Number, SeveralLabels

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


def names_of(dataset: data.Dataset) -> list[str]:
    assert dataset.columns is not None
    return [column.name for column in dataset.columns.columns]


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


def test_long_whole_numbers_with_gaps_are_classes_of_all_their_digits(tmp_path: Path) -> None:
    labels = ("90071992547409931", "90071992547409932", "5", "NA")
    text = "a,k\n" + "".join(f"{i},{labels[i % 4]}\n" for i in range(80))
    dataset = data.load(str(table(tmp_path / "t.csv", text)), target="k")
    assert sorted(dataset.target.names) == sorted(labels[:3])
    assert int(dataset.target.known(dataset.y).sum()) == 60


def test_a_long_number_beside_real_ones_is_one_of_them(tmp_path: Path) -> None:
    labels = ("9007199254740993", "0.5", "1.25", "")
    text = "a,k\n" + "".join(f"{i},{labels[i % 4]}\n" for i in range(80))
    assert isinstance(data.load(str(table(tmp_path / "t.csv", text)), target="k").target, Number)


def test_a_text_that_marks_an_unknown_label_is_told_of(tmp_path: Path) -> None:
    labels = ("nan", "one", "two")
    text = "a,k\n" + "".join(f"{i},{labels[i % 3]}\n" for i in range(90))
    dataset = data.load(str(table(tmp_path / "t.csv", text)), target="k")
    assert "30 labels that are 'nan' or '-1' count as unknown" in dataset.notes


@pytest.mark.parametrize("order", ["sorted", "shuffled", "written twice"])
def test_the_index_that_pandas_writes_is_left_out(tmp_path: Path, order: str) -> None:
    frame = pandas.DataFrame({"a": np.arange(60) % 7, "y": np.arange(60) // 30})
    if order == "shuffled":
        frame = frame.sample(frac=0.8, random_state=0)
    frame.to_csv(tmp_path / "t.csv")
    if order == "written twice":
        pandas.read_csv(tmp_path / "t.csv").to_csv(tmp_path / "t.csv")
    dataset = data.load(str(tmp_path / "t.csv"), target="y")
    assert names_of(dataset) == ["a"]
    assert re.search("left out: Unnamed: 0.*, which has no name and numbers the rows", str(dataset))


def test_a_column_without_a_name_that_does_not_number_the_rows_stays(tmp_path: Path) -> None:
    text = ",a,y\n" + "".join(f"{i % 9},{i % 7},{i % 2}\n" for i in range(60))
    dataset = data.load(str(table(tmp_path / "t.csv", text)), target="y")
    assert names_of(dataset) == ["Unnamed: 0", "a"] and not dataset.notes


def test_columns_may_be_ignored(tmp_path: Path) -> None:
    path = str(table(tmp_path / "people.csv"))
    dataset = data.load(path, target="income", ignore=["city"])
    assert names_of(dataset) == ["age"] and "ignored: city" in str(dataset)
    assert data.load(path, target="income", ignore="city").fingerprint == dataset.fingerprint


@pytest.mark.parametrize("written", ["{}", "{}.0"])
def test_whole_numbers_are_what_labels_are_said_to_be(tmp_path: Path, written: str) -> None:
    text = "a,y\n" + "".join(f"{i},{written.format(i % 12)}\n" for i in range(90))
    path = str(table(tmp_path / "t.csv", text))
    assert data.load(path, target="y", labels_are="number").target == Number()
    classes = data.load(path, target="y", labels_are="classes").target
    assert classes == Classes(tuple(map(str, range(12))))
    file = str(arrays(tmp_path / "mine.npz", y=np.arange(90) % 12))
    assert data.load(file, labels_are="number").target == Number()


def test_unknown_numbers_are_gaps_in_the_column(tmp_path: Path) -> None:
    text = "a,y\n" + "".join(f"{i},{'' if i % 3 else i}\n" for i in range(90))
    dataset = data.load(str(table(tmp_path / "t.csv", text)), target="y", labels_are="number")
    assert dataset.target == Number() and int(dataset.target.known(dataset.y).sum()) == 30


def test_a_share_of_ones_own_is_set_aside_for_testing(tmp_path: Path) -> None:
    path = str(table(tmp_path / "people.csv"))
    assert len(data.load(path, target="income").test) == 8
    assert len(data.load(path, target="income", test=0.5).test) == 20
    assert len(data.load(str(arrays(tmp_path / "mine.npz")), test=0.4).test) == 18


# What is refused


@pytest.mark.parametrize(("ignore", "message"), [
    (["cty"], "unknown column of .*'cty'.*did you mean 'city'"),
    (["income"], "expected columns to ignore beside the target, got 'income'"),
    (["age", "city"], "a column that varies, got 0 columns"),
])
def test_columns_that_cannot_be_ignored_are_refused(
    tmp_path: Path, ignore: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        data.load(str(table(tmp_path / "people.csv")), target="income", ignore=ignore)


@pytest.mark.parametrize(("options", "message"), [
    ({"ignore": ["a"]}, "expected no columns to ignore of arrays, .* got 'a'"),
    ({"test": 0.3}, "expected no share for testing beside x_test, got 0.3; leave one of them out"),
    ({"labels_are": "numbers"}, "unknown kind of labels 'numbers': .* did you mean 'number'"),
])
def test_options_that_do_not_go_with_arrays_are_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    path = arrays(tmp_path / "mine.npz", x_test=np.zeros((2, 4), dtype=np.uint8), y_test=[5, 3])
    with pytest.raises(InputError, match=message):
        data.load(str(path), **options)


@pytest.mark.parametrize(("options", "message"), [
    ({"ignore": ["a"]}, "columns to ignore of a file of one's own alone, got 'a' of 'digits'"),
    ({"test": 0.3}, "a share for testing of a file of one's own alone, got 0.3 of 'digits'"),
    ({"labels_are": "number"}, "what labels are of a file of one's own alone, got 'number' of"),
])
def test_options_of_files_are_refused_of_data_known_by_name(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        data.load("digits", **options)


@pytest.mark.parametrize("name", ["dig.npy", "x.txt", "my.csv.gz", "nothing/of/it"])
@pytest.mark.parametrize("there", [True, False])
def test_a_file_of_another_form_is_answered_with_those_that_are_read(
    tmp_path: Path, name: str, there: bool
) -> None:
    path = tmp_path / name
    if there:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    came = "a file of another form" if there else "none of them there"
    with pytest.raises(InputError, match=re.escape(
        f"{path}: expected FILE.npz with arrays x and y, FILE.csv with a column of labels, or a"
        f" folder of images, got {came}"
    )):
        data.load(str(path), target="label")


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
    ("a,y\n1,1.0\n2,2.0\n", "y", "got 1, 2; say --labels-are classes or number, in Python"),
    ("a,y\n" + "".join(f"{i},{i}\n" for i in range(9)), "y",
     r"two examples of each class or more, got one of 0, 1, 2, 3, 4, \.\.\.; .* --labels-are num"),
    ("a,y\n1,u\n2,u\n3,v\n4,\n", "y", "got one of v; leave these labels empty"),
    ("a;b;y\n1;2,5;3\n", "y", r"by commas, got semicolons .* pandas.read_csv\(FILE, sep=';'\)"),
    ("a\tb\ty\n1\t2\t3\n", None, "separated by commas, got tabs in the first line"),
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


def test_the_parts_and_the_columns_are_said_on_the_command_line(tmp_path: Path) -> None:
    path, out = table(tmp_path / "people.csv"), tmp_path / "out"
    pandas.read_csv(path, skipinitialspace=True).assign(
        id=[f"p{i}" for i in range(120)], site=3, code=[f"c{i}" for i in range(120)]
    ).to_csv(path, index=False)
    reading = ["--data", path, "--target", "income", "--ignore", "id,site", "--ignore", "code"]
    trained = run("train", "supervised", *reading, "--test", "0.5", "--validation", "7", *QUICK,
                  "--out", out)
    assert trained.exit_code == 0, trained.output
    assert "ignored: id, site, code" in trained.stdout
    split = json.loads((out / "split.json").read_text())
    assert (len(split["test"]), len(split["validation"]), len(split["labelled"])) == (20, 7, 13)
    again = run("evaluate", out, *reading, "--device", "cpu")
    assert again.exit_code == 0, again.output
    accuracy = json.loads((out / "metrics.json").read_text())["test"]["accuracy"]
    assert f"{accuracy:.6g}" in again.stdout
    compared = run("compare", "supervised", *reading, "--test", "0.25", "--validation", "4",
                   "--seeds", "1", *QUICK, "--out", tmp_path / "both")
    assert compared.exit_code == 0, compared.output
    (file,) = (tmp_path / "both").rglob("split.json")
    split = json.loads(file.read_text())
    assert (len(split["test"]), len(split["validation"])) == (10, 4)


@pytest.mark.parametrize("written", ["{}", "{}.0"])
def test_whole_numbers_are_numbers_to_a_pair_that_infers_one(tmp_path: Path, written: str) -> None:
    text = "a,y\n" + "".join(f"{i},{written.format(i % 60)}\n" for i in range(120))
    path, out = table(tmp_path / "t.csv", text), tmp_path / "out"
    trained = run("train", "regression", "--data", path, "--target", "y", *QUICK, "--out", out)
    assert trained.exit_code == 0, trained.output
    metrics = json.loads((out / "metrics.json").read_text())["test"]
    again = run("evaluate", out, "--data", path, "--target", "y", "--device", "cpu")
    assert again.exit_code == 0, again.output
    assert f"{metrics['rmse']:.6g}" in again.stdout


def test_a_pair_of_a_number_names_five_classes_and_says_how_they_are_numbers(
    tmp_path: Path
) -> None:
    text = "a,y\n" + "".join(f"{i},{i % 20}\n" for i in range(120))
    reading = ["--data", table(tmp_path / "t.csv", text), "--target", "y", "--labels-are",
               "classes"]
    result = run("train", "regression", *reading, "--out", tmp_path / "out")
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1
    assert (
        "got t.csv with the labels 0, 1, 2, 3, 4, ...; use m2, or have them read as numbers:"
        ' --labels-are number on the command line, of data.load labels_are="number"'
    ) in result.stderr


def test_list_shows_the_values_used_on_a_file(tmp_path: Path) -> None:
    path = table(tmp_path / "people.csv")
    result = run("list", "m2", "--data", path, "--target", "income", "--json")
    assert result.exit_code == 0, result.output
    shown = {option["name"]: option["value"] for option in json.loads(result.stdout)["options"]}
    used = pair("m2").resolve(data.load(str(path), target="income"), {})
    assert shown["likelihood"] == used["likelihood"] == "mixed:0.5"
    assert {name: used[name] for name in shown} == {
        name: tuple(value) if isinstance(value, list) else value for name, value in shown.items()
    }
    without = run("list", "m2", "--data", path)
    assert without.exit_code == 2 and "as --target NAME; the columns are age" in without.stderr


@pytest.mark.parametrize("command", ["evaluate", "calibrate"])
@pytest.mark.parametrize("option", [("--ignore", "id"), ("--labels-are", "number")], ids=" ".join)
def test_how_a_table_is_read_is_refused_without_its_name(
    command: str, option: tuple[str, str], tmp_path: Path
) -> None:
    result = run(command, tmp_path, *option)
    assert result.exit_code == 2
    assert f"expected {option[0]} beside --data alone" in result.stderr


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
    (["--test", "0.5"], "a share for testing of a file of one's own alone, got 0.5 of 'digits'"),
    (["--validation", "0"], "expected at least 1 validation example, got 0"),
    (["--ignore", "id"], "columns to ignore of a file of one's own alone"),
    (["--data", "dig.npy"], "dig.npy: expected FILE.npz with arrays x and y, FILE.csv"),
    (["--data", "nothing.csv"], "expected a file of data, got none there"),
])
def test_a_mistake_is_answered_in_one_line(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = run("train", "m2", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert re.search(message, result.stderr)
