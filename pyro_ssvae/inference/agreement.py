"""What predictions on unlabelled examples are held to, beside the bound."""

from __future__ import annotations

import math

from torch import Tensor


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
    return (log_mean.exp() * (log_mean + math.log(classes))).sum()
