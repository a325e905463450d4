"""Training runs kept in a folder: record, split, checkpoint, history, metrics and figures."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Unpack

from pyro_ssvae.data import Dataset, Split
from pyro_ssvae.data.asked import check_split
from pyro_ssvae.errors import InputError, named_folder
from pyro_ssvae.evaluation.evaluate import evaluate, fit_classifier
from pyro_ssvae.experiments import (
    calibration,
    checkpoint,
    machine,
    recorded,
    selected,
    underway,
)
from pyro_ssvae.experiments import folder as folders
from pyro_ssvae.experiments.pairs import Pair
from pyro_ssvae.experiments.plan import Plan, completed
from pyro_ssvae.experiments.prepared import Prepared, Run, prepare
from pyro_ssvae.experiments.record import Record
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.system import processes
from pyro_ssvae.system.files import locked
from pyro_ssvae.system.randomness import seeded


def train(
    pair: str | Pair,
    split: Split,
    out: str | Path,
    *,
    options: Mapping[str, Any] | None = None,
    figures: bool = True,
    **plan: Unpack[Plan],
) -> dict[str, Any]:
    """Train a pair into a folder.

    Within :func:`pyro_ssvae.system.processes.joined` several processes train together, of which
    the first one writes. Nothing in the folder depends on their number.

    Args:
        pair: The pair, or its name, see :func:`pyro_ssvae.pair`.
        split: The data.
        out: The folder. It is left only where something is saved, and locked meanwhile.
        options: The values of the pair's options.
        figures: Whether to draw figures of what was trained.
        plan: How to train, see :class:`pyro_ssvae.experiments.plan.Plan`.

    Returns:
        What ``metrics.json`` holds: None for a metric that is not finite.

    Raises:
        InputError: If a value is not usable, the folder holds a run and neither ``resume`` nor
            ``overwrite`` is set, the run to resume was started with other settings or on other
            data, another process writes to the folder, or the disk is full.
        Interrupted: At SIGINT or SIGTERM, when the update under way is done and saved; at a second
            signal at once.
        LostProcessError: If one of several processes has ended.
    """
    check_split(split)
    out, whole, metrics = named_folder(out), completed(plan), {}
    with ExitStack() as stack:
        with processes.agreed():
            if processes.first():
                stack.enter_context(locked(out))
            run = prepare(pair, split, out, options=options, **plan)
        _check_same(run, out)
        if processes.first():
            _begin(run, out, whole)
        underway.fitted(run, out, whole)
        with processes.agreed():
            if processes.first():
                metrics = _measured(run, out, whole, figures=figures)
    return processes.from_first(metrics)


def load(
    folder: str | Path,
    *,
    pair: Pair | None = None,
    dataset: Dataset | None = None,
    root: str | Path | None = None,
    device: str = "auto",
) -> Run:
    """Read a run back: the weights that its metrics were measured with.

    Args:
        folder: The folder that :func:`train` wrote it to.
        pair: The pair, where it cannot be found by its name.
        dataset: The data that it was trained on, where they are data of one's own.
        root: The folder of data files, as for :func:`pyro_ssvae.data.load`.
        device: The device to put it on, as :func:`train` takes it.

    Raises:
        InputError: If the folder holds no run, one of its files is broken, the run is of another
            pair, or it was trained on other data.
    """
    folder = named_folder(folder)
    where = machine.choose_device(device)
    saved = checkpoint.read(folder, where)
    record: Record = saved["record"]
    split = recorded.split_of(folder, record, dataset, root).to(where)
    which = recorded.pair_of(folder, record, pair)
    with checkpoint.reading(folder / folders.CHECKPOINT):
        with seeded(record.seed, [where]):  # constants of a module may be drawn, as its weights are
            objective = which.build(split.dataset, record.values).to(where)
        objective.load_state_dict(checkpoint.best_weights(saved))
        checkpoint.check_finite(saved, objective)
    fit_classifier(objective.guide, split)
    temperatures = calibration.temperatures_of(folder, split.target)
    return Run(record, objective, split, temperatures=temperatures)


def test_metrics(run: Run, *, progress: bool = False) -> dict[str, float | None]:
    """The metrics of the test part, as in ``metrics.json``; ``progress`` shows how far they are."""
    return evaluate(run.objective.model, run.objective.guide, run.split, "test", progress=progress)


def write_figures(
    folder: Path, objective: Objective, split: Split, history: Sequence[Mapping[str, float]],
    *, svg: bool = False,
) -> None:
    """Draw all figures of a trained pair into the folder of figures, as SVG too if so asked."""
    # What draws is imported when there is something to draw: that takes seconds, and memory.
    from pyro_ssvae.report import plots
    from pyro_ssvae.report.saving import save

    (folder / folders.FIGURES).mkdir(exist_ok=True)
    try:
        drawn = plots.figures(objective, split, history)
    except Exception as error:  # what was trained and measured is not to be lost for it
        warnings.warn(f"{folder}: no figures, {type(error).__name__}: {error}", stacklevel=2)
        return
    for name, figure in drawn.items():
        save(figure, folder / folders.FIGURES, name, svg=svg)


def _check_same(run: Prepared, out: Path) -> None:
    """Raise :class:`InputError` unless all processes have the same run, and are as far with it."""
    own = run.record.digest, len(run.history)
    first = processes.from_first(own)
    with processes.agreed():
        if own != first:
            raise InputError(
                f"{out}: expected the same run, data and folder in all processes, got a run that is"
                f" {first[1]} epochs old in the first and {own[1]} in process {processes.index()},"
                f" with the digests {first[0][:8]} and {own[0][:8]}"
            )


def _begin(run: Prepared, out: Path, plan: Plan) -> None:
    record = run.record
    if plan["overwrite"]:
        folders.clear_events(out)
    if run.history and not _trained(run):
        plan["log"](
            f"{record.model}, seed {record.seed}: going on after epoch {len(run.history)} of"
            f" {record.epochs}"
        )


def _trained(run: Prepared) -> bool:
    """Whether nothing is left of the training of a run, which is still to be evaluated."""
    done = len(run.history)
    stopping = copy.deepcopy(run.stopping)
    if stopping is not None and run.state is not None:
        stopping.load_state_dict(run.state["stopping"][0])
    return done >= run.record.epochs or (stopping is not None and stopping.due(done))


def _measured(run: Prepared, out: Path, plan: Plan, *, figures: bool) -> dict[str, Any]:
    """The metrics of what was trained, which are written with the figures."""
    metrics = _metrics(run, plan)
    if run.selections is not None:
        metrics["selected"] = selected.measured(run.objective, run.split, run.selections, out)
    if figures:
        write_figures(out, run.objective, run.split, run.history, svg=plan["svg"])
    return folders.write_metrics(out, metrics)


def _metrics(run: Prepared, plan: Plan) -> dict[str, Any]:
    split = run.split

    def measured(part: str) -> dict[str, float | None]:
        return evaluate(
            run.objective.model, run.objective.guide, split, part,
            measures=plan["measures"], progress=plan["progress"],
        )

    return run.record.as_dict() | {
        "digest": run.record.digest,
        "epochs_done": len(run.history),
        "best_epoch": None if run.stopping is None else run.stopping.best_epoch,
        "updates": run.history[-1]["updates"],
        "seconds": round(sum(row["seconds"] for row in run.history), 3),
        "device": machine.device_name(split.dataset.y.device),
        "versions": machine.versions(),
        "measures": plan["measures"],
        "validation": measured("validation"),
        "test": measured("test") if len(split.test) else {},  # data may have no test part
    }
