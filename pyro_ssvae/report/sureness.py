"""How sure a comparison is of its order: differences on the same draws, as a table and a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from pyro_ssvae.report import statistics_tables
from pyro_ssvae.report.forest_plot import forest
from pyro_ssvae.statistics.standings import standings
from pyro_ssvae.statistics.table import Seeds, higher_is_better

BY = ("accuracy", "rmse", "elbo")  # the first of these that two rows or more have


class Sureness(NamedTuple):
    """What the draws say of the order of the rows.

    Attributes:
        metric: The name of the metric, such as ``"test.accuracy"``.
        cells: The table's text, its headings first.
        notes: What has to be known of the numbers, a line for each.
        figure: The differences to the row of the best mean, with their intervals.
    """

    metric: str
    cells: list[list[str]]
    notes: list[str]
    figure: Figure


def sureness(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> Sureness | None:
    """How sure the order of the rows of a comparison is; None where there is nothing to compare.

    Args:
        results: The metrics of each run by the name of its row.
    """
    for name in BY:
        groups = {
            row: {Seeds(run["split_seed"], 0): run["test"][name] for run in finite}
            for row, runs in results.items()
            if (finite := [run for run in runs if run["test"].get(name) is not None])
        }
        if len(groups) > 1:
            metric = f"test.{name}"
            found = standings(groups, higher=higher_is_better(metric))
            best, *others = found.rows
            differences = {row.name: row.to_best for row in others if row.to_best is not None}
            return Sureness(
                metric, _told(statistics_tables.cells(found, metric)),
                statistics_tables.footnotes(found), forest(differences, best.name, metric),
            )
    return None


def _told(cells: list[list[str]]) -> list[list[str]]:
    """The table without columns in which no row has anything."""
    shown = [i for i in range(len(cells[0])) if any(line[i] != "–" for line in cells[1:])]
    return [[line[i] for i in shown] for line in cells]
