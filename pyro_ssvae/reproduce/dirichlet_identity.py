"""Kingma's eq. 9 and what the Dirichlet prior derives, compared update by update in float64."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from pyro_ssvae import data
from pyro_ssvae.contract import Batch
from pyro_ssvae.data import Split, batches
from pyro_ssvae.experiments.pairs import pair
from pyro_ssvae.inference.objective import Objective

LABELS, LR, MARKS = 50, 3e-3, 20
SIZES: dict[str, Any] = {"hidden": (128,), "z_dim": 16}


def twins(split: Split, seed: int, weight: float, **both: Any) -> tuple[Objective, Objective]:
    """M2 with eq. 9's term of a weight, and the Dirichlet pair of it: equal weights, in float64.

    Args:
        split: The data.
        seed: The seed of the weights.
        weight: The weight alpha of M2's classification loss, and the power of the other's label.
        both: The options of both objectives.
    """
    result = []
    options = {"m2": {"alpha": weight}, "dirichletm2": {"temper": weight, "alpha": 0.0}}
    for name, own in options.items():
        torch.manual_seed(seed)
        result.append(pair(name).on(split, **SIZES, **own, **both)[0].double())
    result[1].load_state_dict(result[0].state_dict(), strict=False)
    return result[0], result[1]


def constant(classes: int) -> float:
    """What the labelled loss of M2 has more: -log p(y) = log K, and log Gamma(K) of the prior."""
    return math.log(classes) + math.lgamma(classes)


def along(
    split: Split, objectives: Sequence[Objective], epochs: int, seed: int
) -> Iterator[tuple[int, Batch]]:
    """Train each on the same batches with the same noise, and give the batch before each update."""
    optimizers = [torch.optim.Adam(objective.parameters(), lr=LR) for objective in objectives]
    update = 0
    for epoch in range(epochs):
        for batch in batches(split, 100, 100, seed=seed, epoch=epoch):
            double = Batch(*(part.double() for part in batch.tensors))
            yield update, double
            for objective, optimizer in zip(objectives, optimizers):
                optimizer.zero_grad()
                loss(objective, double, update).backward()
                optimizer.step()
            update += 1


def loss(objective: Objective, batch: Batch, seed: int) -> Tensor:
    """The loss of a batch, with noise that the seed alone decides."""
    torch.manual_seed(seed)
    return objective(batch).total


def gradient(objective: Objective, value: Tensor) -> Tensor:
    """The gradient of a value with respect to all weights, as one vector."""
    weights = list(objective.parameters())
    parts = torch.autograd.grad(value, weights, allow_unused=True)
    return torch.cat([
        (torch.zeros_like(w) if part is None else part).flatten() for w, part in zip(weights, parts)
    ])


def apart(objectives: tuple[Objective, Objective]) -> float:
    """The largest difference of two weights of the same name."""
    first, second = (objective.state_dict() for objective in objectives)
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def labelled_identity(draw: int, epochs: int) -> dict[str, Any]:
    """Train both on labelled data alone, side by side, each by its own loss.

    Returns:
        By mark: the update, the difference of the losses less the constant, and the largest
        difference of gradients and of weights, relative to the largest gradient and to 1.
    """
    split = data.load("digits").split(labels=LABELS, seed=draw)
    both = twins(split, draw, 1.0, unlabelled=0.0)
    rows, every = [], max(1, epochs * len(split.unlabelled) // 100 // MARKS)
    for update, batch in along(split, both, epochs, draw):
        if update % every == 0:
            values = [loss(objective, batch, update) for objective in both]
            slopes = [gradient(o, value) for o, value in zip(both, values)]
            rows.append({
                "update": update, "loss": float(values[0].detach()),
                "value": abs(float((values[0] - values[1]).detach()) - constant(10)),
                "gradient": float((slopes[0] - slopes[1]).abs().max() / slopes[0].abs().max()),
                "weights": apart(both),
            })
    return {"rows": rows}


def whole_identity(draw: int, epochs: int) -> dict[str, Any]:
    """Train M2 with alpha = 1 on all data, and compare the unlabelled losses at its weights.

    Returns:
        By mark: the update, the entropy of q(y | x), and how far the Dirichlet pair's unlabelled
        loss is from M2's plus that entropy, less log K and log Gamma(K).
    """
    split = data.load("digits").split(labels=LABELS, seed=draw)
    m2, dirichlet = twins(split, draw, 1.0)
    rows, every = [], max(1, epochs * len(split.unlabelled) // 100 // MARKS)
    for update, batch in along(split, [m2], epochs, draw):
        if update % every == 0:
            dirichlet.load_state_dict(m2.state_dict(), strict=False)
            with torch.no_grad():
                ours, derived = (
                    bound(objective, batch.u, update) for objective in (m2, dirichlet)
                )
                entropy = float(m2.guide.classify(batch.u).entropy().mean())
            rows.append({
                "update": update, "entropy": entropy,
                "value": abs(ours - derived + entropy - constant(10)),
            })
    return {"rows": rows}


def bound(objective: Objective, x: Tensor, seed: int) -> float:
    """Minus the mean bound of unlabelled examples, with noise that the seed alone decides."""
    torch.manual_seed(seed)
    return float(objective.bound(x))


def weighed(draw: int, epochs: int, weight: float) -> dict[str, float]:
    """What the derived objective is with a weight, at the weights trained with it.

    Returns:
        The classification loss ``ce`` of the labelled data; the difference of the labelled losses
        of M2 and of the Dirichlet pair less the constant, ``identity``; how far the objective is
        below the bound of weight 1, ``gap``; the logarithm of the mass that p(y | pi)^weight has
        over all y, ``mass``; and how far the loss of the normalised power is from the
        classification loss, of weight 1, of logits times the weight, ``sharpened``.
    """
    split = data.load("digits").split(labels=LABELS, seed=draw)
    both = twins(split, draw, weight)
    for _ in along(split, both[1:], epochs, draw):
        pass
    both[0].load_state_dict(both[1].state_dict(), strict=False)
    x, y = (part.double() for part in split.examples(split.labelled))
    batch = Batch(x, y, x[:0])
    for objective in both:
        objective.weights["unlabelled"] = 0.0
    with torch.no_grad():
        values = [float(loss(objective, batch, 0)) for objective in both]
        both[1].model.temper = 1.0
        at_one = float(loss(both[1], batch, 0))
        logits = both[1].guide.classify(x).logits
        ce = -(y * logits).sum(-1)
        mass = (weight * logits).logsumexp(-1)
        sharp = -(y * (weight * logits).log_softmax(-1)).sum(-1)
        return {
            "ce": float(ce.mean()), "identity": abs(values[0] - values[1] - constant(10)),
            "gap": values[1] - at_one, "mass": float(mass.mean()),
            "sharpened": float((weight * ce + mass - sharp).abs().max()),
        }
