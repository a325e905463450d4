"""Which configuration is the best, and which are not to be told from it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from pyro_ssvae.errors import InputError
from pyro_ssvae.statistics.paired import CONFIDENCE, RESAMPLES, Difference, difference
from pyro_ssvae.statistics.ranks import Ranks, mean_ranks
from pyro_ssvae.statistics.table import Values, draw_means
from pyro_ssvae.statistics.variance import Variance, variance


@dataclass(frozen=True)
class Standing:
    """Where a configuration stands.

    Attributes:
        name: Its name.
        mean: The mean over its label draws, each a mean over its training seeds.
        draws: The number of its label draws.
        runs: The number of its runs.
        rank: Its mean rank; None where no label draw is common to all.
        to_best: The difference to the best configuration, in pairs; None of the best itself.
        variance: The variance of its runs.
    """

    name: str
    mean: float
    draws: int
    runs: int
    rank: float | None
    to_best: Difference | None
    variance: Variance


@dataclass(frozen=True)
class Standings:
    """Where all configurations stand.

    Attributes:
        rows: The configurations, that of the best mean first.
        ranks: Their mean ranks.
        higher: Whether the higher values are the better ones.
    """

    rows: tuple[Standing, ...]
    ranks: Ranks
    higher: bool

    def worse(self, row: Standing) -> bool | None:
        """Whether a configuration is worse than that of the best mean, as the interval has it.

        None of the best itself, and where there are too few label draws to say.
        """
        if row.to_best is None or row.to_best.apart is None:
            return None
        return row.to_best.apart and (row.to_best.mean < 0) == self.higher

    @property
    def alike(self) -> tuple[str, ...]:
        """The names of the configurations that are not told from that of the best mean."""
        return tuple(row.name for row in self.rows[1:] if self.worse(row) is False)

    @property
    def unsettled(self) -> tuple[str, ...]:
        """The names of those that have too few label draws in common with it to say."""
        return tuple(row.name for row in self.rows[1:] if self.worse(row) is None)

    @property
    def marked(self) -> bool:
        """Whether the first is the best: every other one is told from it."""
        return len(self.rows) > 1 and not (self.alike or self.unsettled)


def standings(
    groups: Mapping[str, Values],
    *,
    higher: bool,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Standings:
    """Where the configurations stand, by what their runs measured.

    Args:
        groups: What the runs of each measured, by name, as
            :func:`pyro_ssvae.statistics.table.configurations` gives it.
        higher: Whether the higher values are the better ones.
        confidence: The confidence of intervals, as of
            :func:`pyro_ssvae.statistics.paired.difference`.
        resamples: The number of bootstrap samples, as there.
        seed: The seed of the bootstrap.

    Raises:
        InputError: If there is no configuration, or one has no run.
    """
    for name, values in groups.items():
        if not values:
            raise InputError(f"expected runs of {name} to compare, got none")
    if not groups:
        raise InputError("expected configurations to compare, got none")
    means = {name: statistics.fmean(draw_means(v).values()) for name, v in groups.items()}
    ordered = sorted(means, key=lambda name: means[name], reverse=higher)
    best, ranks = ordered[0], mean_ranks(groups, higher=higher)
    to_best = differences_to(
        groups, best, confidence=confidence, resamples=resamples, seed=seed
    )
    return Standings(
        tuple(
            Standing(
                name, means[name], len(draw_means(groups[name])), len(groups[name]),
                ranks.mean.get(name), to_best.get(name), variance(groups[name]),
            )
            for name in ordered
        ),
        ranks, higher,
    )


def differences_to(
    groups: Mapping[str, Values],
    reference: str,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Difference]:
    """Every other configuration less a reference, by name; arguments as of :func:`standings`.

    Raises:
        InputError: If the reference is none of the configurations.
    """
    if reference not in groups:
        raise InputError(
            f"expected a reference among {', '.join(groups)}, got {reference!r}"
        )
    return {
        name: difference(
            values, groups[reference], confidence=confidence, resamples=resamples, seed=seed
        )
        for name, values in groups.items() if name != reference
    }
