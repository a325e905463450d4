"""Differences of two configurations, paired by their splits, and how sure they are."""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from pyro_ssvae.errors import InputError
from pyro_ssvae.statistics.table import Seeds, Values, draw_means

CONFIDENCE = 0.95
RESAMPLES = 10_000
FEWEST = 5  # label draws to tell two configurations apart by: an interval of fewer is too narrow
FEW = 8  # label draws from which on an interval covers about what it says
DIGITS = 12  # decimals beyond which differences count as equal: the rest is rounding


@dataclass(frozen=True)
class Difference:
    """What one configuration measured less what another did, in the same label draws.

    Attributes:
        each: The difference in each label draw, a mean over the training seeds that both have.
        low: The lower end of the bootstrap interval of the mean difference; None under two draws.
        high: The upper end.
        runs: The number of pairs of runs.
        unmatched: The number of runs of either that the other has no partner for.
        confidence: The share of intervals that are to cover the true mean difference.
    """

    each: tuple[float, ...]
    low: float | None
    high: float | None
    runs: int
    unmatched: int
    confidence: float

    @property
    def draws(self) -> int:
        """The number of label draws."""
        return len(self.each)

    @property
    def mean(self) -> float:
        """The mean over the label draws, of which each counts alike."""
        return statistics.fmean(self.each) if self.each else math.nan

    @property
    def p(self) -> float | None:
        """The p-value of Wilcoxon's signed-rank test, two-sided, over the label draws."""
        return wilcoxon(self.each)

    @property
    def apart(self) -> bool | None:
        """Whether the interval excludes 0; None with fewer than :data:`FEWEST` draws."""
        if self.low is None or self.high is None or self.draws < FEWEST:
            return None
        return self.low > 0 or self.high < 0

    @property
    def caution(self) -> str:
        """What is to be known of the interval, in a sentence; empty where nothing is."""
        number = f"{self.draws} label draw{'s' * (self.draws != 1)}"
        if self.draws < 2:
            return f"{number}: no interval; it takes two."
        if self.draws < FEWEST:
            return (
                f"{number}: no interval of so few covers {self.confidence:.0%}; it takes {FEWEST}"
                " to tell two apart."
            )
        if self.draws < FEW:
            return f"{number}: the interval covers somewhat less than {self.confidence:.0%}."
        return ""


def difference(
    one: Values,
    other: Values,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """One configuration less another, in pairs of runs that have both seeds in common.

    Runs of one label draw share its luck: they are one observation, their mean, and the bootstrap
    resamples label draws.

    Args:
        one: What the runs of the one measured.
        other: What the runs of the other did.
        confidence: The share of intervals that are to cover the true mean difference, in (0, 1).
        resamples: The number of bootstrap samples.
        seed: The seed of the bootstrap.

    Example:
        >>> from pyro_ssvae.statistics.paired import difference
        >>> from pyro_ssvae.statistics.table import Seeds
        >>> one = {Seeds(0, 0): 0.91, Seeds(1, 1): 0.88, Seeds(2, 2): 0.93}
        >>> other = {Seeds(0, 0): 0.89, Seeds(1, 1): 0.87, Seeds(2, 2): 0.89}
        >>> [round(each, 2) for each in difference(one, other).each]
        [0.02, 0.01, 0.04]
    """
    if not 0 < confidence < 1:
        raise InputError(f"expected confidence in (0, 1), got {confidence}")
    pairs: dict[Seeds, float] = {
        seeds: one[seeds] - other[seeds] for seeds in sorted(one) if seeds in other
    }
    each = tuple(round(mean, DIGITS) for mean in draw_means(pairs).values())
    low, high = interval(each, confidence, resamples, seed)
    return Difference(
        each, low, high, len(pairs), len(one) + len(other) - 2 * len(pairs), confidence
    )


def interval(
    values: Sequence[float],
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float] | tuple[None, None]:
    """The expanded percentile bootstrap interval of a mean; (None, None) under two values.

    The percentiles lie further out than those of the plain one, by as much as a normal interval of
    so few values is too narrow beside Student's. Hesterberg (2014), What Teachers Should Know about
    the Bootstrap, arXiv:1411.5279, on the expanded percentile interval. Arguments as of
    :func:`difference`.
    """
    n = len(values)
    if n < 2:
        return None, None
    if min(values) == max(values):  # a point, which summation would round
        return float(values[0]), float(values[0])
    beyond = math.sqrt(n / (n - 1)) * stats.t.isf((1 - confidence) / 2, n - 1)
    expanded = 1 - 2 * stats.norm.sf(beyond)
    found: Any = stats.bootstrap(
        (np.asarray(values, dtype=float),), np.mean, n_resamples=resamples, method="percentile",
        confidence_level=min(expanded, math.nextafter(1, 0)),
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def wilcoxon(differences: Sequence[float]) -> float | None:
    """The two-sided p-value of Wilcoxon's signed-rank test; None without differences.

    Differences of 0 are left out, as Wilcoxon did; where all are 0 it is 1.
    """
    if not differences:
        return None
    rounded = np.round(differences, DIGITS)
    rounded = rounded[rounded != 0]
    if not len(rounded):
        return 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a normal approximation for few values with ties
        return float(stats.wilcoxon(rounded).pvalue)
