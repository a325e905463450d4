"""X as users have it, and as pairs take it: numbers that are scaled, frames with gaps, images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils.validation import validate_data
from torch import Tensor

from pyro_ssvae.errors import InputError, one_of
from pyro_ssvae.estimators import images
from pyro_ssvae.estimators.images import Images
from pyro_ssvae.estimators.rows import dense, is_frame, part, pieces, plain
from pyro_ssvae.estimators.tables import LARGEST, Table
from pyro_ssvae.nn import Columns

Scaling = Literal["standard", "unit"]
TOGETHER = 2**12  # rows at least that are encoded at a time, but for sparse ones
MAX_DENSE = 2**31  # bytes that a sparse X may take as the dense float32 that pairs are trained on


class Inputs(Protocol):
    """What X is made of, learned from the training rows."""

    @property
    def kind(self) -> str:
        """The kind of data, one of :data:`pyro_ssvae.recipes.KINDS`."""

    @property
    def columns(self) -> Columns | None:
        """What the columns of a frame are."""

    def encode(self, X: Any, first: int = 0) -> Tensor:
        """X as pairs take it, (N, D) or (N, C, H, W) float32; errors count rows from the first."""

    def decode(self, x: Tensor) -> Any:
        """X as it came, of what a pair gives, (N, D) or (N, C, H, W)."""

    def log_volume(self, x: Tensor) -> Tensor:
        """What log p(X) is above log p(x), for X is in other units, (N,) or a scalar."""


@dataclass
class Numbers:
    """Numbers without gaps, each column scaled.

    Attributes:
        scaling: The way to scale: ``"standard"``, to mean 0 and variance 1, or ``"unit"``, to
            [0, 1].
        scaler: What scales, fitted.
        names: The names of the columns, where they came as a frame.
    """

    scaling: Scaling
    scaler: Any
    names: list[Any] | None = None
    columns: None = None

    @classmethod
    def of(cls, X: Any, scaling: Scaling, names: list[Any] | None = None) -> Numbers:
        """What the training rows X (N, D), dense or sparse, say of the columns."""
        scaler = StandardScaler() if scaling == "standard" else MinMaxScaler()
        for rows in pieces(X):
            scaler.partial_fit(dense(rows))
        if not np.isfinite(scaler.scale_).all():
            raise InputError("expected numbers whose variance is finite, got larger ones")
        return cls(scaling, scaler, names)

    @property
    def kind(self) -> str:
        return "standardised" if self.scaling == "standard" else "features"

    def encode(self, X: Any, first: int = 0) -> Tensor:
        bounds = (-LARGEST, LARGEST) if self.scaling == "standard" else (0.0, 1.0)
        result, done = np.empty(X.shape, dtype=np.float32), 0
        for rows in pieces(X):
            scaled = np.clip(self.scaler.transform(dense(rows)), *bounds)
            result[done:done + len(scaled)] = scaled
            done += len(scaled)
        if np.isnan(result).any():
            raise InputError(
                "expected X without gaps as the training data, got NaN; fit to rows of which some"
                " have gaps too, or impute them"
            )
        return torch.from_numpy(result)

    def decode(self, x: Tensor) -> Any:
        from pandas import DataFrame

        rows = self.scaler.inverse_transform(x.double().numpy())
        return rows if self.names is None else DataFrame(rows, columns=self.names)

    def log_volume(self, x: Tensor) -> Tensor:
        scale = self.scaler.scale_
        return torch.tensor(np.log(1 / scale if self.scaling == "standard" else scale).sum())


def read(estimator: Any, X: Any, inputs: Inputs | None = None) -> Any:
    """X as scikit-learn has estimators check it: a frame as it is, else an array or a CSR matrix.

    Args:
        estimator: The estimator, which is told the names and the number of columns by its training
            rows, and checks those of other rows.
        X: The rows.
        inputs: What the training rows were made of; None of these themselves.
    """
    if isinstance(X, np.ma.MaskedArray):
        X = np.ma.filled(X.astype(float), np.nan)
    if images.are_images(X) if inputs is None else isinstance(inputs, Images):
        return images.read(estimator, X, training=inputs is None)
    table = not plain(X) if inputs is None else isinstance(inputs, Table) and inputs.frame
    if is_frame(X) and table:
        validate_data(estimator, X, reset=inputs is None, skip_check_array=True)
        if len(X) < (least := 2 if inputs is None else 1):
            raise InputError(f"expected {least} row(s) or more, got {len(X)} sample(s)")
        return X
    return validate_data(
        estimator, X, reset=inputs is None, accept_sparse="csr",
        dtype=(np.float64, np.float32), ensure_all_finite="allow-nan",
        ensure_min_samples=2 if inputs is None else 1,
    )


def learned(X: Any, scaling: Scaling, names: list[Any] | None) -> Inputs:
    """What the training rows are made of.

    Args:
        X: The rows, as :func:`read` gives them.
        scaling: The way to scale the columns of an array.
        names: The names of the columns, where X came as a frame.

    Raises:
        InputError: If they are sparse, and too large to be dense, or of no use, or there is no such
            way to scale.
    """
    one_of("scaling", scaling, get_args(Scaling))
    if images.are_images(X):
        return Images.of(X)
    if is_frame(X):
        return Table.of(X)
    if issparse(X) and (size := 4 * X.shape[0] * X.shape[1]) > MAX_DENSE:
        raise InputError(
            f"expected a sparse X of at most {MAX_DENSE / 2**30:g} GiB as dense float32, got"
            f" {size / 2**30:.1f} GiB; reduce its columns first, by TruncatedSVD in a pipeline"
        )
    if np.isnan(X.data if issparse(X) else X).any():
        return Table.of(dense(X))
    return Numbers.of(X, scaling, names)


def encoded(inputs: Inputs, X: Any, rows: int) -> Iterator[Tensor]:
    """X as pairs take it, at most so many rows at a time.

    Args:
        inputs: What the training rows were made of.
        X: The rows, as :func:`read` gives them.
        rows: The largest number of rows.
    """
    together = rows
    if isinstance(inputs, Images):
        together = rows if inputs.told(X) else len(X)  # the brightest pixel of all may tell
    elif not issparse(X):
        together = max(rows, TOGETHER)  # every column of a frame costs time, whatever its length
    for first in range(0, X.shape[0], together):
        yield from inputs.encode(part(X, first, together), first).split(rows)
