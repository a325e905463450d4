"""An evidence lower bound that is exact where it can be: in discrete sites and in KL terms."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from opt_einsum import contract, shared_intermediates
from pyro import distributions as dist
from pyro.distributions.util import scale_and_mask
from pyro.infer import TraceEnum_ELBO
from pyro.infer.traceenum_elbo import _compute_model_factors
from pyro.infer.util import Dice
from pyro.ops import packed
from pyro.ops.contract import contract_tensor_tree
from pyro.ops.rings import SampleRing
from pyro.poutine import Trace
from torch import Tensor
from torch.distributions import kl_divergence

from pyro_ssvae.errors import InputError

Site = dict[str, Any]


@dataclass(frozen=True)
class Term:
    """What one site contributes to the ELBO, E_q[log p(site | ...) - log q(site | ...)].

    Attributes:
        value: scalar, in nats, summed over the plates.
        latent: whether the guide infers the site, so that minus the value is its KL divergence.
        discrete: whether the model gives the site finitely many values.
        analytic: whether the value is a KL divergence in closed form, or exact by enumeration.
    """

    value: Tensor
    latent: bool = False
    discrete: bool = False
    analytic: bool = False


class TraceEnumKL_ELBO(TraceEnum_ELBO):
    """:class:`pyro.infer.TraceEnum_ELBO` with KL divergences in closed form where there are any.

    Of a latent site that is sampled, E_q[log p - log q] given its parents is minus
    ``kl_divergence(q, p)``: the same expectation and the same gradient in expectation, without
    the variance. Enumerated sites are summed over as before. What follows from a sample, such as
    the reconstruction, stays an estimate.

    A site keeps its sampled estimate where that is no KL divergence, or might not be one: none is
    registered for the two distributions; the model samples another latent site before it that the
    guide samples after it, and so may give it a prior that depends on its own value (as in SDGM);
    its prior depends on a variable that is enumerated in the model, within the logarithm of a sum;
    model and guide scale or mask it differently, or by tensors; it is a point mass; or prior and
    posterior have different supports.

    There is no synchronisation with a GPU: shapes are static, and non-finite losses are the
    caller's to find.

    Args:
        kl_weights: weights of the terms of sites where they are latent, by name; 1 where nothing
            is said. A weight other than 1 makes the ELBO a bound no more, or a looser one.
        analytic: False leaves every term sampled: Pyro's own estimate.
        options: as for :class:`pyro.infer.TraceEnum_ELBO`.
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

    def terms(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> dict[str, Term]:
        """The sites' terms by name, of which the ELBO is the sum.

        Sites that are summed over in the model, log sum_y p(y) p(x | y), have one term together,
        under their names joined by ``+`` in alphabetical order.
        """
        result: dict[str, Term] = {}
        for traces in self._get_traces(model, guide, args, kwargs):
            for name, term in _terms(*traces, analytic=self.analytic):
                value = term.value / self.num_particles
                if name in result:
                    value = result[name].value + value
                result[name] = replace(term, value=value)
        return result

    def differentiable_loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Minus the ELBO, a scalar with gradients."""
        terms = self.terms(model, guide, *args, **kwargs)
        for name in self.kl_weights:
            if name not in terms:
                raise InputError(
                    f"kl_weights: expected names among the sites {sorted(terms)}, got {name!r}"
                )
        weighted = [
            term.value * (self.kl_weights.get(name, 1.0) if term.latent else 1.0)
            for name, term in terms.items()
        ]
        return -torch.stack(weighted).sum() if weighted else torch.zeros(())

    def loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> float:
        """Minus the ELBO, a number."""
        with torch.no_grad():
            return float(self.differentiable_loss(model, guide, *args, **kwargs))

    def loss_and_grads(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> float:
        """Minus the ELBO, a number; gradients are added to those of the parameters."""
        loss = self.differentiable_loss(model, guide, *args, **kwargs)
        if loss.requires_grad:
            loss.backward(retain_graph=self.retain_graph)
        return loss.item()


def _terms(model_trace: Trace, guide_trace: Trace, *, analytic: bool) -> Iterator[tuple[str, Term]]:
    """The terms of one sample of the guide: E over its enumerated sites, by Dice."""
    guide_sites = _sample_sites(guide_trace)
    closed = {}
    if analytic:
        closed = _kl_divergences(_sample_sites(model_trace), guide_sites)
        for name, kl in closed.items():
            model_trace.nodes[name]["packed"]["log_prob"] = packed.neg(kl)
    costs, ordering = _costs(model_trace, guide_trace)
    for name, site in guide_sites.items():
        if name not in closed:
            costs.setdefault(name, []).append(
                (ordering[name], packed.neg(site["packed"]["log_prob"]))
            )
    dice = Dice(guide_trace, ordering)
    for name, of_site in costs.items():
        value = torch.stack([_expectation(dice, *cost) for cost in of_site]).sum()
        inferred = guide_sites.get(name)
        if inferred is None or inferred["is_observed"]:
            yield name, Term(value)
        else:
            infer, fn = inferred["infer"], _base(model_trace.nodes.get(name, inferred)["fn"])
            summed = infer.get("enumerate") is not None and infer.get("num_samples") is None
            discrete, exact = fn.has_enumerate_support, name in closed or summed
            yield name, Term(value, True, discrete=discrete, analytic=exact)


def _sample_sites(trace: Trace) -> dict[str, Site]:
    return {name: site for name, site in trace.nodes.items() if site["type"] == "sample"}


def _kl_divergences(
    model_sites: Mapping[str, Site], guide_sites: Mapping[str, Site]
) -> dict[str, Tensor]:
    """Packed KL divergences of the sites that have one and may use it, scaled and masked."""
    summed = {
        site["infer"].get("_enumerate_symbol")
        for name, site in model_sites.items() if name not in guide_sites
    }
    result = {}
    for name in guide_sites.keys() & model_sites.keys():
        p, q = model_sites[name], guide_sites[name]
        if q["is_observed"] or q["infer"].get("enumerate"):
            continue
        if not _before(name, model_sites) & guide_sites.keys() <= _before(name, guide_sites):
            continue
        if not (_same(p["scale"], q["scale"]) and _same(p["mask"], q["mask"])):
            continue
        if not _comparable(p["fn"], q["fn"]):
            continue
        try:
            kl = kl_divergence(q["fn"], p["fn"])
        except NotImplementedError:
            continue
        kl = scale_and_mask(kl, p["scale"], p["mask"])
        kl = packed.pack(kl, p["infer"]["_dim_to_symbol"])
        if summed.isdisjoint(kl._pyro_dims):
            result[name] = kl
    return result


def _comparable(p: Any, q: Any) -> bool:
    """Whether a registered KL divergence of q and p is what E_q[log p - log q] is."""
    bases = list(map(_base, (p, q)))
    # A point's log-density and a mask within a distribution are not part of it.
    if any(isinstance(base, (dist.Delta, dist.MaskedDistribution)) for base in bases):
        return False
    # Beyond the prior's support it is infinite, where a sample may never get.
    return p.has_enumerate_support or type(bases[0].support) is type(bases[1].support)


def _base(fn: Any) -> Any:
    while isinstance(fn, torch.distributions.Independent):
        fn = fn.base_dist
    return fn


def _before(name: str, sites: Mapping[str, Site]) -> set[str]:
    return set(itertools.takewhile(lambda other: other != name, sites))


def _same(one: Any, other: Any) -> bool:
    # Tensors are compared by identity: their values would have to leave the GPU.
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return one is other
    return bool(one == other)


def _costs(
    model_trace: Trace, guide_trace: Trace
) -> tuple[dict[str, list[tuple[Any, Tensor]]], dict[str, Any]]:
    """The model's log-probabilities with their plates, by site; those summed over, together."""
    marginal, factors, ordering, dims, scale = _compute_model_factors(model_trace, guide_trace)
    names = {
        id(site["packed"]["log_prob"]): name for name, site in _sample_sites(model_trace).items()
    }
    costs: dict[str, list[tuple[Any, Tensor]]] = {}
    for ordinal, of_ordinal in marginal.items():
        for cost in of_ordinal:
            costs.setdefault(names.pop(id(cost)), []).append((ordinal, cost))
    if factors:
        sizes: dict[str, int] = {}
        for of_ordinal in factors.values():
            for factor in of_ordinal:
                sizes.update(zip(factor._pyro_dims, factor.shape))
        with shared_intermediates() as cache:
            ring = SampleRing(cache=cache, dim_to_size=sizes)
            contracted = contract_tensor_tree(factors, dims, ring=ring)
        costs["+".join(sorted(names.values()))] = [
            (ordinal, packed.scale_and_mask(cost, scale=scale))
            for ordinal, of_ordinal in contracted.items() for cost in of_ordinal
        ]
    return costs, ordering


def _expectation(dice: Dice, ordinal: Any, cost: Any) -> Tensor:
    """The cost summed over its plates and averaged over what the guide enumerates: a scalar."""
    factors = dice._get_log_factors(ordinal)
    scale = math.exp(sum(f for f in factors if not isinstance(f, Tensor)))
    tensors: list[Any] = [f for f in factors if isinstance(f, Tensor)]
    if not tensors:
        return scale * cost.sum()
    inputs = [f._pyro_dims for f in tensors]
    output = "".join(dim for dim in cost._pyro_dims if any(dim in dims for dims in inputs))
    log_prob = contract(
        f"{','.join(inputs)}->{output}", *tensors, backend="pyro.ops.einsum.torch_log"
    )
    prob: Any = log_prob.exp()
    prob._pyro_dims = output
    cost, prob = packed.broadcast_all(cost, prob)
    # A class of probability 0 may have an infinite cost.
    return scale * (prob * torch.where(prob > 0, cost, 0.0)).sum()
