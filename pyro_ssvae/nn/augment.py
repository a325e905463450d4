"""Random changes of images (N, C, H, W), each image in its own way, and views of kinds of images.

All is done where the images are, by tensor operations with noise from ``torch.rand``: a captured
update holds it, and replicas of an ensemble have noise of their own.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pyro_ssvae.errors import InputError, not_negative, one_of

Kind = Literal["none", "digits", "characters", "objects"]


class Augmentation(nn.Module):
    """A random change of images in training. In evaluation they are left as they are."""

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) to images of the same shape."""
        if x.dim() != 4:
            raise InputError(
                f"{type(self).__name__} changes images (N, C, H, W), got x of shape"
                f' {tuple(x.shape)}; for examples that are no images use views="none"'
            )
        return self.changed(x) if self.training else x

    def changed(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W), each changed in its own way."""
        raise NotImplementedError


class Affine(Augmentation):
    """Turns, shifts, scales and shears every image; what comes in from outside is 0.

    Args:
        turn: The largest angle, in degrees.
        shift: The largest shift, a share of the side along which it goes. Above 0 it is a pixel at
            least: less would blur a small image, and move nothing.
        scale: The largest logarithm of the factor by which each of the two sides is scaled.
        shear: The largest shear.
    """

    def __init__(
        self, turn: float = 0.0, shift: float = 0.0, scale: float = 0.0, shear: float = 0.0
    ) -> None:
        super().__init__()
        not_negative(turn=turn, shift=shift, scale=scale, shear=shear)
        self.turn, self.shift, self.scale, self.shear = turn, shift, scale, shear

    def changed(self, x: Tensor) -> Tensor:
        """See :class:`Augmentation`."""
        grid = F.affine_grid(self.maps(x), list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False)

    def maps(self, x: Tensor) -> Tensor:
        """Random affine maps (N, 2, 3), one for each of the images x (N, C, H, W).

        They take a place in the changed image to the one in x that it shows. Places are (right,
        down), from -1 to 1 along each side.
        """
        turn, wider, higher, shear, right, down = 2 * _uniform(x, 6) - 1
        turn = math.radians(self.turn) * turn
        wider, higher = (self.scale * wider).exp(), (self.scale * higher).exp()
        ratio = x.shape[-2] / x.shape[-1]  # a turn is one in pixels, not in shares of the sides
        first = [
            turn.cos() * wider, ratio * (self.shear * shear - turn.sin() * wider),
            2 * self._shift(x.shape[-1]) * right,
        ]
        second = [
            turn.sin() * higher / ratio, turn.cos() * higher, 2 * self._shift(x.shape[-2]) * down,
        ]
        return torch.stack([torch.stack(first, 1), torch.stack(second, 1)], 1)

    def _shift(self, side: int) -> float:
        return max(self.shift, 1 / side) if self.shift else 0.0


class Crop(Augmentation):
    """Shifts every image by whole pixels, as a crop of the image continued by its mirror image.

    Args:
        padding: The largest shift, a share of the side along which it goes.
    """

    def __init__(self, padding: float) -> None:
        super().__init__()
        if not 0 <= padding < 1:
            raise InputError(f"expected padding in [0, 1), got {padding}")
        self.padding = padding

    def changed(self, x: Tensor) -> Tensor:
        """See :class:`Augmentation`."""
        number, channels, height, width = x.shape
        down, right = _uniform(x, 2)
        rows, columns = self._shown(down, height), self._shown(right, width)
        x = x.gather(2, rows[:, None, :, None].expand(-1, channels, -1, width))
        return x.gather(3, columns[:, None, None, :].expand(-1, channels, height, -1))

    def _shown(self, draws: Tensor, side: int) -> Tensor:
        """The rows, or columns, (N, side) of the image that the changed one shows."""
        most = min(round(self.padding * side), side - 1)
        shift = (draws * (2 * most + 1)).floor() - most
        places = (torch.arange(side, device=draws.device) + shift[:, None]).abs()
        return (side - 1 - (side - 1 - places).abs()).long()


class Flip(Augmentation):
    """Shows every second image as in a mirror, its left side on the right."""

    def changed(self, x: Tensor) -> Tensor:
        """See :class:`Augmentation`."""
        (draws,) = _uniform(x, 1)
        return torch.where(_like_images(draws < 0.5), x.flip(-1), x)


class Erase(Augmentation):
    """Erases a rectangle of every image, of the image's form, with its centre anywhere in it.

    Args:
        side: The length of its sides, a share of the image's.
        fill: The value of erased pixels.
    """

    def __init__(self, side: float, fill: float = 0.0) -> None:
        super().__init__()
        not_negative(side=side)
        self.side, self.fill = side, fill

    def changed(self, x: Tensor) -> Tensor:
        """See :class:`Augmentation`."""
        rows, columns = (
            self._within(draws, side) for draws, side in zip(_uniform(x, 2), x.shape[-2:])
        )
        return torch.where(rows[:, None, :, None] & columns[:, None, None, :], self.fill, x)

    def _within(self, draws: Tensor, side: int) -> Tensor:
        """Whether rows, or columns, (N, side) are among those erased."""
        middles = (torch.arange(side, device=draws.device) + 0.5) / side
        return (middles - draws[:, None]).abs() < self.side / 2


class Colour(Augmentation):
    """Changes brightness, contrast and saturation of every image, whose pixels are in [0, 1].

    Brightness multiplies pixels, contrast their distance from the image's mean, saturation that of
    a pixel's channels from their mean. An image of one channel has no saturation to change.

    Args:
        strength: The largest deviation of the three factors from 1, in [0, 1].
    """

    def __init__(self, strength: float) -> None:
        super().__init__()
        if not 0 <= strength <= 1:
            raise InputError(f"expected strength in [0, 1], got {strength}")
        self.strength = strength

    def changed(self, x: Tensor) -> Tensor:
        """See :class:`Augmentation`."""
        factors = 1 + self.strength * (2 * _uniform(x, 3) - 1)
        brightness, contrast, saturation = map(_like_images, factors)
        x = x * brightness
        x = torch.lerp(x.mean((1, 2, 3), keepdim=True), x, contrast)
        return torch.lerp(x.mean(1, keepdim=True), x, saturation).clamp(0.0, 1.0)


class Views(nn.Module):
    """Two ways to see examples at random: one that changes them a little, and one much.

    Weak views are best as sharp as the examples are: the running statistics of batch normalisation,
    by which examples are predicted, are of weak views too, and it tells blurred images from others.

    Args:
        weak: The module of the first, from examples (N, *E) to examples.
        strong: The module of the second.
    """

    def __init__(self, weak: nn.Module, strong: nn.Module) -> None:
        super().__init__()
        self.weak, self.strong = weak, strong


def views(kind: Kind) -> Views:
    """The views of a kind of images.

    Args:
        kind: The kind: ``"digits"`` of few pixels, which are turned, shifted, scaled and sheared,
            in strong views more and with a part erased; ``"characters"``, which are shifted by
            whole pixels, with the same strong views; ``"objects"``, which are flipped and shifted,
            in strong views with all of these, other colours and a part erased; or ``"none"``, by
            which all views are the example itself, an image or not.

    Raises:
        InputError: If there is no such kind.
    """
    one_of("kind of views", kind, get_args(Kind))
    if kind == "none":
        return Views(nn.Identity(), nn.Identity())
    if kind == "digits":
        return Views(Affine(turn=6.0, shift=0.05, scale=0.06, shear=0.06), _distorted())
    if kind == "characters":
        return Views(Crop(0.05), _distorted())
    return Views(
        nn.Sequential(Flip(), Crop(0.125)),
        nn.Sequential(
            Flip(), Crop(0.125), Affine(turn=15.0, scale=0.15, shear=0.15), Colour(0.4),
            Erase(0.5, fill=0.5),
        ),
    )


def _distorted() -> nn.Module:
    return nn.Sequential(Affine(turn=25.0, shift=0.14, scale=0.2, shear=0.3), Erase(0.36))


def _uniform(x: Tensor, number: int) -> Tensor:
    """So many numbers in [0, 1) for each of the images x, (number, N)."""
    return torch.rand(number, len(x), dtype=x.dtype, device=x.device)


def _like_images(values: Tensor) -> Tensor:
    """(N,) made to go with images (N, C, H, W)."""
    return values.view(-1, 1, 1, 1)
