"""What the statistics of a table of runs say, for people: which is the best, and how sure that is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from pyro_ssvae.report.tables import COLUMNS, Column, ruled
from pyro_ssvae.statistics.standings import Standing, Standings

WORSE = {True: "yes", False: "not told apart", None: "too few draws"}
BETTER = "better on the same draws"  # where the best mean is owed to draws that others lack
SMALL = 0.001  # a p-value under it is not written out
MANY = 2  # names of which a sentence says "all"


def shown_as(metric: str) -> Column:
    """How a metric is shown, by its name, ``"test.accuracy"``: as other tables have it."""
    own = metric.rpartition(".")[2]
    known = {column.metric: column for column in COLUMNS}
    return known.get(own, Column(own, own, 1, 3, ""))


def cells(found: Standings, metric: str) -> list[list[str]]:
    """The table's text: headings, then a row for each configuration, the best mean first.

    Args:
        found: The standings of the configurations.
        metric: The name of the metric that was compared.
    """
    column = shown_as(metric)
    percent = _confidence(found)
    head = [
        "configuration", column.heading, f"less the best [{percent:.0%} interval]", "worse",
        "Wilcoxon's p", "label draws", "mean rank", "sd of draws", "sd of training",
    ]
    return [head, *(_row(found, row, column) for row in found.rows)]


def markdown(found: Standings, metric: str) -> str:
    """The table and what has to be known of it; arguments as of :func:`cells`."""
    notes = "".join(f"\n{line}\n" for line in footnotes(found))
    return ruled(cells(found, metric)) + notes


def footnotes(found: Standings) -> list[str]:
    """What has to be known of the numbers in the table, a line for each."""
    first, *others = found.rows
    lines = []
    if others:
        said = [f"{first.name} has the best mean"]
        if found.marked:
            said = [f"{first.name} is the best: its interval to every other leaves out 0"]
        if found.alike:
            said.append(f"{_all_or(found.alike, others)} cannot be told from it")
        if found.unsettled:
            few = _all_or(found.unsettled, others)
            said.append(f"of {few} there are too few label draws to tell")
        lines.append("; ".join(said) + ".")
    lines += _unmatched(others)
    lines += _grouped((row.name, row.to_best.caution) for row in others if row.to_best)
    lines += _grouped((row.name, row.variance.reason) for row in found.rows)
    if found.ranks.left_out and others:
        lines.append(
            f"Mean ranks are over the {found.ranks.draws} label draws that all have, of"
            f" {found.ranks.draws + found.ranks.left_out}."
        )
    return lines


def _row(found: Standings, row: Standing, column: Column) -> list[str]:
    spreads = [row.variance.draws, row.variance.training]
    return [
        row.name, _number(row.mean, column), *_to_best(found, row, column), str(row.draws),
        "–" if row.rank is None else f"{row.rank:.2f}",
        *(_number(None if v is None else math.sqrt(v), column) for v in spreads),
    ]


def _to_best(found: Standings, row: Standing, column: Column) -> list[str]:
    """The difference with its interval, whether it is told, and the p-value."""
    if row.to_best is None:
        return ["best" if found.marked else "–", "–", "–"]
    if not row.to_best.draws:
        return ["–", WORSE[None], "–"]
    difference = _signed(row.to_best.mean, column)
    if row.to_best.low is not None and row.to_best.high is not None:
        low, high = _signed(row.to_best.low, column), _signed(row.to_best.high, column)
        difference += f" [{low}, {high}]"
    worse = found.worse(row)
    told = BETTER if row.to_best.apart and not worse else WORSE[worse]
    return [difference, told, _p(row.to_best.p)]


def _unmatched(rows: list[Standing]) -> list[str]:
    lines = []
    for row in rows:
        if row.to_best is not None and row.to_best.unmatched:
            number, n = row.to_best.runs, row.to_best.unmatched
            lines.append(
                f"{row.name} and the best have {number} pair{'s' * (number != 1)} of runs with the"
                f" same seeds; {n} run{'s' * (n != 1)} of either {'have' if n != 1 else 'has'} no"
                " partner, and no part in the difference."
            )
    return lines


def _grouped(notes: Iterable[tuple[str, str]]) -> list[str]:
    """One line for each note, with the names of those it is of; empty notes are left out."""
    names: dict[str, list[str]] = {}
    every = list(notes)
    for name, note in every:
        if note:
            names.setdefault(note, []).append(name)
    return [
        f"{'all of these' if len(own) == len(every) > MANY else _listed(own)}: {note}"
        for note, own in names.items()
    ]


def _all_or(names: Sequence[str], others: Sequence[Standing]) -> str:
    """Names as a sentence has them, where they are not those of all others."""
    return "all others" if len(names) == len(others) > MANY else _listed(names)


def _listed(names: Sequence[str]) -> str:
    """Names as a sentence has them: configurations have commas of their own."""
    return " and ".join(names)


def _confidence(found: Standings) -> float:
    return next((row.to_best.confidence for row in found.rows if row.to_best), 0.95)


def _number(value: float | None, column: Column) -> str:
    return "–" if value is None else f"{value * column.factor:.{column.decimals}f}"


def _signed(value: float, column: Column) -> str:
    return f"{value * column.factor:+.{column.decimals}f}"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return f"< {SMALL}" if value < SMALL else f"{value:.3f}"
