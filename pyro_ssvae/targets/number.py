"""A real number for each example."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pyro_ssvae.errors import InputError
from pyro_ssvae.targets import normals
from pyro_ssvae.targets.classes import unknown_of


@dataclass(frozen=True)
class Number:
    """A real number for each example: y (N,) floating point, NaN where it is unknown.

    The encoding (N, 1) is standardised: ``(y - loc) / scale``. A prediction (N, 2) has the mean and
    the standard deviation of a normal distribution, standardised too.

    Attributes:
        name: The name of the number.
        loc: The mean of the labels that a pair learns from.
        scale: Their standard deviation, above 0.
    """

    name: str = "y"
    loc: float = 0.0
    scale: float = 1.0

    exclusive = False

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def sizes(self) -> tuple[int, ...]:
        return ()

    @property
    def width(self) -> int:
        return 1

    def standardised(self, y: Tensor) -> Number:
        """The same number with the mean and the standard deviation of known labels (n,)."""
        y = y.double()
        if len(y) and bool((y == y[0]).all()):  # whose mean may be another number, by rounding
            return replace(self, loc=float(y[0]), scale=1.0)
        spread = float(y.std(correction=0)) if len(y) else 0.0
        return replace(self, loc=float(y.mean()), scale=spread or 1.0)

    def check(self, y: Tensor) -> None:
        if y.dim() != 1 or not y.is_floating_point():
            raise InputError(
                f"expected floating point y of shape (N,), got {y.dtype} {tuple(y.shape)}"
            )
        if y.isinf().any():
            row = int(y.isinf().nonzero()[0])
            raise InputError(f"expected finite labels or NaN, got {y[row]} at index {row}")

    def known(self, y: Tensor) -> Tensor:
        return ~y.isnan()

    def classes(self, y: Tensor) -> None:
        return None

    def encode(self, y: Tensor, dtype: torch.dtype) -> Tensor:
        return ((y - self.loc) / self.scale).unsqueeze(-1).to(dtype)

    def possible(self, y: Tensor, dtype: torch.dtype) -> None:
        return None

    def predicted(self, q: Any) -> Tensor:
        """The mean and the standard deviation of q(y | x), (N, 2)."""
        return torch.cat([q.mean, q.stddev], dim=-1)

    def likeliest(self, predicted: Tensor) -> Tensor:
        return predicted[..., :1]

    def named(self, predicted: Tensor) -> list[float]:
        return (predicted[..., 0] * self.scale + self.loc).tolist()

    def decode(self, y: Tensor) -> Tensor:
        """The numbers (N,) of an encoding (N, 1), in their units."""
        return y.squeeze(-1).double() * self.scale + self.loc

    def moments(self, predicted: Tensor) -> Tensor:
        """The mean and the standard deviation of a prediction (N, 2), in the number's units."""
        moments = predicted.double() * self.scale
        return moments + moments.new_tensor([self.loc, 0.0])

    def scores(self, predicted: Tensor, y: Tensor) -> dict[str, float]:
        """Those of :mod:`pyro_ssvae.targets.normals`, in the units of the number."""
        return normals.scores(self.moments(predicted), self.decode(y))

    def validation(self, predicted: Tensor, y: Tensor) -> dict[str, float]:
        moments, numbers = self.moments(predicted), self.decode(y)
        return {"rmse": normals.rmse(moments, numbers), "nll": normals.nll(moments, numbers)}

    def summary(self, y: Tensor) -> list[str]:
        known = y[self.known(y)]
        return [
            f"a real number from {known.min():.4g} to {known.max():.4g}",
            *unknown_of(len(y) - len(known), len(y)),
        ]
