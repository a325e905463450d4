"""The handwritten digits that come with scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sklearn.datasets import load_digits

from pyro_ssvae.data.arrays import from_arrays
from pyro_ssvae.data.dataset import Dataset
from pyro_ssvae.recipes import KIND_OF


def load(name: str, root: Path | None = None) -> Dataset:
    """The 1,797 images of 8 x 8 pixels."""
    digits = load_digits()
    dataset = from_arrays(digits.images / 16.0, digits.target, name=name, kind=KIND_OF[name])
    return replace(dataset, validation=200)
