"""Which sites of a pair have a KL divergence in closed form that is their part of the ELBO."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import torch
from pyro import distributions as dist
from pyro.distributions.util import scale_and_mask
from pyro.ops import packed
from pyro.poutine import Trace
from torch import Tensor
from torch.distributions import kl_divergence

Site = dict[str, Any]


def sample_sites(trace: Trace) -> dict[str, Site]:
    """The sample sites of a trace by name."""
    return {name: site for name, site in trace.nodes.items() if site["type"] == "sample"}


def kl_divergences(
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
            kl = kl_divergence(*_expanded(q["fn"], p["fn"]))
        except NotImplementedError:
            continue
        kl = scale_and_mask(kl, p["scale"], p["mask"])
        kl = packed.pack(kl, p["infer"]["_dim_to_symbol"])
        if summed.isdisjoint(kl._pyro_dims):
            result[name] = kl
    return result


def base(fn: Any) -> Any:
    """A distribution without the dimensions that it was told to take for one event."""
    while isinstance(fn, torch.distributions.Independent):
        fn = fn.base_dist
    return fn


def _expanded(*fns: Any) -> list[Any]:
    """The distributions, of one batch shape: some KL divergences are written for equal ones."""
    shape = torch.broadcast_shapes(*(fn.batch_shape for fn in fns))
    return [fn if fn.batch_shape == shape else fn.expand(shape) for fn in fns]


def _comparable(p: Any, q: Any) -> bool:
    """Whether a registered KL divergence of q and p is what E_q[log p - log q] is."""
    bases = list(map(base, (p, q)))
    # A point's log-density and a mask within a distribution are not part of it.
    if any(isinstance(base, (dist.Delta, dist.MaskedDistribution)) for base in bases):
        return False
    # Beyond the prior's support it is infinite, where a sample may never get.
    return p.has_enumerate_support or type(bases[0].support) is type(bases[1].support)


def _before(name: str, sites: Mapping[str, Site]) -> set[str]:
    return set(itertools.takewhile(lambda other: other != name, sites))


def _same(one: Any, other: Any) -> bool:
    # Tensors are compared by identity: their values would have to leave the GPU.
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return one is other
    return bool(one == other)
