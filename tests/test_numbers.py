"""Numbers of NumPy become Python's, and what is not finite has no place in JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from pyro_ssvae.experiments.options import as_declared
from pyro_ssvae.experiments.plan import completed
from pyro_ssvae.system.numbers import finite, in_python


@pytest.mark.parametrize("value, expected", [
    (np.float64(0.5), 0.5), (np.float32(0.5), 0.5), (np.int64(2), 2), (np.bool_(True), True),
    (np.str_("on"), "on"), ((np.int64(4), 3), (4, 3)), ([np.float64(1), None], [1.0, None]),
    (None, None), ("a", "a"),
], ids=repr)
def test_a_number_of_numpy_becomes_the_same_one_of_python(value: Any, expected: Any) -> None:
    came = in_python(value)
    assert came == expected and type(came) is type(expected)
    if isinstance(came, (list, tuple)):
        assert list(map(type, came)) == list(map(type, expected))


def test_what_is_no_number_is_left_as_it_is() -> None:
    value = object()
    assert in_python(value) is value


@pytest.mark.parametrize("value, kind, expected", [
    (np.float64(0.01), float, 0.01), (np.int64(2), float, 2.0), (np.int64(2), int, 2),
    ([np.int64(8)], tuple[int, ...], (8,)), (np.float64(2.0), float | None, 2.0),
    (np.int64(3), int | tuple[int, ...], 3),
], ids=str)
def test_an_option_takes_numbers_of_numpy(value: Any, kind: Any, expected: Any) -> None:
    came = as_declared(value, kind)
    assert came == expected and type(came) is type(expected)
    assert type(came) is not tuple or type(came[0]) is int


def test_a_plan_takes_numbers_of_numpy() -> None:
    plan = completed({"epochs": np.int64(3), "selections": np.bool_(True)})  # type: ignore
    assert (type(plan["epochs"]), plan["epochs"], plan["selections"]) == (int, 3, True)


def test_numbers_that_are_not_finite_become_null() -> None:
    data = {"a": math.nan, "b": [math.inf, 1.0, (-math.inf, 2)], 3: {"c": "nan", "d": None}}
    came = finite(data)
    assert came == {"a": None, "b": [None, 1.0, [None, 2]], "3": {"c": "nan", "d": None}}
    json.dumps(came, allow_nan=False)
