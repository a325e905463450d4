"""Questions put to a model or a guide: any Pyro program, no method of it needed but ``forward``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pyro import poutine
from pyro.distributions import Delta, Distribution
from pyro.poutine.util import site_is_subsample
from torch import Tensor

from pyro_ssvae.objective import private_params

MEAN_SAMPLES = 64


def sites(program: Callable[..., Any], x: Tensor, y: Tensor | None = None) -> frozenset[str]:
    """The names of the program's random variables, given x (N, D) and one-hot y (N, K).

    Asking leaves the random state as it was.
    """
    return frozenset(
        node["name"] for node in _nodes(program, x, y)
        if node["type"] == "sample" and not site_is_subsample(node)
    )


def site(
    program: Callable[..., Any], name: str, x: Tensor, y: Tensor | None = None
) -> Distribution | None:
    """The distribution of one random variable, given x (N, D) and one-hot y (N, K).

    The variables it depends on are sampled. None where the program has no such variable.
    """
    trace = _trace(program, x, y)
    return trace.nodes[name]["fn"] if name in trace else None


def draw(model: Callable[..., Any], x: Tensor) -> tuple[Distribution, Tensor | None]:
    """Latent variables drawn from the model: p(x | them) over (N, D), and y (N, K) or None.

    Args:
        model: the model.
        x: (N, D), of which only shape, type and device count.
    """
    with torch.no_grad():
        nodes = _trace(poutine.uncondition(model), x, None).nodes
    return nodes["x"]["fn"], nodes["y"]["value"] if "y" in nodes else None


def point_masses(guide: Callable[..., Any], x: Tensor) -> frozenset[str]:
    """The names of the guide's sites that are point masses, given x (N, D).

    Asking leaves the random state as it was.
    """
    return frozenset(n["name"] for n in _nodes(guide, x) if isinstance(n.get("fn"), Delta))


def posterior_mean(guide: Callable[..., Any], x: Tensor, y: Tensor | None = None) -> Tensor:
    """The mean of q(z | x, y), (N, J), for x (N, D) and one-hot y (N, K); without gradients.

    Sites before z, such as a y that is not given, are sampled. A distribution that cannot say its
    mean, such as a flow, is averaged over :data:`MEAN_SAMPLES` samples.
    """
    with torch.no_grad():
        fn = _trace(guide, x, y).nodes["z"]["fn"]
        try:
            return fn.mean
        except NotImplementedError:
            return fn.sample((MEAN_SAMPLES,)).mean(0)


def likelihood(model: Callable[..., Any], x: Tensor, **given: Tensor) -> Distribution:
    """p(x | given), the other sites sampled in the model's order; without gradients.

    A site that comes before a given one is sampled from its prior, not inferred.

    Args:
        model: the model; its own x takes no part in what it generates.
        x: (N, D), of which only shape, type and device count.
        given: values of sites, such as ``y`` one-hot (N, K) and ``z`` (N, J).
    """
    program = poutine.condition(poutine.uncondition(model), data=given)
    with torch.no_grad():
        return _trace(program, x, None).nodes["x"]["fn"]


def _nodes(
    program: Callable[..., Any], x: Tensor, y: Tensor | None = None
) -> list[dict[str, Any]]:
    with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
        return list(_trace(program, x, y).nodes.values())


def _trace(program: Callable[..., Any], *args: Tensor | None) -> poutine.Trace:
    with private_params():
        return poutine.trace(program).get_trace(*args)
