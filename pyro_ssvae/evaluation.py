"""How good a trained pair is: as a classifier, as a bound, and in what its latent space holds."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.poutine.enum_messenger import EnumMessenger
from pyro.poutine.util import site_is_subsample
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional as F

from pyro_ssvae import query
from pyro_ssvae.data import Split
from pyro_ssvae.errors import InputError
from pyro_ssvae.metrics import scores
from pyro_ssvae.objective import Weighted, negative_elbo, private_params

CHUNK = 250  # examples evaluated at a time
IWAE_SAMPLES = 50
PROBE_EXAMPLES = 5_000


@contextmanager
def evaluating(*modules: nn.Module, seed: int = 0) -> Iterator[None]:
    """Evaluation mode: no gradients, no validation by Pyro, noise of its own from ``seed``.

    The modules' modes and the global random state are put back at the end.
    """
    modes = [module.training for module in modules]
    cuda = {p.device for module in modules for p in module.parameters() if p.is_cuda}
    with (
        torch.random.fork_rng(devices=list(cuda)),
        torch.no_grad(),
        pyro.validation_enabled(False),
    ):
        torch.manual_seed(seed)
        try:
            for module in modules:
                module.eval()
            yield
        finally:
            for module, mode in zip(modules, modes):
                module.train(mode)


def evaluate(
    model: nn.Module, guide: nn.Module, split: Split, part: str = "test"
) -> dict[str, float | None]:
    """Every measure of this module, on one part of a split.

    Returns:
        By name: ``accuracy``, ``nll``, ``brier``, ``ece`` (see :mod:`pyro_ssvae.metrics`); then in
        nats per example ``elbo`` of the images alone, which is ``reconstruction`` minus ``kl_z``,
        ``kl_y`` and those of further latent sites, and ``iwae`` with ``iwae_samples`` samples; and
        ``leakage``, an accuracy. None stands for what the pair does not have: a classifier, a
        model of x, a latent z, a y that the guide infers, a bound on log p(x) (see
        :func:`has_bound`).

    Raises:
        InputError: if the part is empty.
    """
    x, y = split.part(part)
    if len(x) == 0:
        raise InputError(f"expected a {part} part with examples to evaluate on, got none")
    with evaluating(model, guide):
        has = query.sites(model, x[:1], y[:1])
        result: dict[str, float | None] = dict.fromkeys(
            ("accuracy", "nll", "brier", "ece", "elbo", "reconstruction", "kl_z", "kl_y",
             "iwae", "iwae_samples", "leakage")
        )
        if hasattr(guide, "classify"):
            result |= scores(class_probabilities(guide, x), y)
        if "x" in has:
            result |= elbo_parts(model, guide, x)
        if has_bound(model, guide, x):
            result |= {"iwae": iwae(model, guide, x), "iwae_samples": IWAE_SAMPLES}
        else:
            points = query.point_masses(guide, x[:1])
            result |= dict.fromkeys(["elbo", *(f"kl_{name}" for name in points)])
        if "z" in has:
            result["leakage"] = leakage(guide, split, part)
    return result


def has_bound(model: Callable[..., Any], guide: Callable[..., Any], x: Tensor) -> bool:
    """Whether the pair's ELBO bounds log p(x), x (N, D): it has a model of x and no point mass.

    The entropy of a point mass is minus infinity: what is optimised leaves it out.
    """
    return "x" in query.sites(model, x[:1]) and not query.point_masses(guide, x[:1])


def class_probabilities(guide: Any, x: Tensor) -> Tensor:
    """q(y | x) as (N, K) probabilities for x (N, D)."""
    with private_params():
        return torch.cat([guide.classify(chunk).probs for chunk in x.split(CHUNK)])


def elbo(
    model: Callable[..., Any], guide: Callable[..., Any], x: Tensor, y: Tensor | None = None
) -> float:
    """The mean ELBO of x (N, D), with one-hot labels y (N, K) or without, in nats per example."""
    return elbo_parts(model, guide, x, y)["elbo"]


def elbo_parts(
    model: Callable[..., Any], guide: Callable[..., Any], x: Tensor, y: Tensor | None = None
) -> dict[str, float]:
    """The mean ELBO and the parts it is the sum of, in nats per example.

    The ELBO is linear in the scale of every site, so that its derivative with respect to the
    scale is the site's own term: E[log p(x | y, z)] for x, minus the KL divergence for z and y.
    (For a y that is given, ``kl_y`` is -log p(y).) A site that is summed out in the model, such
    as the y of a mixture, is part of the reconstruction.

    Returns:
        ``elbo``, ``reconstruction``, and ``kl_NAME`` for every other site.
    """
    given = (x[:1], None if y is None else y[:1])
    inferred = query.sites(guide, *given) | {"x"} | (set() if y is None else {"y"})
    names = sorted(query.sites(model, *given) & inferred)
    totals = dict.fromkeys(names, 0.0)
    for start in range(0, len(x), CHUNK):
        rows = slice(start, start + CHUNK)
        part = x[rows]
        with torch.enable_grad(), warnings.catch_warnings():
            # TraceEnum_ELBO compares the scales as numbers.
            warnings.filterwarnings("ignore", "Converting a tensor with requires_grad=True")
            scale = {name: torch.ones((), device=x.device, requires_grad=True) for name in names}
            with Weighted(lambda site: scale.get(site["name"], 1.0)):
                loss = negative_elbo(model, guide, part, None if y is None else y[rows])
            grads = torch.autograd.grad(loss, list(scale.values()), allow_unused=True)
        for name, grad in zip(names, grads):
            totals[name] -= 0.0 if grad is None else grad.item() * len(part) / len(x)
    result = {"elbo": math.fsum(totals.values()), "reconstruction": totals.pop("x", 0.0)}
    return result | {f"kl_{name}": 0.0 - total for name, total in totals.items()}


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
    rows = max(1, CHUNK * 10 // samples)
    total = 0.0
    for part in x.split(rows):
        weights = _log_weights(model, guide, part, samples)
        total += (weights.logsumexp(0) - math.log(samples)).sum().item()
    return total / len(x)


def _log_weights(
    model: Callable[..., Any], guide: Callable[..., Any], x: Tensor, samples: int
) -> Tensor:
    """log p(x, latents) - log q(latents | x) for samples of the guide, (samples, N)."""
    shape = (samples, len(x))
    particles = pyro.plate("particles", samples, dim=-2)
    with private_params():
        guide_trace = poutine.trace(particles(guide)).get_trace(x)
        replayed = poutine.replay(particles(model), trace=guide_trace)
        enumerated = EnumMessenger(first_available_dim=-3)(replayed)
        model_trace = poutine.trace(enumerated).get_trace(x)
    result = x.new_zeros(1, *shape)
    for trace, sign in ((model_trace, 1.0), (guide_trace, -1.0)):
        for site in trace.nodes.values():
            if site["type"] == "sample" and not site_is_subsample(site):
                result = result + sign * site["fn"].log_prob(site["value"])
    return result.flatten(0, -3).logsumexp(0)


def leakage(guide: Callable[..., Any], split: Split, part: str = "test") -> float:
    """Accuracy of a linear classifier of the true class from the posterior mean of z.

    A guide that reads y is given one drawn at random, independent of the true class, so that
    whatever the classifier finds has come from x. Chance is 1 / K. Jurasinski (2019), section
    3.3, who takes every y in turn for the training data, finds over 85 % for M2 on MNIST: its z
    is not free of the class.

    It is trained on up to :data:`PROBE_EXAMPLES` unlabelled examples with their true classes,
    which no model sees in training: a diagnosis, never part of a method.
    """
    x_train, y_train = split.examples(split.unlabelled[:PROBE_EXAMPLES])
    x, y = split.part(part)
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    probe.fit(_probe_features(guide, x_train, y_train.shape[-1]), y_train.argmax(-1).cpu())
    return float(probe.score(_probe_features(guide, x, y.shape[-1]), y.argmax(-1).cpu()))


def _probe_features(guide: Callable[..., Any], x: Tensor, classes: int) -> Any:
    anything = torch.randint(classes, (len(x),)).to(x.device)
    y = F.one_hot(anything, classes).to(x.dtype)
    return torch.cat([
        query.posterior_mean(guide, x[rows], y[rows])
        for rows in (slice(i, i + CHUNK) for i in range(0, len(x), CHUNK))
    ]).cpu().numpy()
