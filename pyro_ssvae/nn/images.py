"""Random transformations of images."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pyro_ssvae.errors import InputError


class Jitter(nn.Module):
    """Moves every image a little, in training: a random affine map for each.

    With strength 1 that is a shift of up to a pixel, a rotation of up to 10 degrees, and up to a
    tenth of scale, of aspect and of shear. In evaluation images are left as they are.

    Args:
        strength: The number that all of these are multiplied with. With 0 nothing is moved.
    """

    def __init__(self, strength: float = 1.0) -> None:
        super().__init__()
        if strength < 0:
            raise InputError(f"expected jitter >= 0, got {strength}")
        self.strength = strength

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) to images (N, C, H, W)."""
        if not self.training or self.strength == 0:
            return x
        grid = F.affine_grid(self.maps(x), list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False)

    def maps(self, x: Tensor) -> Tensor:
        """Random affine maps (N, 2, 3), one for each of the images x (N, C, H, W).

        They take a place in the moved image to the one in x that it shows. Places are (right,
        down), from -1 to 1 along each axis.
        """
        draws = torch.rand(6, len(x), dtype=x.dtype, device=x.device)
        angle, scale, aspect, shear, right, down = self.strength * (2 * draws - 1)
        angle = math.pi / 18 * angle
        scale, aspect, shear = (0.1 * scale).exp(), (0.05 * aspect).exp(), 0.1 * shear
        height, width = x.shape[-2:]
        rows = [
            torch.stack([angle.cos() * scale, shear - angle.sin() * scale, 2 / width * right], 1),
            torch.stack([angle.sin() * scale, angle.cos() * scale * aspect, 2 / height * down], 1),
        ]
        return torch.stack(rows, 1)
