"""The training objective: weighted evidence lower bounds of one model/guide pair."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import kl_divergence

from pyro_ssvae.contract import Batch
from pyro_ssvae.errors import InputError, one_of
from pyro_ssvae.inference.bounds import KL, elbo_terms
from pyro_ssvae.inference.elbo import Term
from pyro_ssvae.inference.programs import private_params
from pyro_ssvae.labels import label_divergence


class Loss(NamedTuple):
    """What an update minimises, and what it is made of, in nats per example.

    Attributes:
        total: scalar, the weighted sum of the terms.
        terms: scalars by name, unweighted and detached: minus the mean ``labelled`` and
            ``unlabelled`` bound, the ``classification`` loss, and the guide's named terms; those
            of weight zero are absent.
    """

    total: Tensor
    terms: dict[str, Tensor]


class Objective(nn.Module):
    """Minus ``labelled * L + unlabelled * U + alpha * log q(y | x)``, each a mean over its batch.

    L is the ELBO of the pair with y given and U the one with y unknown; both are derived from the
    two programs by :class:`pyro_ssvae.inference.elbo.TraceEnumKL_ELBO`. Every term is a mean, so
    that the weights mean the same for any composition of a batch.

    Kingma et al. (2014), eqs. 8 and 9, are sums over the data set: ``labelled`` is
    n_labelled / n_unlabelled there, and ``alpha`` their alpha times that. Equal weights 1 and 1
    are what comes of sums over batches of 100 + 100, as in Jurasinski (2019), appendix D.

    What a pair needs beside its bounds is named: a guide may have a method
    ``named_terms(x, y, u)`` that returns ``{name: (weight, value)}``, added to the total. Such a
    term is no part of an ELBO, and its docstring says why.

    Args:
        model: A Pyro program ``model(x, y=None)``: a module that owns its parameters, with its data
            in a plate at dimension -1.
        guide: Its guide, of the same signature.
        labelled: The weight of the labelled bound.
        unlabelled: The weight of the unlabelled bound.
        alpha: The weight of the classification loss, -log q(y | x) of the given label. It is no
            part of the bound: without it q(y | x) learns from unlabelled data only. It needs
            ``guide.classify``.
        smoothing: The share of a given label that the classification loss spreads evenly over all
            classes, in [0, 1). The loss is then KL[p(y) || q(y | x)] from the smoothed label p(y).
        swap: Whether KL[q(y | x) || p(y)] takes the place of -log p(y) in the labelled bound: with
            ``alpha=1``, Feng (2019), eq. 13. It stands on q(y | x) being near the given label and
            bounds nothing: it can exceed log p(x) by up to the entropy of q(y | x). It needs
            ``model.prior`` and ``guide.classify``.
        beta: The weight of the KL divergence of continuous latent sites. Other than 1, the ELBO is
            a bound no more (for beta > 1 a looser one). A discrete site keeps weight 1.
        warmup: The number of epochs over which ``beta`` is approached linearly from 0.
        capacity_z: The nats that the mean KL divergence of z is drawn to: its place in the bound
            is taken by ``gamma_z * |KL - capacity_z|``. Feng (2019), eq. 16. It is no ELBO, for the
            batch's mean stands within the modulus. Where the KL divergence depends on a sampled
            parent, as that of z on ADGM's a, it is an estimate from one sample, and
            E|KL - capacity| is more than |E KL - capacity|: the spread of the KL divergence over
            the samples is pressed as well.
        capacity_y: The same for y, with ``gamma_y``. It is cut at the largest divergence from
            ``model.prior`` that there is, log K for each uniform label.
        gamma_z: The weight of z's modulus.
        gamma_y: The weight of y's modulus.
        ramp: The number of epochs over which the capacities grow linearly from 0.
        kl: The way to take KL divergences: ``"analytic"`` in closed form where there is one,
            ``"sampled"`` from the sample that the rest of the bound uses.

    Raises:
        InputError: if a weight is negative or not finite, all are zero, or two options contradict
            each other or the pair.
    """

    def __init__(
        self,
        model: nn.Module,
        guide: nn.Module,
        *,
        labelled: float = 1.0,
        unlabelled: float = 1.0,
        alpha: float = 0.0,
        smoothing: float = 0.0,
        swap: bool = False,
        beta: float = 1.0,
        warmup: float = 0.0,
        capacity_z: float | None = None,
        capacity_y: float | None = None,
        gamma_z: float = 1.0,
        gamma_y: float = 1.0,
        ramp: float = 0.0,
        kl: KL = "analytic",
    ) -> None:
        super().__init__()
        self.model: Any = model
        self.guide: Any = guide
        self.labelled, self.unlabelled, self.alpha = labelled, unlabelled, alpha
        self.smoothing, self.swap, self.kl = smoothing, swap, kl
        self.beta, self.warmup, self.ramp = beta, warmup, ramp
        self.gamma_z, self.gamma_y = gamma_z, gamma_y
        self.capacity = {
            name: nats for name, nats in {"z": capacity_z, "y": capacity_y}.items()
            if nats is not None
        }
        self._check_weights()
        self._check_pair()

    def forward(self, batch: Batch, epoch: float | Tensor = math.inf) -> Loss:
        """The loss of a batch.

        Args:
            batch: labelled images (L, D) with one-hot labels (L, K), unlabelled images (U, D).
            epoch: epochs done so far, a fraction within one, a number or a scalar tensor; it
                drives warm-up and ramp.

        Raises:
            InputError: if the shapes disagree, or a capacity is set for a site that has no KL
                divergence in closed form.
        """
        _check(batch)
        x, y, u = batch
        weighted: dict[str, tuple[float, Tensor]] = {}
        if _active(self.labelled):
            weighted["labelled"] = self.labelled, self.bound(x, y, epoch)
        if _active(self.unlabelled):
            weighted["unlabelled"] = self.unlabelled, self.bound(u, None, epoch)
        if _active(self.alpha):
            weighted["classification"] = self.alpha, self.classification(x, y)
        if hasattr(self.guide, "named_terms"):
            with private_params():
                weighted |= self.guide.named_terms(x, y, u)
        total = torch.stack([weight * value for weight, value in weighted.values()]).sum()
        return Loss(total, {name: value.detach() for name, (_, value) in weighted.items()})

    def bound(
        self, x: Tensor, y: Tensor | None = None, epoch: float | Tensor = math.inf
    ) -> Tensor:
        """Minus the mean bound of x (N, D), given y (N, K) or without, with all its weights."""
        terms = elbo_terms(self.model, self.guide, x, y, kl=self.kl)
        if self.swap and y is not None:
            terms["y"] = Term(-self._classifier_kl(x), latent=True, discrete=True, analytic=True)
        beta, share = self.kl_weight(epoch), _share(epoch, self.ramp)
        parts = []
        for name, term in terms.items():
            if term.latent and name in self.capacity:
                gap = -term.value - share * self._capacity(name, term)
                parts.append(getattr(self, f"gamma_{name}") * gap.abs())
            elif term.latent and not term.discrete:
                parts.append(-beta * term.value)
            else:
                parts.append(-term.value)
        for name in self.capacity.keys() - terms.keys():
            raise InputError(f"capacity_{name}={self.capacity[name]}: the pair has no latent"
                             f" {name}; leave it at None")
        return torch.stack(parts).sum()

    def turns(self) -> list[list[nn.Parameter]]:
        """The parameters that an update moves together, turn by turn: all at once for most pairs.

        A guide may name submodules in ``turns`` that move before all else, as an adversary does.
        """
        names = getattr(self.guide, "turns", ())
        first = [p for name in names for p in getattr(self.guide, name).parameters()]
        known = {id(p) for p in first}
        rest = [p for p in self.parameters() if id(p) not in known]
        return [turn for turn in (first, rest) if turn]

    def kl_weight(self, epoch: float | Tensor) -> float | Tensor:
        """Beta after ``epoch`` epochs of the warm-up."""
        return self.beta * _share(epoch, self.warmup)

    def classification(self, x: Tensor, y: Tensor) -> Tensor:
        """KL[p(y) || q(y | x)], a mean over the batch: the term of eq. 9 that no bound has.

        q(y | x) is what ``guide.classify`` returns, p(y) the given label, smoothed if so asked;
        for a label that is not smoothed this is -log q(y | x).
        """
        with private_params():
            return label_divergence(self.guide.classify(x), y, self.smoothing).mean()

    def _classifier_kl(self, x: Tensor) -> Tensor:
        with private_params():
            return kl_divergence(self.guide.classify(x), self.model.prior(x)).mean()

    def _capacity(self, name: str, term: Term) -> float:
        if not term.analytic:
            raise InputError(
                f"capacity_{name}={self.capacity[name]} and kl={self.kl!r}: |KL - capacity| needs"
                f" the KL divergence of {name} in closed form, and this pair's guide, prior and"
                " options have none; use kl='analytic' without a flow, or beta instead"
            )
        if name == "y" and hasattr(self.model, "prior"):
            return min(self.capacity[name], self.model.prior.largest_kl)
        return self.capacity[name]

    def _check_weights(self) -> None:
        weights = {
            name: getattr(self, name)
            for name in (
                "labelled", "unlabelled", "alpha", "beta", "warmup", "gamma_z", "gamma_y", "ramp",
            )
        }
        weights |= {f"capacity_{name}": nats for name, nats in self.capacity.items()}
        for name, weight in weights.items():
            if not (weight >= 0 and math.isfinite(weight)):
                raise InputError(f"expected a finite {name} >= 0, got {weight}")
        if not 0 <= self.smoothing < 1:
            raise InputError(f"expected smoothing in [0, 1), got {self.smoothing}")
        if self.labelled == self.unlabelled == self.alpha == 0:
            raise InputError(
                "expected a positive weight among labelled, unlabelled and alpha, got none"
            )
        one_of("kl", self.kl, ("analytic", "sampled"))
        if "z" in self.capacity and (self.beta != 1 or self.warmup > 0):
            raise InputError(
                f"capacity_z={self.capacity['z']} and beta={self.beta}, warmup={self.warmup}: both"
                " weigh the KL divergence of z; with a capacity use gamma_z and ramp"
            )

    def _check_pair(self) -> None:
        name = type(self.guide).__name__
        if self.alpha > 0 and not hasattr(self.guide, "classify"):
            raise InputError(
                f"alpha={self.alpha} weighs the classification loss, and {name}'s guide"
                " has no classify: use alpha=0"
            )
        if self.alpha > 0 and hasattr(self.guide, "fit_classifier"):
            raise InputError(
                f"alpha={self.alpha} weighs the classification loss, and {name}'s classifier is"
                " fitted after training, without gradients: use alpha=0"
            )
        if self.swap and not (hasattr(self.model, "prior") and hasattr(self.guide, "classify")):
            raise InputError(
                f"swap=True takes KL[q(y | x) || p(y)], and {name} has no p(y) of its own, or no"
                " classifier: use swap=False"
            )


def _active(weight: float | Tensor) -> bool:
    # A weight that a captured update takes as an input has no value while it is traced.
    return isinstance(weight, Tensor) or weight > 0


def _share(epoch: float | Tensor, epochs: float) -> float | Tensor:
    if epochs == 0:
        return 1.0
    if isinstance(epoch, Tensor):
        return (epoch / epochs).clamp(max=1.0)
    return min(1.0, epoch / epochs)


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
