"""The likelihood of frames: columns of several types, of which what is missing has no part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
from pyro import distributions as dist
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Size, Tensor, nn
from torch.distributions import constraints
from torch.nn import functional as F

from pyro_ssvae.errors import positive
from pyro_ssvae.labels import OneHots
from pyro_ssvae.nn.columns import Columns
from pyro_ssvae.nn.heads import MIN_SCALE
from pyro_ssvae.nn.mlp import MLP, Layers


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


class Mixed(nn.Module):
    """A network with the columns of a frame as outputs.

    Args:
        in_dims: The size of each input, as for :class:`MLP`.
        hidden: The sizes of the hidden layers.
        columns: The columns.
        sigma: The fixed standard deviation of standardised numbers. With None the network gives it.
        layers: What the hidden layers are made of, as for :class:`MLP`.
    """

    def __init__(
        self,
        in_dims: int | Sequence[int],
        hidden: Sequence[int],
        columns: Columns,
        sigma: float | None = None,
        **layers: Unpack[Layers],
    ) -> None:
        super().__init__()
        if sigma is not None:
            positive(sigma=sigma)
        self.columns, self.sigma = columns, sigma
        numbers = columns.numbers
        self.sizes = numbers, 0 if sigma is not None else numbers, columns.values - numbers
        self.network = MLP(in_dims, hidden, sum(self.sizes), **layers)

    def forward(self, *inputs: Tensor) -> MixedColumns:
        """The distribution over x (..., V + C), one event."""
        loc, raw, logits = self.network(*inputs).split(self.sizes, dim=-1)
        if self.sigma is None:
            scale = F.softplus(raw) + MIN_SCALE
        else:
            scale = torch.full_like(loc, self.sigma)
        return MixedColumns(self.columns, loc, scale, logits)
