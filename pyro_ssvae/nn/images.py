"""Networks for images."""

from __future__ import annotations

import math

from torch import Tensor, nn

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
