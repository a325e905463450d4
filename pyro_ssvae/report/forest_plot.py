"""A forest plot: paired differences to a reference, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from pyro_ssvae.report.drawing import PLAIN, plain
from pyro_ssvae.report.statistics_tables import shown_as
from pyro_ssvae.statistics.paired import Difference
from pyro_ssvae.statistics.table import higher_is_better

FAINT = "#94a3b8"  # of the single label draws
BELOW = 0.22  # where they are, under the interval


def forest(differences: Mapping[str, Difference], reference: str, metric: str) -> Figure:
    """The mean difference of each configuration to a reference, its interval, and every draw.

    A mean whose interval leaves out 0 is filled, and of others the marker is open.

    Args:
        differences: What each configuration measured less what the reference did, by name.
        reference: The name of the reference.
        metric: The name of the metric that was compared.
    """
    shown = {name: one for name, one in differences.items() if one.draws}
    column = shown_as(metric)
    figure = Figure(figsize=(6, 1.2 + 0.42 * max(1, len(shown))), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color=PLAIN, lw=1, ls="--")
    for row, one in enumerate(shown.values()):
        factor = column.factor
        axes.scatter([factor * value for value in one.each], [row + BELOW] * one.draws, s=16,
                     color=FAINT, alpha=0.6, lw=0)
        if one.low is not None and one.high is not None:
            axes.plot([factor * one.low, factor * one.high], [row, row], color=PLAIN, lw=2,
                      solid_capstyle="butt")
        axes.scatter([factor * one.mean], [row], s=52, color=PLAIN if one.apart else "white",
                     edgecolor=PLAIN, lw=1.5, zorder=3)
    better = "right" if higher_is_better(metric) else "left"
    axes.set(
        yticks=range(len(shown)), yticklabels=[plain(name, None) for name in shown],
        ylim=(max(1, len(shown)) - 0.5, -0.5),
        xlabel=f"{column.heading} less that of {plain(reference, None)}\n(better to the {better})",
    )
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
