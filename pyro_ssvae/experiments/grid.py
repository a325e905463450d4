"""Grids of settings: every combination of the values that are given."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, cast

from pyro_ssvae.data import Dataset
from pyro_ssvae.data.draws import Labels
from pyro_ssvae.errors import InputError, positive_whole, unknown, whole
from pyro_ssvae.experiments.options import layered
from pyro_ssvae.experiments.pairs import Pair, chosen, taken
from pyro_ssvae.experiments.plan import Plan, check_of_runs
from pyro_ssvae.experiments.setting import Setting

MOST_RUNS = 10_000


def grid(
    models: Sequence[str | Pair],
    data: str | Dataset | Sequence[str | Dataset] = "digits",
    *,
    labels: Labels | Sequence[Labels] = 50,
    draws: int | Sequence[int] = 5,
    seeds: int | Sequence[int] | None = None,
    drawing: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    most: int = MOST_RUNS,
    **plan: Any,
) -> list[Setting]:
    """The settings of a study: every combination of the values that are given as lists.

    A list stands for several values, of ``data``, ``labels``, and of anything in ``drawing``,
    ``options`` and ``plan``. A tuple is one value, such as ``hidden=(500, 500)``.

    Args:
        models: The pairs, or their names.
        data: The data sets, or their names.
        labels: The numbers of labelled examples.
        draws: The number of label draws, or the seeds of the splits.
        seeds: The number of trainings on each draw, or their seeds. None trains once on each, with
            the seed of the draw.
        drawing: The further arguments of :meth:`Dataset.split`, such as ``{"foreign": [0, 0.5]}``.
        options: The values of options by name; each goes to every pair that takes it. Those for
            one pair are a mapping by its name: ``{"m2": {"alpha": [1, 10, 100]}}``.
        most: The largest number of runs to allow.
        plan: How to train, see :class:`pyro_ssvae.experiments.plan.Plan`, but for what concerns
            the study as a whole: :data:`pyro_ssvae.experiments.plan.OF_A_STUDY`.

    Returns:
        The settings: pair by pair, and for each combination draw by draw.

    Raises:
        InputError: If a pair is named twice, no pair has one of the options, an argument is
            unknown or the study's, or there are more than ``most`` runs.

    Example:
        >>> from pyro_ssvae.experiments.grid import grid
        >>> alphas = {"m2": {"alpha": [1.0, 10.0]}}
        >>> settings = grid(["m2", "vae"], labels=[20, 50], draws=3, options=alphas)
        >>> len(settings)
        18
    """
    pairs = [chosen(model) for model in models]
    check_of_runs(cast(Plan, plan), "seeds=")
    of_each = options_of_each(pairs, options or {})
    splits, trainings = seeds_of("draws", draws), seeds_of("seeds", seeds)
    common: dict[str, list[Any]] = {
        "data": _several(data), "labels": _several(labels),
        **{f"drawing {name}": _several(value) for name, value in (drawing or {}).items()},
        **{f"plan {name}": _several(value) for name, value in plan.items()},
    }
    axes = {
        pair: common | {f"options {name}": _several(v) for name, v in of_each[pair.name].items()}
        for pair in pairs
    }
    _check_number([*axes.values()], len(splits) * len(trainings), most)
    return [
        _setting(pair, values, draw, seed)
        for pair in pairs for values in _combinations(axes[pair])
        for draw in splits for seed in trainings
    ]


def seeds_of(what: str, seeds: int | Sequence[int] | None) -> Sequence[Any]:
    """The seeds that a number of them stands for, or the ones that are given.

    Raises:
        InputError: If there are none, or one comes twice.
    """
    if seeds is None:
        return [None]
    if not isinstance(seeds, Iterable):
        return range(positive_whole(**{what: seeds})[what])
    seeds = [whole(what, seed) for seed in seeds]
    if not seeds or len(set(seeds)) < len(seeds):
        raise InputError(f"expected different {what}, got {seeds}")
    return seeds


def options_of_each(
    pairs: Sequence[Pair], options: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The options that are given for each pair, by its name; a list is of several values.

    Raises:
        InputError: If a pair is named twice, or no pair has one of the options.
    """
    names = [pair.name for pair in pairs]
    if not names or len(set(names)) < len(names):
        raise InputError(f"expected different models to compare, got {' '.join(names) or 'none'}")
    for_one = {name: values for name, values in options.items() if isinstance(values, Mapping)}
    for_all = {name: value for name, value in options.items() if name not in for_one}
    for name in for_one:
        if name not in names:
            raise unknown("model of this comparison", name, names)
    known = taken(pairs)
    for name in for_all:
        if name not in known:
            raise unknown("option", name, known)
    result = {
        pair.name: layered(
            {name: value for name, value in for_all.items() if pair.takes(name)},
            for_one.get(pair.name, {}),
        )
        for pair in pairs
    }
    for pair in pairs:
        for values in _combinations({n: _several(v) for n, v in result[pair.name].items()}):
            pair.checked(values)
    return result


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _combinations(axes: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for values in product(*axes.values()):
        yield dict(zip(axes, values))


def _check_number(axes: Sequence[Mapping[str, list[Any]]], seeds: int, most: int) -> None:
    runs = seeds * sum(math.prod(map(len, of_pair.values())) for of_pair in axes)
    if runs > most:
        raise InputError(
            f"expected a grid of at most {most:,} runs, got {runs:,}; give fewer values, or"
            f" confirm it: grid(..., most={runs})"
        )
    if not runs:
        raise InputError("expected a value for everything in the grid, got an empty list")


def _setting(pair: Pair, values: Mapping[str, Any], draw: int, seed: int | None) -> Setting:
    def of(part: str) -> Any:
        mark = f"{part} "
        return {k.removeprefix(mark): v for k, v in values.items() if k.startswith(mark)}

    return Setting(
        pair, values["data"], values["labels"], of("drawing"), draw, seed, of("options"), of("plan")
    )
