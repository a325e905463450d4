"""What a search chooses from: the values that options may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyro_ssvae.errors import InputError, positive, unknown
from pyro_ssvae.experiments.options import plain
from pyro_ssvae.experiments.pairs import Pair, taken
from pyro_ssvae.system.numbers import in_python


@dataclass(frozen=True)
class Range:
    """All numbers between two: whole ones where both ends are whole.

    Attributes:
        low: The lowest value.
        high: The highest value.
        log: Whether to search on a logarithmic scale.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            object.__setattr__(self, name, in_python(getattr(self, name)))
        if not self.low < self.high:
            raise InputError(f"expected a range with low < high, got {self.low} and {self.high}")
        if self.log:
            positive(low=self.low)


Choice = Range | list[Any]  # a list is of several values, of which a tuple is one
Choices = Mapping[str, Choice]


def choices_of(
    pairs: Sequence[Pair], space: Mapping[str, Choice | Choices]
) -> dict[str, dict[str, Choice]]:
    """What each pair chooses from, by its name.

    Args:
        pairs: The pairs.
        space: The values of options by name; each goes to every pair that takes it. Those for one
            pair are a mapping by its name: ``{"lr": Range(1e-4, 1e-2, log=True), "m2": {"alpha":
            [1.0, 10.0, 100.0]}}``.

    Raises:
        InputError: If a pair is named twice, no pair has one of the options, a value is not usable,
            or a pair has nothing to choose.
    """
    names = [pair.name for pair in pairs]
    if not names or len(set(names)) < len(names):
        raise InputError(f"expected different models to search, got {' '.join(names) or 'none'}")
    known = taken(pairs)
    for name, choice in space.items():
        if isinstance(choice, Mapping) and name not in names:
            raise unknown("model of this search", name, names)
        if not isinstance(choice, Mapping) and name not in known:
            raise unknown("option", name, known)
    return {pair.name: _choices(pair, space) for pair in pairs}


def as_data(choice: Choice) -> Any:
    """A choice as plain data, the same for the same choice."""
    if isinstance(choice, Range):
        return {"low": choice.low, "high": choice.high, "log": choice.log}
    return [list(value) if isinstance(value, tuple) else value for value in choice]


def ends(choice: Choice) -> list[Any]:
    """The values of a list, and the two ends of a range."""
    return [choice.low, choice.high] if isinstance(choice, Range) else choice


def suggested(trial: Any, name: str, choice: Choice) -> Any:
    """The value of an option that a trial of Optuna suggests."""
    if isinstance(choice, list):  # by their places: Optuna's choices are numbers and texts
        return choice[trial.suggest_categorical(name, list(range(len(choice))))]
    low, high = choice.low, choice.high
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=choice.log)
    return trial.suggest_float(name, low, high, log=choice.log)


def _choices(pair: Pair, space: Mapping[str, Choice | Choices]) -> dict[str, Choice]:
    chosen: dict[str, Choice] = {
        name: in_python(choice) for name, choice in space.items()
        if not isinstance(choice, Mapping) and pair.takes(name)
    }
    own = space.get(pair.name, {})
    chosen |= {n: in_python(c) for n, c in own.items()} if isinstance(own, Mapping) else {}
    if not chosen:
        raise InputError(f"expected options of {pair.name} to search over, got none in the space")
    for name, choice in chosen.items():
        _check(pair, name, choice)
    return chosen


def _check(pair: Pair, name: str, choice: Choice) -> None:
    several = isinstance(choice, list) and choice and all(map(plain, choice))
    if not (several or isinstance(choice, Range)):
        raise InputError(
            f"expected a Range or a list of plain values of {name} to search over, got {choice!r}"
        )
    for value in ends(choice):
        pair.checked({name: value})
