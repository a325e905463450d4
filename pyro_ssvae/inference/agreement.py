"""What predictions on unlabelled examples are held to, beside the bound."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyro_ssvae.contract import Batch
from pyro_ssvae.errors import InputError
from pyro_ssvae.inference import shares
from pyro_ssvae.inference.terms import Scalar, Term, itself


@dataclass(frozen=True)
class Agreement:
    """The terms ``consistency`` and ``alignment`` of predictions on unlabelled examples.

    The first is the :func:`inconsistency` of two views, the second the :func:`misalignment` of all
    views.

    Attributes:
        view: The function through which the examples are seen, each time in another way.
        number: The number of views, 1 or 2. With 1 there is no ``consistency``.
    """

    view: Callable[[Tensor], Tensor] = itself
    number: int = 2

    def __post_init__(self) -> None:
        if self.number not in (1, 2):
            raise InputError(f"expected the number of views to be 1 or 2, got {self.number}")

    def __call__(self, model: Any, guide: Any, batch: Batch, epoch: Scalar) -> dict[str, Tensor]:
        """Both terms of a batch's unlabelled examples, scalars."""
        views = [guide.classify(self.view(batch.u)).logits for _ in range(self.number)]
        alignment = misalignment(torch.cat(views))
        if self.number == 1:
            return {"alignment": alignment}
        return {"consistency": inconsistency(*views), "alignment": alignment}


def agreement(
    view: Callable[[Tensor], Tensor], *, consistency: float, alignment: float
) -> dict[str, Term]:
    """Both terms with these weights, those that have one, of as few views as they need."""
    function = Agreement(view, 2 if consistency > 0 else 1)
    terms = {
        "consistency": Term(function, consistency, over="unlabelled"),
        "alignment": Term(function, alignment, over="whole"),
    }
    return {name: term for name, term in terms.items() if term.weight > 0}


def inconsistency(one: Tensor, other: Tensor) -> Tensor:
    """Half the Jeffreys divergence between q(y | t(u)) and q(y | t'(u)), a mean over images u.

    Laine and Aila (2017), Temporal Ensembling, with two views of an image that must agree. It
    speaks of the classifier alone, and not of any image's probability: no part of a bound.

    Args:
        one, other: (N, K) log-probabilities under either view.

    Returns:
        A scalar in nats, at least 0.
    """
    return 0.5 * ((one.exp() - other.exp()) * (one - other)).sum(-1).mean()


def misalignment(log_probs: Tensor) -> Tensor:
    """KL[q(y) || p(y)], q(y) the mean of q(y | t(u)) over a batch of images u, p(y) uniform.

    The batch is the whole one, where only a share of it is here.

    Bridle et al. (1991), Unsupervised Classifiers, Mutual Information and Phantom Targets. Where
    no labelled image shows a manner of writing a class, its images join the class that they
    resemble most. That class is then predicted more often than it occurs, and this term takes
    back the images that are nearest to another. It compares the classifier's predictions on many
    images with p(y), and not each image's with its own posterior: no part of a bound.

    Args:
        log_probs: (N, K) log-probabilities.

    Returns:
        A scalar in nats, from 0 to log K.
    """
    number, classes = log_probs.shape
    log_mean = log_probs.logsumexp(0) - math.log(number)
    if shares.current() is not None:
        mean = shares.whole(shares.of_loss(log_mean.exp(), "unlabelled"))
        log_mean = mean.clamp_min(torch.finfo(mean.dtype).tiny).log()
    return (log_mean.exp() * (log_mean + math.log(classes))).sum()
