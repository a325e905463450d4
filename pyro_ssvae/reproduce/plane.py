"""M2 on points of the plane, as in section 3.1 and in the supplement of Jurasinski (2019)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pyro_ssvae import data, guides, models, nn
from pyro_ssvae.data import Split, steps_per_epoch
from pyro_ssvae.evaluation.evaluate import elbo_parts
from pyro_ssvae.evaluation.importance import log_weights
from pyro_ssvae.experiments.pairs import pair
from pyro_ssvae.inference import query
from pyro_ssvae.inference.elbo import SiteTerm
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.inference.terms import Bound, Rewriting, Scalar, Schedule
from pyro_ssvae.targets.metrics import accuracy
from pyro_ssvae.training.capturing import worth_compiling
from pyro_ssvae.training.epoch import Epoch
from pyro_ssvae.training.fit import fit, fit_ensemble

LABELS, UNLABELLED = 50, 9_950
SIDE = 48  # cells of the grid on which a classifier is drawn
ARROWS = 16  # arrows of a vector field, along each side
SHOWN = 300  # points that are reconstructed in a figure
SAMPLES = 16  # of z, in the reconstruction of a point given its class
UPDATES = 100  # of a classifier alone, in what counts as an epoch
BATCH = 100  # unlabelled points, beside all that are labelled


@dataclass(frozen=True)
class Reconstruction(Rewriting):
    """A weight of the reconstruction log p(x | ...) in the bounds: the thesis's 1 / sigma^2.

    With a normal likelihood of variance 1 and this weight, a bound is that of the variance
    1 / weight, up to a number that depends on nothing trained. Unlike the variance it is one of
    ``Objective.weights``, in which replicas that are trained together may differ.
    """

    weight: float
    schedule: Schedule | None = None

    def __call__(
        self, sites: Mapping[str, SiteTerm], bound: Bound, weight: Scalar
    ) -> Mapping[str, SiteTerm]:
        """The terms of the sites, that of x with its weight."""
        share = self.scheduled(weight, bound.epoch)
        return {
            name: replace(site, value=site.value * share) if "x" in name.split("+") else site
            for name, site in sites.items()
        }


def one_layer(inputs: Sequence[nn.Shape], out: nn.Shape) -> nn.MLP:
    """The classifier: one hidden layer of 50 units."""
    return nn.MLP(inputs, out, hidden=(50,))


def points(name: str, seed: int, validation: int = 1_000) -> Split:
    """A draw of 50 labelled and 9,950 unlabelled points of ``"circles"`` or ``"moons"``.

    Args:
        name: The name of the data.
        seed: The seed of the draw.
        validation: The number of points that curves are of. Every epoch waits for them.
    """
    return data.load(name).split(LABELS, validation, seed, unlabelled=UNLABELLED)


def m2(seed: int, *, sigma2: float, alpha: float, warmup: float = 0.0) -> Objective:
    """M2 with the thesis's networks for points: three layers of 50 units, a z of one dimension.

    Args:
        seed: The seed of the weights.
        sigma2: The variance of p(x | y, z).
        alpha: The weight of the classification loss.
        warmup: The number of epochs over which the KL divergence of z comes into the loss.
    """
    torch.manual_seed(seed)
    hidden = (50, 50, 50)
    model = models.M2(2, 2, z_dim=1, hidden=hidden, likelihood=nn.Normal(1.0))
    guide = guides.M2(model, hidden=hidden, classifier=one_layer)
    part = Reconstruction(1 / sigma2)
    return Objective(model, guide, alpha=alpha, warmup=warmup, terms={"reconstruction": part})


def trained_together(
    objectives: Sequence[Objective], split: Split, seed: int, epochs: int,
    after: Callable[[int], None] = lambda epoch: None,
) -> list[list[float]]:
    """Train pairs that differ in their weights alone, on the same batches with the same noise.

    Args:
        objectives: The pairs.
        split: The data of all.
        seed: The seed of the batches and of the noise of all.
        epochs: The number of epochs.
        after: A function that is called with the number of epochs done, after each.

    Returns:
        The validation accuracy of each after every epoch.
    """
    worth = epochs * steps_per_epoch(split, BATCH) >= worth_compiling(split)
    curves: list[list[float]] = [[] for _ in objectives]
    training = fit_ensemble(
        objectives, split, seeds=[seed] * len(objectives), epochs=epochs, compile=worth,
        batch_labelled=LABELS, batch_unlabelled=BATCH,
    )
    for done in training:
        for curve, epoch in zip(curves, done):
            assert isinstance(epoch, Epoch)  # nothing stops early
            curve.append(epoch.validation["accuracy"])
        after(len(curves[0]))
    return curves


def classifier_alone(split: Split, seed: int, epochs: int) -> Any:
    """The classifier network trained on given labels alone, a guide with ``classify``.

    Args:
        split: The data, of which the labelled part counts.
        seed: The seed of the weights and the batches.
        epochs: The number of times 100 updates.
    """
    torch.manual_seed(seed)
    objective, how = pair("supervised").on(split, classifier=one_layer)
    how |= {
        "lr": 1e-3, "batch_labelled": min(100, len(split.labelled)),
        "batch_unlabelled": len(split.unlabelled) // UPDATES,  # which are not looked at
    }
    for _ in fit(objective, split, seed=seed, epochs=epochs, capture="off", **how):
        pass
    return objective.guide


def probabilities(guide: Any, x: Tensor) -> Tensor:
    """q(y | x), (N, 2), of points (N, 2)."""
    with evaluating(guide):
        probs: Tensor = guide.classify(x).probs
    return probs


def test_accuracy(guide: Any, split: Split) -> float:
    """The accuracy of a classifier on the test part."""
    x, y = split.part("test")
    assert isinstance(x, Tensor)
    return accuracy(probabilities(guide, x), y)


def squared_error(objective: Objective, split: Split) -> float:
    """E ||x - f(z, y)||^2 over the test part, with y and z of the guide."""
    x, _ = split.part("test")
    with evaluating(objective):
        return _squared(elbo_parts(objective.model, objective.guide, x)["reconstruction"])


def errors_by_class(objective: Objective, x: Tensor) -> Tensor:
    """E_q(z | x, y) ||x - f(z, y)||^2 for every y, (N, 2), of points (N, 2)."""
    model, guide = objective.model, objective.guide
    with evaluating(objective):
        images = [
            log_weights(model, guide, x, label(k, x), samples=SAMPLES).image.mean(0)
            for k in range(2)
        ]
    return _squared(torch.stack(images, -1))


def reconstruction_classifier(objective: Objective, x: Tensor, sigma2: float) -> Tensor:
    """The softmax of minus the reconstruction losses given every class, (N, 2)."""
    return (-errors_by_class(objective, x) / (2 * sigma2)).softmax(-1)


def reconstructed(objective: Objective, x: Tensor, y: Tensor) -> Tensor:
    """The model's mean of x (N, 2) at the posterior mean of z, given labels y (N, 2)."""
    model, guide = objective.model, objective.guide
    with evaluating(objective):
        z = query.posterior_mean(guide, x, y)
        mean: Tensor = query.likelihood(model, x, y=y, z=z).mean
    return mean


def label(k: int, like: Tensor) -> Tensor:
    """One-hot labels (N, 2) of one class for points (N, 2)."""
    return F.one_hot(torch.full((len(like),), k), 2).to(like)


def likeliest(guide: Any, x: Tensor) -> Tensor:
    """The one-hot labels (N, 2) that a classifier gives points (N, 2)."""
    return F.one_hot(probabilities(guide, x).argmax(-1), 2).to(x)


def labelled(split: Split) -> list[list[list[float]]]:
    """The labelled points of each class, as plain data."""
    x, y = split.part("labelled")
    assert isinstance(x, Tensor)
    return [plain(x[y[:, k] == 1]) for k in range(2)]


def frame(split: Split) -> tuple[float, float, float, float]:
    """The left, right, lower and upper edge of a picture of the points."""
    x = split.dataset.x
    assert isinstance(x, Tensor)
    (left, lower), (right, upper) = (x.amin(0) - 0.2).tolist(), (x.amax(0) + 0.2).tolist()
    return left, right, lower, upper


def grid(split: Split, side: int) -> Tensor:
    """The middles (side * side, 2) of the cells of a picture, row by row from below."""
    left, right, lower, upper = frame(split)
    share = (torch.arange(side) + 0.5) / side
    rows, columns = torch.meshgrid(
        lower + share * (upper - lower), left + share * (right - left), indexing="ij"
    )
    return torch.stack([columns, rows], -1).flatten(0, 1)


def shades(probs: Tensor) -> list[float]:
    """The probabilities of class 1 as plain data, for a picture."""
    return [round(value, 3) for value in probs[:, 1].tolist()]


def plain(x: Tensor) -> list[list[float]]:
    """Points as plain data, for a picture."""
    return [[round(value, 3) for value in row] for row in x.tolist()]


def _squared(log_density: Any) -> Any:
    """||x - f||^2, where log N(x; f, I) in the plane is given."""
    return -2 * (log_density + math.log(2 * math.pi))
