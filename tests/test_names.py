"""Names of classes on the command line: with commas in them, and beyond a terminal's letters."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyro_ssvae import InputError, data
from pyro_ssvae.cli import values


@pytest.mark.parametrize("text, expected", [
    ("cat,dog", ["cat", "dog"]), ('"a, b",c d', ["a, b", "c d"]), ("one", ["one"]),
    ('cat, "a, b"', ["cat", "a, b"]), ("", []),
])
def test_a_name_with_a_comma_stands_in_quotes(text: str, expected: list[str]) -> None:
    assert values.names(text) == expected


def test_numbers_of_labels_are_given_to_names_with_commas() -> None:
    assert values.labels('"a, b"=3,c=d=4') == {"a, b": 3, "c=d": 4}
    with pytest.raises(InputError, match="a number for each class such as cat=5"):
        values.labels("a, b=3")


def test_names_with_commas_are_listed_in_quotes() -> None:
    dataset = data.from_arrays([[0.0], [0.5], [1.0]] * 20, ["a, b", "c", "d"] * 20)
    with pytest.raises(InputError, match='expected one of "a, b", c, d'):
        dataset.only("c", "e")


def test_letters_that_the_terminal_lacks_end_no_command(tmp_path: Path) -> None:
    rows = "".join(f"{i % 7},{'żółć' if i % 2 else 'plain'}\n" for i in range(60))
    (tmp_path / "t.csv").write_text("a,k\n" + rows, encoding="utf-8")
    command = [sys.executable, "-m", "pyro_ssvae", "train", "supervised", "--data", "t.csv",
               "--target", "k", "--epochs", "1", "--labels", "10", "--out", "run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True,
                          env={**os.environ, "PYTHONIOENCODING": "latin-1"})
    assert done.returncode == 0, done.stderr
    assert b"\\u017c\xf3\\u0142\\u0107" in done.stdout + done.stderr
