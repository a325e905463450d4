"""What the errors say."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from pyro_ssvae.errors import (
    InputError,
    NonFiniteLossError,
    enough_memory,
    named_folder,
    positive,
    positive_whole,
    unknown,
    whole,
)


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


@pytest.mark.parametrize("number", [2**31, 10**22])
def test_a_whole_number_has_31_bits(number: int) -> None:
    positive(size=2**31 - 1, rate=1e22)
    with pytest.raises(InputError, match=f"^expected size <= 2147483647, got {number}$"):
        positive(size=number)


@pytest.mark.parametrize("number", [3, np.int64(3), np.uint8(3), torch.tensor(3)])
def test_a_whole_number_comes_back_as_one_of_python(number: object) -> None:
    assert positive_whole(size=number, other=2) == {"size": 3, "other": 2}
    assert type(whole("size", number)) is int and whole("size", -1) == -1


@pytest.mark.parametrize("number", [1.5, 3.0, "3", True, np.bool_(True), np.float64(3), None])
def test_what_is_no_whole_number_is_refused(number: object) -> None:
    with pytest.raises(InputError, match="^expected size as a whole number, got "):
        positive_whole(size=number)


def test_a_count_is_greater_than_zero() -> None:
    with pytest.raises(InputError, match="^expected size > 0, got 0$"):
        positive_whole(size=0)


@pytest.mark.parametrize("allocate", [
    lambda: torch.empty(2**62, 8), lambda: torch.zeros(2, 2).expand(2**62, 2, 2).contiguous(),
    lambda: np.zeros(2**58),
], ids=["size", "number of elements", "NumPy"])
def test_a_refused_allocation_names_the_largest_whole_number(allocate) -> None:
    with pytest.raises(InputError, match="there is memory, got hidden=2000; smaller layers"):
        with enough_memory(z_dim=50, hidden=(5, 2000), lr=1e9, likelihood="normal", swap=True):
            allocate()
    with pytest.raises(InputError, match="there is memory, got too large ones"):
        with enough_memory(lr=0.1):
            allocate()


def test_a_gpu_without_memory_left_is_a_refused_allocation() -> None:
    with pytest.raises(InputError, match="got z_dim=7"):
        with enough_memory(z_dim=7):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def test_other_errors_stay_what_they_are() -> None:
    for error in (RuntimeError("shapes (2, 3) and (4, 5)"), KeyError("x"), InputError("no")):
        with pytest.raises(type(error), match=str(error).replace("(", ".").replace(")", ".")):
            with enough_memory(z_dim=7):
                raise error


def test_an_empty_name_is_no_folder() -> None:
    assert named_folder("a/b") == Path("a/b") and named_folder(Path()) == Path(".")
    with pytest.raises(InputError, match='expected the name of a folder, got ""; "." is the'):
        named_folder("")
