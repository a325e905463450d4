"""The training objective: weighted evidence lower bounds of one model/guide pair."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pyro
import torch
from pyro.infer import TraceEnum_ELBO
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn

from pyro_ssvae.data import Batch
from pyro_ssvae.errors import InputError


class Loss(NamedTuple):
    """What an update minimises, and what it is made of, in nats per example.

    Attributes:
        total: scalar, the weighted sum of the terms.
        terms: scalars by name, unweighted and detached: minus the mean ``labelled`` and
            ``unlabelled`` ELBO, and the ``classification`` loss; those of weight zero are absent.
    """

    total: Tensor
    terms: dict[str, Tensor]


class Objective(nn.Module):
    """Minus ``labelled * L + unlabelled * U + alpha * log q(y | x)``, each a mean over its batch.

    L is the ELBO of the pair with y given and U the one with y unknown; both are derived by
    :class:`pyro.infer.TraceEnum_ELBO` from the two programs. Every term is a mean, so that the
    weights mean the same for any composition of a batch.

    Kingma et al. (2014), eqs. 8 and 9, are sums over the data set: ``labelled`` is
    n_labelled / n_unlabelled there, and ``alpha`` their alpha times that. Equal weights 1 and 1
    are what comes of sums over batches of 100 + 100, as in Jurasinski (2019), appendix D.

    Args:
        model: a Pyro program ``model(x, y=None)``, a module that owns its parameters, with its
            data in a plate at dimension -1.
        guide: its guide, of the same signature.
        labelled: weight of the labelled ELBO.
        unlabelled: weight of the unlabelled ELBO.
        alpha: weight of the classification loss -log q(y | x) on the labelled data. It is no part
            of the bound: without it q(y | x) learns from unlabelled data only. Needs
            ``guide.classify``.
        beta: weight of the KL divergence of continuous latent sites; other than 1, the ELBO is
            a bound no more (for beta > 1 a looser one). A discrete site keeps weight 1.
        warmup: epochs over which ``beta`` is approached linearly from 0.

    Raises:
        InputError: if a weight is negative or not finite, all are zero, or ``alpha`` is given for
            a guide that does not classify.
    """

    def __init__(
        self,
        model: nn.Module,
        guide: nn.Module,
        *,
        labelled: float = 1.0,
        unlabelled: float = 1.0,
        alpha: float = 0.0,
        beta: float = 1.0,
        warmup: float = 0.0,
    ) -> None:
        super().__init__()
        weights = {
            "labelled": labelled, "unlabelled": unlabelled, "alpha": alpha,
            "beta": beta, "warmup": warmup,
        }
        for name, weight in weights.items():
            if not (weight >= 0 and math.isfinite(weight)):
                raise InputError(f"expected a finite {name} >= 0, got {weight}")
        if labelled == unlabelled == alpha == 0:
            raise InputError(
                "expected a positive weight among labelled, unlabelled and alpha, got none"
            )
        if alpha > 0 and not hasattr(guide, "classify"):
            raise InputError(
                f"alpha={alpha} weighs the classification loss, and {type(guide).__name__}'s guide"
                " has no classify: use alpha=0"
            )
        self.model: Any = model
        self.guide: Any = guide
        self.labelled, self.unlabelled = labelled, unlabelled
        self.alpha, self.beta, self.warmup = alpha, beta, warmup

    def forward(self, batch: Batch, epoch: float = math.inf) -> Loss:
        """The loss of a batch.

        Args:
            batch: labelled images (L, D) with one-hot labels (L, K), unlabelled images (U, D).
            epoch: epochs done so far, a fraction within one; it drives the warm-up.

        Raises:
            InputError: if the shapes disagree.
        """
        _check(batch)
        beta = self.kl_weight(epoch)
        weights, terms = {}, {}
        if self.labelled > 0:
            weights["labelled"] = self.labelled
            terms["labelled"] = negative_elbo(self.model, self.guide, batch.x, batch.y, beta=beta)
        if self.unlabelled > 0:
            weights["unlabelled"] = self.unlabelled
            terms["unlabelled"] = negative_elbo(self.model, self.guide, batch.u, beta=beta)
        if self.alpha > 0:
            weights["classification"] = self.alpha
            terms["classification"] = self.classification(batch.x, batch.y)
        total = torch.stack([weights[name] * terms[name] for name in terms]).sum()
        return Loss(total, {name: term.detach() for name, term in terms.items()})

    def kl_weight(self, epoch: float) -> float:
        """Beta after ``epoch`` epochs of the warm-up."""
        return self.beta * min(1.0, epoch / self.warmup) if self.warmup > 0 else self.beta

    def classification(self, x: Tensor, y: Tensor) -> Tensor:
        """-log q(y | x), a mean over the batch: the term of eq. 9 that is not part of the bound.

        q(y | x) is what ``guide.classify`` returns.
        """
        with private_params():
            return -self.guide.classify(x).log_prob(y).mean()


def _check(batch: Batch) -> None:
    x, y, u = batch
    if x.dim() != 2 or u.dim() != 2 or x.shape[1] != u.shape[1]:
        raise InputError(
            f"expected x of shape (L, D) and u of shape (U, D), got {tuple(x.shape)} and"
            f" {tuple(u.shape)}"
        )
    if y.dim() != 2 or len(y) != len(x):
        raise InputError(
            f"expected one-hot labels y of shape ({len(x)}, K), got {tuple(y.shape)}"
        )


def negative_elbo(
    model: Callable[..., Any],
    guide: Callable[..., Any],
    x: Tensor,
    y: Tensor | None = None,
    *,
    beta: float = 1.0,
) -> Tensor:
    """Minus the mean ELBO of x (N, D), given one-hot labels y (N, K) or without: a scalar.

    Discrete sites marked for enumeration are summed over exactly, the others sampled once.
    ``beta`` weighs the log-probabilities of the continuous latent sites in model and guide.
    """
    elbo = TraceEnum_ELBO(max_plate_nesting=1, strict_enumeration_warning=False)
    with private_params(), Weighted(lambda site: beta if _is_continuous_latent(site) else 1.0):
        return elbo.differentiable_loss(model, guide, x, y) / len(x)


def _is_continuous_latent(site: dict[str, Any]) -> bool:
    return not site["is_observed"] and not site["fn"].has_enumerate_support


class Weighted(Messenger):
    """Multiplies the log-probability of every sample site by ``weight(site)``."""

    def __init__(self, weight: Callable[[dict[str, Any]], float | Tensor]) -> None:
        super().__init__()
        self.weight = weight

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        weight = self.weight(msg)
        if isinstance(weight, Tensor) or weight != 1.0:
            msg["scale"] = msg["scale"] * weight


@contextmanager
def private_params() -> Iterator[None]:
    """Run Pyro programs whose parameters belong to their modules, not to the global store.

    Two models with equal parameter names, or two models one after the other, would otherwise
    meet in the store, and all but the first would be left untrained without an error.
    """
    with pyro.get_param_store().scope():
        yield
