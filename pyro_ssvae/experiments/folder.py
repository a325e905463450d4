"""The folders of runs and of comparisons: what is where, and how it is written and read."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from pyro_ssvae.errors import InputError
from pyro_ssvae.experiments import record
from pyro_ssvae.experiments.record import Record
from pyro_ssvae.report.names import FIGURES as NAMES
from pyro_ssvae.report.names import SUFFIXES
from pyro_ssvae.system.files import check_writable, write_text
from pyro_ssvae.system.numbers import finite
from pyro_ssvae.training.log import EVENTS

# Of a run.
CHECKPOINT = "checkpoint.pt"
HISTORY, METRICS, SPLIT, DATA = "history.csv", "metrics.json", "split.json", "data.json"
CALIBRATION, SAMPLES = "calibration.json", "samples.png"  # of what is done after training
FIGURES = "figures"
FILES = (CHECKPOINT, HISTORY, METRICS, SPLIT, DATA, CALIBRATION, SAMPLES)

# Of a study, and of a comparison.
RUNS, ENSEMBLES = "runs", "ensembles"
STUDY, RESULTS, TIMES, STATISTICS = "study.json", "results.csv", "times.csv", "statistics.md"
TABLE, TABLE_CSV, RUNS_CSV, REPORT = "table.md", "table.csv", "runs.csv", "report.html"
TABLES = (TABLE, TABLE_CSV, RUNS_CSV, REPORT)

# The types of what other modules read from metrics.json, beside the record.
TYPES: dict[str, type | tuple[type, ...]] = {
    "epochs_done": int, "seconds": (int, float), "device": str, "versions": dict, "test": dict,
}


def run_folder(out: Path, model: str, split_seed: int, digest: str) -> Path:
    """Where a study in ``out`` keeps a run: named by the pair, the draw, and the digest."""
    return out / RUNS / f"{safe(model)}-seed-{split_seed}-{digest[:12]}"


def safe(name: str) -> str:
    """The name of a pair as folders have it: ``mypackage.module.Mine``."""
    return name.replace(":", ".")


def runs_in(out: Path) -> list[tuple[Path, str]]:
    """The folders in ``out`` that are named as those of runs: each with the pair's name."""
    runs = out / RUNS
    if not runs.is_dir() or runs.is_symlink():
        return []
    named = (
        (folder, re.fullmatch(r"(.+)-seed-(?:0|[1-9]\d{0,19})-[0-9a-f]{12}", folder.name))
        for folder in sorted(runs.iterdir()) if folder.is_dir() and not folder.is_symlink()
    )
    return [(folder, name[1]) for folder, name in named if name]


def figure_files(folder: Path) -> dict[str, Path]:
    """The files of the figures that a run has, by the names of the figures."""
    files = {name: folder / FIGURES / f"{name}.png" for name in NAMES}
    return {name: path for name, path in files.items() if path.is_file()}


def check_free(out: Path, *marks: str, resume: bool, overwrite: bool) -> None:
    """Raise :class:`InputError` if ``out`` cannot be written, or holds files named ``marks``."""
    if resume and overwrite:
        raise InputError("expected one of --resume and --overwrite, got both")
    check_writable(out)
    if any((out / mark).exists() for mark in marks) and not (resume or overwrite):
        raise InputError(
            f"{out}: already holds a run; --resume goes on with it, --overwrite replaces it"
        )


def clear(folder: Path) -> None:
    """Delete a run's files by their names, and its folder of figures if nothing else is in it.

    A folder of figures that is a symbolic link is left as it is, with what it leads to.
    """
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    figures = folder / FIGURES
    if figures.is_dir() and not figures.is_symlink():
        for name, suffix in product(NAMES, SUFFIXES):
            (figures / f"{name}{suffix}").unlink(missing_ok=True)
        remove_if_empty(figures)


def clear_events(folder: Path) -> None:
    """Delete TensorBoard's files of a run."""
    for path in folder.glob(EVENTS):
        path.unlink()


def remove_if_empty(folder: Path) -> None:
    """Remove a folder in which nothing is left, if there is one."""
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def write_history(folder: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write ``history.csv``: a row for each epoch, or nothing before the first is done."""
    if not history:
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_text(folder / HISTORY, text.getvalue())


def read_history(folder: Path) -> list[dict[str, float]]:
    """Read ``history.csv``.

    Raises:
        InputError: If there is no such file, or it is none of numbers in columns with names.
    """
    path = folder / HISTORY
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file, strict=True)
            names = next(reader, [])
            rows = [[float(value) for value in row] for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: expected a history of train, got: {error}") from None
    if not rows or "epoch" not in names or any(len(row) != len(names) for row in rows):
        raise InputError(
            f"{path}: expected a history of train, which has a row for each epoch and a number in"
            f" each of its columns, got {len(rows)} rows with the columns {', '.join(names)!r:.60}"
        )
    return [dict(zip(names, row)) for row in rows]


def write_description(folder: Path, description: Mapping[str, Any]) -> None:
    """Write ``data.json``: what the data are, without the examples."""
    write_text(folder / DATA, json.dumps(description, indent=2) + "\n")


def write_metrics(folder: Path, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Write ``metrics.json``, and return what it holds: None for a number that is not finite.

    The options stay as they are, for the digest is of them.
    """
    content: dict[str, Any] = finite(metrics) | {"options": metrics["options"]}
    write_text(folder / METRICS, json.dumps(content, indent=2) + "\n")
    return content


def read_metrics(folder: Path) -> tuple[Record, dict[str, Any]]:
    """Read ``metrics.json``: the record of the run, and everything.

    Raises:
        InputError: If there is no such file, or it is not one that a run has written.
    """
    path = folder / METRICS
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        started = record.read(metrics)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected metrics of train, got: {error}") from None
    for name, kind in TYPES.items():
        value = metrics.get(name)
        if not isinstance(value, kind):
            raise InputError(
                f"{path}: expected metrics of train, with {name} among them, got {value!r:.60}"
            )
    numbers = {"seconds": metrics["seconds"], "accuracy": "none", **metrics["test"]}
    for name, value in numbers.items():
        if value is not None and not (isinstance(value, (int, float)) and abs(value) < 1e300):
            raise InputError(f"{path}: expected a finite number as {name}, got {value!r:.60}")
    return started, metrics
