"""How much of the spread of runs is owed to the label draw, and how much to training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyro_ssvae.statistics.table import Seeds, Values, by_draw


@dataclass(frozen=True)
class Variance:
    """The variance of the runs of one configuration, told apart by where it comes from.

    Attributes:
        draws: The variance between label draws; None where the runs cannot tell.
        training: The variance between training seeds on one label draw; None as well.
        shared: The part of ``training`` that a seed has in common over the draws. None unless
            every draw has the same seeds.
        reason: Why the runs cannot tell, in a sentence, or what they can; empty where all is told.
    """

    draws: float | None
    training: float | None
    shared: float | None
    reason: str = ""


def variance(values: Values) -> Variance:
    """The variance of label draws and of training, by a random-effects analysis of variance.

    Where every draw has the same training seeds the two are crossed, with a mean square for the
    seeds of their own; else the runs are nested in the draws. An estimate that would be negative
    is 0. Searle, Casella and McCulloch (1992), Variance Components, chapters 3 and 4.

    Args:
        values: What the runs of the configuration measured.
    """
    runs = by_draw(values)
    if len(values) < 2:
        return Variance(None, None, None, "one run has no variance.")
    if len(runs) == 1:
        (own,) = runs.values()
        return Variance(
            None, float(np.var(own, ddof=1)), None,
            "with one label draw, the variance of draws cannot be told.",
        )
    if all(len(own) == 1 for own in runs.values()):
        return Variance(
            None, None, None,
            "with one training seed a label draw, the variance of draws cannot be told from that of"
            " training.",
        )
    seeds = {frozenset(s.training for s in values if s.draw == draw) for draw in runs}
    return _crossed(values) if len(seeds) == 1 else _nested([np.array(v) for v in runs.values()])


def _crossed(values: Values) -> Variance:
    """Two-way, without replication: value = mean + draw + seed + rest."""
    draws = sorted({seeds.draw for seeds in values})
    trainings = sorted({seeds.training for seeds in values})
    table = np.array([[values[Seeds(draw, t)] for t in trainings] for draw in draws])
    a, b = table.shape
    of_draw, of_seed, mean = table.mean(1), table.mean(0), table.mean()
    rest = table - of_draw[:, None] - of_seed + mean
    residual = float((rest**2).sum() / ((a - 1) * (b - 1)))
    between_draws = b * float(((of_draw - mean)**2).sum() / (a - 1))
    between_seeds = a * float(((of_seed - mean)**2).sum() / (b - 1))
    shared = max(0.0, (between_seeds - residual) / a)
    return Variance(max(0.0, (between_draws - residual) / b), shared + residual, shared)


def _nested(groups: list[np.ndarray]) -> Variance:
    """One-way, of groups that may differ in size: value = mean + draw + rest."""
    sizes = np.array([len(group) for group in groups])
    total, a = sizes.sum(), len(groups)
    mean = np.concatenate(groups).mean()
    within = float(sum(((group - group.mean())**2).sum() for group in groups) / (total - a))
    between = float(sum(len(g) * (g.mean() - mean)**2 for g in groups) / (a - 1))
    size = (total - (sizes**2).sum() / total) / (a - 1)
    return Variance(max(0.0, (between - within) / float(size)), within, None)
