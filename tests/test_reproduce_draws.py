"""Verdicts on differences between methods, draw by draw."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pyro_ssvae.reproduce.draws import (
    above,
    alike,
    all_of,
    any_of,
    chosen,
    deviation,
    difference,
    greater,
    others,
)

ABOUT_ZERO = [1.0, -1.0, 2.0, -2.0, 0.5]
ABOUT_FOUR = [3.0, 4.0, 5.0, 4.0, 3.5]
ZEROS = [0.0] * 5


def test_a_method_is_better_where_the_interval_of_the_mean_difference_leaves_out_zero() -> None:
    better, worse = [3.0, 4.0, 5.0, 4.0, 3.0], [1.0, 2.0, 3.1, 2.2, 1.1]
    assert greater(better, worse) is True
    assert greater(worse, better) is False
    assert greater([1.0, 0.0, 3.0, 0.0, 0.0], [0.0, 1.0, 0.0, 1.0, 0.0]) is None


def test_few_draws_do_not_tell_which_method_is_better() -> None:
    assert greater([90.0], [10.0]) is None
    assert difference([90.0], [10.0]) == "+80.0 over 1 draw"


def test_a_difference_is_said_with_its_interval() -> None:
    assert difference([3.0, 2.0], [1.0, 0.0]) == "+2.0 [+2.0, +2.0] over 2 draws"


@pytest.mark.parametrize(("verdicts", "together"), [
    ((True, True), True), ((True, None), None), ((None, False), False), ((), True),
])
def test_verdicts_hold_together_where_all_do(
    verdicts: tuple[bool | None, ...], together: bool | None
) -> None:
    assert all_of(verdicts) is together


@pytest.mark.parametrize(("by", "told"), [(2.0, True), (4.0, None), (6.0, False), (-6.0, True)])
def test_a_margin_is_exceeded_where_the_whole_interval_lies_above_it(
    by: float, told: bool | None
) -> None:
    assert greater(ABOUT_FOUR, ZEROS, by) is told
    assert above(ABOUT_FOUR, by) is told


@pytest.mark.parametrize(("values", "margin", "told"), [
    (ABOUT_ZERO, 3.0, True), (ABOUT_ZERO, 1.0, None), (ABOUT_FOUR, 1.0, False),
    (ABOUT_FOUR, 4.0, None), (ABOUT_FOUR, 6.0, True),
])
def test_methods_are_alike_where_the_whole_interval_lies_within_the_margin(
    values: list[float], margin: float, told: bool | None
) -> None:
    assert alike(values, ZEROS, margin) is told
    assert alike(ZEROS, values, margin) is told


def test_few_draws_do_not_tell_that_methods_are_alike() -> None:
    assert alike(ZEROS[:4], ZEROS[:4], 1.0) is None
    assert alike(ZEROS, ZEROS, 1.0) is True


@pytest.mark.parametrize(("verdicts", "any_one"), [
    ((True, None, False), True), ((None, False), None), ((False, False), False), ((), False),
])
def test_any_one_of_several_verdicts_may_hold(
    verdicts: tuple[bool | None, ...], any_one: bool | None
) -> None:
    assert any_of(verdicts) is any_one


def test_what_is_chosen_on_half_of_the_draws_is_compared_on_the_others() -> None:
    scores = {"lucky": [1.0, 9.0, 1.0, 9.0, 1.0], "steady": [2.0, 2.0, 2.0, 2.0, 2.0]}
    assert chosen(scores) == "steady"
    assert others(scores["lucky"]) == [9.0, 9.0]
    assert chosen({name: values[:1] for name, values in scores.items()}) == "steady"
    assert others([3.0]) == [3.0]


def test_a_choice_among_equals_is_seldom_found_better() -> None:
    """Of ten that are 0 on average: where the draws that chose compare, it is so far more often."""
    random = np.random.default_rng(0)
    own, rest = 0, 0
    for _ in range(100):
        scores = {name: list(random.normal(size=10)) for name in range(10)}
        best = scores[chosen(scores)]
        own += above(best[::2], 0.0) is True
        rest += above(others(best), 0.0) is True
    assert own >= 20 and own > 2 * rest


def test_a_deviation_takes_two_draws() -> None:
    assert deviation([1.0, 3.0]) == pytest.approx(2 ** 0.5)
    assert math.isnan(deviation([1.0]))
