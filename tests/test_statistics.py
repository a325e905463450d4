"""What the statistics of a table of runs say, against values worked out by hand."""

from __future__ import annotations

import io
import itertools
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pyro_ssvae import InputError
from pyro_ssvae.statistics import paired
from pyro_ssvae.statistics.paired import difference, interval, wilcoxon
from pyro_ssvae.statistics.ranks import mean_ranks
from pyro_ssvae.statistics.standings import differences_to, standings
from pyro_ssvae.statistics.table import Seeds, configurations, draw_means, higher_is_better
from pyro_ssvae.statistics.variance import variance


def row(
    model: str, draw: int, accuracy: float | None, seed: int = 0, **more: Any
) -> dict[str, Any]:
    return {"model": model, "split_seed": draw, "seed": seed, "test.accuracy": accuracy} | more


def runs(*values: float) -> dict[Seeds, float]:
    """One run for each label draw."""
    return {Seeds(draw, 0): value for draw, value in enumerate(values)}


def crossed(table: list[list[float]]) -> dict[Seeds, float]:
    """A row for each label draw, a column for each training seed."""
    return {Seeds(i, j): v for i, row in enumerate(table) for j, v in enumerate(row)}


# The table.

def test_a_configuration_is_its_model_and_the_settings_in_which_the_model_varies() -> None:
    rows = [
        row("m2", 0, 0.8, **{"option.alpha": 1.0, "option.z_dim": 8}),
        row("m2", 0, 0.9, **{"option.alpha": 10.0, "option.z_dim": 8}),
        row("vae", 0, 0.7, **{"option.alpha": None, "option.z_dim": 4}),
    ]
    found = configurations(rows, "test.accuracy", ["model", "option.alpha", "option.z_dim", "seed"])
    assert found == {
        "m2, alpha=1": {(0, 0): 0.8}, "m2, alpha=10": {(0, 0): 0.9}, "vae": {(0, 0): 0.7},
    }


def test_settings_that_are_sequences_or_missing_are_told_apart() -> None:
    rows = [
        row("m2", 0, 0.8, **{"option.hidden": [256, 256]}),
        row("m2", 0, 0.9, **{"option.hidden": None}), row("m2", 1, 0.7),
        row("m2", 1, 0.6, **{"option.hidden": (256, 256)}),
    ]
    found = configurations(rows, "test.accuracy", ["model", "option.hidden"])
    assert {name: list(values.values()) for name, values in found.items()} == {
        "m2, hidden=256,256": [0.8, 0.6], "m2, hidden=none": [0.9, 0.7],
    }


def test_numbers_that_differ_late_are_not_taken_for_one_setting() -> None:
    rows = [row("m2", 0, 0.5, lr=1.0000001), row("m2", 0, 0.6, lr=1.0)]
    assert list(configurations(rows, "test.accuracy", ["model", "lr"])) == [
        "m2, lr=1.0000001", "m2, lr=1",
    ]


def test_runs_without_the_metric_are_left_out() -> None:
    rows = [row("m2", 0, 0.8), row("m2", 1, None), row("m2", 2, math.nan), row("vae", 0, None)]
    assert configurations(rows, "test.accuracy") == {"m2": {(0, 0): 0.8}}


@pytest.mark.parametrize("convert", [False, True], ids=["as read", "with gaps of pandas"])
def test_a_table_read_from_a_file_is_as_it_was_written(convert: bool) -> None:
    rows = [
        row("m2", 0, 0.8, **{"option.alpha": 1.0, "patience": None}),
        row("m2", 0, 0.9, **{"option.alpha": 2.5, "patience": 3}),
        row("vae", 0, None, **{"option.alpha": None, "patience": 3}),
        row("supervised", 1, 0.5, **{"option.alpha": None, "patience": 3}),
    ]
    frame = pd.read_csv(io.StringIO(pd.DataFrame(rows).to_csv(index=False)))
    read = (frame.convert_dtypes() if convert else frame).to_dict("records")
    settings = ["model", "option.alpha", "patience"]
    found = configurations(read, "test.accuracy", settings)
    assert [list(of_one.values()) for of_one in found.values()] == [[0.8], [0.9], [0.5]]
    assert list(found) == [
        "m2, alpha=1, patience=none", "m2, alpha=2.5, patience=3", "supervised",
    ]
    assert configurations(rows, "test.accuracy", settings) == found


def test_two_runs_of_the_same_settings_and_seeds_are_refused() -> None:
    rows = [row("m2", 3, 0.8, alpha=1), row("m2", 3, 0.9, alpha=10)]
    with pytest.raises(InputError, match="one run of m2 with split_seed=3 and seed=0, got two"):
        configurations(rows, "test.accuracy")


def test_a_metric_that_no_run_has_is_named_with_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown metric 'test.acuracy'.*'test.accuracy'"):
        configurations([row("m2", 0, 0.8)], "test.acuracy")


@pytest.mark.parametrize("metric, higher", [
    ("test.accuracy", True), ("validation.elbo", True), ("selected.nll.test.nll", False),
    ("seconds", False), ("test.kl_a", False), ("validation.kl_pi", False),
])
def test_the_direction_of_a_metric_is_known_by_its_name(metric: str, higher: bool) -> None:
    assert higher_is_better(metric) is higher


# Paired differences.

def test_runs_are_paired_by_both_seeds_and_the_rest_is_counted() -> None:
    one = {Seeds(0, 0): 0.9, Seeds(1, 0): 0.7, Seeds(2, 0): 0.1}
    other = {Seeds(0, 0): 0.6, Seeds(1, 0): 0.5, Seeds(1, 1): 0.9, Seeds(3, 0): 0.2}
    found = difference(one, other)
    assert found.each == pytest.approx((0.3, 0.2))
    assert (found.runs, found.draws, found.unmatched) == (2, 2, 3)
    assert found.mean == pytest.approx(0.25)


def test_training_seeds_of_one_draw_are_one_observation_and_every_draw_counts_alike() -> None:
    one = {Seeds(0, seed): 1.0 for seed in range(9)} | {Seeds(1, 0): 5.0}
    other = {seeds: 0.0 for seeds in one}
    found = difference(one, other)
    assert found.each == (1.0, 5.0) and found.mean == 3.0
    assert (found.low, found.high) == (1.0, 5.0)


@pytest.mark.parametrize("draws, caution", [
    (0, "0 label draws: no interval; it takes two."),
    (1, "1 label draw: no interval; it takes two."),
    (4, "4 label draws: no interval of so few covers 95%; it takes 5 to tell two apart."),
    (5, "5 label draws: the interval covers somewhat less than 95%."),
    (8, ""),
])
def test_few_label_draws_are_said(draws: int, caution: str) -> None:
    found = difference(runs(*np.arange(1.0, draws + 1)), runs(*[0.0] * draws))
    assert found.caution == caution
    assert (found.low is None) == (draws < 2)
    assert found.apart is (None if draws < 5 else True)


def test_the_interval_is_that_of_every_resample_of_few_values() -> None:
    """Of 4 values all 256 resamples are written out, and the expanded percentiles taken."""
    values = [0.0, 1.0, 3.0, 8.0]
    means = [sum(chosen) / 4 for chosen in itertools.product(values, repeat=4)]
    # t with 3 degrees of freedom leaves 2.5 % beyond 3.1824; Phi(-3.1824 sqrt(4/3)) = 0.000119.
    low, high = np.quantile(means, [0.000119, 1 - 0.000119])
    found = interval(values, resamples=40_000)
    assert found == pytest.approx((low, high), abs=0.26)  # the step between two means
    # At 50 % it is t = 0.76489, and Phi(-0.88322) = 0.18856.
    low, high = np.quantile(means, [0.18856, 1 - 0.18856])
    found = interval(values, confidence=0.5, resamples=40_000)
    assert found == pytest.approx((low, high), abs=0.26)


def test_equal_differences_have_a_point_as_interval() -> None:
    assert interval([0.1, 0.1, 0.1]) == (0.1, 0.1)
    assert difference(runs(0.3, 0.3, 0.3), runs(0.3, 0.3, 0.3)).p == 1.0


def test_differences_that_are_rounding_are_none() -> None:
    rounded = difference(runs(*[0.1 + 0.2] * 6), runs(*[0.3] * 6))
    assert 0.1 + 0.2 != 0.3 and rounded.each == (0.0,) * 6
    assert rounded.apart is False and rounded.p == 1.0


def test_the_same_table_gives_the_same_interval() -> None:
    values = np.random.default_rng(3).normal(size=12).tolist()
    assert interval(values) == interval(values) != interval(values, seed=1)


def test_swapping_the_two_turns_the_difference_around() -> None:
    rng = np.random.default_rng(0)
    one, other = runs(*rng.normal(size=10)), runs(*rng.normal(size=10))
    there, back = difference(one, other), difference(other, one)
    assert back.mean == pytest.approx(-there.mean) and back.p == there.p
    # The percentiles are of other resamples only in the last digits of their order.
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))


def test_intervals_move_and_stretch_with_the_values() -> None:
    values = np.random.default_rng(1).normal(size=9)
    low, high = interval(values.tolist())
    assert interval((3 * values + 2).tolist()) == pytest.approx((3 * low + 2, 3 * high + 2))


def test_what_both_have_in_common_in_a_draw_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    luck, gap = 10 * rng.normal(size=8), rng.normal(1.0, 0.1, size=8)
    found = difference(runs(*(luck + gap)), runs(*luck))
    assert found.apart and found.high - found.low < 0.5


@pytest.mark.parametrize("draws, least", [(5, 0.87), (10, 0.92), (20, 0.92)])
def test_intervals_cover_the_true_mean_as_often_as_they_say(draws: int, least: float) -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(300, draws))
    inside = [low <= 0 <= high for low, high in (interval(s, resamples=1000) for s in samples)]
    assert least <= np.mean(inside) <= 0.98


def test_wilcoxons_test_is_exact_for_few_draws() -> None:
    assert wilcoxon([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(2 / 2**5)
    # Of the signs of ranks 1, 2, 3 two of eight make a sum of 1 or less, two of eight one of 5.
    assert wilcoxon([-1.0, 2.0, 3.0]) == pytest.approx(4 / 8)
    assert wilcoxon([]) is None and wilcoxon([0.0, 0.0]) == 1.0
    assert wilcoxon([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(2 / 2**5)


def test_rounding_does_not_break_ties() -> None:
    tied = [0.9 - 0.8, 0.4 - 0.3, -(1.1 - 1.0)]  # 0.1 each, but for the last digits
    assert len(set(map(abs, tied))) == 3
    assert wilcoxon(tied) == wilcoxon([1.0, 1.0, -1.0])


def test_a_confidence_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match=r"confidence in \(0, 1\), got 95"):
        difference(runs(1.0), runs(2.0), confidence=95)


# Ranks.

def test_ranks_are_averaged_over_the_draws_that_all_have() -> None:
    groups = {"a": runs(3, 3, 9), "b": runs(2, 3), "c": runs(1, 4)}
    found = mean_ranks(groups, higher=True)
    assert found.mean == {"a": (1 + 2.5) / 2, "b": (2 + 2.5) / 2, "c": (3 + 1) / 2}
    assert (found.draws, found.left_out) == (2, 1)


def test_ranks_turn_around_with_the_direction() -> None:
    groups = {"a": runs(1, 2), "b": runs(2, 3)}
    assert mean_ranks(groups, higher=False).mean == {"a": 1.0, "b": 2.0}
    assert mean_ranks(groups, higher=True).mean == {"a": 2.0, "b": 1.0}


def test_there_are_no_ranks_without_a_common_draw() -> None:
    found = mean_ranks({"a": {Seeds(0, 0): 1.0}, "b": {Seeds(1, 0): 1.0}}, higher=True)
    assert (found.mean, found.draws, found.left_out) == ({}, 0, 2)


# Variances.

def test_crossed_variances_are_those_of_two_ways() -> None:
    # Draw means 1 and 5, seed means 2 and 4, rests +-1: mean squares 16, 4 and 4.
    found = variance(crossed([[1.0, 1.0], [3.0, 7.0]]))
    assert (found.draws, found.shared, found.training) == ((16 - 4) / 2, 0.0, 4.0)


def test_what_a_seed_has_in_common_over_draws_is_told() -> None:
    # Means of draws 3, 3, 3 and of seeds 1 and 5, no rest: mean squares 0, 24 and 0.
    found = variance(crossed([[1.0, 5.0]] * 3))
    assert (found.draws, found.shared, found.training) == (0.0, 8.0, 8.0)


def test_nested_variances_are_those_of_one_way() -> None:
    """Of sizes 2, 2 and 1: within 4 / 2, between (2*0 + 2*4 + 1*1) / 2, n0 (5 - 9/5) / 2."""
    values = {
        Seeds(0, 0): 1.0, Seeds(0, 1): 3.0, Seeds(1, 2): 4.0, Seeds(1, 3): 6.0, Seeds(2, 4): 6.0,
    }
    groups, mean = [[1.0, 3.0], [4.0, 6.0], [6.0]], 4.0
    between = sum(len(g) * (np.mean(g) - mean)**2 for g in groups) / 2
    assert between == (2 * 4 + 2 * 1 + 1 * 4) / 2
    found = variance(values)
    assert found.training == 2.0 and found.shared is None
    assert found.draws == pytest.approx((between - 2.0) / ((5 - 9 / 5) / 2))


def test_a_variance_is_never_negative() -> None:
    found = variance(crossed([[0.0, 1.0], [1.0, 0.0]]))
    assert (found.draws, found.shared) == (0.0, 0.0) and found.training == 1.0
    nested = {Seeds(0, 0): 0.0, Seeds(0, 1): 1.0, Seeds(1, 2): 0.0, Seeds(1, 3): 1.0}
    assert variance(nested).draws == 0.0


def test_one_seed_a_draw_cannot_tell() -> None:
    found = variance(runs(1.0, 2.0, 3.0))
    assert (found.draws, found.training) == (None, None)
    assert found.reason.startswith("with one training seed a label draw")


def test_one_draw_tells_training_alone() -> None:
    found = variance({Seeds(0, 0): 1.0, Seeds(0, 1): 3.0})
    assert (found.draws, found.training) == (None, 2.0) and "one label draw" in found.reason
    assert variance({Seeds(0, 0): 1.0}).training is None


@pytest.mark.parametrize("nested", [False, True], ids=["crossed", "nested"])
def test_simulated_variances_are_found(nested: bool) -> None:
    """Draws of variance 4, training of variance 1: the mean over 400 tables is near both."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        table = 2 * rng.normal(size=(6, 1)) + rng.normal(size=(6, 4))
        values = {
            Seeds(i, 10 * i * nested + j): float(table[i, j]) for i in range(6) for j in range(4)
        }
        found.append(variance(values))
    assert np.mean([one.draws for one in found]) == pytest.approx(4, rel=0.1)
    assert np.mean([one.training for one in found]) == pytest.approx(1, rel=0.1)


# Standings.

GAPS = np.array([0.01, 0.02, 0.015, 0.012, 0.018, 0.011])


def test_the_best_is_marked_where_it_is_told_from_every_other() -> None:
    base = np.random.default_rng(0).uniform(0.5, 0.9, size=6)
    groups = {"a": runs(*base), "b": runs(*(base + GAPS)), "c": runs(*(base - GAPS))}
    found = standings(groups, higher=True)
    assert [row.name for row in found.rows] == ["b", "a", "c"]
    assert found.marked and found.alike == ()
    assert [row.rank for row in found.rows] == [1.0, 2.0, 3.0]
    assert [found.worse(row) for row in found.rows] == [None, True, True]
    turned = standings(groups, higher=False)
    assert turned.rows[0].name == "c" and turned.marked


def test_one_that_is_not_told_from_the_best_leaves_it_unmarked() -> None:
    base = np.random.default_rng(0).uniform(0.5, 0.9, size=6)
    noise = np.array([0.03, -0.02, 0.01, -0.03, 0.02, 0.0])
    groups = {"a": runs(*base), "b": runs(*(base + noise)), "c": runs(*(base - 10 * GAPS))}
    found = standings(groups, higher=True)
    assert not found.marked and found.rows[0].name == "b" and found.alike == ("a",)


def test_a_single_configuration_is_not_the_best_of_anything() -> None:
    assert not standings({"a": runs(1, 2, 3)}, higher=True).marked


def test_too_few_draws_mark_nothing() -> None:
    found = standings({"a": runs(1, 1, 1), "b": runs(9, 9.5, 9)}, higher=True)
    assert found.rows[1].to_best.high < 0
    assert not found.marked and found.worse(found.rows[1]) is None
    assert (found.alike, found.unsettled) == ((), ("a",))


def test_of_equals_one_is_seldom_marked() -> None:
    rng = np.random.default_rng(0)
    marked = [
        standings(
            {name: runs(*rng.normal(size=8)) for name in "abc"}, higher=True, resamples=500
        ).marked
        for _ in range(150)
    ]
    assert np.mean(marked) <= 0.05


def test_the_order_of_the_runs_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    rows = [row(m, s, float(rng.normal())) for m in ("a", "b") for s in range(6)]
    one = standings(configurations(rows, "test.accuracy"), higher=True)
    shuffled = [rows[i] for i in rng.permutation(len(rows))]
    other = standings(configurations(shuffled, "test.accuracy"), higher=True)
    assert [r.name for r in one.rows] == [r.name for r in other.rows]
    assert one.rows[1].to_best == other.rows[1].to_best


def test_differences_to_a_reference_are_of_all_others() -> None:
    found = differences_to({"a": runs(1, 2), "b": runs(3, 5)}, "a")
    assert list(found) == ["b"] and found["b"].each == (2, 3)
    with pytest.raises(InputError, match="a reference among a, got 'z'"):
        differences_to({"a": runs(1)}, "z")


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(InputError, match="expected configurations to compare"):
        standings({}, higher=True)
    with pytest.raises(InputError, match="expected runs of a to compare, got none"):
        standings({"a": {}}, higher=True)


def test_draws_are_means_over_training_seeds() -> None:
    assert draw_means({Seeds(0, 0): 1.0, Seeds(0, 1): 3.0, Seeds(1, 0): 5.0}) == {0: 2.0, 1: 5.0}


# What is asked for of the intervals.


def test_a_difference_has_the_interval_that_is_asked_for() -> None:
    rng = np.random.default_rng(0)
    groups = {"a": runs(*rng.normal(size=9)), "b": runs(*rng.normal(size=9))}
    how: dict[str, Any] = {"confidence": 0.5, "resamples": 500, "seed": 3}
    found = difference(groups["a"], groups["b"], **how)
    assert (found.low, found.high) == interval(found.each, 0.5, 500, 3)
    best, second = standings(groups, higher=True, **how).rows
    assert second.to_best == difference(groups[second.name], groups[best.name], **how)


@pytest.mark.parametrize("confidence, tail", [(0.95, 0.000119), (0.5, 0.18856)])
def test_the_level_is_expanded_by_students_t_of_n_minus_1(confidence, tail, monkeypatch) -> None:
    # norm.cdf(-sqrt(4 / 3) * t), with t of 3 degrees of freedom: Hesterberg (2015), section 6.
    levels, bootstrap = [], paired.stats.bootstrap

    def noted(*values: Any, **options: Any) -> Any:
        levels.append(options["confidence_level"])
        return bootstrap(*values, **options)

    monkeypatch.setattr(paired.stats, "bootstrap", noted)
    interval([0.0, 1.0, 3.0, 8.0], confidence=confidence)
    assert levels == pytest.approx([1 - 2 * tail], abs=2e-5)


def test_rounding_breaks_no_tie() -> None:
    ranks = mean_ranks({"a": runs(0.1 + 0.2), "b": runs(0.3)}, higher=True)
    assert ranks.mean == {"a": 1.5, "b": 1.5}
