"""An evidence lower bound that is exact where it can be: in discrete sites and in KL terms."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import torch
from opt_einsum import contract, shared_intermediates
from pyro.infer import TraceEnum_ELBO
from pyro.infer.util import Dice
from pyro.ops import packed
from pyro.ops.contract import contract_tensor_tree
from pyro.ops.rings import SampleRing
from pyro.poutine import Trace
from torch import Tensor

from pyro_ssvae import private
from pyro_ssvae.errors import InputError
from pyro_ssvae.inference.divergences import base, kl_divergences, sample_sites


@dataclass(frozen=True)
class SiteTerm:
    """What one site contributes to the ELBO, E_q[log p(site | ...) - log q(site | ...)].

    Attributes:
        value: A scalar in nats, summed over the plates.
        latent: Whether the guide infers the site, so that minus the value is its KL divergence.
        discrete: Whether the model gives the site finitely many values.
        analytic: Whether minus the value is a KL divergence in closed form, or a sum over all
            values of the site, given its parents in the model and in the guide. The value is an
            unbiased estimate where a parent is sampled. That of z in
            :class:`pyro_ssvae.guides.ADGM` is KL[q(z | x, y, a) || p(z)] at one sample of a. A
            convex function of it is then biased upward: E|KL - C| >= |E KL - C|.
        mixed: The latent sites that are in it together with others, of which it cannot be told
            apart: they stand within the logarithm of one sum.
    """

    value: Tensor
    latent: bool = False
    discrete: bool = False
    analytic: bool = False
    mixed: tuple[str, ...] = ()

    def __add__(self, other: SiteTerm) -> SiteTerm:
        analytic = self.analytic and other.analytic
        return replace(self, value=self.value + other.value, analytic=analytic)


class TraceEnumKL_ELBO(TraceEnum_ELBO):
    """:class:`pyro.infer.TraceEnum_ELBO` with KL divergences in closed form where there are any.

    Of a latent site that is sampled, E_q[log p - log q] given its parents is minus
    ``kl_divergence(q, p)``: the same expectation and the same gradient in expectation, without
    the variance. Enumerated sites are summed over as before, but for values that the guide gives a
    probability too small for a sum, below 1e-31 in float32, which count as impossible. What follows
    from a sample, such as the reconstruction, stays an estimate.

    A site keeps its sampled estimate where that is no KL divergence, or might not be one:

    - No KL divergence of its two distributions is registered.
    - The model samples another latent site before it that the guide samples after it. Its prior
      may then depend on its own value, as in :class:`pyro_ssvae.models.SDGM`.
    - Its prior depends on a variable that is enumerated in the model: it stands within the
      logarithm of a sum.
    - Model and guide scale it or mask it differently, or by two tensors.
    - It is a point mass, or one of its distributions is masked within.
    - Prior and posterior have different supports.

    There is no synchronisation with a GPU: shapes are static, and non-finite losses are the
    caller's to find.

    Args:
        kl_weights: The weights of the terms of the sites that are latent, by name. A site that is
            not named has weight 1. With a weight below 1 the ELBO is a bound no more, with one
            above 1 a looser bound.
        analytic: Whether KL divergences are taken in closed form. False leaves every term sampled:
            Pyro's own estimate.
        options: The options of :class:`pyro.infer.TraceEnum_ELBO`.
    """

    def __init__(
        self,
        *,
        kl_weights: Mapping[str, float | Tensor] | None = None,
        analytic: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**{"strict_enumeration_warning": False, **options})
        self.kl_weights = dict(kl_weights or {})
        self.analytic = analytic

    def terms(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> dict[str, SiteTerm]:
        """The sites' terms by name, of which the ELBO is the sum.

        Sites that are summed over in the model, log sum_y p(y) p(x | y), have one term together,
        under their names joined by ``+`` in alphabetical order. Where one alone of these is latent
        and none is observed, as z in log sum_c p(c) p(z | c), they are its prior, and in its term.

        Args:
            model: The Pyro program of the joint distribution.
            guide: The Pyro program of the approximate posterior, of the same signature.
            args: The positional arguments of both programs.
            kwargs: The keyword arguments of both programs.
        """
        result: dict[str, SiteTerm] = {}
        for traces in self._get_traces(model, guide, args, kwargs):
            for name, term in self._terms_of(traces).items():
                result[name] = result[name] + term if name in result else term
        return result

    def differentiable_loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Minus the ELBO, a scalar with gradients.

        Raises:
            InputError: if ``kl_weights`` names what is no site.
        """
        terms = self.terms(model, guide, *args, **kwargs)
        self._check_names(terms)
        return self._weighted_loss(terms)

    def loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> float:
        """Minus the ELBO, a number."""
        with torch.no_grad():
            return float(self.differentiable_loss(model, guide, *args, **kwargs))

    def loss_and_grads(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> float:
        """Minus the ELBO, a number; gradients are added to those of the parameters.

        Of several traces, as of many particles, or of sites that are enumerated sequentially, each
        has its backward pass before the next is made: memory is that of one.

        Raises:
            InputError: if ``kl_weights`` names what is no site.
        """
        names: set[str] = set()

        def backward(traces: tuple[Trace, Trace]) -> Tensor:
            terms = self._terms_of(traces)
            names.update(terms)
            loss = self._weighted_loss(terms)
            if loss.requires_grad:
                # Traces may share a part of it, such as a sample before an enumerated sequence.
                loss.backward(retain_graph=True)
            return loss.detach()

        # Mapped, so that nothing here holds on to a trace.
        losses = list(map(backward, self._get_traces(model, guide, args, kwargs)))
        self._check_names(names)
        return torch.stack(losses).sum().item()

    def _terms_of(self, traces: tuple[Trace, Trace]) -> dict[str, SiteTerm]:
        """What a trace of model and guide contributes to the terms."""
        return {
            name: replace(term, value=term.value / self.num_particles)
            for name, term in _terms(*traces, analytic=self.analytic)
        }

    def _weighted_loss(self, terms: Mapping[str, SiteTerm]) -> Tensor:
        check_weighable(terms, self.kl_weights)
        weighted = [
            term.value * (self.kl_weights.get(name, 1.0) if term.latent else 1.0)
            for name, term in terms.items()
        ]
        return -torch.stack(weighted).sum() if weighted else torch.zeros(())

    def _check_names(self, names: Iterable[str]) -> None:
        for name in self.kl_weights:
            if name not in names:
                raise InputError(
                    f"kl_weights: expected names among the sites {sorted(names)}, got {name!r}"
                )


def check_weighable(terms: Mapping[str, SiteTerm], names: Iterable[str] | None = None) -> None:
    """Raise :class:`InputError` unless latent sites, those named or all, have their own terms."""
    for joined, term in terms.items():
        for name in term.mixed:
            if names is None or name in names:
                raise InputError(
                    f"expected weight 1 of the KL divergence of {name!r}, which is part of"
                    f" {joined!r}, summed over in the model, got another: use beta=1 and no warmup,"
                    " or sample in the guide too what is summed over"
                )


def _terms(
    model_trace: Trace, guide_trace: Trace, *, analytic: bool
) -> Iterator[tuple[str, SiteTerm]]:
    """The terms of one sample of the guide: E over its enumerated sites, by Dice."""
    guide_sites = sample_sites(guide_trace)
    closed = {}
    if analytic:
        closed = kl_divergences(sample_sites(model_trace), guide_sites)
        for name, kl in closed.items():
            model_trace.nodes[name]["packed"]["log_prob"] = packed.neg(kl)
    costs, ordering = _costs(model_trace, guide_trace)
    for name, site in guide_sites.items():
        if name not in closed:
            costs.setdefault(name, []).append(
                (ordering[name], packed.neg(site["packed"]["log_prob"]))
            )
    # Sites in the same plates and of the same dimensions share their weight.
    weight = cache(partial(_weight, Dice(guide_trace, ordering)))
    for name, of_site in costs.items():
        if model_trace.nodes.get(name, {}).get("infer", {}).get("_deterministic"):
            continue  # a value that was named, and no variable
        value = torch.stack([
            _expectation(*weight(ordinal, cost._pyro_dims), cost) for ordinal, cost in of_site
        ]).sum()
        inferred = guide_sites.get(name)
        if inferred is None or inferred["is_observed"]:
            within = tuple(site for site in name.split("+") if site in guide_sites)
            yield name, SiteTerm(value, mixed=() if name in model_trace.nodes else within)
        else:
            infer, fn = inferred["infer"], base(model_trace.nodes.get(name, inferred)["fn"])
            summed = infer.get("enumerate") is not None and infer.get("num_samples") is None
            discrete, exact = fn.has_enumerate_support, name in closed or summed
            yield name, SiteTerm(value, True, discrete=discrete, analytic=exact)


def _costs(
    model_trace: Trace, guide_trace: Trace
) -> tuple[dict[str, list[tuple[Any, Any]]], dict[str, Any]]:
    """The model's log-probabilities with their plates, by site; those summed over, together."""
    marginal, factors, ordering, dims, scale = private.model_factors(model_trace, guide_trace)
    names = {
        id(site["packed"]["log_prob"]): name for name, site in sample_sites(model_trace).items()
    }
    costs: dict[str, list[tuple[Any, Any]]] = {}
    for ordinal, of_ordinal in marginal.items():
        for cost in of_ordinal:
            costs.setdefault(names.pop(id(cost)), []).append((ordinal, cost))
    if factors:
        sizes: dict[str, int] = {}
        for of_ordinal in factors.values():
            for factor in of_ordinal:
                sizes.update(zip(factor._pyro_dims, factor.shape))
        with shared_intermediates() as shared:
            ring = SampleRing(cache=shared, dim_to_size=sizes)
            contracted = contract_tensor_tree(factors, dims, ring=ring)
        together = sorted(names.values())
        observed = any(model_trace.nodes[name]["is_observed"] for name in together)
        inferred = [name for name in together if name in guide_trace.nodes]
        prior = not observed and len(inferred) == 1  # of what the guide infers
        costs[inferred[0] if prior else "+".join(together)] = [
            (ordinal, packed.scale_and_mask(cost, scale=scale))
            for ordinal, of_ordinal in contracted.items() for cost in of_ordinal
        ]
    return costs, ordering


def _weight(dice: Dice, ordinal: Any, dims: str) -> tuple[float, Tensor | None]:
    """The weight of a cost in these plates, of these dimensions, in the expectation.

    Returns:
        A factor, and the guide's probability of what it enumerates; None where that is nothing.
    """
    factors = private.log_factors(dice, ordinal)
    scale = math.exp(sum(f for f in factors if not isinstance(f, Tensor)))
    tensors: list[Any] = [f for f in factors if isinstance(f, Tensor)]
    if not tensors:
        return scale, None
    inputs = [f._pyro_dims for f in tensors]
    output = "".join(dim for dim in dims if any(dim in of_input for of_input in inputs))
    log_prob = contract(
        f"{','.join(inputs)}->{output}", *tensors, backend="pyro.ops.einsum.torch_log"
    )
    prob: Any = _normal(log_prob).exp()
    prob._pyro_dims = output
    return scale, prob


def smallest_factor(dtype: torch.dtype) -> float:
    """The factor below which a number has no part in a sum: 1e-31 of float32.

    It is the smallest normal number over the precision, so that what it multiplies stays normal.
    """
    numbers = torch.finfo(dtype)
    return numbers.tiny / numbers.eps


def _normal(log_prob: Tensor) -> Tensor:
    """Without probabilities that are too small for a sum: they are zero then.

    A classifier that is sure of its classes gives such ones. Their gradients would be subnormal
    numbers, with which processors multiply a hundred times slower.
    """
    least = math.log(smallest_factor(log_prob.dtype))
    return torch.where(log_prob < least, -math.inf, log_prob)


def _expectation(scale: float, prob: Tensor | None, cost: Tensor) -> Tensor:
    """The cost summed over its plates and averaged over what the guide enumerates: a scalar."""
    if prob is None:
        return scale * cost.sum()
    cost, prob = packed.broadcast_all(cost, prob)
    # A class of probability 0 may have an infinite cost.
    return scale * (prob * torch.where(prob > 0, cost, 0.0)).sum()
