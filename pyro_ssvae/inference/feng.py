"""Feng (2019), eqs. 13 and 16: what takes the place of a KL divergence in a bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from pyro_ssvae.contract import classifies, prior_of
from pyro_ssvae.errors import InputError, not_negative
from pyro_ssvae.inference import shares
from pyro_ssvae.inference.elbo import SiteTerm
from pyro_ssvae.inference.programs import private_params
from pyro_ssvae.inference.terms import Bound, Rewriting, Scalar, Schedule


@dataclass(frozen=True)
class Swap(Rewriting):
    """KL[q(y | x) || p(y)] in the place of -log p(y), in the bound with labels: Feng's eq. 13.

    It stands on q(y | x) being near the given label and bounds nothing: with p(y) uniform it can
    exceed log p(x) by up to the entropy of q(y | x), and with a learned p(y) by more. Its weight is
    the share of the place that it takes, 1 in the paper. It needs ``model.prior`` and
    ``guide.classify``.
    """

    weight: float = 1.0
    schedule: Schedule | None = None
    shared: ClassVar[bool] = True

    def check(self, name: str, model: Any, guide: Any) -> None:
        """Raise :class:`InputError` if there is no p(y) or no q(y | x)."""
        if prior_of(model) is None or not classifies(guide):
            raise InputError(
                f"{name}={self.weight} takes KL[q(y | x) || p(y)], and {type(guide).__name__} has"
                f" no p(y) of its own, or no classifier: leave {name} out"
            )

    def __call__(
        self, sites: Mapping[str, SiteTerm], bound: Bound, weight: Scalar
    ) -> Mapping[str, SiteTerm]:
        """The terms of the sites, with another one of y where labels are given."""
        if bound.y is None:
            return sites
        with private_params():
            q = bound.guide.classify(bound.x)
            divergence = kl_divergence(q, bound.model.prior(bound.x)).mean()
        divergence = shares.of_loss(divergence, "labelled")
        share = self.scheduled(weight, bound.epoch)
        value = torch.lerp(_term(sites, "y").value, -divergence, share)
        return {**sites, "y": _Swapped(value, True, discrete=True, analytic=True, left=1 - share)}


@dataclass(frozen=True)
class _Swapped(SiteTerm):
    """The term of y after a swap, with the share that is left in it of log p(y) of given labels."""

    left: Scalar = 1.0


@dataclass(frozen=True)
class Capacity(Rewriting):
    """|KL - C| in the place of a site's KL divergence: Feng's eq. 16.

    Of y that is the divergence of labels that are not given, and what :class:`Swap` puts in. The
    log p(y) of those that are given stays beside it as it is.

    It is no ELBO, for the batch's mean stands within the modulus. Where the KL divergence depends
    on a sampled parent, as that of z on ADGM's a, it is an estimate from one sample, and E|KL - C|
    is more than |E KL - C|: the spread of the KL divergence over the samples is pressed as well.

    Attributes:
        site: The name of the site, ``"z"`` or ``"y"``.
        nats: The nats that the mean KL divergence is drawn to, C. For y it is cut at the largest
            divergence from ``model.prior`` that there is, log K for each uniform label.
        weight: The weight of the modulus. With 0 the KL divergence is left in its place.
        schedule: The share of C after so many epochs. None stands for 1 throughout.
    """

    site: str
    nats: float
    weight: float = 1.0
    schedule: Schedule | None = None
    last: ClassVar[bool] = True  # it weighs the divergence that a swap has put in
    shared: ClassVar[bool] = True

    def __post_init__(self) -> None:
        not_negative(**{f"capacity_{self.site}": self.nats})

    def __call__(
        self, sites: Mapping[str, SiteTerm], bound: Bound, weight: Scalar
    ) -> Mapping[str, SiteTerm]:
        """The terms of the sites, with another one of this site where it is latent."""
        term = _term(sites, self.site)
        if not term.latent:
            return sites
        if not term.analytic:
            raise InputError(
                f"a capacity of {self.nats} nats: |KL - capacity| needs the KL divergence of"
                f" {self.site} in closed form, and this pair's guide, prior and options have none;"
                " use kl='analytic' without a flow, or beta instead"
            )
        given: Tensor | float = 0.0
        if self.site == "y":
            given = _given(bound) * (term.left if isinstance(term, _Swapped) else 1.0)
        gap = shares.whole(term.value - given)
        gap = gap + self.scheduled(self._nats(bound.model), bound.epoch)
        return {**sites, self.site: SiteTerm(given - weight * shares.of_loss(gap.abs(), "whole"))}

    def _nats(self, model: Any) -> float:
        prior = prior_of(model)
        return self.nats if self.site != "y" or prior is None else min(self.nats, prior.largest_kl)


def _given(bound: Bound) -> Tensor | float:
    """The mean log p(y) of the labels that are given, of which a row may have some."""
    if bound.y is None or prior_of(bound.model) is None:
        return 0.0
    with private_params():
        log_prob = bound.model.prior(bound.x).log_prob(bound.y).mean()
    return shares.of_loss(log_prob, "labelled")


def _term(sites: Mapping[str, SiteTerm], name: str) -> SiteTerm:
    if name not in sites:
        raise InputError(
            f"the pair has no latent {name} of its own, only {', '.join(sorted(sites))}: leave out"
            f" the term that changes what {name} contributes"
        )
    return sites[name]
