"""The statistics of a table of runs as tables and as a figure."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from pyro_ssvae.report.drawing import PLAIN
from pyro_ssvae.report.forest_plot import forest
from pyro_ssvae.report.statistics_tables import cells, footnotes, markdown
from pyro_ssvae.statistics.paired import Difference
from pyro_ssvae.statistics.standings import standings
from pyro_ssvae.statistics.table import Seeds


def runs(*values: float) -> dict[Seeds, float]:
    return {Seeds(draw, 0): value for draw, value in enumerate(values)}


def crossed(*rows: list[float]) -> dict[Seeds, float]:
    return {Seeds(i, j): v for i, row in enumerate(rows) for j, v in enumerate(row)}


def test_a_row_has_mean_difference_interval_rank_and_spreads() -> None:
    # Of a: mean squares of draws 16e-4, of seeds 0 (equal means), of the rest 0.
    found = standings(
        {"a": crossed(*[[0.50, 0.50]] * 4, [0.60, 0.60]),
         "b": crossed(*[[0.60, 0.60]] * 4, [0.70, 0.70])},
        higher=True,
    )
    assert cells(found, "test.accuracy") == [
        ["configuration", "accuracy %", "less the best [95% interval]", "worse", "Wilcoxon's p",
         "label draws", "mean rank", "sd of draws", "sd of training"],
        ["b", "62.0", "best", "–", "–", "5", "1.00", "4.5", "0.0"],
        ["a", "52.0", "-10.0 [-10.0, -10.0]", "yes", "0.062", "5", "2.00", "4.5", "0.0"],
    ]


def test_the_best_is_called_so_only_where_it_is_told_from_all() -> None:
    found = standings({"a": runs(1, 2, 3), "b": runs(9, 9.5, 9)}, higher=True)
    assert cells(found, "test.elbo")[1][2] == "–"
    assert cells(found, "test.elbo")[2][3] == "too few draws"
    assert footnotes(found)[0] == "b has the best mean; of a there are too few label draws to tell."
    assert "a: 3 label draws: no interval of so few covers 95%" in markdown(found, "test.elbo")


def test_runs_without_a_partner_and_draws_left_out_are_said() -> None:
    found = standings({"a": runs(1, 2, 3, 4, 5, 6), "b": runs(2, 3, 4, 5, 6)}, higher=True)
    notes = " ".join(footnotes(found))
    assert "5 pairs of runs with the same seeds; 1 run of either has no partner" in notes
    assert "Mean ranks are over the 5 label draws that all have, of 6." in notes


def test_a_reason_is_said_once_for_all_that_it_is_of() -> None:
    found = standings({"a": runs(1, 2), "b": runs(2, 3)}, higher=True)
    (line,) = [line for line in footnotes(found) if "one training seed" in line]
    assert line.startswith("b and a: with one training seed a label draw")


def test_runs_that_have_no_draw_in_common_are_not_compared() -> None:
    found = standings({"a": {Seeds(0, 0): 1.0}, "b": {Seeds(1, 0): 2.0}}, higher=True)
    assert cells(found, "test.elbo")[2][2:5] == ["–", "too few draws", "–"]
    assert cells(found, "test.elbo")[2][6] == "–"


def test_a_best_mean_that_is_owed_to_other_draws_is_not_called_best() -> None:
    easy = {Seeds(draw, 0): 9.0 for draw in range(10, 20)}
    found = standings({"a": runs(1, 2, 3, 4, 5) | easy, "b": runs(2, 3, 4, 5, 6)}, higher=True)
    assert found.rows[0].name == "a" and not found.marked
    assert cells(found, "test.elbo")[2][2:4] == ["+1.00 [+1.00, +1.00]", "better on the same draws"]


def test_a_table_of_one_configuration_compares_nothing() -> None:
    found = standings({"a": runs(1, 2)}, higher=True)
    assert not any("best" in line for line in footnotes(found))


@pytest.mark.parametrize("metric, side", [("test.accuracy", "right"), ("test.nll", "left")])
def test_the_forest_has_a_row_for_each_configuration(metric: str, side: str) -> None:
    told = Difference((0.1, 0.2), 0.1, 0.2, 2, 0, 0.95)
    sure = Difference((0.1,) * 5, 0.1, 0.2, 5, 0, 0.95)
    none = Difference((), None, None, 0, 3, 0.95)
    (axes,) = forest({"a$": told, "b": sure, "c": none}, "m2", metric).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == [r"a\$", "b"]
    assert axes.get_xlabel().endswith(f"less that of m2\n(better to the {side})")
    factor = 100 if metric == "test.accuracy" else 1
    zero, first, _ = axes.lines
    assert list(zero.get_xdata()) == [0, 0]
    assert np.allclose(first.get_xdata(), [0.1 * factor, 0.2 * factor])
    draws, mean, _, filled = axes.collections
    assert np.allclose(draws.get_offsets()[:, 0], [0.1 * factor, 0.2 * factor])
    assert np.allclose(mean.get_offsets(), [[0.15 * factor, 0]])
    shades = [to_hex(one.get_facecolor()[0]) for one in (mean, filled)]
    assert shades == ["#ffffff", PLAIN]  # of two draws it is open, of five filled


def test_a_forest_of_nothing_is_drawn() -> None:
    forest({}, "m2", "test.accuracy").canvas.draw()
