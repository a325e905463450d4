"""Convolutions of images, and the shapes that they leave behind."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pyro_ssvae.errors import InputError

LEAST = 4  # pixels along a side, of an image and of what is made of it


class Convolution(nn.Conv2d):
    """A convolution that a CPU computes, with all that follows, with the channels last."""

    def __init__(
        self, channels: int, filters: int, size: int = 3, stride: int = 1, *, bias: bool = False
    ) -> None:
        super().__init__(channels, filters, size, stride, padding=size // 2, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(input, _arranged(self.weight), self.bias, self.stride, self.padding)


class Transposed(nn.ConvTranspose2d):
    """The transpose of a 3 x 3 convolution with stride 2, from images that it gives of a size.

    Args:
        channels: The number of channels of its input.
        filters: The number of channels of its output.
        size: The (height, width) of its output. That of its input is :func:`half` of it.
        bias: Whether it has a bias.
    """

    def __init__(
        self, channels: int, filters: int, size: tuple[int, int], *, bias: bool = False
    ) -> None:
        height, width = ((side + 1) % 2 for side in size)
        super().__init__(
            channels, filters, 3, 2, padding=1, output_padding=(height, width), bias=bias
        )

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        return F.conv_transpose2d(
            input, _arranged(self.weight), self.bias, self.stride, (1, 1), self.output_padding
        )


def half(size: tuple[int, int]) -> tuple[int, int]:
    """The (height, width) of what a 3 x 3 convolution with stride 2 makes of an image."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def halvings(size: tuple[int, int]) -> int:
    """How often images of a (height, width) are halved, to about 8 pixels and to 4 at least.

    Raises:
        InputError: If they have less than 4 pixels along a side.
    """
    if min(size) < LEAST:
        raise InputError(
            f"expected images of at least {LEAST} x {LEAST} pixels for a convolutional network, got"
            f' {size[0]} x {size[1]}; network="mlp" takes any'
        )
    number = 0
    while min(half(size)) >= LEAST and (number < 2 or max(size) > 2 * LEAST):
        size, number = half(size), number + 1
    return number


def by_image(module: nn.Module, images: Tensor) -> Tensor:
    """What a module gives of images (..., C, H, W), which it sees with one leading dimension."""
    result: Tensor = module(images.flatten(0, -4) if images.dim() > 3 else images.unsqueeze(0))
    return result.reshape(*images.shape[:-3], *result.shape[1:])


def _arranged(weight: Tensor) -> Tensor:
    """A weight as it is computed with; on a CPU its first two dimensions are not neighbours."""
    # Weights themselves stay contiguous, as gradients, optimizers and ensembles have them. What
    # follows a convolution whose weight has its channels last has them last as well.
    if not weight.is_cpu:
        return weight
    return weight.permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format).permute(
        0, 3, 1, 2
    )
