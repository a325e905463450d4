"""Two classes in the plane, drawn by scikit-learn: half moons and circles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sklearn.datasets import make_circles, make_moons

from pyro_ssvae.data.arrays import from_arrays
from pyro_ssvae.data.dataset import Dataset
from pyro_ssvae.recipes import KIND_OF

# 10,000 to train with as in Jurasinski (2019), 1,000 to validate and 2,000 to test.
POINTS, VALIDATION, TEST = 13_000, 1_000, 2_000


def load(name: str, root: Path | None = None) -> Dataset:
    """The points of ``"moons"`` or of ``"circles"``."""
    if name == "moons":
        x, y = make_moons(POINTS, noise=0.1, random_state=0)
    else:
        x, y = make_circles(POINTS, noise=0.05, factor=0.5, random_state=0)
    dataset = from_arrays(x, y, name=name, test=TEST / POINTS, kind=KIND_OF[name])
    return replace(dataset, validation=VALIDATION)
