"""What the latent space of a guide holds: information on x, units in use, the class."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Categorical, Normal, TransformedDistribution
from torch.nn import functional as F

from pyro_ssvae.data import Part, Split
from pyro_ssvae.data.view import taken
from pyro_ssvae.inference import query
from pyro_ssvae.inference.divergences import base
from pyro_ssvae.inference.programs import evaluation_mode

CHUNK = 500  # examples looked at at a time
EXAMPLES = 5_000  # at most, of each probe
DENSITIES = 10**8  # at most, of z in an estimate of the mutual information
AT_ONCE = 10**6  # of them
ACTIVE = 0.01  # variance of a posterior mean above which its unit counts as active


def mutual_information(guide: Callable[..., Any], x: Part) -> float | None:
    """I_q(x; z) = E log q(z | x) - E log q(z) in nats, for x (N, ...); None for a point mass.

    Hoffman and Johnson (2016), ELBO surgery. q(z | x) is that of
    :func:`pyro_ssvae.inference.query.posterior`: what else the guide draws is summed out where it
    is discrete, as y, and averaged over samples where it is continuous, as the a of ADGM. The
    latter makes it an upper bound on the information, which falls to it with the number of samples.

    q(z) is the mixture of the q(z | x) of n random examples, so the estimate cannot exceed log n.
    n is at most :data:`EXAMPLES`, and less where q(z | x) is itself a mixture, of C components:
    n^2 C is at most :data:`DENSITIES`, so that n = 3,162 for a guide that reads a y of 10 classes,
    and n = 790 for one that reads 16 samples of an a too.
    """
    with evaluation_mode(guide), torch.no_grad():
        if "z" in query.point_masses(guide, x[:1]):
            return None
        components = query.posterior(guide, x[:1]).log_weights.numel()
        x = _sample_of(x, min(EXAMPLES, math.isqrt(DENSITIES // components)))
        chunks = -(-len(x) // CHUNK)
        mixtures = [_Mixture.of(guide, rows) for rows in x.split(-(-len(x) // chunks))]
        log_weights = torch.cat([mixture.log_weights for mixture in mixtures], 1)  # (C, n)
        z = torch.cat([mixture.sample() for mixture in mixtures])  # (n, J)
        own = torch.arange(len(x), device=x.device)
        total = 0.0
        for rows in own.split(max(1, AT_ONCE // log_weights.numel())):
            densities = torch.cat([mixture.log_densities(z[rows]) for mixture in mixtures], 2)
            log_q = (densities + log_weights).logsumexp(1)  # log q(z_i | x_j)
            mixture = log_q.logsumexp(1) - math.log(len(x))
            total += (log_q[range(len(rows)), rows] - mixture).sum().item()
        return total / len(x)


def active_units(guide: Callable[..., Any], x: Part) -> float:
    """The number of dimensions of z whose posterior mean varies over x (N, ...) by more than 0.01.

    Burda et al. (2016), Importance Weighted Autoencoders, section 5.2. The mean is that of
    :func:`pyro_ssvae.inference.query.posterior`, over what else the guide draws. Its variance is
    the covariance of two estimates of it: where they are means of samples, the variance of one
    would be that of the samples too.
    """
    some = _sample_of(x, EXAMPLES)
    with evaluation_mode(guide):
        means = [
            torch.cat([query.posterior_mean(guide, rows, seed=seed) for rows in some.split(CHUNK)])
            for seed in (0, 1)
        ]
    first, second = (mean - mean.mean(0) for mean in means)
    return float(((first * second).mean(0) > ACTIVE).sum())


def leakage(guide: Callable[..., Any], split: Split, part: str = "test") -> float | None:
    """Accuracy of a linear classifier of the true class from the posterior mean of z.

    A guide that reads y is given one drawn at random, independent of the true class, so that
    whatever the classifier finds has come from x. Chance is the share of the commonest class, 1 / K
    where all are as common. Jurasinski (2019), section
    3.3, who takes every y in turn for the training data, finds over 85 % for M2 on MNIST: its z
    is not free of the class.

    It is trained on up to :data:`EXAMPLES` random unlabelled examples whose true classes the data
    set knows, which no model sees in training: a diagnosis, never part of a method. None where
    there are none of them, or all are of one class.
    """
    # Here, for they take two seconds to import.
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    dataset = split.dataset
    known = split.unlabelled[dataset.target.known(dataset.y[split.unlabelled])]
    x_train, y_train = split.view(known[query.some(len(known), EXAMPLES).to(known.device)])
    x, y = split.part(part)
    if len(y_train.argmax(-1).unique()) < 2:
        return None
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    with evaluation_mode(guide):
        train, test = (_probe_features(guide, each, y.shape[-1]) for each in (x_train, x))
    probe.fit(train, y_train.argmax(-1).cpu().numpy())
    told = ~y.isnan().any(-1).cpu().numpy()  # nobody can be right of the others
    return float(probe.score(test[told], y.argmax(-1).cpu().numpy()[told]))


def _sample_of(x: Part, number: int) -> Part:
    return taken(x, query.some(len(x), number).to(x.device))


def _probe_features(guide: Callable[..., Any], x: Part, classes: int) -> Any:
    anything = torch.randint(classes, (len(x),)).to(x.device)
    y = F.one_hot(anything, classes).to(x.dtype)
    return torch.cat([
        query.posterior_mean(guide, rows, own)
        for rows, own in zip(x.split(CHUNK), y.split(CHUNK))
    ]).cpu().numpy()


class _Mixture(NamedTuple):
    """The mixtures q(z | x) of some examples.

    Attributes:
        log_weights: The logarithms of their weights, (C, n).
        components: Their components.
        log_densities: A function from z (M, J) to the log-densities of all components, (M, C, n).
    """

    log_weights: Tensor
    components: Any
    log_densities: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, guide: Callable[..., Any], x: Tensor) -> _Mixture:
        """Those of x (n, ...)."""
        log_weights, fn = query.posterior(guide, x)
        fn = _without_common_maps(fn, x)
        return cls(log_weights.flatten(0, -2), fn, _log_densities(fn))

    def sample(self) -> Tensor:
        """A z of each example's mixture, (n, J)."""
        which = Categorical(logits=self.log_weights.T).sample()
        own = torch.arange(len(which), device=which.device)
        return self.components.sample().flatten(0, -3)[which, own]


def _without_common_maps(fn: Any, like: Tensor) -> Any:
    """A normal before invertible maps that are the same for every example; else the distribution.

    Such maps leave the mutual information as it is, and autoregressive ones are slow to invert.
    """
    inner = base(fn)
    while isinstance(inner, TransformedDistribution) and _is_common(inner, like):
        inner = base(inner.base_dist)
    return inner if isinstance(inner, Normal) else fn


def _is_common(fn: TransformedDistribution, like: Tensor) -> bool:
    """Whether the distribution's map takes one point to one point, and not to one an example."""
    value = point = like.new_zeros(1, *fn.base_dist.event_shape)
    try:
        for transform in fn.transforms:
            value = transform(value)
    except RuntimeError:  # it depends on the example, and takes a point of each at a time
        return False
    return value.shape == point.shape


def _log_densities(fn: Any) -> Callable[[Tensor], Tensor]:
    """A function from z (M, J) to their log-densities under all C * n components, (M, C, n)."""
    normal = base(fn)
    if not isinstance(normal, Normal):
        ones = (1,) * len(fn.batch_shape)
        return lambda z: fn.log_prob(z.reshape(-1, *ones, *z.shape[1:])).flatten(1, -2)
    # Linear in (z^2, z, 1): one matrix product, in float64 because its parts cancel.
    loc, precision = normal.loc.double(), normal.scale.double() ** -2
    constant = 0.5 * ((precision / (2 * math.pi)).log() - loc**2 * precision).sum(-1, keepdim=True)
    weights = torch.cat([-0.5 * precision, loc * precision, constant], -1).flatten(0, -3)

    def log_densities(z: Tensor) -> Tensor:
        powers = torch.cat([z.double() ** 2, z.double(), z.new_ones(len(z), 1).double()], -1)
        return (powers @ weights.flatten(0, 1).T).to(z.dtype).view(len(z), *weights.shape[:2])

    return log_densities
