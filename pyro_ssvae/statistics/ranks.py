"""Mean ranks of configurations over label draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from pyro_ssvae.statistics.paired import DIGITS
from pyro_ssvae.statistics.table import Values, draw_means


@dataclass(frozen=True)
class Ranks:
    """Mean ranks over the label draws that all configurations have.

    Attributes:
        mean: The mean rank by name, 1 at best; empty where no draw is common to all.
        draws: The number of these draws.
        left_out: The number of draws that some configuration does not have.
    """

    mean: dict[str, float]
    draws: int
    left_out: int


def mean_ranks(groups: Mapping[str, Values], *, higher: bool) -> Ranks:
    """Rank the configurations in every label draw, and average over the draws.

    Those that are equal in a draw share the mean of their ranks.

    Args:
        groups: What the runs of each configuration measured, by name.
        higher: Whether the higher values are the better ones.

    Example:
        >>> from pyro_ssvae.statistics.ranks import mean_ranks
        >>> from pyro_ssvae.statistics.table import Seeds
        >>> first, second = Seeds(0, 0), Seeds(1, 1)
        >>> groups = {"m2": {first: 0.9, second: 0.8}, "vade": {first: 0.95, second: 0.9}}
        >>> mean_ranks(groups, higher=True).mean
        {'m2': 2.0, 'vade': 1.0}
    """
    means = {name: draw_means(values) for name, values in groups.items()}
    every = set().union(*means.values())
    common = sorted(set.intersection(*map(set, means.values()))) if means else []
    if not common:
        return Ranks({}, 0, len(every))
    table = np.round([[of_one[draw] for draw in common] for of_one in means.values()], DIGITS)
    ranks = stats.rankdata(-table if higher else table, axis=0).mean(axis=1)
    return Ranks(dict(zip(means, ranks.tolist())), len(common), len(every) - len(common))
