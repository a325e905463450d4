"""The training objective: weighted evidence lower bounds of one model/guide pair."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any, NamedTuple

from torch import Tensor, nn

from pyro_ssvae.contract import (
    Batch,
    classifies,
    fits_classifier,
    predictor,
    regresses,
    turns_of,
)
from pyro_ssvae.errors import InputError, not_negative, one_of
from pyro_ssvae.inference import shares
from pyro_ssvae.inference.agreement import agreement
from pyro_ssvae.inference.bounds import KL, elbo_terms, weighted
from pyro_ssvae.inference.elbo import SiteTerm
from pyro_ssvae.inference.feng import Capacity
from pyro_ssvae.inference.programs import private_params
from pyro_ssvae.inference.pseudolabels import Aligned, PseudoLabels, check_one_label
from pyro_ssvae.inference.shapes import check_shapes
from pyro_ssvae.inference.terms import (
    Bound,
    Classification,
    Part,
    Ramp,
    Rewriting,
    Scalar,
    Term,
    evaluated,
    parts,
)
from pyro_ssvae.inference.weights import Weights
from pyro_ssvae.nn import augment


class Loss(NamedTuple):
    """What an update minimises, and what it is made of, in nats per example.

    Attributes:
        total: The weighted sum of the terms, a scalar.
        terms: The terms by name, scalars, unweighted and detached: minus the mean ``labelled`` and
            ``unlabelled`` bound, the ``classification`` loss, and the pair's and the user's terms.
            Those of weight zero are absent.
    """

    total: Tensor
    terms: dict[str, Tensor]


class Objective(nn.Module):
    """Minus ``labelled * L + unlabelled * U + alpha * log q(y | x)``, each a mean over its batch.

    L is the ELBO of the pair with y given and U the one with y unknown; both are derived from the
    two programs by :class:`pyro_ssvae.inference.elbo.TraceEnumKL_ELBO`. Every term is a mean, so
    that the weights mean the same for any composition of a batch.

    Kingma et al. (2014), eqs. 8 and 9, sum the bounds over the data set, and have an expectation
    of the classification loss: ``labelled`` is n_labelled / n_unlabelled there, and ``alpha``
    their alpha / n_unlabelled. Equal weights 1 and 1 are what comes of sums over batches of
    100 + 100, as in Jurasinski (2019), appendix D.

    What a loss has beside is named, and a :class:`pyro_ssvae.inference.terms.Term` each: a guide
    brings its own in ``guide.terms``. Parts that change what a site contributes to the bounds, as
    those of :mod:`pyro_ssvae.inference.feng`, are given in the same way.

    ``views`` changes what the classifier sees in its losses beside the bounds. The bounds see the
    examples as they are: log p(x) is about the data, and a changed image is other data.

    Args:
        model: A Pyro program ``model(x, y=None)``: a module that owns its parameters, with its data
            in a plate at dimension -1.
        guide: Its guide, of the same signature.
        labelled: The weight of the labelled bound.
        unlabelled: The weight of the unlabelled bound.
        alpha: The weight of the classification loss, -log q(y | x) of the given label. It is no
            part of the bound: without it q(y | x) learns from unlabelled data only. It needs
            ``guide.classify``, or ``guide.regress`` for a real number.
        smoothing: The share of a given label that the classification loss spreads evenly over all
            classes, in [0, 1). The loss is then KL[p(y) || q(y | x)] from the smoothed label p(y).
            A real number has none.
        beta: The weight of the KL divergence of continuous latent sites. Other than 1, the ELBO is
            a bound no more (for beta > 1 a looser one). A discrete site keeps weight 1.
        warmup: The number of epochs over which ``beta`` is approached linearly from 0.
        bounded: The share of a batch's unlabelled examples that the unlabelled bound is of, in
            (0, 1]. The rest are for the losses beside it alone, which may ask for more of them.
        kl: The way to take KL divergences: ``"analytic"`` in closed form where there is one,
            ``"sampled"`` from the sample that the rest of the bound uses.
        views: The kind of images by which they are changed at random where the classifier learns
            from them beside the bounds, or :class:`pyro_ssvae.nn.Views` of one's own: see
            :func:`pyro_ssvae.nn.views`. The classification loss is of weak views.
        pseudolabels: The weight of the classification loss of strong views of unlabelled examples,
            to the class that their weak views are confidently of: see
            :class:`pyro_ssvae.inference.pseudolabels.PseudoLabels`.
        confidence: The probability from which on that class is taken for the label.
        aligned: Whether the probabilities are aligned with p(y) before that: see
            :class:`pyro_ssvae.inference.pseudolabels.Aligned`. Turn it off for data whose classes
            are more or less frequent than p(y) says.
        consistency: The weight of the divergence between the predictions of two weak views of an
            unlabelled example: see :func:`pyro_ssvae.inference.agreement.inconsistency`.
        alignment: The weight of the divergence of the mean prediction from equally frequent
            classes: see :func:`pyro_ssvae.inference.agreement.misalignment`. Keep it at 0 for data
            whose classes are not.
        terms: The parts of the loss beside these, by name. One of the guide's with the same name
            is replaced.

    Attributes:
        weights: The weight of every part by name: ``labelled``, ``unlabelled``, ``beta``,
            ``classification``, which is ``alpha``, and those of ``terms``. One that is changed has
            its effect from the next update on. A part of weight zero is left out, but for
            ``beta``.
        terms: The parts by name: the ``classification`` loss, ``pseudolabels``, ``consistency`` and
            ``alignment`` where they begin with a weight, the guide's, and those given.

    Raises:
        InputError: if a weight is negative or not finite, all are zero, or options do not agree.
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
        beta: float = 1.0,
        warmup: float = 0.0,
        bounded: float = 1.0,
        kl: KL = "analytic",
        views: augment.Kind | augment.Views = "none",
        pseudolabels: float = 0.0,
        confidence: float = 0.95,
        aligned: bool = True,
        consistency: float = 0.0,
        alignment: float = 0.0,
        terms: Mapping[str, Part] | None = None,
    ) -> None:
        super().__init__()
        own = {"pseudolabels": pseudolabels, "consistency": consistency, "alignment": alignment}
        not_negative(alpha=alpha, warmup=warmup, **own)  # the others are checked by name below
        _check_classifier(guide, own)
        check_one_label(model, pseudolabels=pseudolabels, alignment=alignment)
        one_of("kl", kl, ("analytic", "sampled"))
        if not 0 < bounded <= 1:
            raise InputError(f"expected bounded in (0, 1], got {bounded}")
        self.model: Any = model
        self.guide: Any = guide
        self.warmup, self.bounded, self.kl = warmup, bounded, kl
        self.views = augment.views(views) if isinstance(views, str) else views
        self.aligned = Aligned.of(model) if aligned and pseudolabels > 0 else None
        labels = PseudoLabels(self.views, confidence, self.aligned)
        self.terms = {
            "classification": Term(Classification(smoothing, self.views.weak), alpha, over="share"),
            **({"pseudolabels": Term(labels, pseudolabels, over="unlabelled")}
               if pseudolabels > 0 else {}),
            **agreement(self.views.weak, consistency=consistency, alignment=alignment),
            **parts(guide, terms or {}),
        }
        self.weights = Weights({
            "labelled": labelled, "unlabelled": unlabelled, "beta": beta,
            **{name: part.weight for name, part in self.terms.items()},
        })
        self._check_pair(smoothing)
        self._check_something_counts()

    def forward(self, batch: Batch, epoch: Scalar = math.inf) -> Loss:
        """The loss of a batch.

        Args:
            batch: The labelled examples (L, *E) with one-hot labels (L, K), and unlabelled ones
                (U, *E), with the sets of classes (U, K) that theirs are known to be in, if any.
            epoch: The epochs done so far, a fraction within one, a number or a scalar tensor. It
                drives warm-up and schedules.

        Raises:
            InputError: if the shapes disagree, a term gives no scalar, or a capacity is set for a
                site that has no KL divergence in closed form.
        """
        check_shapes(batch)
        self._check_something_counts()
        losses: dict[str, Tensor] = {}
        if self.counts("labelled"):
            losses["labelled"] = self.bound(batch.x, batch.y, epoch)
        if self.counts("unlabelled"):
            some = slice(shares.bounded(len(batch.u), self.bounded))
            possible = None if batch.possible is None else batch.possible[some]
            losses["unlabelled"] = self.bound(batch.u[some], None, epoch, possible)
        beside = {
            name: part for name, part in self.terms.items()
            if isinstance(part, Term) and self.counts(name)
        }
        with private_params():
            losses |= evaluated(beside, self.model, self.guide, batch, epoch)
        total = reduce(add, (self._weight(name, epoch) * loss for name, loss in losses.items()))
        return Loss(total, {name: loss.detach() for name, loss in losses.items()})

    def bound(
        self, x: Tensor, y: Tensor | None = None, epoch: Scalar = math.inf,
        possible: Tensor | None = None,
    ) -> Tensor:
        """Minus the mean bound of x (N, ...), given y (N, K) or without, with all its weights.

        ``possible`` (N, K), where a y that is not given is known to be in a set, is 1 within it.
        """
        asked = Bound(self.model, self.guide, x, y, epoch)
        rows = ("unlabelled", self.bounded) if y is None else ("labelled",)
        sites: Mapping[str, SiteTerm] = elbo_terms(
            self.model, self.guide, x, y, kl=self.kl, possible=possible, share=shares.share(*rows)
        )
        for name, part in self._rewritings():
            sites = part(sites, asked, self.weights[name])
        return -weighted(sites, self.kl_weight(epoch))

    def turns(self) -> list[list[nn.Parameter]]:
        """The parameters that an update moves together, turn by turn: all at once for most pairs.

        A guide may name submodules in ``turns`` that move before all else, as an adversary does.
        """
        first = [p for name in turns_of(self.guide) for p in getattr(self.guide, name).parameters()]
        known = {id(p) for p in first}
        rest = [p for p in self.parameters() if id(p) not in known]
        return [turn for turn in (first, rest) if turn]

    def kl_weight(self, epoch: Scalar) -> Scalar:
        """Beta after ``epoch`` epochs of the warm-up."""
        beta = self.weights["beta"]
        return beta * Ramp(self.warmup)(epoch) if self.warmup else beta

    def counts(self, name: str) -> bool:
        """Whether a part has a weight other than zero."""
        # One that a graph takes as an input has no value while it is traced, and is not zero.
        weight: Scalar = self.weights[name]
        return isinstance(weight, Tensor) or weight > 0

    def _weight(self, name: str, epoch: Scalar) -> Scalar:
        weight = self.weights[name]
        return self.terms[name].scheduled(weight, epoch) if name in self.terms else weight

    def _rewritings(self) -> list[tuple[str, Rewriting]]:
        parts = [
            (name, part) for name, part in self.terms.items()
            if isinstance(part, Rewriting) and self.counts(name)
        ]
        return sorted(parts, key=lambda named: named[1].last)

    def _check_pair(self, smoothing: float) -> None:
        guide, alpha = type(self.guide).__name__, self.weights["classification"]
        if alpha > 0 and predictor(self.guide) is None:
            raise InputError(
                f"alpha={alpha} weighs the classification loss, and {guide}'s guide"
                " has no classify: use alpha=0"
            )
        if smoothing > 0 and regresses(self.guide):
            raise InputError(
                f"smoothing={smoothing} spreads a label over classes, and {guide}'s guide infers a"
                " real number: use smoothing=0"
            )
        if alpha > 0 and fits_classifier(self.guide):
            raise InputError(
                f"alpha={alpha} weighs the classification loss, and {guide}'s classifier is"
                " fitted after training, without gradients: use alpha=0"
            )
        for name, part in self.terms.items():
            if self.counts(name):
                part.check(name, self.model, self.guide)
        for name, part in self._rewritings():
            if isinstance(part, Capacity) and part.site != "y":
                self._check_beta(name, part)

    def _check_beta(self, name: str, capacity: Capacity) -> None:
        if self.weights["beta"] != 1 or self.warmup > 0:
            raise InputError(
                f"{name}={capacity.nats} and beta={self.weights['beta']}, warmup={self.warmup}:"
                f" both weigh the KL divergence of {capacity.site}; with a capacity use its own"
                " weight and schedule"
            )

    def _check_something_counts(self) -> None:
        losses = {"labelled", "unlabelled"} | {
            name for name, part in self.terms.items() if isinstance(part, Term)
        }
        if not any(map(self.counts, losses)):
            raise InputError(
                "expected a positive weight among labelled, unlabelled, alpha and the terms of the"
                " loss, got none"
            )


def _check_classifier(guide: Any, weights: Mapping[str, float]) -> None:
    learns = classifies(guide) and not fits_classifier(guide)
    for name, weight in weights.items():
        if weight > 0 and not learns:
            raise InputError(
                f"{name}={weight} weighs a loss of a classifier, and {type(guide).__name__}'s guide"
                f" has none that learns by gradients: use {name}=0"
            )
