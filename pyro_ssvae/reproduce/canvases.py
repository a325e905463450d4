"""Canvases of several digits side by side, one label each: MNIST with as many labels as wanted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional as F

from pyro_ssvae import Objective, data, guides, models
from pyro_ssvae.contract import Batch
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.labels import Enumerated, Relaxed
from pyro_ssvae.training.optimizers import adam

DIGITS = 10
SIDE = 14  # pixels of a digit: each is the mean of 2 x 2
HIDDEN, Z_DIM = (200,), 10


class Canvases(NamedTuple):
    """Images with several digits.

    Attributes:
        x: The images, (N, 1, 14, 14 c) in [0, 1].
        y: The digits, (N, c).
    """

    x: Tensor
    y: Tensor

    @property
    def encoded(self) -> Tensor:
        """The one-hot vectors of all digits, one after the other, (N, 10 c)."""
        return F.one_hot(self.y, DIGITS).flatten(1).to(self.x.dtype)


@lru_cache(maxsize=1)
def mnist(root: str | None = None) -> dict[str, Canvases]:
    """The images of MNIST's two parts, at half their size."""
    whole = data.load("mnist", root)
    assert isinstance(whole.x, Tensor)
    small = F.avg_pool2d(whole.x, 2)
    held = torch.zeros(len(small), dtype=torch.bool)
    held[whole.test] = True
    return {
        name: Canvases(small[rows], whole.y[rows, None])
        for name, rows in {"training": ~held, "test": held}.items()
    }


def draw(digits: Canvases, labels: int, number: int, seed: int) -> Canvases:
    """Canvases of so many digits, each drawn from all."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(len(digits.x), (number, labels), generator=generator)
    x = digits.x[rows]  # (N, c, 1, 14, 14)
    return Canvases(x.permute(0, 2, 3, 1, 4).flatten(3), digits.y[rows].squeeze(-1))


def pair(labels: int, how: str, **options: Any) -> tuple[models.Factored, guides.Factored]:
    """The pair ``factored`` on such canvases.

    Args:
        labels: The number of digits.
        how: The way to infer unknown ones, ``"relaxed"`` or ``"enumerated"``.
        options: The further options of the guide.
    """
    model = models.Factored(
        (1, SIDE, SIDE * labels), (DIGITS,) * labels, z_dim=options.pop("z_dim", Z_DIM),
        hidden=HIDDEN,
    )
    inference = Relaxed() if how == "relaxed" else Enumerated()
    guide = guides.Factored(model, hidden=HIDDEN, label_inference=inference, swap=1.0, **options)
    return model, guide


def cost(labels: int, how: str, examples: int = 20, repeats: int = 12) -> dict[str, float]:
    """What an update costs: milliseconds, and decoded images for each unlabelled one, counted.

    The time is the median of the processor's, over so many updates of 20 labelled and 20
    unlabelled canvases.
    """
    torch.manual_seed(0)
    model, guide = pair(labels, how)
    objective = Objective(model, guide, alpha=1.0)
    optimizer = adam(objective)
    x = torch.rand(2 * examples, 1, SIDE, SIDE * labels)
    y = F.one_hot(torch.randint(DIGITS, (examples, labels)), DIGITS).flatten(1).float()
    batch = Batch(x[:examples], y, x[examples:])
    decoded: list[int] = []
    hook = model.decoder.body.register_forward_hook(
        lambda module, inputs, output: decoded.append(output[..., 0, 0, 0].numel())
    )
    objective.bound(batch.u)
    hook.remove()
    times = []
    for _ in range(repeats + 2):
        began = time.process_time()
        optimizer.zero_grad()
        objective(batch).total.backward()
        optimizer.step()
        times.append(1e3 * (time.process_time() - began))
    return {"milliseconds": float(np.median(times[2:])), "decoded": sum(decoded) / examples}


def batches(
    labelled: Canvases, y: Tensor, unlabelled: Canvases, epochs: int, size: int
) -> Iterator[tuple[Batch, float]]:
    """The batches of all epochs, half of each labelled, with the epochs done before each."""
    steps = len(unlabelled.x) // size
    for epoch in range(epochs):
        order = torch.randperm(len(unlabelled.x)).split(size)
        for step in range(steps):
            rows = torch.randint(len(labelled.x), (size,))
            yield (Batch(labelled.x[rows], y[rows], unlabelled.x[order[step]]),
                   epoch + step / steps)


def trained(
    labelled: Canvases, y: Tensor, unlabelled: Canvases, how: str, *, epochs: int, seed: int,
    size: int = 50, **options: Any,
) -> Objective:
    """The pair, trained on canvases.

    Args:
        labelled: The labelled canvases.
        y: Their labels as they are told, (L, 10 c), NaN where one is unknown.
        unlabelled: The unlabelled canvases.
        how: The way to infer unknown labels.
        epochs: The number of epochs.
        seed: The seed of the weights, the batches and the noise.
        size: The number of labelled canvases in a batch, and of unlabelled ones.
        options: The further options of the guide.
    """
    torch.manual_seed(seed)
    model, guide = pair(labelled.y.shape[1], how, **options)
    objective = Objective(model, guide, alpha=10.0)
    optimizer = adam(objective, 2e-3)
    for batch, done in batches(labelled, y, unlabelled, epochs, size):
        optimizer.zero_grad()
        objective(batch, done).total.backward()
        optimizer.step()
    return objective


def accuracy(objective: Objective, canvases: Canvases) -> dict[str, float]:
    """The shares of digits, and of whole canvases, that the classifier reads correctly."""
    with torch.no_grad(), evaluating(objective.guide):
        probs = objective.guide.classify(canvases.x).probs
    return _shares(probs.unflatten(1, (-1, DIGITS)).argmax(-1), canvases.y)


def logistic(labelled: Canvases, y: Tensor, canvases: Canvases) -> dict[str, float]:
    """The same of a logistic regression for each label, on the labels that are known."""
    flat, rows = canvases.x.flatten(1).numpy(), labelled.x.flatten(1).numpy()
    columns = []
    for block in y.split(DIGITS, 1):
        known = ~block.isnan().any(1)
        fitted = LogisticRegression(C=0.1, max_iter=300).fit(
            rows[known.numpy()], block[known].argmax(1).numpy()
        )
        columns.append(torch.from_numpy(fitted.predict(flat)))
    return _shares(torch.stack(columns, 1), canvases.y)


def _shares(predicted: Tensor, y: Tensor) -> dict[str, float]:
    right = predicted == y
    return {"digits": float(right.float().mean()), "canvases": float(right.all(1).float().mean())}
