"""What studies of runs on several label draws share: accuracies, and differences draw by draw."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pyro_ssvae.statistics.paired import Difference
from pyro_ssvae.statistics.paired import difference as of_values
from pyro_ssvae.statistics.table import Seeds

Metrics = Mapping[str, Any]


def accuracies(runs: Iterable[Metrics], part: str = "test") -> list[float]:
    """The accuracies of runs after their last epoch, in %.

    Args:
        runs: What ``metrics.json`` holds of each run.
        part: The part of the split, ``"test"`` or ``"validation"``.
    """
    return [100 * run[part]["accuracy"] for run in runs]


def paired(one: Sequence[float], other: Sequence[float]) -> Difference:
    """The first less the second, draw by draw."""
    return of_values(*(
        {Seeds(draw, draw): value for draw, value in enumerate(values)} for values in (one, other)
    ))


def greater(one: Sequence[float], other: Sequence[float]) -> bool | None:
    """Whether one method is better than another on the same draws.

    Returns:
        Whether the mean difference is above 0, where its interval leaves 0 out. None where it does
        not, and of fewer draws than :data:`pyro_ssvae.statistics.paired.FEWEST`.
    """
    found = paired(one, other)
    return found.mean > 0 if found.apart else None


def all_of(verdicts: Iterable[bool | None]) -> bool | None:
    """Whether all verdicts are True: False if one is, and else None if one does not tell."""
    told = list(verdicts)
    if False in told:
        return False
    return None if None in told else True


def difference(one: Sequence[float], other: Sequence[float]) -> str:
    """The mean difference on the same draws in words, with its interval where there are several."""
    found = paired(one, other)
    text = f"{found.mean:+.1f}"
    if found.low is not None:
        text += f" [{found.low:+.1f}, {found.high:+.1f}]"
    return f"{text} over {counted(found.draws, 'draw')}"


def within(found: Sequence[float], published: float, spread: float) -> bool:
    """Whether the mean over the draws lies within a published mean plus or minus its spread."""
    return abs(statistics.fmean(found) - published) <= spread


def counted(number: int, what: str) -> str:
    """A number with what it is of: ``"1 draw"``, ``"10 draws"``."""
    return f"{number:,} {what}" + "s" * (number != 1)
