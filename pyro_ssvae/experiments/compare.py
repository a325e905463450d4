"""Several pairs on the same splits: runs, reference classifiers, a table and a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyro_ssvae.data import Dataset, Split
from pyro_ssvae.errors import InputError, enough_memory, named_folder, positive
from pyro_ssvae.evaluation.references import REFERENCES, evaluate_reference
from pyro_ssvae.evaluation.validation import check_support
from pyro_ssvae.experiments import earlier, runs, zoo
from pyro_ssvae.report import page as report
from pyro_ssvae.report import tables
from pyro_ssvae.report.page import RUNS, run_folder
from pyro_ssvae.system.files import locked, write_text
from pyro_ssvae.system.progress import Progress

TABLE, TABLE_CSV, RUNS_CSV, REPORT = "table.md", "table.csv", "runs.csv", "report.html"
MOST_SEEDS = 1_000  # all splits are in memory


def compare(
    names: Sequence[str],
    dataset: Dataset,
    out: str | Path,
    *,
    labels: int = 50,
    seeds: int = 5,
    missing: float = 0.0,
    epochs: int = 50,
    settings: Iterable[str] = (),
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
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
        epochs: The number of passes over the unlabelled data.
        settings: options as NAME=VALUE; each goes to every pair that takes it.
        resume: Go on with the comparison in the folder, if there is one. Pairs that it has
            trained and that are not named now keep their rows, after those of ``names``.
        overwrite: Replace the comparison in the folder, if there is one. What it has not written
            is left there.
        progress: Whether to show how many runs are done, and the progress of each.
        log: A function that takes a line as each run ends.
        training: further arguments of :func:`pyro_ssvae.experiments.runs.train`.

    Returns:
        The path of the report.

    Raises:
        InputError: as :func:`pyro_ssvae.experiments.runs.train`, before any training; or if a pair
            is named twice, no pair has one of the options, or a run whose row is to be kept has
            other settings, epochs or seeds.
    """
    out = named_folder(out)
    with locked(out):
        return _compare(
            names, dataset, out, labels=labels, seeds=seeds, missing=missing, epochs=epochs,
            settings=settings, resume=resume, overwrite=overwrite, progress=progress, log=log,
            **training,
        )


def _compare(
    names: Sequence[str],
    dataset: Dataset,
    out: Path,
    *,
    labels: int,
    seeds: int,
    missing: float,
    epochs: int,
    settings: Iterable[str],
    resume: bool,
    overwrite: bool,
    progress: bool,
    log: Callable[[str], None],
    **training: Any,
) -> Path:
    positive(seeds=seeds)
    if seeds > MOST_SEEDS:
        raise InputError(f"expected seeds <= {MOST_SEEDS}, got {seeds}")
    options = _options_of_each(names, settings)
    runs.check_folder(out, TABLE, RUNS, resume=resume, overwrite=overwrite)
    splits = [dataset.split(labels, seed=seed, missing=missing) for seed in range(seeds)]
    jobs = [(name, split, run_folder(out, name, split.seed)) for name in names for split in splits]
    if overwrite:
        earlier.refuse_links([out / RUNS, *(folder for *_, folder in jobs)])
    wanted = []
    for name, split, folder in jobs:
        prepared = runs.prepare(
            name, split, folder, options=options[name], epochs=epochs, resume=resume,
            overwrite=overwrite, **training,
        )
        if split is splits[0]:  # every split has the same data
            check_support(prepared.objective, prepared.split)
        if name == names[0]:
            wanted.append(prepared.settings | {"epochs": epochs})
    kept = earlier.kept(out, names, wanted) if resume else {}
    for name in kept:
        log(f"{name}: kept from before, {len(splits)} seeds")
    _clear(out, keep_runs=resume)
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    results |= kept | {name: [] for name in REFERENCES}
    everything = len(jobs) + len(REFERENCES) * len(splits)
    with Progress("comparing", everything, "runs", show=progress) as runs_done:
        for name, split, folder in jobs:
            with enough_memory(**options[name]):
                metrics = runs.train(
                    name, split, folder, options=options[name], epochs=epochs, resume=resume,
                    progress=progress, log=log, **training,
                )
            results[name].append(metrics)
            log(_line(name, split, metrics))
            runs_done.advance()
        for name in REFERENCES:
            for split in splits:
                results[name].append(evaluate_reference(name, split))
                log(_line(name, split, results[name][-1]))
                runs_done.advance()
    write_text(out / TABLE_CSV, tables.csv_of_means(results))
    write_text(out / RUNS_CSV, tables.csv_of_runs(results))
    write_text(out / REPORT, report.html(out, results, dataset))
    write_text(out / TABLE, tables.markdown(results))
    return out / REPORT


def _clear(out: Path, keep_runs: bool) -> None:
    for name in (TABLE, TABLE_CSV, RUNS_CSV, REPORT):
        (out / name).unlink(missing_ok=True)
    if not keep_runs:
        earlier.clear_runs(out)


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
