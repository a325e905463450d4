"""Questions put to a model or a guide: any Pyro program, no method of it needed but ``forward``.

They are answered in evaluation mode, and leave a program in the mode that it has.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from pyro import poutine
from pyro.distributions import Delta, Distribution
from pyro.poutine.enum_messenger import EnumMessenger
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor
from torch.distributions import Normal

from pyro_ssvae.errors import InputError
from pyro_ssvae.inference.divergences import base
from pyro_ssvae.inference.programs import evaluation_mode, private_params
from pyro_ssvae.nn import noise
from pyro_ssvae.nn.samples import moved

MEAN_SAMPLES = 64  # of a z whose distribution cannot say its mean
PAIRS = 8  # of opposite values of a continuous variable before z that are averaged over
VALUES = 100  # of a discrete variable before z that are summed over, at most
SEED = 0  # of the noise that all examples share, and of the examples that stand for all


def sites(program: Callable[..., Any], x: Tensor, y: Tensor | None = None) -> frozenset[str]:
    """The names of the program's random variables, given x (N, ...) and one-hot y (N, K).

    Asking leaves the random state as it was.
    """
    return frozenset(order(program, x, y))


def order(program: Callable[..., Any], x: Tensor, y: Tensor | None = None) -> list[str]:
    """The names of :func:`sites` as the program samples them, one after the other."""
    return [
        node["name"] for node in _nodes(program, x, y)
        if node["type"] == "sample" and not site_is_subsample(node)
    ]


def site(
    program: Callable[..., Any], name: str, x: Tensor, y: Tensor | None = None
) -> Distribution | None:
    """The distribution of one random variable, given x (N, ...) and one-hot y (N, K).

    The variables it depends on are sampled. None where the program has no such variable.
    """
    with evaluation_mode(program):
        trace = _trace(program, x, y)
    return trace.nodes[name]["fn"] if name in trace else None


def draw(model: Callable[..., Any], x: Tensor) -> tuple[Distribution, Tensor | None]:
    """Latent variables drawn from the model: p(x | them) over (N, ...), and y (N, K) or None.

    Args:
        model: The model to draw from.
        x: The examples, (N, ...), of which only shape, type and device count.
    """
    with evaluation_mode(model), torch.no_grad():
        nodes = _trace(poutine.uncondition(model), x, None).nodes
    return nodes["x"]["fn"], nodes["y"]["value"] if "y" in nodes else None


def point_masses(guide: Callable[..., Any], x: Tensor) -> frozenset[str]:
    """The names of the guide's sites that are point masses, given x (N, ...).

    Asking leaves the random state as it was.
    """
    return frozenset(n["name"] for n in _nodes(guide, x) if isinstance(n.get("fn"), Delta))


class Posterior(NamedTuple):
    """q(z | x) as a mixture: the sum over c of w_c(x) q_c(z | x).

    Attributes:
        log_weights: The logarithms of the weights, (..., N), which sum to 1 over all dimensions
            but the last.
        components: The distributions q_c, whose batch shape is that of the weights.
    """

    log_weights: Tensor
    components: Distribution


def posterior(
    guide: Callable[..., Any], x: Tensor, y: Tensor | None = None, *, seed: int = SEED
) -> Posterior:
    """q(z | x), or q(z | x, y): all else that the guide draws before z is integrated out.

    A discrete variable of up to :data:`VALUES` values, such as a y that is not given, is summed
    over. Any other, such as the a of ADGM, is averaged over 2 * :data:`PAIRS` samples. Where it is
    normal its noise is the same for all examples and comes in opposite pairs, so that the
    posteriors of two examples differ by what x does and not by chance.

    Args:
        guide: The guide. As for Pyro's own enumeration, its networks must broadcast over
            dimensions to the left of those of x.
        x: The examples, (N, ...).
        y: Their one-hot labels, (N, K), or None.
        seed: The seed of that noise.
    """
    summed = EnumMessenger(first_available_dim=-3)(poutine.infer_config(guide, _enumeration))
    with evaluation_mode(guide):
        nodes = _trace(_SharedNoise(seed)(summed), x, y).nodes
    components = nodes["z"]["fn"]
    log_weights = x.new_zeros(1, len(x))
    for name in itertools.takewhile(lambda name: name != "z", nodes):
        if nodes[name].get("infer", {}).get("_enumerate_dim") is not None:
            log_weights = log_weights + nodes[name]["fn"].log_prob(nodes[name]["value"])
    # (..., samples, N), of which the components may lack dimensions that z does not depend on.
    shape = torch.broadcast_shapes(log_weights.shape, components.batch_shape)
    log_weights = log_weights.expand(shape) - math.log(shape[-2])
    for dim in range(-len(shape), -1):
        if len(components.batch_shape) < -dim or components.batch_shape[dim] == 1:
            log_weights = log_weights.logsumexp(dim, keepdim=True)
    return Posterior(log_weights, components.expand(log_weights.shape))


def posterior_mean(
    guide: Callable[..., Any], x: Tensor, y: Tensor | None = None, *, seed: int = SEED
) -> Tensor:
    """The mean of :func:`posterior`, (N, J), of x (N, ...) and one-hot y (N, K), without gradients.

    A distribution that cannot say its mean, such as a flow, is averaged over at least
    :data:`MEAN_SAMPLES` samples.

    Example:
        >>> import torch
        >>> from pyro_ssvae import guides, models
        >>> from pyro_ssvae.inference import query
        >>> guide = guides.M2(models.M2(6, 3, z_dim=2), hidden=(8,))
        >>> query.posterior_mean(guide, torch.rand(5, 6)).shape
        torch.Size([5, 2])
    """
    with torch.no_grad():
        log_weights, components = posterior(guide, x, y, seed=seed)
        try:
            means = components.mean
        except NotImplementedError:
            samples = -(-MEAN_SAMPLES // log_weights.shape[-2])
            shape = (samples, *[1] * len(components.batch_shape), *components.event_shape)
            means = _by_noise(components, noise(*shape, seed=seed).to(log_weights)).mean(0)
        return (log_weights.exp().unsqueeze(-1) * means).flatten(0, -3).sum(0)


def _by_noise(fn: Distribution, noise: Tensor) -> Tensor:
    """Samples by noise that all examples share, where the distribution is one of normal noise."""
    try:
        return moved(fn, noise)
    except NotImplementedError:
        return fn.sample(noise.shape[:1])


def some(rows: int, number: int) -> Tensor:
    """The indices of at most so many rows, chosen at random, always the same ones, in order."""
    chosen = torch.randperm(rows, generator=torch.Generator().manual_seed(SEED))[:number]
    return chosen.sort().values


def likelihood(model: Callable[..., Any], x: Tensor, **given: Tensor) -> Distribution:
    """p(x | given), the other sites sampled in the model's order; without gradients.

    A site that comes before a given one is sampled from its prior, not inferred.

    Args:
        model: The model. Its own x takes no part in what it generates.
        x: The examples, (N, ...), of which only shape, type and device count.
        given: The values of sites by name, such as ``y`` one-hot (N, K) and ``z`` (N, J).
    """
    program = poutine.condition(poutine.uncondition(model), data=given)
    with evaluation_mode(model), torch.no_grad():
        return _trace(program, x, None).nodes["x"]["fn"]


def _nodes(
    program: Callable[..., Any], x: Tensor, y: Tensor | None = None
) -> list[dict[str, Any]]:
    devices = [x.device] if x.is_cuda else []
    with evaluation_mode(program), torch.random.fork_rng(devices=devices):
        return list(_trace(program, x, y).nodes.values())


def _trace(program: Callable[..., Any], *args: Tensor | None) -> poutine.Trace:
    with private_params():
        return poutine.trace(program).get_trace(*args)


def _enumeration(site: dict[str, Any]) -> dict[str, Any]:
    """Of a site before z, how it is enumerated: in parallel if it has few values, else not."""
    if site["type"] != "sample" or site_is_subsample(site):
        return {}
    few = site["name"] != "z" and _few_values(site["fn"])
    return {"enumerate": "parallel" if few else None}


def _few_values(fn: Distribution) -> bool:
    if not fn.has_enumerate_support:
        return False
    try:
        return len(fn.enumerate_support(expand=False)) <= VALUES
    except (InputError, NotImplementedError):  # too many to list, or no list of them
        return False


class _SharedNoise(Messenger):
    """Draws variables other than z in dimension -2; the noise of normal ones in opposite pairs."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def __enter__(self) -> Any:
        self.generator = torch.Generator().manual_seed(self.seed)
        return super().__enter__()

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        if msg["name"] == "z" or msg["done"] or msg["is_observed"] or site_is_subsample(msg):
            return
        fn = msg["fn"]
        normal = base(fn)
        if isinstance(normal, Normal):
            half = torch.randn(PAIRS, 1, *fn.event_shape, generator=self.generator)
            noise = torch.cat([half, -half]).to(normal.loc)
            msg["value"] = normal.loc + normal.scale * noise
        else:
            shape = torch.broadcast_shapes(fn.batch_shape, (2 * PAIRS, 1))
            msg["value"] = fn.expand(shape).sample()
        msg["done"] = True
