"""X as users have it, and as pairs take it: numbers that are scaled, frames with gaps, images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils.validation import validate_data
from torch import Tensor

from pyro_ssvae.data.frames import encode, read_frames
from pyro_ssvae.errors import InputError, one_of
from pyro_ssvae.estimators import images
from pyro_ssvae.estimators.images import Images
from pyro_ssvae.nn import Columns
from pyro_ssvae.targets.marks import is_missing

Scaling = Literal["standard", "unit"]
Array = np.ndarray[Any, Any]
LARGEST = 1e6  # standard deviations that an entry is from the mean, at most: further ones are cut
ENTRIES = 2**22  # that are dense at a time
MAX_DENSE = 2**31  # bytes that a sparse X may take as the dense float32 that pairs are trained on


class Inputs(Protocol):
    """What X is made of, learned from the training rows."""

    @property
    def kind(self) -> str:
        """The kind of data, one of :data:`pyro_ssvae.recipes.KINDS`."""

    @property
    def columns(self) -> Columns | None:
        """What the columns of a frame are."""

    def encode(self, X: Any) -> Tensor:
        """X as pairs take it, (N, D) or (N, C, H, W) float32."""

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
        one_of("scaling", scaling, get_args(Scaling))
        scaler = StandardScaler() if scaling == "standard" else MinMaxScaler()
        for part in pieces(X):
            scaler.partial_fit(dense(part))
        if not np.isfinite(scaler.scale_).all():
            raise InputError("expected numbers whose variance is finite, got larger ones")
        return cls(scaling, scaler, names)

    @property
    def kind(self) -> str:
        return "standardised" if self.scaling == "standard" else "features"

    def encode(self, X: Any) -> Tensor:
        bounds = (-LARGEST, LARGEST) if self.scaling == "standard" else (0.0, 1.0)
        result, done = np.empty(X.shape, dtype=np.float32), 0
        for part in pieces(X):
            scaled = np.clip(self.scaler.transform(dense(part)), *bounds)
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


@dataclass
class Table:
    """A frame, or an array with gaps: see :mod:`pyro_ssvae.data.frames`.

    Attributes:
        names: The names of all columns, in their order.
        columns: What those that vary are.
        constants: The entry of each that does not, by its name.
        frame: Whether it came as a frame.
    """

    names: list[Any]
    columns: Columns
    constants: dict[Any, Any] = field(default_factory=dict)
    frame: bool = True
    kind: str = "frame"

    @classmethod
    def of(cls, X: Any) -> Table:
        """What the training rows X say of their columns."""
        frame = as_frame(X, list(range(X.shape[1])))
        columns = read_frames(frame)[1]
        kept = {column.name for column in columns.columns}
        constants = {
            name: next((v for v in frame[name] if not is_missing(v)), None)
            for name in frame.columns if str(name) not in kept
        }
        return cls(list(frame.columns), columns, constants, is_frame(X))

    def encode(self, X: Any) -> Tensor:
        x = encode(self.columns, as_frame(X, self.names))
        return x.clamp(-LARGEST, LARGEST)

    def decode(self, x: Tensor) -> Any:
        from pandas import DataFrame

        values = self.columns.split(x)[0].double().numpy()
        result: dict[Any, Any] = {}
        of_name = {column.name: column for column in self.columns.columns}
        for name in self.names:
            column = of_name.get(str(name))
            if column is None:
                result[name] = [self.constants[name]] * len(x)
                continue
            entries = values[:, self.columns.places[column.name]]
            if column.kind == "category":
                result[name] = np.array(column.levels, dtype=object)[entries.argmax(1)]
            else:
                result[name] = entries[:, 0] * column.scale + column.loc
        frame = DataFrame(result, columns=self.names)
        return frame if self.frame else frame.to_numpy()

    def log_volume(self, x: Tensor) -> Tensor:
        observed = self.columns.split(x)[1][:, :self.columns.numbers]
        scales = [column.scale for column in self.columns.of("number")]
        return -observed.to(x) @ torch.tensor(scales, dtype=x.dtype).log()


def read(estimator: Any, X: Any, inputs: Inputs | None = None) -> Any:
    """X as scikit-learn has estimators check it: a frame as it is, else an array or a CSR matrix.

    Args:
        estimator: The estimator, which is told the names and the number of columns by its training
            rows, and checks those of other rows.
        X: The rows.
        inputs: What the training rows were made of; None of these themselves.
    """
    if images.are_images(X) if inputs is None else isinstance(inputs, Images):
        return images.read(estimator, X, training=inputs is None)
    table = not plain(X) if inputs is None else isinstance(inputs, Table)
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
        InputError: If they are sparse, and too large to be dense, or of no use.
    """
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


def is_frame(X: Any) -> bool:
    """Whether X has columns with names."""
    return hasattr(X, "columns")


def names_of(X: Any) -> list[Any] | None:
    """The names of the columns of a frame; None of an array."""
    return list(X.columns) if is_frame(X) else None


def plain(X: Any) -> bool:
    """Whether X is as an array is: a frame is where it has numbers alone, and no gaps."""
    if not is_frame(X):
        return True
    columns = [np.asarray(X[name]) for name in X.columns]
    return all(
        column.dtype.kind in "iuf" and not np.isnan(column).any() for column in columns
    )


def as_frame(X: Any, names: list[Any]) -> Any:
    """X as a frame with columns of these names, if it is none."""
    if is_frame(X):
        return X
    from pandas import DataFrame

    return DataFrame(dense(X), columns=names)


def dense(X: Any) -> Array:
    """X as an array."""
    return X.toarray() if issparse(X) else X


def pieces(X: Any, entries: int | None = None) -> Iterator[Any]:
    """X in parts of so many entries, :data:`ENTRIES` if none are given, some rows each."""
    rows = max(1, (entries or ENTRIES) // max(1, math.prod(X.shape[1:])))
    for first in range(0, X.shape[0], rows):
        yield X.iloc[first:first + rows] if hasattr(X, "iloc") else X[first:first + rows]
