"""What samples of the guide weigh: the importance-weighted bound, and classes by Bayes' rule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pyro
import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.poutine.enum_messenger import EnumMessenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor
from torch.nn import functional as F

from pyro_ssvae.evaluation import chunks
from pyro_ssvae.inference.programs import evaluation_mode, private_params
from pyro_ssvae.system.randomness import seeded

ROWS = 1_000  # examples times samples weighed at a time on a CPU: what stays in its cache
IWAE_SAMPLES = 50
CLASS_SAMPLES = 16  # with the same noise for every class: one to two points from 64 in accuracy


def iwae(
    model: Callable[..., Any],
    guide: Callable[..., Any],
    x: Tensor,
    samples: int = IWAE_SAMPLES,
) -> float:
    """The importance-weighted bound on log p(x), in nats per example, for x (N, ...).

    Every variable of the guide is sampled, y too; those that only the model has, marked for
    enumeration, are summed out. It rises to log p(x) with the number of samples.

    Burda et al. (2016), Importance Weighted Autoencoders, eq. 8.
    """
    total = 0.0
    with torch.no_grad():
        for part in x.split(max(1, chunks.size(x, ROWS) // samples)):
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

    The guide's samples are drawn with the same noise for every class: the classes of an example
    differ by what they are, and not by chance.

    Args:
        model: The model.
        guide: Its guide.
        x: The examples, (N, ...).
        classes: The number of classes, K.
        samples: The number of samples of the guide, given each class, that are averaged over.

    Returns:
        (N, K) probabilities by name: ``elbo``, softmax of ELBO(x, y), and ``reconstruction``,
        softmax of E_q(z | x, y) log p(x | y, z). The latter is left out where it is the same for
        all classes: neither the decoder nor what it decodes depends on y then, as in VaDE.
    """
    log_joints = []
    with torch.no_grad():
        for part in x.split(max(1, chunks.size(x, ROWS) // samples)):
            seed = int(torch.randint(2**31, ()))
            of_class = []
            for k in range(classes):
                y = F.one_hot(torch.tensor(k), classes).to(x).expand(len(part), -1)
                with seeded(seed, [x.device]):
                    weights = log_weights(model, guide, part, y, samples=samples)
                of_class.append(torch.stack([each.mean(0) for each in weights]))
            log_joints.append(torch.stack(of_class, -1))
    joint, image = torch.cat(log_joints, 1)  # (N, K) each
    result = {"elbo": joint.softmax(-1)}
    if (image != image[:, :1]).any():
        result["reconstruction"] = image.softmax(-1)
    return result


class Weights(NamedTuple):
    """Log-weights of samples of the guide, (samples, N), in nats.

    Attributes:
        joint: The values of log p(x, y, latents) - log q(latents | x).
        image: The values of log p(x | latents).
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
    """The log-weights of samples of the guide, for x (N, ...), with one-hot y (N, K) or without.

    They are those of evaluation: labels that are relaxed in training would weigh as no bound does.
    """
    shape = (samples, len(x))
    particles = pyro.plate("particles", samples, dim=-2)
    with private_params(), evaluation_mode(model, guide):
        guide_trace = poutine.trace(particles(guide)).get_trace(x, y)
        replayed = poutine.replay(particles(model), trace=guide_trace)
        enumerated = EnumMessenger(first_available_dim=-3)(replayed)
        model_trace = poutine.trace(enumerated).get_trace(x, y)
    joint, image = x.new_zeros(1, *shape), x.new_zeros(1, *shape)
    for trace, sign in ((model_trace, 1.0), (guide_trace, -1.0)):
        for name, site in trace.nodes.items():
            if site["type"] == "sample" and not site_is_subsample(site):
                log_prob = site["fn"].log_prob(site["value"])
                log_prob = sign * scale_and_mask(log_prob, site["scale"], site["mask"])
                joint = joint + log_prob
                if name == "x":
                    image = image + log_prob
    return Weights(*(each.flatten(0, -3).logsumexp(0) for each in (joint, image)))
