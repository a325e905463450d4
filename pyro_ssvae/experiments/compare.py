"""Several pairs on the same splits: runs, references, a table and a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Unpack

from pyro_ssvae.data import Dataset, Drawing, Split
from pyro_ssvae.data.draws import Labels
from pyro_ssvae.errors import InputError, enough_memory, named_folder, positive, unknown
from pyro_ssvae.evaluation.references import evaluate_reference, references
from pyro_ssvae.evaluation.validation import check_support
from pyro_ssvae.experiments import earlier, runs
from pyro_ssvae.experiments import folder as folders
from pyro_ssvae.experiments.folder import REPORT, RUNS, RUNS_CSV, TABLE, TABLE_CSV, run_folder
from pyro_ssvae.experiments.options import layered
from pyro_ssvae.experiments.pairs import Pair, chosen, taken
from pyro_ssvae.experiments.plan import Plan, completed
from pyro_ssvae.experiments.record import Record
from pyro_ssvae.report import page, tables
from pyro_ssvae.system.files import locked, write_text
from pyro_ssvae.system.progress import Progress

MOST_SEEDS = 1_000  # all splits are in memory

Metrics = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """What a comparison has found.

    Attributes:
        results: The metrics of each run by name, of the pairs and of the references.
        table: The table of means, in Markdown.
        report: The path of the report.
    """

    results: dict[str, list[Metrics]]
    table: str
    report: Path


class _Job(NamedTuple):
    """A run to train: the pair, the split, the folder and the options that are given."""

    pair: Pair
    split: Split
    folder: Path
    options: dict[str, Any]


def compare(
    models: Sequence[str | Pair],
    dataset: Dataset,
    out: str | Path,
    *,
    labels: Labels = 50,
    seeds: int = 5,
    drawing: Drawing | None = None,
    options: Mapping[str, Any] | None = None,
    **plan: Unpack[Plan],
) -> Comparison:
    """Train every pair on the same splits, one for each seed, and tabulate the test metrics.

    Args:
        models: The pairs, or their names, in the table's order.
        dataset: The data.
        out: The folder for ``table.md``, ``table.csv``, ``runs.csv``, ``report.html`` and the
            folders of the runs, ``runs/NAME-seed-S``.
        labels: The number of labelled examples in each split, as :meth:`Dataset.split` takes it.
        seeds: The number of splits. Seed s = 0, 1, ... draws the split, and what is random in
            training where the plan has no seed.
        drawing: The further arguments of :meth:`Dataset.split`.
        options: The values of options by name; each goes to every pair that takes it. Those for
            one pair are a mapping by its name: ``{"z_dim": 2, "m2": {"beta": 2.0}}``.
        plan: How to train, see :class:`pyro_ssvae.experiments.plan.Plan`. To resume goes on with
            the comparison in the folder: pairs that it has trained and that are not named now keep
            their rows, after those of ``models``. To overwrite leaves there what no comparison has
            written. ``log`` takes a line as each run ends.

    Raises:
        InputError: As :func:`pyro_ssvae.experiments.runs.train`, before any training; or if a pair
            is named twice, no pair has one of the options, or a run whose row is to be kept has
            other settings, data, epochs or seeds.
    """
    out, whole = named_folder(out), completed(plan)
    pairs = [chosen(model) for model in models]
    given = _options_of_each(pairs, options or {})
    positive(seeds=seeds)
    if seeds > MOST_SEEDS:
        raise InputError(f"expected seeds <= {MOST_SEEDS}, got {seeds}")
    if not len(dataset.test):
        raise InputError(
            f"{dataset.name}: expected a test part, by which a comparison is made, got none; give"
            " test=0.2 or a test set to from_arrays"
        )
    with locked(out):
        folders.check_free(out, TABLE, RUNS, resume=whole["resume"], overwrite=whole["overwrite"])
        splits = [dataset.split(labels, seed=seed, **(drawing or {})) for seed in range(seeds)]
        jobs = [
            _Job(pair, split, run_folder(out, pair.name, split.seed), given[pair.name])
            for pair in pairs for split in splits
        ]
        if whole["overwrite"]:
            earlier.refuse_links([out / RUNS, *(job.folder for job in jobs)])
        records = _checked(jobs, plan)[:seeds]
        kept = earlier.kept(out, list(given), records) if whole["resume"] else {}
        shown = {pair.name: pair for pair in (*pairs, *map(chosen, kept))}
        for name in kept:
            whole["log"](f"{name}: kept from before, {seeds} seeds")
        _clear(out, keep_runs=whole["resume"])
        results: dict[str, list[Metrics]] = {name: [] for name in given}
        results |= kept | {name: [] for name in references(dataset)}
        everything = len(jobs) + len(references(dataset)) * seeds
        with Progress("comparing", everything, "runs", show=whole["progress"]) as runs_done:
            for name, split, metrics in _results(jobs, splits, plan):
                results[name].append(metrics)
                whole["log"](_line(name, split, metrics))
                runs_done.advance()
        return _written(out, results, shown, dataset)


def _checked(jobs: Sequence[_Job], plan: Plan) -> list[Record]:
    """The records of the runs, all of which can be trained."""
    records = []
    for job in jobs:
        prepared = runs.prepare(job.pair, job.split, job.folder, options=job.options, **plan)
        if job.split is jobs[0].split:  # every split has the same data
            check_support(prepared.objective, prepared.split)
        records.append(prepared.record)
    return records


def _results(
    jobs: Sequence[_Job], splits: Sequence[Split], plan: Plan
) -> Iterator[tuple[str, Split, Metrics]]:
    """The metrics of every run and of every reference, each as soon as it has ended."""
    for job in jobs:
        with enough_memory(**job.options):
            metrics = runs.train(job.pair, job.split, job.folder, options=job.options, **plan)
        yield job.pair.name, job.split, metrics
    for name in references(splits[0].dataset):
        for split in splits:
            yield name, split, evaluate_reference(name, split) | {"split_seed": split.seed}


def _written(
    out: Path, results: dict[str, list[Metrics]], pairs: Mapping[str, Pair], dataset: Dataset
) -> Comparison:
    """Write the tables and the report."""
    table = tables.markdown(results)
    write_text(out / TABLE_CSV, tables.csv_of_means(results))
    write_text(out / RUNS_CSV, tables.csv_of_runs(results))
    sections = [section(out, pair, results[name], dataset) for name, pair in pairs.items()]
    write_text(out / REPORT, page.html(results, sections, RUNS_CSV))
    write_text(out / TABLE, table)
    return Comparison(results, table, out / REPORT)


def section(
    out: Path, pair: Pair, metrics: Sequence[Metrics], dataset: Dataset
) -> page.Section:
    """What the report shows of a pair.

    Args:
        out: The folder of the comparison.
        pair: The pair.
        metrics: The metrics of its runs.
        dataset: The data.
    """
    run_folders = [run_folder(out, pair.name, run["split_seed"]) for run in metrics]
    captions = page.captions(dataset, pair.has_classes)
    return page.Section(
        name=pair.name,
        factorisation=pair.factorisation,
        source=pair.source,
        options=metrics[0]["options"],
        seed=metrics[0]["split_seed"],
        figures=[
            (path, captions[name]) for name, path in folders.figure_files(run_folders[0]).items()
        ],
        histories=[folders.read_history(folder) for folder in run_folders],
    )


def _clear(out: Path, keep_runs: bool) -> None:
    for name in folders.TABLES:
        (out / name).unlink(missing_ok=True)
    if not keep_runs:
        earlier.clear_runs(out)


def _options_of_each(
    pairs: Sequence[Pair], options: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The options that are given for each pair, by its name."""
    names = [pair.name for pair in pairs]
    if not names or len(set(names)) < len(names):
        raise InputError(f"expected different models to compare, got {' '.join(names) or 'none'}")
    for_one = {name: values for name, values in options.items() if isinstance(values, Mapping)}
    for_all = {name: value for name, value in options.items() if name not in for_one}
    for name in for_one:
        if name not in names:
            raise unknown("model of this comparison", name, names)
    known = taken(pairs)
    for name in for_all:
        if name not in known:
            raise unknown("option", name, known)
    return {
        pair.name: layered(
            {name: value for name, value in for_all.items() if pair.takes(name)},
            pair.checked(for_one.get(pair.name, {})),
        )
        for pair in pairs
    }


def _line(name: str, split: Split, metrics: Mapping[str, Any]) -> str:
    scores = metrics["test"]
    texts = {"accuracy": "accuracy {:.1%}", "rmse": "RMSE {:.4g}", "elbo": "ELBO {:.2f}"}
    shown = [
        text.format(scores[metric]) for metric, text in texts.items()
        if scores.get(metric) is not None
    ]
    result = ", ".join(shown) or "done"
    return f"{name}, seed {split.seed}: {result} in {metrics['seconds']:.1f} s"
