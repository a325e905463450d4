"""The tables of a comparison."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import pytest

from pyro_ssvae.report.tables import (
    COLUMNS,
    cells,
    csv_of_means,
    csv_of_runs,
    footnotes,
    markdown,
    ruled,
    summary,
)


def runs_of(metric: str, *values: float | None, **more: Any) -> list[dict[str, Any]]:
    """A run of a second for each value of a metric."""
    return [
        {
            "seed": seed, "split_seed": seed, "seconds": 1.0, "options": {},
            "test": {metric: value}, **more,
        }
        for seed, value in enumerate(values)
    ]


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_summary_is_the_mean_and_the_sample_deviation() -> None:
    scores = [{"seconds": s, "test": {"accuracy": a}} for s, a in ((1.0, 0.5), (3.0, 0.75))]
    result = summary(scores)
    assert result["accuracy"] == pytest.approx((0.625, 0.125 * 2 ** 0.5))
    assert result["seconds"] == pytest.approx((2.0, 2 ** 0.5))
    assert result["elbo"] is None


def test_a_metric_that_one_run_lacks_has_no_mean() -> None:
    assert summary(runs_of("elbo", -41.0, None))["elbo"] is None


def test_a_single_run_has_a_mean_and_no_deviation() -> None:
    runs = runs_of("accuracy", 0.5)
    mean, deviation = summary(runs)["accuracy"] or (0.0, 0.0)
    assert mean == 0.5 and math.isnan(deviation)
    assert cells({"m2": runs})[1] == ["m2", "50.0", "1.0"]


def test_the_table_has_a_cell_for_every_row_of_each_column_that_some_row_has() -> None:
    results = {"a": runs_of("accuracy", 0.4, 0.6), "longer name": runs_of("elbo", -41.0, -41.5)}
    assert cells(results) == [
        ["model", "accuracy %", "ELBO", "seconds"],
        ["a", "50.0 ± 14.1", "–", "1.0 ± 0.0"],
        ["longer name", "–", "-41.25 ± 0.35", "1.0 ± 0.0"],
    ]
    lines = markdown(results).splitlines()
    assert {line.count("|") for line in lines} == {5}
    assert {len(line) for line in lines} == {len(lines[0])}


def test_every_column_says_which_direction_is_better() -> None:
    said = {
        column.metric: [word for word in ("lower", "higher") if word in column.meaning]
        for column in COLUMNS
    }
    lower, higher = ["lower"], ["higher"]
    assert said == {
        "accuracy": higher, "nll": lower, "rmse": lower,
        "coverage": ["lower", "higher"],  # neither: it is to be 90 %
        "brier": lower, "ece": lower, "macro_f1": higher, "mean_average_precision": higher,
        "macro_auroc": higher, "ranking_loss": lower,
        "elbo": ["lower", "higher"],  # a lower bound
        "iwae": higher, "leakage": ["lower", "higher"], "seconds": lower,
    }


def test_an_nll_of_clipped_probabilities_is_marked_and_has_a_footnote() -> None:
    results = {
        "plain": runs_of("nll", 0.5, 0.5, clipped=0.0),
        "marked": runs_of("nll", 0.5, 0.5, clipped=0.0) + runs_of("nll", 0.5, clipped=0.06),
    }
    (note,) = footnotes(results)
    assert note == (
        "† marked gives 2.00% of the test labels a probability under 0.000001, which counts as"
        " 0.000001 in the NLL."
    )
    assert [row[1] for row in cells(results)] == ["NLL", "0.500 ± 0.000", "0.500 ± 0.000 †"]
    text = markdown(results)
    assert text.endswith(f"|\n\n{note}\n") and text.count("†") == 2


def test_without_clipped_probabilities_there_is_no_footnote() -> None:
    results = {"m2": runs_of("nll", 0.5), "SelfTraining": runs_of("nll", 0.5, clipped=0.0)}
    assert footnotes(results) == []
    assert "†" not in markdown(results)


def test_a_regressor_without_a_distribution_has_a_footnote() -> None:
    results = {"plain": runs_of("nll", 0.5), "ridge": runs_of("nll", 0.5, deviation=0.8)}
    assert footnotes(results) == [
        "ridge predicts no distribution: its NLL and its interval are those of a normal as wide as"
        " its residuals on the validation part."
    ]
    assert "†" not in markdown(results)


def test_the_csv_of_means_has_every_column_empty_where_there_is_nothing() -> None:
    (row,) = rows(csv_of_means({"m2": runs_of("nll", 0.5, 0.7)}))
    metrics = [column.metric for column in COLUMNS]
    assert list(row) == ["model", *(f"{m}_{kind}" for m in metrics for kind in ("mean", "std"))]
    assert float(row["nll_mean"]) == pytest.approx(0.6)
    assert float(row["nll_std"]) == pytest.approx(0.2 / 2 ** 0.5)
    assert {key for key, value in row.items() if value} == {
        "model", "nll_mean", "nll_std", "seconds_mean", "seconds_std"
    }


def test_the_csv_of_runs_has_a_row_for_each_run_and_a_column_for_every_metric() -> None:
    results = {
        "m2": runs_of(
            "elbo", -40.5, None, epochs_done=3, updates=36, options={"hidden": [4, 4]},
            validation={"elbo": -39.5},
        ),
        "SelfTraining": runs_of("nll", 0.25, options="LogisticRegression(C=1)", clipped=0.5),
    }
    first, second, reference = rows(csv_of_runs(results))
    assert first == {
        "model": "m2", "seed": "0", "split_seed": "0", "epochs_done": "3", "updates": "36",
        "seconds": "1.0", "elbo": "-40.5", "validation.elbo": "-39.5", "nll": "", "clipped": "",
        "options": '{"hidden": [4, 4]}',
    }
    assert (second["seed"], second["elbo"]) == ("1", "")
    assert (reference["nll"], reference["updates"], reference["clipped"]) == ("0.25", "", "0.5")
    assert reference["validation.elbo"] == ""
    assert json.loads(reference["options"]) == "LogisticRegression(C=1)"


def test_a_metric_that_one_run_lacks_has_a_footnote() -> None:
    notes = footnotes({"a": runs_of("rmse", 1.0, None, 2.0), "b": runs_of("rmse", 1.0, 2.0, 3.0)})
    assert notes == ["a: 1 of 3 runs have no finite RMSE; it has no mean."]


def test_a_cell_of_markdown_is_one_cell() -> None:
    assert ruled([["name", "n"], ["a|b\nc", "1"]]).splitlines()[-1] == "| a&#124;b c | 1 |"
