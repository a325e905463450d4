"""The likelihood of colour: a mixture of discretised logistics for each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Size, Tensor
from torch.distributions import constraints
from torch.nn import functional as F

from pyro_ssvae.errors import InputError, positive

LEAST, LARGEST = -7.0, 7.0  # logarithms of scales, of values from -1 to 1
LEVELS = 256


class MixedLogistics(TorchDistribution):
    """Pixels (..., C, H, W), independent: of each a mixture of logistics, on levels of [0, 1].

    Salimans et al. (2017), PixelCNN++, eqs. 1 and 2 and section 2.2, without the autoregression
    over pixels. A component is the same for all channels of a pixel. Of three channels the mean
    of the second is linear in the first, and that of the third in both.

    ``log_prob`` is that of the nearest level: probabilities of all levels sum to 1. ``mean`` takes
    the means of earlier channels in place of their values, and is exact to half a level where the
    components keep clear of 0 and 1.

    Args:
        raw: The raw numbers of all components (..., P, H, W), see :class:`Logistics`.
        channels: The number of channels, C.
        levels: The number of levels, from 0 to 1.
    """

    arg_constraints: dict[str, Any] = {}
    support = constraints.independent(constraints.unit_interval, 3)

    def __init__(
        self,
        raw: Tensor,
        channels: int,
        levels: int = LEVELS,
        validate_args: bool | None = None,
    ) -> None:
        self.raw, self.channels, self.levels = raw, channels, levels
        components = raw.shape[-3] // _numbers(channels)
        sizes = [components * n for n in (1, channels, channels, _slopes(channels))]
        logits, loc, log_scale, slopes = raw.split(sizes, dim=-3)
        self.log_weights = logits.log_softmax(-3)  # (..., M, H, W)
        self.loc = loc.unflatten(-3, (components, channels))  # (..., M, C, H, W), from -1 to 1
        self.log_scale = log_scale.unflatten(-3, (components, channels)).clamp(LEAST, LARGEST)
        self.slopes = slopes.unflatten(-3, (components, _slopes(channels))).tanh()
        event = Size([channels, *raw.shape[-2:]])
        super().__init__(raw.shape[:-3], event, validate_args=validate_args)

    def expand(self, batch_shape: Size, _instance: Any = None) -> MixedLogistics:
        raw = self.raw.expand(*batch_shape, *self.raw.shape[-3:])
        return type(self)(raw, self.channels, self.levels, validate_args=False)

    @property
    def mean(self) -> Tensor:
        scale, found = self.log_scale.exp(), list[Tensor]()
        for channel in range(self.channels):
            loc = self._loc(channel, found)
            s = scale.select(-3, channel)
            # 1 minus the integral from -1 to 1 of the logistic's distribution function
            below = F.softplus((1 - loc) / s) - F.softplus((-1 - loc) / s)
            found.append(1 - s * below)
        each = torch.stack(found, dim=-3)
        return ((self.log_weights.exp().unsqueeze(-3) * each).sum(-4) + 1) / 2

    def sample(self, sample_shape: Size = Size()) -> Tensor:
        with torch.no_grad():
            shape = self._extended_shape(sample_shape)
            wide = self.expand(shape[:-3])
            weights = wide.log_weights.movedim(-3, -1)
            component = torch.distributions.Categorical(logits=weights, validate_args=False)
            chosen = component.sample().unsqueeze(-3).unsqueeze(-3)  # (..., 1, 1, H, W)
            noise = torch.rand(shape, dtype=self.raw.dtype, device=self.raw.device)
            logistic = noise.clamp(1e-7, 1 - 1e-7).logit()
            scale, found = wide.log_scale.exp(), list[Tensor]()
            for channel in range(self.channels):
                numbers = torch.stack([wide._loc(channel, found), scale.select(-3, channel)], -3)
                loc, s = numbers.take_along_dim(chosen, -4).squeeze(-4).unbind(-3)
                value = (loc + s * logistic.select(-3, channel)).clamp(-1, 1)
                found.append(self._nearest((value + 1) / 2).unsqueeze(-3))
            return (torch.cat(found, dim=-3) + 1) / 2

    def log_prob(self, value: Tensor) -> Tensor:
        x = self._nearest(value).unsqueeze(-4)  # (..., 1, C, H, W)
        values = list(x.unbind(-3))
        centred = torch.stack(
            [each - self._loc(i, values[:i]) for i, each in enumerate(values)], dim=-3
        )
        half, inverse = 1 / (self.levels - 1), (-self.log_scale).exp()
        upper, lower = (centred + half) * inverse, (centred - half) * inverse
        # Of s the logistic function, s(u) - s(l) = s(u) s(-l) (1 - exp(l - u)): no difference of
        # nearly equal numbers. The first level begins at minus infinity, the last has no end.
        first, last = x < half - 1, x > 1 - half
        within = (-torch.expm1(-2 * half * inverse)).log()
        each = (
            torch.where(last, 0.0, F.logsigmoid(upper))
            + torch.where(first, 0.0, F.logsigmoid(-lower))
            + torch.where(first | last, 0.0, within)
        )
        return (self.log_weights + each.sum(-3)).logsumexp(-3).sum((-2, -1))

    def _loc(self, channel: int, earlier: list[Tensor]) -> Tensor:
        """The means (..., M, H, W) of a channel, given the values of the earlier ones."""
        loc = self.loc.select(-3, channel)
        if self.slopes.shape[-3] > 0:
            for i, value in enumerate(earlier):
                loc = loc + self.slopes.select(-3, channel * (channel - 1) // 2 + i) * value
        return loc

    def _nearest(self, value: Tensor) -> Tensor:
        """Values from 0 to 1 at the nearest level, from -1 to 1."""
        last = self.levels - 1
        return 2 / last * (value * last).round() - 1


@dataclass(frozen=True)
class Logistics:
    """Images in colour, or in grey, of 256 levels: see :class:`MixedLogistics`.

    Attributes:
        components: The number of logistics that each pixel's mixture has.
    """

    components: int = 10
    word: ClassVar[str] = "logistics"

    def __post_init__(self) -> None:
        positive(components=self.components)

    def raw(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Of each pixel and component a weight, and the mean and scale of each channel.

        Of three channels the three slopes of their dependence follow.
        """
        if len(shape) != 3:
            raise InputError(
                f"likelihood logistics is that of images, (C, H, W): got x of shape {shape}"
            )
        channels, *size = shape
        return (self.components * _numbers(channels), *size)

    def __call__(self, raw: Tensor, shape: tuple[int, ...]) -> MixedLogistics:
        """The distribution over images (..., C, H, W), one event."""
        return MixedLogistics(raw, shape[0])


def _slopes(channels: int) -> int:
    return 3 if channels == 3 else 0


def _numbers(channels: int) -> int:
    """The raw numbers of a pixel and component."""
    return 1 + 2 * channels + _slopes(channels)
