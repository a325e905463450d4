"""X as images, which keep their shape on the way to a pair."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data
from torch import Tensor

from pyro_ssvae.data.examples import Examples, as_examples, further
from pyro_ssvae.data.images import channels_last


@dataclass
class Images:
    """Images (N, C, H, W), (N, H, W, C) or, in grey, (N, H, W).

    Attributes:
        like: What they are, as :func:`pyro_ssvae.data.from_arrays` reads them: shape, place of the
            channels, and what whole numbers are divided by.
        grey: Whether they came without channels.
        floats: Whether they came in floating point.
    """

    like: Examples
    grey: bool
    floats: bool
    kind: str = ""
    columns: None = None

    @classmethod
    def of(cls, X: Any) -> Images:
        """What the training images are."""
        examples = as_examples(X)
        return cls(examples._replace(x=examples.x[:0]), X.ndim == 3, X.dtype.kind == "f")

    def encode(self, X: Any, first: int = 0) -> Tensor:
        # As the training images came: whether a dark image is divided it does not say itself.
        return further(X, self.like, True if self.floats and X.dtype.kind == "f" else None)

    def told(self, X: Any) -> bool:
        """Whether the type of images tells the units that they are in; else their numbers do."""
        return self.floats or X.dtype.kind != "f"

    def decode(self, x: Tensor) -> Any:
        array = channels_last(x.numpy(), self.like.channels) * self.like.divisor
        return array[:, 0] if self.grey else array

    def log_volume(self, x: Tensor) -> Tensor:
        return torch.tensor(-x[0].numel() * math.log(self.like.divisor))


def are_images(X: Any) -> bool:
    """Whether X is an array of more than two dimensions."""
    return getattr(X, "ndim", 2) > 2


def read(estimator: Any, X: Any, *, training: bool) -> Any:
    """Images as an array of finite numbers; an estimator is told how many each has, in training."""
    X = check_array(
        X, dtype=None, allow_nd=True, ensure_2d=False, ensure_min_samples=2 if training else 1
    )
    if training:
        validate_data(estimator, X, skip_check_array=True)  # forgets the names of a frame
        estimator.n_features_in_ = int(np.prod(X.shape[1:]))
    return X
