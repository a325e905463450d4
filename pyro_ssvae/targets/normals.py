"""Scores of predicted normal distributions, of a real number.

Every score takes predictions ``predicted`` (N, 2), the mean and the standard deviation of each
example, and its numbers ``y`` (N,), in the same units. A number that is NaN is unknown, and counts
nothing.
"""

from __future__ import annotations

import math

from torch import Tensor

from pyro_ssvae.errors import InputError

CENTRAL = 0.9  # of the probability, within the interval of :func:`coverage`
WIDTH = 1.6448536269514722  # standard deviations on either side of the mean that hold it


def rmse(predicted: Tensor, y: Tensor) -> float:
    """Root of the mean squared distance between the predicted mean and the number."""
    mean, _, y = _known(predicted, y)
    return math.sqrt((mean - y).square().mean().item())


def nll(predicted: Tensor, y: Tensor) -> float:
    """Minus the mean log-density of the numbers, in nats; of other units another number."""
    mean, deviation, y = _known(predicted, y)
    terms = 0.5 * ((y - mean) / deviation).square() + deviation.log()
    return terms.mean().item() + 0.5 * math.log(2 * math.pi)


def coverage(predicted: Tensor, y: Tensor) -> float:
    """Share of the numbers within their central 90 % interval: 0.9 where it is as it says.

    Example:
        >>> import torch
        >>> from pyro_ssvae.targets.normals import coverage
        >>> predicted = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
        >>> coverage(predicted, torch.tensor([1.5, 2.0]))
        0.5
    """
    mean, deviation, y = _known(predicted, y)
    return ((y - mean).abs() <= WIDTH * deviation).double().mean().item()


def r2(predicted: Tensor, y: Tensor) -> float:
    """Share of the variance of the numbers that the predicted mean explains, 1 at best.

    0 is that of predicting their own mean. Of numbers that are all the same it is 0, and 1 where
    they are predicted exactly.
    """
    mean, _, y = _known(predicted, y)
    unexplained = (y - mean).square().sum().item()
    if (y == y[0]).all():  # of which the variance may be above 0, by rounding
        return float(unexplained == 0)
    total = (y - y.mean()).square().sum().item()
    return 1 - unexplained / total


def scores(predicted: Tensor, y: Tensor) -> dict[str, float]:
    """All scores by name."""
    return {score.__name__: score(predicted, y) for score in (rmse, nll, coverage, r2)}


def _known(predicted: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Means, deviations and numbers (n,) of the examples whose number is known, in float64."""
    if y.dim() != 1 or predicted.shape != (len(y), 2):
        raise InputError(
            "expected means and deviations of shape (N, 2) and numbers (N,), got"
            f" {tuple(predicted.shape)} and {tuple(y.shape)}"
        )
    known = ~y.isnan()
    if not known.any():
        raise InputError(f"expected a known label to score, got none in {len(y)} examples")
    mean, deviation = predicted[known].double().unbind(-1)
    return mean, deviation, y[known].double()
