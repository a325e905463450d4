"""Convolutional bodies: images meet other inputs behind a trunk, and are made by its transpose."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Unpack

from torch import Tensor, nn

from pyro_ssvae.errors import positive
from pyro_ssvae.nn.convolutions import Convolution, Transposed, by_image, half, halvings
from pyro_ssvae.nn.mlp import MLP, Layers, check_inputs
from pyro_ssvae.nn.shapes import Shape, as_shapes, checked, is_image

WIDTH = 16  # filters of a first layer


class Trunk(nn.Module):
    """3 x 3 convolutions of images, each batch-normalised and followed by a ReLU.

    Those of 28 x 28 and 32 x 32 pixels are halved by the first layer and by the third of four.
    Larger ones are halved by further layers before these, and smaller ones less often.

    Args:
        shape: The (C, H, W) of the images.
        width: The number of filters of the first layer. The others have twice as many.

    Attributes:
        features: The number of features.
    """

    def __init__(self, shape: tuple[int, ...], width: int = WIDTH) -> None:
        super().__init__()
        positive(width=width)
        channels, height, across = shape
        size, filters = (height, across), width
        layers: list[nn.Module] = []
        for stride in _strides(halvings(size)):
            layers += [
                Convolution(channels, filters, stride=stride), nn.BatchNorm2d(filters), nn.ReLU(),
            ]
            channels, filters = filters, 2 * width
            size = half(size) if stride == 2 else size
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.features = channels * math.prod(size)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) to features (N, F)."""
        return self.layers(images)


class Transpose(nn.Module):
    """From a small map to an image: the transposes of those layers of a :class:`Trunk` that halve.

    Args:
        out: The (C, H, W) of the image.
        width: The number of filters of the layer before the last. Those before it have twice as
            many.
        batch_norm: Whether a batch normalisation stands before each activation. It mixes all
            that is computed together, the classes of an enumerated label too.

    Attributes:
        inputs: The shape of the map.
    """

    def __init__(
        self, out: tuple[int, ...], width: int = WIDTH, *, batch_norm: bool = False
    ) -> None:
        super().__init__()
        positive(width=width)
        channels, height, across = out
        sizes = [(height, across)]
        for _ in range(halvings(sizes[0])):
            sizes.insert(0, half(sizes[0]))
        number = len(sizes) - 1
        filters = [2 * width] * max(number - 1, 1) + [width] * (number > 1) + [channels]
        self.inputs = (filters[0], *sizes[0])
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(pairwise(filters)):
            if batch_norm:
                layers.append(nn.BatchNorm2d(before))
            layers += [nn.ReLU(), (
                Transposed(before, after, sizes[i + 1], bias=True) if number
                else Convolution(before, after, bias=True)
            )]
        self.layers = nn.Sequential(*layers)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, *inputs) to raw numbers (N, C, H, W)."""
        return self.layers(maps)


class Trunked(nn.Module):
    """A body whose images go through a trunk each, and meet all other inputs behind it.

    The features of a trunk are an input of an :class:`MLP`, as all that is no image: so an
    enumerated label does not meet the convolutions, which run once for all classes. What is made
    is of any shape. An image is made of a small map, by a :class:`Transpose`.

    Args:
        inputs: The size of the input, or the shape of each of several. One of three dimensions is
            an image, (C, H, W).
        out: The shape of the output.
        trunk: What makes the trunk of an image, of its shape: a module from (N, C, H, W) to
            (N, features), with the number of these as an attribute.
        hidden: The sizes of the hidden layers of the MLP.
        width: The number of filters that a :class:`Transpose` has.
        layers: What the MLP's hidden layers are made of. Their ``batch_norm`` is that of the
            :class:`Transpose` too.

    Raises:
        InputError: If a size is not positive, an image is too small for its trunk (4 pixels along a
            side are enough for convolutions, 5 for a wide residual network), or an
            input is not of the declared shape.
    """

    broadcasts = True

    def __init__(
        self,
        inputs: int | Sequence[Shape],
        out: Shape,
        trunk: Callable[[tuple[int, ...]], nn.Module],
        *,
        hidden: Sequence[int],
        width: int = WIDTH,
        **layers: Unpack[Layers],
    ) -> None:
        super().__init__()
        self.inputs, self.out = as_shapes(inputs), checked(out, "an output")
        self.trunks = nn.ModuleDict(
            {str(i): trunk(shape) for i, shape in enumerate(self.inputs) if is_image(shape)}
        )
        self.transpose = None
        if is_image(self.out):
            self.transpose = Transpose(self.out, width, batch_norm=layers.get("batch_norm", False))
        seen: list[Any] = list(self.inputs)
        for i, each in self.trunks.items():
            seen[int(i)] = each.features
        made = self.out if self.transpose is None else self.transpose.inputs
        of_relus: Layers = {"activation": nn.ReLU, **layers}
        self.dense = MLP(seen, made, hidden=hidden, **of_relus)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Inputs of shapes ``(..., *inputs[i])`` to an output of shape ``(..., *out)``."""
        check_inputs(self.inputs, inputs)
        seen = list(inputs)
        for i, trunk in self.trunks.items():
            seen[int(i)] = by_image(trunk, inputs[int(i)])
        result: Tensor = self.dense(*seen)
        return result if self.transpose is None else by_image(self.transpose, result)


class Conv(Trunked):
    """A small convolutional body: a :class:`Trunk` for each image, dense layers, a transpose.

    Inputs that are no images go to the dense layers, and so does every input where there is no
    image: it is an MLP then.

    Args:
        inputs: The size of the input, or the shape of each of several. One of three dimensions is
            an image, (C, H, W), of at least 4 x 4 pixels.
        out: The shape of the output, which may be an image.
        hidden: The sizes of the dense layers behind the trunk.
        width: The number of filters of the first convolution. With half of them it takes about a
            third of the time.
        layers: What the dense layers are made of, as for :class:`MLP`; ReLU unless told otherwise.
            The trunk is batch-normalised in any case, and what makes an image with ``batch_norm``
            only: the classes of an enumerated label are its batch too, and would be mixed.
    """

    def __init__(
        self,
        inputs: int | Sequence[Shape],
        out: Shape,
        *,
        hidden: Sequence[int] = (128,),
        width: int = WIDTH,
        **layers: Unpack[Layers],
    ) -> None:
        super().__init__(
            inputs, out, partial(Trunk, width=width), hidden=hidden, width=width, **layers
        )


def _strides(halved: int) -> list[int]:
    """The strides of a trunk's layers: the last two that halve are followed by one that does not.
    """
    return [2] * (halved - 2) + [
        stride for i in range(2) for stride in (2 if i < halved else 1, 1)
    ]
