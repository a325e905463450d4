"""What the latent space of a guide holds: information on x, units in use, the class."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pyro_ssvae import query
from pyro_ssvae.data import Split

CHUNK = 250  # examples looked at at a time
EXAMPLES = 5_000  # at most, of each probe
ACTIVE = 0.01  # variance of a posterior mean above which its unit counts as active


def mutual_information(guide: Callable[..., Any], x: Tensor) -> float | None:
    """I_q(x; z) = E log q(z | x) - E log q(z) in nats, for x (N, D); None for a point mass.

    q(z) is the mixture of the q(z | x) of up to :data:`EXAMPLES` of the x, n of them: the estimate
    cannot exceed log n. Hoffman and Johnson (2016), ELBO surgery. Of a guide that reads y, a y is
    drawn for each example.
    """
    x = x[:EXAMPLES]
    if "z" in query.point_masses(guide, x[:1]):
        return None
    fn = query.site(guide, "z", x)
    assert fn is not None
    z = fn.rsample()
    own = fn.log_prob(z)
    mixture = torch.cat([
        fn.log_prob(rows.unsqueeze(1)).logsumexp(1) - math.log(len(x))
        for rows in z.split(max(1, 2 * 10**6 // max(1, z.numel())))
    ])
    return (own - mixture).mean().item()


def active_units(guide: Callable[..., Any], x: Tensor) -> float:
    """The number of dimensions of z whose posterior mean varies over x (N, D) by more than 0.01.

    Burda et al. (2016), Importance Weighted Autoencoders, section 5.2.
    """
    means = torch.cat([query.posterior_mean(guide, rows) for rows in x[:EXAMPLES].split(CHUNK)])
    return float((means.var(0, correction=0) > ACTIVE).sum())


def leakage(guide: Callable[..., Any], split: Split, part: str = "test") -> float:
    """Accuracy of a linear classifier of the true class from the posterior mean of z.

    A guide that reads y is given one drawn at random, independent of the true class, so that
    whatever the classifier finds has come from x. Chance is 1 / K. Jurasinski (2019), section
    3.3, who takes every y in turn for the training data, finds over 85 % for M2 on MNIST: its z
    is not free of the class.

    It is trained on up to :data:`EXAMPLES` unlabelled examples with their true classes,
    which no model sees in training: a diagnosis, never part of a method.
    """
    # Here, for they take two seconds to import.
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x_train, y_train = split.examples(split.unlabelled[:EXAMPLES])
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
