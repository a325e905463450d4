"""What studies of runs on several label draws share: accuracies, and differences draw by draw."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Metrics = Mapping[str, Any]

SURE = 2.0  # standard errors from which on a mean difference is taken for one


def accuracies(runs: Iterable[Metrics], part: str = "test") -> list[float]:
    """The accuracies of runs after their last epoch, in %.

    Args:
        runs: What ``metrics.json`` holds of each run.
        part: The part of the split, ``"test"`` or ``"validation"``.
    """
    return [100 * run[part]["accuracy"] for run in runs]


def greater(one: Sequence[float], other: Sequence[float]) -> bool | None:
    """Whether one method is better than another on the same draws.

    Returns:
        Whether the mean difference is above 0, where it is :data:`SURE` standard errors from it or
        more. None where it is not, and of a single draw.
    """
    differences = [a - b for a, b in zip(one, other, strict=True)]
    if len(differences) < 2:
        return None
    mean = statistics.fmean(differences)
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    return mean > 0 if abs(mean) > SURE * error else None


def all_of(verdicts: Iterable[bool | None]) -> bool | None:
    """Whether all verdicts are True: False if one is, and else None if one does not tell."""
    told = list(verdicts)
    if False in told:
        return False
    return None if None in told else True


def difference(one: Sequence[float], other: Sequence[float]) -> str:
    """The mean difference on the same draws, with its standard error where there are several."""
    differences = [a - b for a, b in zip(one, other, strict=True)]
    text = f"{statistics.fmean(differences):+.1f}"
    if len(differences) == 1:
        return f"{text} on one draw"
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    return f"{text} ± {error:.1f} over {len(differences)} draws"


def within(found: Sequence[float], published: float, spread: float) -> bool:
    """Whether the mean over the draws lies within a published mean plus or minus its spread."""
    return abs(statistics.fmean(found) - published) <= spread


def counted(number: int, what: str) -> str:
    """A number with what it is of: ``"1 draw"``, ``"10 draws"``."""
    return f"{number:,} {what}" + "s" * (number != 1)
