"""What the errors say."""

import math

import pytest

from pyro_ssvae.errors import InputError, NonFiniteLossError, positive, unknown


def test_an_input_error_is_a_value_error() -> None:
    assert issubclass(InputError, ValueError)


def test_a_non_finite_loss_is_an_arithmetic_error_and_no_input_error() -> None:
    assert issubclass(NonFiniteLossError, ArithmeticError)
    assert not issubclass(NonFiniteLossError, InputError)


def test_an_unknown_name_is_answered_with_the_known_ones_and_the_nearest() -> None:
    error = unknown("model", "vea", ["vae", "m2"])
    assert isinstance(error, InputError)
    assert str(error) == "unknown model 'vea': expected one of m2, vae; did you mean 'vae'?"


def test_no_suggestion_is_made_where_nothing_is_near() -> None:
    assert str(unknown("model", "zzz", ["vae", "m2"])) == (
        "unknown model 'zzz': expected one of m2, vae"
    )


def test_the_known_names_may_be_any_iterable() -> None:
    assert "expected one of a, b" in str(unknown("thing", "c", (name for name in "ba")))


@pytest.mark.parametrize("number", [0, 0.0, -1, -1e-9, -math.inf, math.nan])
def test_a_number_that_is_not_positive_is_refused_by_name(number: float) -> None:
    with pytest.raises(InputError, match=rf"^expected rate > 0, got {number}$"):
        positive(rate=number)


def test_the_number_at_fault_is_the_one_named() -> None:
    with pytest.raises(InputError, match="expected second > 0, got -2"):
        positive(first=1, second=-2, third=3)


def test_positive_numbers_pass() -> None:
    positive(smallest=5e-324, whole=1, large=1e308)
