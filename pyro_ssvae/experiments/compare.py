"""Several pairs on the same splits: a study with references, a table and a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Unpack

from pyro_ssvae.data import Dataset, Drawing, Split
from pyro_ssvae.data.draws import Labels
from pyro_ssvae.errors import InputError, named_folder, positive
from pyro_ssvae.evaluation.references import evaluate_reference, references
from pyro_ssvae.experiments import earlier, record
from pyro_ssvae.experiments import folder as folders
from pyro_ssvae.experiments.folder import REPORT, RUNS, RUNS_CSV, TABLE, TABLE_CSV, run_folder
from pyro_ssvae.experiments.grid import grid, seeds_of
from pyro_ssvae.experiments.job import Job, jobs_of, once
from pyro_ssvae.experiments.pairs import Pair, chosen
from pyro_ssvae.experiments.parallel import Backend, check
from pyro_ssvae.experiments.plan import OF_A_STUDY, Plan, completed
from pyro_ssvae.experiments.study import carried_out, line
from pyro_ssvae.report import page, tables
from pyro_ssvae.statistics.table import names
from pyro_ssvae.system.files import locked, write_text
from pyro_ssvae.system.progress import Progress

Metrics = dict[str, Any]
Results = dict[str, list[Metrics]]


@dataclass(frozen=True)
class Comparison:
    """What a comparison has found.

    Attributes:
        results: The metrics of each run by the name of its row, of the pairs and of the references.
        table: The table of means, in Markdown.
        report: The path of the report.
    """

    results: Results
    table: str
    report: Path


def compare(
    models: Sequence[str | Pair],
    dataset: Dataset,
    out: str | Path,
    *,
    labels: Labels | list[Labels] = 50,
    seeds: int | Sequence[int] = 5,
    drawing: Drawing | None = None,
    options: Mapping[str, Any] | None = None,
    jobs: int = 1,
    backend: Backend = "loky",
    address: str | None = None,
    together: int = 1,
    **plan: Unpack[Plan],
) -> Comparison:
    """Train every pair on the same splits, one for each seed, and tabulate the test metrics.

    Args:
        models: The pairs, or their names, in the table's order.
        dataset: The data.
        out: The folder for ``table.md``, ``table.csv``, ``runs.csv``, ``report.html`` and the
            folders of the runs, ``runs/NAME-seed-S-DIGEST``.
        labels: The number of labelled examples in each split, as :meth:`Dataset.split` takes it. A
            list is of several numbers, each of which has rows.
        seeds: The number of splits, or their seeds. A seed draws the split, and what is random in
            training where the plan has no seed.
        drawing: The further arguments of :meth:`Dataset.split`.
        options: The values of options by name; each goes to every pair that takes it. Those for
            one pair are a mapping by its name: ``{"z_dim": 2, "m2": {"beta": 2.0}}``. A list is of
            several values, each of which has a row: ``{"m2": {"alpha": [1.0, 10.0]}}``.
        jobs: The number of processes, as for :func:`pyro_ssvae.experiments.study.study`.
        backend: What the processes are of, likewise.
        address: The address of a cluster's scheduler, likewise.
        together: The number of runs that are trained side by side, likewise.
        plan: How to train, see :class:`pyro_ssvae.experiments.plan.Plan`. To resume goes on with
            the comparison in the folder: what it has trained and is not asked for now keeps its
            rows, after the others. To overwrite leaves there what no comparison has written.
            ``log`` takes a line as each run ends.

    Raises:
        InputError: As :func:`pyro_ssvae.experiments.runs.train`, before any training; or if a pair
            is named twice, no pair has one of the options, or a run whose row is to be kept has
            other settings, data, epochs or seeds.
    """
    out, whole = named_folder(out), completed(plan)
    check(jobs, backend, address)
    positive(together=together)
    of_runs: dict[str, Any] = {name: v for name, v in plan.items() if name not in OF_A_STUDY}
    settings = grid(
        models, dataset, labels=labels, draws=seeds_of("seeds", seeds),
        seeds=None if whole["seed"] is None else [whole["seed"]], drawing=drawing, options=options,
        **of_runs,
    )
    if not len(dataset.test):
        raise InputError(
            f"{dataset.name}: expected a test part, by which a comparison is made, got none; give"
            " test=0.2 or a test set to from_arrays"
        )
    with locked(out):
        folders.check_free(out, TABLE, RUNS, resume=whole["resume"], overwrite=whole["overwrite"])
        todo = once(jobs_of(settings, out, processes=jobs))
        kept = _begun(out, todo, whole)
        splits = _splits(todo)
        number = len(todo) + len(references(dataset)) * len(splits)
        with Progress("comparing", number, "runs", show=whole["progress"]) as done:
            found = carried_out(
                todo, done, jobs=jobs, backend=backend, address=address, together=together,
                log=whole["log"],
            )
            results = _by_title(
                [*(found[job.folder] for job in todo), *kept],
                [job.setting.by_class for job in todo],
            )
            known = {job.record.model: job.setting.pair for job in todo}
            sections = [
                section(out, name, known.get(m := runs[0]["model"]) or chosen(m), runs, dataset)
                for name, runs in results.items()
            ]
            for name, split, metrics in _references(dataset, splits):
                results.setdefault(name, []).append(metrics)
                whole["log"](line(f"{name}, seed {split.seed}", metrics))
                done.advance()
        return _written(out, results, sections)


def _begun(out: Path, todo: Sequence[Job], plan: Plan) -> list[Metrics]:
    """Clear the folder for a comparison, and return the metrics of runs that keep their rows."""
    kept: list[Metrics] = []
    if plan["overwrite"]:
        earlier.refuse_links([out / RUNS, *(job.folder for job in todo)])
    if plan["resume"]:
        going_on = earlier.going_on(out, todo)
        kept = earlier.kept(out, todo, going_on)
        earlier.take_over(going_on)
    for name, runs in _by_title(kept).items():
        plan["log"](f"{name}: kept from before, {len(runs)} seeds")
    for name in folders.TABLES:
        (out / name).unlink(missing_ok=True)
    if not plan["resume"]:
        earlier.clear_runs(out)
    return kept


def _by_title(runs: Sequence[Metrics], more: Sequence[Mapping[str, Any]] = ()) -> Results:
    """The metrics of runs by the name of their row, which ``more`` may tell apart the first by."""
    told = [*more, *({} for _ in runs[len(more):])]
    rows = [record.read(run).row() | dict(own) for run, own in zip(runs, told, strict=True)]
    columns = [name for name in dict.fromkeys(chain(*rows)) if name not in record.OF_A_RUN]
    results: Results = {}
    for name, metrics in zip(names(rows, columns), runs, strict=True):
        results.setdefault(name, []).append(metrics)
    return results


def _splits(todo: Sequence[Job]) -> list[Split]:
    """The splits of runs, each once."""
    by_fingerprint = {job.record.split_fingerprint: job for job in todo}
    return [job.split() for job in by_fingerprint.values()]


def _references(
    dataset: Dataset, splits: Sequence[Split]
) -> Iterator[tuple[str, Split, Metrics]]:
    """The metrics of every reference on every split, each as soon as it has ended."""
    titles = _by_labels(splits)
    for name in references(dataset):
        for split, labels in zip(splits, titles):
            title = f"{name}, labels={labels}" if len(set(titles)) > 1 else name
            yield title, split, evaluate_reference(name, split) | {"split_seed": split.seed}


def _by_labels(splits: Sequence[Split]) -> list[str]:
    """The number of labels of each split; of each class, where there are equally many in all."""
    numbers = [str(len(split.labelled)) for split in splits]
    by_class = []
    for split in splits:
        classes = split.dataset.target.classes(split.dataset.y[split.labelled])
        counts = [] if classes is None else classes.bincount().tolist()
        by_class.append("+".join(map(str, counts)))
    seeds = [split.seed for split in splits]
    twice = len(set(zip(seeds, numbers))) < len(set(zip(seeds, by_class)))
    return by_class if twice else numbers


def _written(out: Path, results: Results, sections: Sequence[page.Section]) -> Comparison:
    """Write the tables and the report."""
    table = tables.markdown(results)
    write_text(out / TABLE_CSV, tables.csv_of_means(results))
    write_text(out / RUNS_CSV, tables.csv_of_runs(results))
    write_text(out / REPORT, page.html(results, sections, RUNS_CSV))
    write_text(out / TABLE, table)
    return Comparison(results, table, out / REPORT)


def section(
    out: Path, name: str, pair: Pair, metrics: Sequence[Metrics], dataset: Dataset
) -> page.Section:
    """What the report shows of a pair.

    Args:
        out: The folder of the comparison.
        name: The name of its row.
        pair: The pair.
        metrics: The metrics of its runs.
        dataset: The data.
    """
    run_folders = [
        run_folder(out, run["model"], run["split_seed"], run["digest"]) for run in metrics
    ]
    captions = page.captions(dataset, pair.has_classes)
    return page.Section(
        name=name,
        factorisation=pair.factorisation,
        source=pair.source,
        options=metrics[0]["options"],
        seed=metrics[0]["split_seed"],
        figures=[
            (path, captions[name]) for name, path in folders.figure_files(run_folders[0]).items()
        ],
        histories=[folders.read_history(folder) for folder in run_folders],
    )
