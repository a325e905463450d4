"""Figures of times that grow with a size."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from results import Rows

MARKERS = "osv^D"


def lines(rows: Rows, x: str, columns: Sequence[str], *, title: str, ylabel: str) -> Figure:
    """Columns of a table against one of them, both axes logarithmic.

    Args:
        rows: The rows, of which some may lack a column.
        x: The heading of the column to draw against, which labels its axis.
        columns: The headings of what is drawn, which name the lines.
        title: The title.
        ylabel: The label of the other axis.
    """
    picture = Figure(figsize=(4.8, 3.7), layout="constrained")
    axes = picture.subplots()
    for marker, column in zip(MARKERS, columns):
        points = [(row[x], row[column]) for row in rows if row.get(column) is not None]
        if points:
            axes.plot(*zip(*points), f"{marker}-", markersize=5, label=column)
    axes.set(xlabel=x, ylabel=ylabel, title=title, xscale="log", yscale="log")
    sizes = [row[x] for row in rows]
    axes.set_xticks(shown := apart(sizes), [f"{size:,}" for size in shown])
    axes.xaxis.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)
    picture.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return picture


def apart(sizes: Sequence[int], least: float = 1.6) -> list[int]:
    """The sizes of which labels have room: each is so many times the one before, or more."""
    shown: list[int] = []
    for size in sizes:
        if not shown or size >= least * shown[-1]:
            shown.append(size)
    return shown
