"""Networks and random transformations for images: vectors (..., D) that have a height and width."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pyro_ssvae.errors import InputError
from pyro_ssvae.labels import OneHots


class ConvolutionalClassifier(nn.Module):
    """A convolutional network with one-hot outputs, batch normalised.

    Three layers of 3 x 3 filters, 16, 32 and 32 of them, the second with stride 2, and a dense
    layer of 128.

    Args:
        shape: The (height, width) of the images, with height * width = D.
        classes: The number of classes, K.
    """

    def __init__(self, shape: tuple[int, int], classes: int) -> None:
        super().__init__()
        filters = [
            _convolution(1, 16, stride=1), _convolution(16, 32, stride=2),
            _convolution(32, 32, stride=1),
        ]
        self.shape = shape
        features = 32 * math.prod(-(-side // 2) for side in shape)
        self.logits = nn.Sequential(
            *filters, nn.Flatten(), nn.Linear(features, 128), nn.ReLU(), nn.Linear(128, classes)
        )

    def forward(self, x: Tensor) -> OneHots:
        """The distribution over one-hot vectors (N, K), from images x (N, D)."""
        return OneHots(self.logits(x.unflatten(-1, (1, *self.shape))))


def _convolution(channels: int, filters: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, filters, 3, stride, padding=1, bias=False), nn.BatchNorm2d(filters),
        nn.ReLU(),
    )


class Jitter(nn.Module):
    """Moves every image a little, in training: a random affine map for each.

    With strength 1 that is a shift of up to a pixel, a rotation of up to 10 degrees, and up to a
    tenth of scale, of aspect and of shear. In evaluation images are left as they are.

    Args:
        shape: The (height, width) of the images.
        strength: The number that all of these are multiplied with. With 0 nothing is moved.
    """

    def __init__(self, shape: tuple[int, int], strength: float = 1.0) -> None:
        super().__init__()
        if strength < 0:
            raise InputError(f"expected jitter >= 0, got {strength}")
        self.shape, self.strength = shape, strength

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, D) to images (N, D)."""
        if not self.training or self.strength == 0:
            return x
        images = x.unflatten(-1, (1, *self.shape))
        grid = F.affine_grid(self.maps(x), list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, align_corners=False).flatten(1)

    def maps(self, x: Tensor) -> Tensor:
        """Random affine maps (N, 2, 3), one for each of the images x (N, D).

        They take a place in the moved image to the one in x that it shows. Places are (right,
        down), from -1 to 1 along each axis.
        """
        draws = torch.rand(6, len(x), dtype=x.dtype, device=x.device)
        angle, scale, aspect, shear, right, down = self.strength * (2 * draws - 1)
        angle = math.pi / 18 * angle
        scale, aspect, shear = (0.1 * scale).exp(), (0.05 * aspect).exp(), 0.1 * shear
        height, width = self.shape
        rows = [
            torch.stack([angle.cos() * scale, shear - angle.sin() * scale, 2 / width * right], 1),
            torch.stack([angle.sin() * scale, angle.cos() * scale * aspect, 2 / height * down], 1),
        ]
        return torch.stack(rows, 1)
