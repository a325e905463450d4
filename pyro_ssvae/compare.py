"""Several pairs on the same splits: runs, reference classifiers, a table and a report."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyro_ssvae import report, runs, tables, zoo
from pyro_ssvae.baselines import REFERENCES, evaluate_reference
from pyro_ssvae.checkpoint import CHECKPOINT
from pyro_ssvae.data import Dataset, Split
from pyro_ssvae.errors import InputError, positive
from pyro_ssvae.files import write_text
from pyro_ssvae.report import RUNS, run_folder
from pyro_ssvae.training import check_support

TABLE, TABLE_CSV, RUNS_CSV, REPORT = "table.md", "table.csv", "runs.csv", "report.html"


def compare(
    names: Sequence[str],
    dataset: Dataset,
    out: str | Path,
    *,
    labels: int = 50,
    seeds: int = 5,
    missing: float = 0.0,
    settings: Iterable[str] = (),
    resume: bool = False,
    overwrite: bool = False,
    log: Callable[[str], None] = lambda line: None,
    **training: Any,
) -> Path:
    """Train every pair on the same splits, one for each seed, and tabulate the test metrics.

    Args:
        names: of the pairs, in the table's order.
        dataset: the data.
        out: folder for ``table.md``, ``table.csv``, ``runs.csv``, ``report.html`` and the folders
            of the runs, ``runs/NAME-seed-S``.
        labels: labelled examples in each split.
        seeds: number of splits; seed s = 0, 1, ... draws the split and all that is random in it.
        missing: probability with which each label of the labelled examples is hidden, of
            multi-label data.
        settings: options as NAME=VALUE; each goes to every pair that takes it.
        resume, overwrite: as in :func:`pyro_ssvae.runs.train`.
        log: takes a line as each run ends.
        training: further arguments of :func:`pyro_ssvae.runs.train`.

    Returns:
        The path of the report.

    Raises:
        InputError: as :func:`pyro_ssvae.runs.train`, before any training; or if a pair is named
            twice, or no pair has one of the options.
    """
    out = Path(out)
    positive(seeds=seeds)
    options = _options_of_each(names, settings)
    runs.check_folder(out, TABLE, RUNS, resume=resume, overwrite=overwrite)
    splits = [dataset.split(labels, seed=seed, missing=missing) for seed in range(seeds)]
    jobs = [(name, split, run_folder(out, name, split.seed)) for name in names for split in splits]
    progress = training.pop("progress", False)
    for name, split, folder in jobs:
        prepared = runs.prepare(
            name, split, folder, options=options[name], resume=resume, overwrite=overwrite,
            **training,
        )
        if split is splits[0]:  # every split has the same data
            check_support(prepared.objective, prepared.split)
    _clear(out, keep_runs=resume)
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in (*names, *REFERENCES)}
    for name, split, folder in jobs:
        metrics = runs.train(
            name, split, folder, options=options[name], resume=resume, progress=progress, **training
        )
        results[name].append(metrics)
        log(_line(name, split, metrics))
    for name in REFERENCES:
        for split in splits:
            results[name].append(evaluate_reference(name, split))
            log(_line(name, split, results[name][-1]))
    write_text(out / TABLE_CSV, tables.csv_of_means(results))
    write_text(out / RUNS_CSV, tables.csv_of_runs(results))
    write_text(out / REPORT, report.html(out, results, dataset))
    write_text(out / TABLE, tables.markdown(results))
    return out / REPORT


def _clear(out: Path, keep_runs: bool) -> None:
    for name in (TABLE, TABLE_CSV, RUNS_CSV, REPORT):
        (out / name).unlink(missing_ok=True)
    for checkpoint in [] if keep_runs else (out / RUNS).glob(f"*-seed-*/{CHECKPOINT}"):
        shutil.rmtree(checkpoint.parent)


def _options_of_each(
    names: Sequence[str], settings: Iterable[str]
) -> dict[str, dict[str, Any]]:
    if not names or len(set(names)) < len(names):
        raise InputError(f"expected different models to compare, got {' '.join(names) or 'none'}")
    pairs = [zoo.pair(name) for name in names]
    everything = {
        key: option for pair in pairs for key, option in pair.options.items() if pair.takes(key)
    }
    given = zoo.parse(settings, everything)
    return {
        pair.name: {key: value for key, value in given.items() if pair.takes(key)}
        for pair in pairs
    }


def _line(name: str, split: Split, metrics: Mapping[str, Any]) -> str:
    scores = metrics["test"]
    shown = [
        text.format(scores[metric])
        for metric, text in (("accuracy", "accuracy {:.1%}"), ("elbo", "ELBO {:.2f}"))
        if scores.get(metric) is not None
    ]
    result = ", ".join(shown) or "done"
    return f"{name}, seed {split.seed}: {result} in {metrics['seconds']:.1f} s"
