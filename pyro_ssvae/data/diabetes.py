"""The diabetes patients that come with scikit-learn: a real number for each."""

from __future__ import annotations

from pathlib import Path

from sklearn.datasets import load_diabetes
from sklearn.preprocessing import StandardScaler

from pyro_ssvae.data.arrays import from_arrays
from pyro_ssvae.data.dataset import Dataset
from pyro_ssvae.recipes import KIND_OF


def load(name: str, root: Path | None = None) -> Dataset:
    """The 442 patients of Efron et al. (2004), Least Angle Regression, section 1.

    Ten features, of mean 0 and variance 1, and a measure of the disease a year later, 25 to 346.
    """
    x, y = load_diabetes(return_X_y=True)
    return from_arrays(
        StandardScaler().fit_transform(x), y, name=name, target="number", kind=KIND_OF[name]
    )
