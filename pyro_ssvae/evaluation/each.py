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
from torch.distributions import Categorical, Normal, TransformedDistribution
from torch.nn import functional as F

from pyro_ssvae.errors import InputError
from pyro_ssvae.evaluation.importance import log_weights
from pyro_ssvae.inference.divergences import base
from pyro_ssvae.inference.programs import private_params
from pyro_ssvae.labels import OneHots
from pyro_ssvae.labels.dirichlet import LogDirichlet

SAMPLES = 16  # of the guide, the same noise for every example


def bounds(
    model: Callable[..., Any], guide: Callable[..., Any], x: Tensor, samples: int = SAMPLES
) -> Tensor:
    """The importance-weighted bounds on log p(x), (N,) in nats, of x (N, ...).

    They are those of :func:`pyro_ssvae.evaluation.importance.iwae`, tighter where y is sampled, for
    its samples are stratified here. The noise is the same for all examples, so that two differ by
    what x does.
    """
    with torch.no_grad(), SharedNoise():
        joint = log_weights(model, guide, x, samples=samples).joint
    return joint.logsumexp(0) - math.log(samples)


def reconstructions(
    model: Callable[..., Any], guide: Callable[..., Any], x: Tensor, samples: int = SAMPLES
) -> Tensor:
    """The mean of p(x | y, z) over samples of the guide, of the shape of x (N, ...).

    Raises:
        InputError: If p(x | y, z) has no mean: it is of tokens.
    """
    particles = pyro.plate("particles", samples, dim=-2)
    with torch.no_grad(), private_params(), SharedNoise():
        inferred = poutine.trace(particles(guide)).get_trace(x)
        replayed = poutine.replay(particles(poutine.uncondition(model)), trace=inferred)
        fn = poutine.trace(replayed).get_trace(x).nodes["x"]["fn"]
    if isinstance(base(fn), Categorical):
        raise InputError(f"expected a p(x | y, z) with a mean, got one of tokens ({fn})")
    return fn.mean.mean(0)


class SharedNoise(Messenger):
    """Draws a pair's variables by noise that all examples share.

    These are normal variables, flows on them, one-hot labels and class probabilities; others are
    drawn as they are. The examples are in the last dimension of a batch. One-hot labels of the
    dimension to the left of it are stratified: a class of probability 1/2 is that of half of the
    samples.
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
    if type(fn) is LogDirichlet:
        return _log_probabilities(fn, shape)
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


def _log_probabilities(fn: LogDirichlet, shape: tuple[int, ...]) -> Tensor:
    """log pi (..., N, K), by the quantiles of Gamma variables: see :meth:`LogDirichlet.rsample`."""
    from scipy.special import gammaincinv

    c = fn.concentration.detach().double().cpu()
    places, waits = torch.rand(2, *shape, *fn.event_shape, dtype=torch.double)
    gamma = torch.from_numpy(gammaincinv((c + 1).numpy(), places.numpy()))
    log_pi = (gamma.log() + torch.log1p(-waits) / c).log_softmax(-1)
    return log_pi.to(fn.concentration)


def _labels(probs: Tensor, shape: tuple[int, ...]) -> Tensor:
    """One-hot labels (..., N, K) of probabilities, by the same places in [0, 1) for all examples.

    Args:
        probs: The probabilities (..., N, K).
        shape: The shape (..., 1) of the places.
    """
    place = torch.rand(shape, dtype=torch.double)
    strata = shape[0] if len(shape) > 1 else 1
    order = torch.randperm(strata).view(-1, *[1] * (len(shape) - 1))
    place = ((place + order) / strata).to(probs.device)
    reached = probs.double().cumsum(-1)
    reached = reached / reached[..., -1:]  # 1 in the end: no place is beyond it
    index = (place.unsqueeze(-1) >= reached).sum(-1).clamp_max(probs.shape[-1] - 1)
    return F.one_hot(index, probs.shape[-1]).to(probs.dtype)
