"""Wide residual networks. Zagoruyko and Komodakis (2016), Wide Residual Networks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Unpack

from torch import Tensor, nn

from pyro_ssvae.errors import InputError
from pyro_ssvae.nn.conv import Trunked
from pyro_ssvae.nn.convolutions import Convolution
from pyro_ssvae.nn.mlp import Layers
from pyro_ssvae.nn.shapes import Shape

FILTERS, BLOCKS = (32, 64, 128), 4  # WRN-28-2: 28 layers, twice ResNet's width
LEAST = 5  # pixels along a side of an image
SLOPE = 0.1  # of what is below 0, as Oliver et al. (2018) have it


class WideResNet(Trunked):
    """A body whose images go through WRN-28-2, as Oliver et al. (2018) compare methods with.

    The features of an image are the means of the last layer's 128 maps. They meet other inputs, and
    an image is made of them, as in :class:`pyro_ssvae.nn.Conv`.

    Args:
        inputs: The size of the input, or the shape of each of several. One of three dimensions is
            an image, (C, H, W).
        out: The shape of the output, which may be an image.
        hidden: The sizes of the dense layers behind the trunk. ``()`` gives the classifier of the
            papers, a linear map of the features.
        momentum: The momentum of the statistics that batch normalisation evaluates with. Oliver et
            al. have 0.001, with which they take thousands of updates.
        layers: What the dense layers are made of, as for :class:`MLP`; ReLU unless told otherwise.
    """

    def __init__(
        self,
        inputs: int | Sequence[Shape],
        out: Shape,
        *,
        hidden: Sequence[int] = (),
        momentum: float = 0.1,
        **layers: Unpack[Layers],
    ) -> None:
        super().__init__(
            inputs, out, partial(Residual, momentum=momentum), hidden=hidden, **layers
        )


class Residual(nn.Module):
    """The convolutions of WRN-28-2: a trunk, see :class:`pyro_ssvae.nn.conv.Trunked`.

    Args:
        shape: The (C, H, W) of the images.
        momentum: The momentum of batch normalisation's statistics.

    Raises:
        InputError: If the images have less than 5 pixels along a side: a single one would leave no
            more than a pixel to normalise.
    """

    def __init__(self, shape: tuple[int, ...], momentum: float) -> None:
        super().__init__()
        if min(shape[1:]) < LEAST:
            raise InputError(
                f"expected images of at least {LEAST} x {LEAST} pixels for a wide residual network,"
                f" got {shape[1]} x {shape[2]}; network=\"conv\" takes 4 x 4, network=\"mlp\" any"
            )
        before = 16
        layers: list[nn.Module] = [Convolution(shape[0], before)]
        for i, filters in enumerate(FILTERS):
            for j in range(BLOCKS):
                stride = 2 if i > 0 and j == 0 else 1
                layers.append(Block(before, filters, stride, momentum))
                before = filters
        self.layers = nn.Sequential(*layers, *_activation(before, momentum))
        self.features = before
        for module in self.modules():
            if isinstance(module, Convolution):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) to features (N, F)."""
        return self.layers(images).mean((-2, -1))


class Block(nn.Module):
    """Two convolutions of what is normalised and activated, and a way round them.

    Where the number of filters or the size changes, the way round is a convolution of 1 x 1 pixels,
    of what is activated.
    """

    def __init__(self, before: int, filters: int, stride: int, momentum: float) -> None:
        super().__init__()
        self.activation = nn.Sequential(*_activation(before, momentum))
        self.rest = nn.Sequential(
            Convolution(before, filters, stride=stride), *_activation(filters, momentum),
            Convolution(filters, filters),
        )
        same = before == filters and stride == 1
        self.shortcut = None if same else Convolution(before, filters, 1, stride)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, before, H, W) to maps (N, filters, H', W')."""
        active = self.activation(maps)
        around: Tensor = maps if self.shortcut is None else self.shortcut(active)
        return around + self.rest(active)


def _activation(filters: int, momentum: float) -> list[nn.Module]:
    return [nn.BatchNorm2d(filters, momentum=momentum), nn.LeakyReLU(SLOPE)]
