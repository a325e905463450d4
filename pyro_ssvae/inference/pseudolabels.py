"""Confident predictions on unlabelled examples as labels of other views of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pyro_ssvae.contract import Batch, classes_of, prior_of
from pyro_ssvae.errors import InputError
from pyro_ssvae.inference import shares
from pyro_ssvae.inference.terms import Scalar
from pyro_ssvae.nn.augment import Views
from pyro_ssvae.nn.running import still

RATE = 0.01  # of the running mean of predictions: that of about a hundred updates


class Aligned(nn.Module):
    """p <- p * p(y) / mean of p, normalised: predictions that are p(y) on average.

    Berthelot et al. (2020), ReMixMatch, section 3.1. The mean is one of predictions in training,
    :data:`RATE` of it the batch's own; to begin with it is p(y). It is a buffer: what is saved and
    what is captured hold it, and every replica of an ensemble has one.

    Args:
        probs: (K,) the probabilities p(y) to begin with.
    """

    mean: Tensor

    def __init__(self, probs: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", probs.clone())

    @classmethod
    def of(cls, model: Any) -> Aligned:
        """That for the classes of a model of one label, of its type and on its device."""
        like = next(model.parameters())
        return cls(class_probs(model, like.new_ones(classes_of(model))))

    def forward(self, probs: Tensor, prior: Tensor) -> Tensor:
        """Predictions (N, K), aligned with p(y), (K,)."""
        if self.training:
            mean = shares.whole(shares.of_loss(probs.mean(0), "unlabelled"))
            self.mean.lerp_(mean, RATE)
        aligned = probs * (prior / self.mean)
        return aligned / aligned.sum(-1, keepdim=True)


@dataclass(frozen=True)
class PseudoLabels:
    """-log q(y | s(u)) of the likeliest class y of q(y | w(u)) where that is confident, else 0.

    Sohn et al. (2020), FixMatch, eq. 4: a mean over unlabelled examples u, of which w(u) is a weak
    view and s(u) a strong one. The class is taken as given, with no gradient. It comes from the
    classifier, and not from the model's posterior of y: no part of a bound.

    Predictions are of examples as they are. So strong views leave the running statistics of batch
    normalisation alone, as in the code of the paper's authors.

    Attributes:
        views: The views.
        confidence: The probability from which on a class is taken for the label, in [0, 1].
        aligned: The module that aligns predictions with the model's p(y), if any.
    """

    views: Views
    confidence: float = 0.95
    aligned: Aligned | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.confidence <= 1:
            raise InputError(f"expected confidence in [0, 1], got {self.confidence}")

    def __call__(self, model: Any, guide: Any, batch: Batch, epoch: Scalar) -> Tensor:
        """The term of a batch, a scalar in nats, at least 0."""
        with torch.no_grad():
            share, label = self._probs(model, guide, batch).max(-1)
        with still(guide):
            log_q = guide.classify(self.views.strong(batch.u)).logits
        loss = F.nll_loss(log_q, label, reduction="none")
        return (loss * (share >= self.confidence)).mean()

    def _probs(self, model: Any, guide: Any, batch: Batch) -> Tensor:
        probs = guide.classify(self.views.weak(batch.u)).probs
        if self.aligned is not None:
            probs = self.aligned(probs, class_probs(model, probs))
        if batch.possible is None:
            return probs
        within = probs * batch.possible
        return within / within.sum(-1, keepdim=True).clamp_min(torch.finfo(probs.dtype).tiny)


def check_one_label(model: Any, **weights: float) -> None:
    """Raise :class:`InputError` at a weight of losses of one label, where the model has others."""
    for name, weight in weights.items():
        if weight > 0 and classes_of(model) is None:
            raise InputError(
                f"{name}={weight} and {type(model).__name__}: expected a model of one label, with"
                f" its number of classes in y_dim; use {name}=0"
            )


def class_probs(model: Any, like: Tensor) -> Tensor:
    """p(y) of a model, (K,), as it is now, where classes (..., K) are like these."""
    prior = prior_of(model)
    if prior is None:
        return like.new_full(like.shape[-1:], 1 / like.shape[-1])
    return prior(like).mean.detach()
