"""What a pair says of every example by itself, whatever stands beside it in a batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor
from torch.distributions import Normal, TransformedDistribution
from torch.nn import functional as F

from pyro_ssvae.evaluation.importance import log_weights
from pyro_ssvae.inference.divergences import base
from pyro_ssvae.inference.programs import private_params
from pyro_ssvae.labels import OneHots

SAMPLES = 16  # of the guide, the same noise for every example
CANDIDATES = 64  # of what a model draws before y, of which one is chosen that suits it


def bounds(
    model: Callable[..., Any], guide: Callable[..., Any], x: Tensor, samples: int = SAMPLES
) -> Tensor:
    """The importance-weighted bounds on log p(x), (N,) in nats, of x (N, ...).

    They are those of :func:`pyro_ssvae.evaluation.importance.iwae`, whose mean they have in
    expectation. The noise is the same for all examples, so that two differ by what x does.
    """
    with torch.no_grad(), SharedNoise():
        joint = log_weights(model, guide, x, samples=samples).joint
    return joint.logsumexp(0) - math.log(samples)


def reconstructions(
    model: Callable[..., Any], guide: Callable[..., Any], x: Tensor, samples: int = SAMPLES
) -> Tensor:
    """The mean of p(x | y, z) over samples of the guide, of the shape of x (N, ...)."""
    particles = pyro.plate("particles", samples, dim=-2)
    with torch.no_grad(), private_params(), SharedNoise():
        inferred = poutine.trace(particles(guide)).get_trace(x)
        replayed = poutine.replay(particles(poutine.uncondition(model)), trace=inferred)
        fn = poutine.trace(replayed).get_trace(x).nodes["x"]["fn"]
    return fn.mean.mean(0)


def generated(model: Callable[..., Any], like: Tensor, y: Tensor) -> Tensor:
    """Examples drawn from p(x | y), of the shape of ``like`` (N, ...), one for each of y (N, S).

    What the model draws before y, as the z of a latent classifier, is one of :data:`CANDIDATES`
    draws, chosen by what p(y | z) each gives to y: sampling, importance resampling.
    """
    program = poutine.uncondition(model)
    with torch.no_grad(), private_params():
        order = [name for name, site in poutine.trace(program).get_trace(like[:1]).nodes.items()
                 if site["type"] == "sample" and not site_is_subsample(site)]
        times = CANDIDATES if order.index("y") > 0 else 1
        rows, labels = like.repeat_interleave(times, 0), y.repeat_interleave(times, 0)
        given = poutine.condition(program, data={"y": labels})
        nodes = poutine.trace(given).get_trace(rows).nodes
        weights = nodes["y"]["fn"].log_prob(labels).expand(len(rows)).view(len(y), times)
        chosen = torch.multinomial(weights.softmax(-1), 1).squeeze(-1)
        values: Tensor = nodes["x"]["value"]
    return values[torch.arange(len(y), device=like.device) * times + chosen]


class SharedNoise(Messenger):
    """Draws normal variables, flows on them, and one-hot labels by noise that all examples share.

    The examples are in the last dimension of a batch. One-hot labels of the dimension to the left
    of it are stratified: a class of probability 1/2 is that of half of the samples.
    """

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        if msg["done"] or msg["is_observed"] or site_is_subsample(msg):
            return
        msg["value"], msg["done"] = _drawn(msg["fn"]), True


def _drawn(fn: Any) -> Tensor:
    shape = (*fn.batch_shape[:-1], 1)
    if isinstance(fn, OneHots):
        blocks = fn.probs.split(list(fn.sizes), dim=-1)
        return torch.cat([_labels(block, shape) for block in blocks], dim=-1)
    if isinstance(fn, TransformedDistribution):
        value = _drawn(fn.base_dist)
        for transform in fn.transforms:
            value = transform(value)
        return value
    normal = base(fn)
    if not isinstance(normal, Normal):
        return fn()
    noise = torch.randn(*shape, *fn.event_shape, dtype=normal.loc.dtype).to(normal.loc.device)
    return normal.loc + normal.scale * noise


def _labels(probs: Tensor, shape: tuple[int, ...]) -> Tensor:
    """One-hot labels (..., N, K) of probabilities, by the same places in [0, 1) for all examples.

    Args:
        probs: The probabilities (..., N, K).
        shape: The shape (..., 1) of the places.
    """
    place = torch.rand(shape, dtype=probs.dtype)
    strata = shape[0] if len(shape) > 1 else 1
    order = torch.randperm(strata).view(-1, *[1] * (len(shape) - 1))
    place = ((place + order) / strata).to(probs.device)
    index = (place.unsqueeze(-1) > probs.cumsum(-1)).sum(-1).clamp_max(probs.shape[-1] - 1)
    return F.one_hot(index, probs.shape[-1]).to(probs.dtype)
