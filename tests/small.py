"""Small data and small pairs, which train in a moment: for tests that are about none of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyro_ssvae import Objective, guides, models
from pyro_ssvae.contract import Batch, regresses
from pyro_ssvae.data import Dataset, Split, from_arrays, load
from pyro_ssvae.experiments import pairs
from pyro_ssvae.nn import Shape
from pyro_ssvae.report import plots
from pyro_ssvae.targets import Classes, Number, SeveralLabels

DIGIT = (1, 8, 8)
SIZES: dict[str, Any] = {"hidden": (5,), "z_dim": 2}


def classes(number: int) -> Classes:
    """So many classes, called by their numbers from 0."""
    return Classes(tuple(map(str, range(number))))


def several(number: int) -> SeveralLabels:
    """So many labels of an example, called by their numbers from 0."""
    return SeveralLabels(tuple(map(str, range(number))))


def split(labels: int = 20, seed: int = 0) -> Split:
    """The digits with few labels: images of shape :data:`DIGIT`, of 10 classes."""
    return load("digits").split(labels, seed=seed)


def data_for(name: str) -> Dataset:
    """The digits as a pair takes them: of one that regresses, the digit is a real number."""
    digits = load("digits")
    if not regresses(pairs.pair(name).guide):
        return digits
    return replace(digits, y=digits.y.float(), target=Number("digit"))


def split_for(name: str, labels: int = 20, seed: int = 0) -> Split:
    """:func:`split` as a pair takes it."""
    return data_for(name).split(labels, seed=seed)


def objective(name: str, data: Dataset | Split, seed: int = 0, **options: Any) -> Objective:
    """A pair by name on data, of small networks; the seed draws its weights."""
    known = pairs.pair(name).options
    torch.manual_seed(seed)
    sizes = {size: value for size, value in SIZES.items() if size in known}
    return pairs.pair(name).on(data, **sizes | options)[0]


def pair(
    x_shape: Shape = 4, y_dim: int = 3, seed: int = 0, guide: Callable[..., Any] = guides.M2
) -> tuple[models.M2, Any]:
    """M2, or its model with a guide of one's own; the seed draws the weights."""
    torch.manual_seed(seed)
    model = models.M2(x_shape, y_dim, **SIZES)
    return model, guide(model, hidden=SIZES["hidden"])


def m2(
    x_shape: Shape = 4, y_dim: int = 3, seed: int = 0, guide: Callable[..., Any] = guides.M2,
    **options: Any,
) -> Objective:
    """The objective of :func:`pair`, with a classification loss unless told otherwise."""
    return Objective(*pair(x_shape, y_dim, seed, guide), **{"alpha": 1.0} | options)


def batch() -> Batch:
    """Six labelled and eight unlabelled examples for :func:`m2`, the same every time."""
    noise = torch.Generator().manual_seed(1)
    return Batch(
        torch.rand(6, 4, generator=noise), torch.eye(3).repeat(2, 1),
        torch.rand(8, 4, generator=noise),
    )


def stripes(name: str = "stripes", shift: float = 0.0) -> Dataset:
    """Three classes of 4-pixel images, 90 in all: a comparison on them takes a second."""
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    x = 0.2 * rng.random((90, 4)) + shift
    x[np.arange(90), y] += 0.7
    return from_arrays(x.reshape(-1, 2, 2), y, name=name)


def run_of(out: Path, name: str, seed: int) -> Path:
    """The folder of the only run of a pair on the split with a seed, in that of a study."""
    (folder,) = (out / "runs").glob(f"{name}-seed-{seed}-{'[0-9a-f]' * 12}")
    return folder


@contextmanager
def few_figures() -> Iterator[None]:
    """Draw the learning curves alone: the other figures take longer than the training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "figures", lambda objective, split, history: {
            "learning_curves": plots.learning_curves(history)
        })
        yield
