"""What the benchmarks have found: a file for CPUs and one for GPUs, and tables made of them.

Every benchmark replaces its own rows in the file of the device that it ran on, with the machine and
the command. `python benchmarks/page.py` makes the page of both files.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from matplotlib.figure import Figure
from measure import DEVICE, machine

from pyro_ssvae.system.files import write_text

FOLDER = Path(__file__).parent
KINDS = {"cpu": "", "cuda": "-cuda"}  # what the names of files end in, by the type of the device

Row = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]


class Found(TypedDict):
    """What a benchmark has found.

    Attributes:
        machine: The machine and the versions of what ran on it.
        command: The command that measured it, empty where there was no single one.
        rows: The rows, of texts, numbers and what is made of them.
    """

    machine: str
    command: str
    rows: list[Row]


class Section(NamedTuple):
    """A benchmark's part of the page.

    Attributes:
        name: The name of the benchmark in the files of results, and of its figure.
        title: The heading.
        prose: The text: what is measured, and how to read it.
        tables: A function that makes the tables of the rows, in Markdown.
        drawn: A function that draws the rows. None stands for a benchmark without a figure.
    """

    name: str
    title: str
    prose: str
    tables: Callable[[Rows], str]
    drawn: Callable[[Rows], Figure] | None = None


def read(device: str, folder: Path = FOLDER) -> dict[str, Found]:
    """What was found on a type of device, ``cpu`` or ``cuda``, by benchmark."""
    path = _path(device, folder)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def record(name: str, rows: Rows, folder: Path = FOLDER) -> None:
    """Replace the rows of a benchmark, and leave those of the others as they are."""
    script, *arguments = sys.argv
    command = shlex.join(["python", f"benchmarks/{Path(script).name}", *arguments])
    found: Found = {"machine": machine(), "command": command, "rows": [dict(row) for row in rows]}
    results = {**read(DEVICE.type, folder), name: found}
    write_text(_path(DEVICE.type, folder), json.dumps(results, indent=1) + "\n")


def table(rows: Rows, formats: Mapping[str, str]) -> str:
    """A table in Markdown.

    Args:
        rows: The rows, by heading; what is missing or None has an empty cell.
        formats: The format of each column by its heading, such as ``.1f``; the columns of texts
            have an empty one. A column of which no row has anything is left out.
    """
    there = [each for each in formats if any(row.get(each) is not None for row in rows)]
    heading = " | ".join(each.replace("|", r"\|") for each in there)
    lines = [f"| {heading} |"]
    lines += [f"|{'|'.join('---:' if formats[each] else ':---' for each in there)}|"]
    for row in rows:
        cells = [_cell(row.get(each), formats[each]) for each in there]
        lines += [f"| {' | '.join(cells)} |"]
    return "\n".join(lines)


def _cell(value: Any, form: str) -> str:
    return "" if value is None else format(value, form)


def _path(device: str, folder: Path) -> Path:
    return folder / f"results{KINDS[device]}.json"
