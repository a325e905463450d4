"""SHOT-VAE's optimal interpolation: the inference of mixed examples, and the mixed inferences."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from pyro_ssvae.contract import Batch
from pyro_ssvae.errors import InputError, not_negative
from pyro_ssvae.inference.terms import Scalar, Term
from pyro_ssvae.labels import OneHots, completed


def interpolation(model: Any, guide: Any, batch: Batch, epoch: Scalar) -> dict[str, Tensor]:
    """The terms ``interpolation`` and ``interpolation_z``: :func:`distances` of labels and of z.

    Each is the sum of those of labelled and of unlabelled examples. They share the mixed examples.
    """
    labelled, unlabelled = distances(guide, batch.x, batch.y), distances(guide, batch.u)
    labels, moments = (a + b for a, b in zip(labelled, unlabelled))
    return {"interpolation": labels, "interpolation_z": moments}


def terms(labels: float, moments: float, flows: int) -> dict[str, Term]:
    """Both terms by name, with the weights of the labels and of the moments of z.

    Raises:
        InputError: If a weight is negative, or counts where q(z | x) has normalizing flows.
    """
    weights = {"interpolation": labels, "interpolation_z": moments}
    not_negative(**weights)
    for name, weight in weights.items():
        if weight and flows:
            raise InputError(
                f"{name}={weight} and flows={flows}: neighbours are found by KL divergences, which"
                " flows do not have in closed form; use flows=0"
            )
    return {name: Term(interpolation, weight=weight) for name, weight in weights.items()}


def distances(guide: Any, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """How far q of mixed examples is from the mixture of their q: of labels, and of z.

    Each example is mixed with the one of the batch whose q(z | x) is nearest to its own in KL
    divergence, with a share from Beta(2, 2). Feng et al. (2021), arXiv 2011.10684. This asks for
    smooth inference, and is no part of any bound.

    The authors' code (github.com/FengHZ/SHOT-VAE) does three things in another way. It mixes
    labelled examples with random ones, with shares from Beta(0.1, 0.1), as its label smoothing:
    here that is the objective's ``smoothing``, and they are mixed as the unlabelled ones are. It
    draws one share for a batch, here there is one for each example. It finds every example
    nearest to itself, here that is left out.

    Args:
        guide: A guide with a ``classify`` and an ``encoder`` that is normal given x alone.
        x: The examples (N, ...).
        y: The given labels (N, S), which stand in for q(y | x), NaN where a label is unknown, or
            None.

    Returns:
        Two means over the examples. The first is the KL divergence from the mixed labels to
        q(y | mixed x), in nats. The second is the squared distance of mean and standard deviation
        of q(z | mixed x) from the mixed ones, summed over the dimensions of z.
    """
    with torch.no_grad():
        labels, normal = guide.classify(x), guide.encoder(x).base_dist
        if y is not None:
            labels = completed(y, labels)
        partner = _nearest(normal)
        # The middle one of three uniform numbers has the distribution Beta(2, 2).
        share = torch.rand(3, len(x), 1, dtype=x.dtype, device=x.device).sort(0).values[1]
        mixed, probs, loc, scale = (
            torch.lerp(
                part, part.index_select(0, partner), share.view(-1, *[1] * (part.dim() - 1))
            )
            for part in (x, labels.probs, normal.loc, normal.scale)
        )
    q, z = guide.classify(mixed), guide.encoder(mixed).base_dist
    moments = (z.loc - loc).square() + (z.scale - scale).square()
    return kl_divergence(OneHots(probs.log(), q.sizes), q).mean(), moments.sum(-1).mean()


def _nearest(normal: torch.distributions.Normal) -> Tensor:
    """The index (N,) of the nearest other row of a normal of shape (N, J), in KL divergence."""
    each = type(normal)(normal.loc.unsqueeze(1), normal.scale.unsqueeze(1))
    divergences = kl_divergence(each, normal).sum(-1)
    same = torch.eye(len(divergences), dtype=torch.bool, device=divergences.device)
    return divergences.masked_fill(same, torch.inf).argmin(1)
