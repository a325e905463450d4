"""The likelihood of frames: columns of several types, of which what is missing has no part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from pyro import distributions as dist
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Size, Tensor
from torch.distributions import constraints
from torch.nn import functional as F

from pyro_ssvae.errors import InputError, positive
from pyro_ssvae.labels import OneHots
from pyro_ssvae.nn.columns import Columns
from pyro_ssvae.nn.heads import MIN_SCALE


class MixedColumns(TorchDistribution):
    """Independent normal, Bernoulli and categorical columns of x, as :class:`Columns` lays it out.

    Its ``log_prob`` is that of the observed entries: a missing one counts 0, whatever stands in its
    place, which is its marginal. The marks are given: samples and means are without gaps.

    Args:
        columns: The C columns of x, which have V values.
        loc: The means of the numbers, (..., numbers).
        scale: Their standard deviations, (..., numbers).
        logits: The log-odds of the binary columns, and the unnormalised log-probabilities of the
            categories' levels, (..., V - numbers).
    """

    arg_constraints: dict[str, Any] = {}
    support = constraints.real_vector

    def __init__(
        self,
        columns: Columns,
        loc: Tensor,
        scale: Tensor,
        logits: Tensor,
        validate_args: bool | None = None,
    ) -> None:
        self.columns, self.loc, self.scale, self.logits = columns, loc, scale, logits
        odds, levels = logits.split((columns.binaries, sum(columns.sizes)), dim=-1)
        self.plain = [
            dist.Normal(loc, scale, validate_args=validate_args),
            dist.Bernoulli(logits=odds, validate_args=validate_args),
        ]
        self.categories = [OneHots(levels, columns.sizes)] if columns.sizes else []
        super().__init__(loc.shape[:-1], Size([columns.width]), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self._joined([part.mean for part in [*self.plain, *self.categories]])

    def expand(self, batch_shape: Size, _instance: Any = None) -> MixedColumns:
        loc, scale, logits = (
            each.expand(*batch_shape, each.shape[-1])
            for each in (self.loc, self.scale, self.logits)
        )
        return type(self)(self.columns, loc, scale, logits, validate_args=False)

    def sample(self, sample_shape: Size = Size()) -> Tensor:
        with torch.no_grad():
            return self._joined([
                part.sample(sample_shape) for part in [*self.plain, *self.categories]
            ])

    def log_prob(self, value: Tensor) -> Tensor:
        columns = self.columns
        values, observed = columns.split(value)
        sizes = columns.numbers, columns.binaries, sum(columns.sizes)
        *plain, levels = values.split(sizes, dim=-1)
        each = torch.cat([p.log_prob(v) for p, v in zip(self.plain, plain)], dim=-1)
        result = torch.where(observed[..., :each.shape[-1]], each, 0.0).sum(-1)
        for category in self.categories:
            result = result + category.log_prob(levels)  # of a missing block, all 0, this is 0
        return result

    def _joined(self, parts: Sequence[Tensor]) -> Tensor:
        return self.columns.complete(torch.cat(list(parts), dim=-1))


@dataclass(frozen=True)
class Mixed:
    """The columns of a frame, of several types.

    Attributes:
        sigma: The fixed standard deviation of standardised numbers. With None the network gives it.
        columns: The columns, which :mod:`pyro_ssvae.experiments` takes from the data.
    """

    sigma: float | None = None
    columns: Columns | None = field(default=None, metadata={"spoken": False})
    word: ClassVar[str] = "mixed"

    def __post_init__(self) -> None:
        if self.sigma is not None:
            positive(sigma=self.sigma)

    def raw(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The means of numbers, their raw scales unless sigma is fixed, and what is left.

        Raises:
            InputError: If x has other dimensions than the columns, or there are none.
        """
        columns = self._given()
        if shape != (columns.width,):
            raise InputError(
                f"expected x of the {columns.width} dimensions that its columns have, got {shape}"
            )
        return (sum(self._sizes(columns)),)

    def __call__(self, raw: Tensor, shape: tuple[int, ...]) -> MixedColumns:
        """The distribution over x (..., V + C), one event."""
        columns = self._given()
        loc, rough, logits = raw.split(self._sizes(columns), dim=-1)
        if self.sigma is None:
            scale = F.softplus(rough) + MIN_SCALE
        else:
            scale = torch.full_like(loc, self.sigma)
        return MixedColumns(columns, loc, scale, logits)

    def _given(self) -> Columns:
        if self.columns is None:
            raise InputError("the likelihood 'mixed' is that of a frame: give its columns")
        return self.columns

    def _sizes(self, columns: Columns) -> tuple[int, int, int]:
        numbers = columns.numbers
        scales = 0 if self.sigma is not None else numbers
        return numbers, scales, columns.values - numbers
