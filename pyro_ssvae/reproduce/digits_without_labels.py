"""The task of Gemp et al. (2017), section 3: some digits have labels, the others are to be found.

A pair learns from labelled images of some digits and unlabelled images of all. Each of the classes
that no label speaks of is named by the digit of the image that it generates, and then q(y | x) is
judged on unseen images of these digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from pyro.optim.clipped_adam import ClippedAdam
from scipy.optimize import linear_sum_assignment
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from pyro_ssvae import data, fit, pair
from pyro_ssvae.data import Dataset, Split
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.inference.reverse import soft_labels
from pyro_ssvae.nn import MLP
from pyro_ssvae.targets import Classes

VALIDATION = 500
SMALLEST = 1e-6  # at which the authors' code clips a probability


def trial(
    *,
    known: Sequence[int],
    new: Sequence[int],
    seed: int,
    epochs: int,
    unlabelled: int,
    batch: Sequence[int],
    lr: float,
    clip: float | None,
    given: bool,
    options: Mapping[str, Any],
    root: str | None = None,
) -> dict[str, Any]:
    """Train the pair ``untapped`` once, name its classes, and judge them.

    Args:
        known: The digits with labels.
        new: The digits without, of which the classes are to be found.
        seed: The seed of the split, the weights, the batches, the noise and the given latents.
        epochs: The number of epochs.
        unlabelled: The number of unlabelled images of all these digits.
        batch: The numbers of labelled and unlabelled images in a batch.
        lr: The learning rate of Adam.
        clip: The magnitude at which every gradient is clipped, with 1e-4 for Adam's epsilon, as in
            the paper. None takes the library's Adam.
        given: Whether the labels without images are one nearly one-hot row a class, each with a z
            that is drawn once, as in the authors' code. Without, they are drawn at every update.
        options: The further options of the pair.
        root: The folder of data files, as for :func:`pyro_ssvae.data.load`.
    """
    images = digits(tuple(known), tuple(new), root)
    split = task(images, unlabelled, seed)
    classes = len(known) + len(new)
    torch.manual_seed(seed)
    extra: dict[str, Any] = {}
    if given:
        z = 3 * torch.rand(classes, 2) - 1.5
        extra["given"] = soft_labels(classes, classes, 0.95, z), z
    objective, how = pair("untapped").on(
        split, decoder=tanh(250, 500), classifier=tanh(50, 50), encoder=tanh(10, 10), lr=lr,
        **extra, **options,
    )
    if clip is not None:
        how["optimizer"] = ClippedAdam(objective.parameters(), lr=lr, eps=1e-4, clip_norm=clip)
    losses: dict[str, float] = {}
    for epoch in fit(
        objective, split, epochs=epochs, batch_labelled=batch[0], batch_unlabelled=batch[1],
        seed=seed, **how,
    ):
        losses = dict(epoch.losses)
    return judged(objective, split, images) | {"losses": losses}


def tanh(*hidden: int) -> Any:
    """The paper's networks: hidden layers of these sizes, with tanh between them."""
    return partial(MLP, hidden=hidden, activation=nn.Tanh)


class Digits(NamedTuple):
    """Images of some digits of MNIST.

    Attributes:
        dataset: The images. The known digits are the first classes, and the images of new ones in
            MNIST's test part are for testing.
        known: The number of digits with labels.
        held: Whether an image is in MNIST's test part, (N,).
        reader: The logistic regression that reads generated images, trained on all other images.
    """

    dataset: Dataset
    known: int
    held: Tensor
    reader: LogisticRegression


@lru_cache(maxsize=1)
def digits(known: tuple[int, ...], new: tuple[int, ...], root: str | None = None) -> Digits:
    """The images of known and of new digits."""
    whole = data.load("mnist", root)
    order = torch.full((10,), -1)
    order[torch.tensor((*known, *new))] = torch.arange(len(known) + len(new))
    keep = (order[whole.y] >= 0).nonzero().squeeze(1)
    y, held = order[whole.y[keep]], torch.isin(keep, whole.test)
    assert isinstance(whole.x, Tensor)
    dataset = Dataset(
        name="mnist", x=whole.x[keep], y=y, target=Classes(tuple(map(str, (*known, *new)))),
        test=(held & (y >= len(known))).nonzero().squeeze(1), validation=VALIDATION,
        divisor=whole.divisor, kind="mnist",
    )
    assert isinstance(dataset.x, Tensor)
    reader = LogisticRegression(tol=1e-2, max_iter=200)
    reader.fit(dataset.x[~held].flatten(1).numpy(), y[~held].numpy())
    return Digits(dataset, len(known), held, reader)


def task(images: Digits, unlabelled: int, seed: int) -> Split:
    """The split: labels of known digits alone, and so many images of all without.

    The unlabelled images are not of MNIST's test part. All images of known digits that are not
    among them have their label, but for :data:`VALIDATION` that are held out.
    """
    y = images.dataset.y
    generator = torch.Generator().manual_seed(seed)
    pool = (~images.held).nonzero().squeeze(1)
    without = pool[torch.randperm(len(pool), generator=generator)[:unlabelled]]
    rest = (y < images.known).nonzero().squeeze(1)
    rest = rest[~torch.isin(rest, without)]
    rest = rest[torch.randperm(len(rest), generator=generator)]
    return Split(images.dataset, rest[VALIDATION:], without, rest[:VALIDATION], seed)


def judged(objective: Objective, split: Split, images: Digits) -> dict[str, Any]:
    """The images of the classes, their names by both rules, and how well new digits are told."""
    known, classify = images.known, objective.guide.classify
    generated = prototypes(objective, split)
    probability = images.reader.predict_proba(generated.flatten(1).numpy())
    with torch.no_grad(), evaluating(objective.guide):
        x, y = split.part("test")
        log_probs = torch.cat([classify(rows).logits.log_softmax(-1) for rows in x.split(2_000)])
        held, labels = split.part("validation")
        right = (classify(held).logits.argmax(-1) == labels.argmax(-1)).float()
    block = probability[known:, known:]
    result: dict[str, Any] = {
        "images": [[round(v, 2) for v in image.flatten().tolist()] for image in generated],
        "read": probability.tolist(), "known": float(right.mean()),
        "digits": len(set(probability.argmax(1).tolist())),
    }
    for rule, named in {"matched": matched(block), "requested": requested(block)}.items():
        result[rule] = scores(log_probs, y.argmax(-1), known, named) | {"names": named.tolist()}
    return result


def prototypes(objective: Objective, split: Split) -> Tensor:
    """The mean image of every class (K, C, H, W) at the mean z of labelled images."""
    model, guide = objective.model, objective.guide
    with torch.no_grad(), evaluating(objective):
        x, y = split.examples(split.labelled[:5_000])
        mean = guide.encoder(x, y).sample().mean(0)
        eye = torch.eye(model.y_dim, dtype=x.dtype)
        images: Tensor = model.decoder(mean.expand(model.y_dim, -1), eye).mean
    return images


def matched(probability: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The digit of each class, (K,), by which the sum of the probabilities (K, K) is largest."""
    return np.asarray(linear_sum_assignment(-probability)[1])


def requested(probability: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The digit of each class, (K,), by the paper's rule.

    A class gets its most probable digit. Where several ask for the same one, that with the highest
    probability gets it, and the others ask for one of the digits that are left.
    """
    names = np.full(len(probability), -1)
    while (names < 0).any():
        classes = np.flatnonzero(names < 0)
        free = np.setdiff1d(np.arange(len(probability)), names)
        asked = free[probability[np.ix_(classes, free)].argmax(1)]
        for digit in np.unique(asked):
            those = classes[asked == digit]
            names[those[probability[those, digit].argmax()]] = digit
    return names


def scores(
    log_probs: Tensor, digit: Tensor, known: int, named: np.ndarray[Any, Any]
) -> dict[str, float]:
    """Cross-entropy in nats, also clipped as in the authors' code, and accuracy, of new digits.

    Args:
        log_probs: The log-probabilities of all classes, (N, K).
        digit: The true digits, (N,), as classes of the data, the known ones first.
        known: The number of known digits.
        named: The digit of each class that was found, (K - known,), counted from the known ones.
    """
    place = np.empty(len(named), dtype=np.int64)
    place[named] = np.arange(len(named))
    wanted = known + torch.from_numpy(place)[digit - known]
    of_own = log_probs.gather(1, wanted[:, None]).squeeze(1)
    return {
        "cross_entropy": float(-of_own.mean()),
        "clipped": float(-of_own.clamp(min=float(np.log(SMALLEST))).mean()),
        "accuracy": float((log_probs.argmax(1) == wanted).float().mean()),
    }
