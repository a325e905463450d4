"""A grid is every combination of what is given as lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pyro_ssvae import InputError
from pyro_ssvae.experiments.grid import grid
from pyro_ssvae.experiments.setting import Setting


def test_a_grid_is_every_combination_pair_by_pair_and_draw_by_draw() -> None:
    settings = grid(
        ["m2", "supervised"], labels=[20, 50], draws=[3, 1], seeds=[0, 7],
        options={"hidden": (8,), "m2": {"alpha": [1.0, 10.0]}}, epochs=4,
    )
    assert len(settings) == 2 * 2 * 2 * 2 + 2 * 2 * 2
    first = settings[0]
    assert (first.pair.name, first.labels, first.split_seed, first.seed) == ("m2", 20, 3, 0)
    assert first.options == {"hidden": (8,), "alpha": 1.0} and first.plan == {"epochs": 4}
    assert [(s.split_seed, s.seed) for s in settings[:4]] == [(3, 0), (3, 7), (1, 0), (1, 7)]
    assert [s.options["alpha"] for s in settings[:8]] == 4 * [1.0] + 4 * [10.0]
    assert all("alpha" not in s.options for s in settings if s.pair.name == "supervised")


def test_an_option_goes_to_the_pairs_that_take_it() -> None:
    m2, vae = grid(["m2", "vae"], draws=1, options={"alpha": 3.0, "z_dim": 2})
    assert m2.options == {"alpha": 3.0, "z_dim": 2} and vae.options == {"z_dim": 2}


def test_drawings_and_plans_are_axes_too() -> None:
    settings = grid(
        ["m2"], ["digits", "moons"], draws=1, drawing={"unlabelled": [100, None]}, epochs=[1, 2]
    )
    assert [(s.data, s.drawing["unlabelled"], s.plan["epochs"]) for s in settings] == [
        (data, number, epochs)
        for data in ("digits", "moons") for number in (100, None) for epochs in (1, 2)
    ]


def test_without_seeds_a_run_is_trained_with_the_seed_of_its_draw() -> None:
    assert [s.seed for s in grid(["m2"], draws=3)] == [None, None, None]


@pytest.mark.parametrize("arguments, message", [
    ({"models": ["m2", "m2"]}, "expected different models to compare, got m2 m2"),
    ({"options": {"kappa": [1, 2]}}, "unknown option 'kappa'"),
    ({"options": {"m2": {"alhpa": 1.0}}}, "unknown option of m2 'alhpa'.*did you mean 'alpha'"),
    ({"options": {"likelihood": ["bernoulli", "poisson"]}}, "unknown likelihood 'poisson'"),
    ({"epoch": 3}, "unknown argument 'epoch'.*did you mean 'epochs'"),
    ({"seed": 7}, "how to train each run of a study, got seed: give seeds="),
    ({"overwrite": True}, "got overwrite: give it to study"),
    ({"log": print, "epochs": 2}, "got log: give it to study"),
    ({"draws": 0}, "expected draws > 0"), ({"draws": 1.5}, "draws as a whole number, got 1.5"),
    ({"seeds": [1, 1]}, r"different seeds, got \[1, 1\]"),
    ({"labels": []}, "expected a value for everything in the grid, got an empty list"),
    ({"draws": 101, "seeds": 100}, r"at most 10,000 runs, got 10,100; .*most=10100"),
])
def test_bad_input_is_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        grid(**{"models": ["m2"], **arguments})


def test_more_runs_are_to_be_confirmed() -> None:
    settings = grid(["m2"], draws=101, seeds=100, most=10_100)
    assert len(settings) == 10_100 and isinstance(settings[0], Setting)


@pytest.mark.parametrize("key, message", [
    ("seed", "got seed: give it to Setting itself, or seeds= to grid"),
    ("resume", "got resume: give it to study"), ("epoch", "unknown argument 'epoch'"),
])
def test_a_setting_refuses_what_concerns_the_study(key: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Setting("m2", plan={key: 1})  # type: ignore[misc]


def test_seeds_may_be_numbers_of_numpy() -> None:
    settings = grid(["m2"], draws=np.arange(2), seeds=np.int64(2))  # type: ignore[arg-type]
    assert [(s.split_seed, s.seed) for s in settings] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert {type(s.split_seed) for s in settings} == {int}
