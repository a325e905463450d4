"""How good images are that a model makes: what a classifier says, and how near they are to data."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pyro_ssvae import data
from pyro_ssvae.data import Split
from pyro_ssvae.inference import query

SURE = 0.9  # the probability from which on the classifier is sure


def binarised(labels: int, seed: int) -> Split:
    """The digits with pixels of 0 and 1, drawn once with the grey values as probabilities."""
    digits = data.load("digits")
    noise = torch.Generator().manual_seed(0)
    grey = digits.x[torch.arange(len(digits.y))]
    binary = torch.bernoulli(grey, generator=noise)
    return replace(digits, x=binary, name="binary digits").split(labels=labels, seed=seed)


def classifier(split: Split) -> Callable[[Tensor], Tensor]:
    """Class probabilities (N, K) of images, by a network trained on the true classes of all data.

    No model sees it: it judges what they generate. It is right about four in five of the binary
    test digits, whose pixels are noisy.
    """
    from sklearn.neural_network import MLPClassifier

    x, y = split.examples(split.unlabelled)
    judge = MLPClassifier((128,), max_iter=200, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it need not converge to judge
        judge.fit(x.flatten(1).numpy(), y.argmax(-1).numpy())

    def probabilities(images: Tensor) -> Tensor:
        return torch.from_numpy(judge.predict_proba(images.flatten(1).numpy()))

    return probabilities


def decoded(model: Any, z: Tensor, like: Tensor) -> Tensor:
    """The mean images (N, ...) of z (N, J); of ``like`` only the form of an example counts."""
    given = like[:1].expand(len(z), *like.shape[1:])
    return query.likelihood(model, given, z=z).mean.view(given.shape)


def nearest(points: Tensor, among: Tensor) -> Tensor:
    """The Euclidean distance of each point (N, ...) to the nearest among others (M, ...)."""
    return torch.cdist(points.flatten(1), among.flatten(1)).min(1).values


def judged(
    images: Tensor, judge: Callable[[Tensor], Tensor], trained: Tensor, tested: Tensor
) -> dict[str, float]:
    """What images are worth, drawn with pixels of 0 and 1.

    Returns:
        ``sure``, the share of which the classifier is sure; ``distance``, the mean distance to the
        nearest training image; ``coverage``, that of a test image to the nearest of the images; and
        ``classes``, the number of classes that they are spread over, as the exponential of the
        entropy of the mean prediction.
    """
    probs = judge(images)
    mean = probs.mean(0)
    return {
        "sure": float((probs.max(1).values > SURE).double().mean()),
        "distance": float(nearest(images, trained).mean()),
        "coverage": float(nearest(tested, images).mean()),
        "classes": float(torch.special.entr(mean).sum().exp()),
    }
