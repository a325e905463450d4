"""Gaussian mixtures with some labels: expectation maximisation in closed form, and by gradients."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from pyro_ssvae import guides, models
from pyro_ssvae.contract import Batch
from pyro_ssvae.inference.objective import Objective

CONVERGED = 1e-13  # nats per example that an iteration of EM must gain for another one
MOST = 20_000  # iterations
FLOOR = 0.01  # of the standard deviations in the model, far below those of the data


class Mixture(NamedTuple):
    """A Gaussian mixture of K components in D dimensions.

    Attributes:
        weights: The probabilities of the components, (K,).
        means: Their means, (K, D).
        covariances: Their covariance matrices, (K, D, D).
    """

    weights: Tensor
    means: Tensor
    covariances: Tensor

    def log_joint(self, x: Tensor) -> Tensor:
        """log p(y) N(x | mu_y, Sigma_y) of every y, (N, K), for x (N, D)."""
        normal = MultivariateNormal(self.means, self.covariances)
        return normal.log_prob(x.unsqueeze(1)) + self.weights.log()

    def sample(self, number: int) -> tuple[Tensor, Tensor]:
        """Examples x (N, D) with their classes (N,)."""
        y = torch.multinomial(self.weights, number, replacement=True)
        return MultivariateNormal(self.means[y], self.covariances[y]).sample(), y


class Seen(NamedTuple):
    """What is seen: examples (N, D), their classes (N,), and which classes are known, (N,)."""

    x: Tensor
    y: Tensor
    known: Tensor

    def batch(self, classes: int) -> Batch:
        """The same as an objective takes it."""
        onehots = torch.eye(classes, dtype=self.x.dtype)[self.y]
        return Batch(self.x[self.known], onehots[self.known], self.x[~self.known])


def likelihood(mixture: Mixture, seen: Seen) -> float:
    """The mean over the examples of log p(x, y) where y is known, and of log p(x) elsewhere."""
    joint = mixture.log_joint(seen.x)
    known = joint.gather(1, seen.y.unsqueeze(1)).squeeze(1)
    return float(torch.where(seen.known, known, joint.logsumexp(1)).mean())


def e_step(mixture: Mixture, seen: Seen) -> Tensor:
    """p(y | x), (N, K), by Bayes' rule, and the given class where it is known."""
    given = torch.eye(len(mixture.weights), dtype=seen.x.dtype)[seen.y]
    return torch.where(seen.known.unsqueeze(1), given, mixture.log_joint(seen.x).softmax(1))


def m_step(responsibilities: Tensor, x: Tensor) -> Mixture:
    """The mixture of the highest expected log-likelihood, for responsibilities (N, K)."""
    counts = responsibilities.sum(0)
    means = responsibilities.T @ x / counts.unsqueeze(1)
    centred = x.unsqueeze(1) - means  # (N, K, D)
    covariances = torch.einsum("nk,nki,nkj->kij", responsibilities, centred, centred)
    return Mixture(counts / len(x), means, covariances / counts[:, None, None])


def maximised(start: Mixture, seen: Seen) -> tuple[Mixture, list[float], list[float]]:
    """The mixture that EM ends with; the log-likelihood and the processor's seconds, by iteration.
    """
    mixture, begun = start, time.thread_time()
    values, seconds = [likelihood(start, seen)], [0.0]
    for _ in range(MOST):
        mixture = m_step(e_step(mixture, seen), seen.x)
        values.append(likelihood(mixture, seen))
        seconds.append(time.thread_time() - begun)
        if values[-1] - values[-2] < CONVERGED:
            break
    return mixture, values, seconds


def program(mixture: Mixture) -> Objective:
    """The pair of the library at the parameters of a mixture, in float64."""
    classes, dims = mixture.means.shape
    model = models.GaussianMixture(dims, classes, covariance="full", floor=FLOOR).double()
    lower = torch.linalg.cholesky(mixture.covariances)
    scale = lower.diagonal(dim1=1, dim2=2)
    with torch.no_grad():
        model.logits.copy_(mixture.weights.log())
        model.loc.copy_(mixture.means)
        model.raw_scale.copy_((scale - FLOOR).expm1().log())
        model.get_parameter("lower").copy_(lower.tril(-1))
    return Objective(model, guides.GaussianMixture(model))


def read(objective: Objective) -> Mixture:
    """The mixture whose parameters a pair has."""
    model: Any = objective.model
    with torch.no_grad():
        classes = torch.eye(model.y_dim, dtype=model.loc.dtype)
        covariances = model.component(classes).covariance_matrix
        return Mixture(model.logits.softmax(-1), model.loc.clone(), covariances.clone())


def by_gradients(
    start: Mixture, seen: Seen, lr: float, updates: int, batch: int | None = None, seed: int = 0
) -> Iterator[tuple[Objective, float]]:
    """The pair after each update of Adam on minus its bound, and the processor's seconds so far.

    The bound is what Pyro's enumeration gives, a mean over the examples with a label and those
    without.

    Args:
        start: The mixture to start at.
        seen: The examples.
        lr: The learning rate.
        updates: The number of updates.
        batch: The number of examples that each update draws at random, at a rate that falls to 0
            linearly. None takes all examples, at one rate.
        seed: The seed of these draws.
    """
    objective, classes = program(start), len(start.weights)
    optimizer = torch.optim.Adam(objective.parameters(), lr=lr)
    noise = torch.Generator().manual_seed(seed)
    number, seconds = len(seen.x), 0.0
    for update in range(updates):
        begun = time.thread_time()
        rows = torch.arange(number) if batch is None else torch.randint(
            number, (batch,), generator=noise
        )
        some = Seen(*(part[rows] for part in seen))
        share = float(some.known.double().mean())
        objective.weights["labelled"], objective.weights["unlabelled"] = share, 1.0 - share
        if batch is not None:
            optimizer.param_groups[0]["lr"] = lr * (1 - update / updates)
        optimizer.zero_grad()
        objective(some.batch(classes)).total.backward()
        optimizer.step()
        seconds += time.thread_time() - begun
        yield objective, seconds
