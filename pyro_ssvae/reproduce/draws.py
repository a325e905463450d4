"""What studies of runs on several label draws share: accuracies, and differences draw by draw."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pyro_ssvae.statistics.paired import FEWEST, Difference
from pyro_ssvae.statistics.paired import difference as of_values
from pyro_ssvae.statistics.table import Seeds

Metrics = Mapping[str, Any]
Name = TypeVar("Name")


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


def greater(one: Sequence[float], other: Sequence[float], by: float = 0.0) -> bool | None:
    """Whether the mean of one is above that of the other on the same draws, by more than a margin.

    Args:
        one: The values of the one, draw by draw.
        other: The values of the other.
        by: The margin in their unit. Below 0 it asks whether the one is hardly worse, if at all.

    Returns:
        True where the whole interval of the mean difference lies above the margin, False where it
        lies below. None in between, and of fewer draws than
        :data:`pyro_ssvae.statistics.paired.FEWEST`.
    """
    found = _interval(one, other)
    if found is None:
        return None
    low, high = found
    if low > by:
        return True
    return False if high < by else None


def above(values: Sequence[float], limit: float) -> bool | None:
    """Whether the mean over the draws is above a number, told as :func:`greater` tells it."""
    return greater(values, [limit] * len(values))


def below(values: Sequence[float], limit: float) -> bool | None:
    """Whether the mean over the draws is below a number, told as :func:`greater` tells it."""
    return greater([limit] * len(values), values)


def alike(one: Sequence[float], other: Sequence[float], margin: float) -> bool | None:
    """Whether the means of both differ by less than a margin on the same draws.

    Returns:
        True where the whole interval of the mean difference lies within the margin on both sides,
        False where it lies outside. None otherwise, and of too few draws, as in :func:`greater`.
    """
    found = _interval(one, other)
    if found is None:
        return None
    low, high = found
    if -margin < low and high < margin:
        return True
    return False if low > margin or high < -margin else None


def _interval(one: Sequence[float], other: Sequence[float]) -> tuple[float, float] | None:
    """The interval of the mean difference; None of draws that are too few to tell by."""
    found = paired(one, other)
    if found.draws < FEWEST or found.low is None or found.high is None:
        return None
    return found.low, found.high


def deviation(values: Sequence[float]) -> float:
    """The sample standard deviation over the draws; NaN of a single one."""
    return statistics.stdev(values) if len(values) > 1 else math.nan


def chosen(scores: Mapping[Name, Sequence[float]]) -> Name:
    """What has the best mean over half of the draws, 0, 2, 4 and so on.

    What is best owes some of that to the luck of the draws that it was chosen on, of test images
    too, for one draw's labels are behind both. So it is compared on :func:`others`.

    Args:
        scores: The values of all draws, by the names of what there is to choose from.
    """
    return max(scores, key=lambda name: statistics.fmean(scores[name][::2]))


def others(values: Sequence[float]) -> Sequence[float]:
    """The values of the draws that :func:`chosen` does not see; of a single draw that one."""
    return values[1::2] or values


def all_of(verdicts: Iterable[bool | None]) -> bool | None:
    """Whether all verdicts are True: False if one is, and else None if one does not tell."""
    told = list(verdicts)
    if False in told:
        return False
    return None if None in told else True


def any_of(verdicts: Iterable[bool | None]) -> bool | None:
    """Whether any verdict is True: True if one is, and else None if one does not tell."""
    told = list(verdicts)
    if True in told:
        return True
    return None if None in told else False


def difference(one: Sequence[float], other: Sequence[float]) -> str:
    """The mean difference on the same draws in words, with its interval where there are several."""
    found = paired(one, other)
    return f"{in_words(found)} over {counted(found.draws, 'draw')}"


def in_words(found: Difference, form: str = "+.1f") -> str:
    """A mean difference, and its interval where there is one: ``"+1.2 [+0.3, +2.0]"``.

    Args:
        found: The difference.
        form: The format of its numbers.
    """
    text = format(found.mean, form)
    if found.low is None or found.high is None:
        return text
    return f"{text} [{found.low:{form}}, {found.high:{form}}]"


def beyond(shares: Sequence[float], limit: float, where: str = "") -> str:
    """The mean of shares in %, with words on where that is, and how far it is above a limit."""
    further = difference(shares, [limit] * len(shares))
    return f"{statistics.fmean(shares):.1f} %{where} (above {limit:g} %: {further})"


def counted(number: int, what: str) -> str:
    """A number with what it is of: ``"1 draw"``, ``"10 draws"``."""
    return f"{number:,} {what}" + "s" * (number != 1)
