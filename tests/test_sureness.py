"""A comparison says how sure its order is, by differences on the same label draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyro_ssvae.report.sureness import sureness


def runs(metric: str, values: Sequence[float | None]) -> list[dict[str, Any]]:
    return [{"split_seed": i, "seed": 0, "test": {metric: v}} for i, v in enumerate(values)]


SURE = [0.90, 0.91, 0.93, 0.92, 0.90, 0.94]


def test_the_best_is_marked_where_every_interval_leaves_out_zero() -> None:
    less = [value - 0.05 - 0.002 * i for i, value in enumerate(SURE)]
    found = sureness({"good": runs("accuracy", SURE), "bad": runs("accuracy", less)})
    assert found is not None and found.metric == "test.accuracy"
    head, best, other = found.cells
    assert best[0] == "good" and "best" in best and other[0] == "bad" and "yes" in other
    assert head[1] == "accuracy %" and best[1] == "91.7" and other[1] == "86.2"
    assert "good is the best: its interval to every other leaves out 0." in found.notes


def test_nothing_is_marked_where_the_draws_do_not_tell() -> None:
    other = [SURE[(i + 1) % len(SURE)] - 1e-4 for i in range(len(SURE))]
    found = sureness({"one": runs("accuracy", SURE), "other": runs("accuracy", other)})
    assert found is not None and not any("best" in line for line in found.cells[1:])
    assert any("cannot be told from it" in note for note in found.notes)


def test_columns_that_no_row_fills_are_left_out() -> None:
    found = sureness({name: runs("accuracy", SURE) for name in ("one", "other")})
    assert found is not None and not any(head.startswith("sd of") for head in found.cells[0])


def test_rows_that_predict_nothing_are_compared_by_the_bound() -> None:
    found = sureness({name: runs("elbo", SURE) for name in ("vae", "other")})
    assert found is not None and found.metric == "test.elbo"


def test_a_single_row_has_nothing_to_be_compared_with() -> None:
    rows = {"m2": runs("accuracy", SURE), "vae": runs("accuracy", [None] * 6)}
    assert sureness(rows) is None


def test_a_run_without_a_finite_value_leaves_its_row_to_the_others() -> None:
    values = {"one": [1.0, None, 3.0], "other": [2.0, 3.0, 4.0]}
    found = sureness({name: runs("rmse", of_row) for name, of_row in values.items()})
    assert found is not None and [line[0] for line in found.cells[1:]] == ["one", "other"]
    assert any("2 pairs of runs with the same seeds" in note for note in found.notes)
