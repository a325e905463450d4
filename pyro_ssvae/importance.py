"""What samples of the guide weigh: the importance-weighted bound, and classes by Bayes' rule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pyro
import torch
from pyro import poutine
from pyro.poutine.enum_messenger import EnumMessenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor
from torch.nn import functional as F

from pyro_ssvae.objective import private_params

ROWS = 2_500  # examples times samples weighed at a time
IWAE_SAMPLES = 50
CLASS_SAMPLES = 8


def iwae(
    model: Callable[..., Any],
    guide: Callable[..., Any],
    x: Tensor,
    samples: int = IWAE_SAMPLES,
) -> float:
    """The importance-weighted bound on log p(x), in nats per example, for x (N, D).

    Every variable of the guide is sampled, y too; those that only the model has, marked for
    enumeration, are summed out. It rises to log p(x) with the number of samples.

    Burda et al. (2016), Importance Weighted Autoencoders, eq. 8.
    """
    total = 0.0
    for part in x.split(max(1, ROWS // samples)):
        weights = log_weights(model, guide, part, samples=samples).joint
        total += (weights.logsumexp(0) - math.log(samples)).sum().item()
    return total / len(x)


def class_posteriors(
    model: Callable[..., Any],
    guide: Callable[..., Any],
    x: Tensor,
    classes: int,
    samples: int = CLASS_SAMPLES,
) -> dict[str, Tensor]:
    """The generative classifiers: softmax over the classes of what the model says of each.

    Jurasinski (2019), supplement 3.1: by its reconstruction of x in every class.

    Args:
        model, guide: the pair.
        x: (N, D).
        classes: K.
        samples: of the guide, given each class, that are averaged over.

    Returns:
        (N, K) probabilities: ``elbo``, softmax of ELBO(x, y), and ``reconstruction``, softmax of
        E_q(z | x, y) log p(x | y, z).
    """
    joint, image = [], []
    for k in range(classes):
        y = F.one_hot(torch.tensor(k), classes).to(x)
        of_class = [
            log_weights(model, guide, part, y.expand(len(part), -1), samples=samples)
            for part in x.split(max(1, ROWS // samples))
        ]
        joint.append(torch.cat([weights.joint.mean(0) for weights in of_class]))
        image.append(torch.cat([weights.image.mean(0) for weights in of_class]))
    return {
        "elbo": torch.stack(joint, -1).softmax(-1),
        "reconstruction": torch.stack(image, -1).softmax(-1),
    }


class Weights(NamedTuple):
    """Log-weights of samples of the guide, (samples, N), in nats.

    Attributes:
        joint: log p(x, y, latents) - log q(latents | x).
        image: log p(x | latents).
    """

    joint: Tensor
    image: Tensor


def log_weights(
    model: Callable[..., Any],
    guide: Callable[..., Any],
    x: Tensor,
    y: Tensor | None = None,
    *,
    samples: int,
) -> Weights:
    """The log-weights of samples of the guide, for x (N, D), with one-hot y (N, K) or without."""
    shape = (samples, len(x))
    particles = pyro.plate("particles", samples, dim=-2)
    with private_params():
        guide_trace = poutine.trace(particles(guide)).get_trace(x, y)
        replayed = poutine.replay(particles(model), trace=guide_trace)
        enumerated = EnumMessenger(first_available_dim=-3)(replayed)
        model_trace = poutine.trace(enumerated).get_trace(x, y)
    joint, image = x.new_zeros(1, *shape), x.new_zeros(1, *shape)
    for trace, sign in ((model_trace, 1.0), (guide_trace, -1.0)):
        for name, site in trace.nodes.items():
            if site["type"] == "sample" and not site_is_subsample(site):
                log_prob = sign * site["fn"].log_prob(site["value"])
                joint = joint + log_prob
                if name == "x":
                    image = image + log_prob
    return Weights(*(each.flatten(0, -3).logsumexp(0) for each in (joint, image)))
