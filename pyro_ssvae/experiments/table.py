"""The long table of a study: a row a run, with every setting and every metric, of one type each."""

from __future__ import annotations

import csv as files
import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyro_ssvae.experiments.folder import RESULTS
from pyro_ssvae.experiments.job import Job
from pyro_ssvae.report import statistics_tables
from pyro_ssvae.statistics.standings import standings
from pyro_ssvae.statistics.table import configurations, higher_is_better

if TYPE_CHECKING:
    import pandas

Row = dict[str, Any]

FIRST = ("run", "model", "data", "labels", "hidden_labels", "unlabelled", "split_seed", "seed")
OF_TRAINING = (
    "epochs", "batch_labelled", "batch_unlabelled", "patience", "selections", "aggressive",
    "precision",
)
METRICS = ("accuracy", "mean_average_precision", "rmse", "elbo")  # to compare pairs by


def row(job: Job, metrics: Mapping[str, Any]) -> Row:
    """The row of a run: plain numbers and texts, None where there is nothing.

    Args:
        job: The run.
        metrics: What its ``metrics.json`` holds.

    Returns:
        The values by column: those of the record, ``drawing.NAME`` of how the split was drawn,
        ``option.NAME`` of every option, ``validation.METRIC`` and ``test.METRIC``, and those of
        weights that were selected, ``selected.BY.epoch`` and ``selected.BY.METRIC``.
    """
    own = {"run": job.folder.name, "unlabelled": job.unlabelled, **job.record.row()}
    options = {name: _plain(v) for name, v in own.items() if name.startswith("option.")}
    return (
        {name: own[name] for name in (*FIRST, *OF_TRAINING)}
        | _under("drawing", job.setting.drawing) | job.setting.by_class | options
        | {name: metrics[name] for name in ("epochs_done", "best_epoch", "updates")}
        | _under("validation", metrics["validation"])
        | _under("test", metrics["test"])
        | {
            f"selected.{by}.{name}": value
            for by, chosen in metrics.get("selected", {}).items()
            for name, value in {"epoch": chosen["epoch"], **chosen["test"]}.items()
        }
    )


def statistics(rows: Sequence[Row]) -> str:
    """What the statistics of a study say, in Markdown: a table for each of :data:`METRICS`.

    And one for each of several data sets, whose label draws are not the same and do not compare.
    """
    told = ("model", "labels", *OF_TRAINING)
    settings = [
        name for name in columns(rows)
        if name in told or name.partition(".")[0] in ("drawing", "option")
    ]
    parts = []
    by_data: dict[str, list[Row]] = {}
    for each in rows:
        by_data.setdefault(each["data"], []).append(each)
    for metric, (data, own) in product((f"test.{name}" for name in METRICS), by_data.items()):
        if any(each.get(metric) is not None for each in own):
            groups = configurations(own, metric, settings)
            found = standings(groups, higher=higher_is_better(metric))
            heading = f"{metric}, {data}" if len(by_data) > 1 else metric
            parts.append(f"# {heading}\n\n{statistics_tables.markdown(found, metric)}")
    return "\n".join(parts)


def times(job: Job, metrics: Mapping[str, Any]) -> Row:
    """What a run took, and on what: these differ from one time to the next."""
    return {
        "run": job.folder.name, "seconds": metrics["seconds"], "device": metrics["device"],
        **_under("version", metrics["versions"]),
    }


def csv(rows: Sequence[Row]) -> str:
    """Rows as text with all their columns; an empty cell has no value, a sequence is its text."""
    head = columns(rows)
    text = io.StringIO()
    writer = files.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_plain(each.get(name)) for name in head] for each in rows)
    return text.getvalue()


def columns(rows: Iterable[Row]) -> list[str]:
    """The columns of rows: those of a kind together, in the order in which they come."""
    names = list(dict.fromkeys(name for each in rows for name in each))
    kinds = list(dict.fromkeys(name.partition(".")[0] for name in names))
    return sorted(names, key=lambda name: kinds.index(name.partition(".")[0]))


def read(out: str | Path) -> pandas.DataFrame:
    """The results of a study as a data frame: every column has one type, with gaps where needed."""
    import pandas

    return pandas.read_csv(Path(out) / RESULTS).convert_dtypes()


def _under(kind: str, values: Mapping[str, Any]) -> Row:
    return {f"{kind}.{name}": _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    """A value as one cell has it: of a sequence or a mapping its text, as on the command line."""
    if isinstance(value, Mapping):
        return ",".join(f"{name}={part}" for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return value
