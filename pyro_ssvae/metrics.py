"""Scores of predicted class probabilities."""

from __future__ import annotations

import torch
from torch import Tensor


def accuracy(probs: Tensor, y: Tensor) -> float:
    """Fraction of the examples whose likeliest class is theirs.

    Args:
        probs: (N, K) class probabilities.
        y: (N, K) one-hot labels; the same in the other scores.
    """
    return (probs.argmax(-1) == y.argmax(-1)).double().mean().item()


def nll(probs: Tensor, y: Tensor) -> float:
    """Mean negative log-likelihood of the labels, in nats.

    A probability of zero counts as the smallest normal number of its type.
    """
    tiny = torch.finfo(probs.dtype).tiny
    return (probs * y).sum(-1).clamp_min(tiny).log().neg().double().mean().item()


def brier(probs: Tensor, y: Tensor) -> float:
    """Mean squared distance between probabilities and labels: 0 at best, 2 at worst.

    Brier (1950), Verification of forecasts expressed in terms of probability, eq. 2.
    """
    return (probs - y).square().sum(-1).double().mean().item()


def ece(probs: Tensor, y: Tensor, bins: int = 15) -> float:
    """Expected calibration error, 0 to 1, over equally wide bins of the highest probability.

    Guo et al. (2017), On Calibration of Modern Neural Networks, section 2.
    """
    confidence, predicted = probs.double().max(-1)
    correct = (predicted == y.argmax(-1)).double()
    index = ((confidence * bins).ceil().long() - 1).clamp(0, bins - 1)
    gap = torch.zeros(bins, dtype=torch.double, device=probs.device)
    gap.index_add_(0, index, correct - confidence)
    return (gap.abs().sum() / len(probs)).item()


def scores(probs: Tensor, y: Tensor) -> dict[str, float]:
    """Accuracy, NLL, Brier score and ECE by name."""
    return {score.__name__: score(probs, y) for score in (accuracy, nll, brier, ece)}
