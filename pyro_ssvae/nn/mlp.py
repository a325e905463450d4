"""Multilayer perceptrons over inputs that broadcast, and their batch normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from torch import Tensor, nn
from torch.nn import functional as F

from pyro_ssvae.errors import InputError, positive
from pyro_ssvae.nn.shapes import Shape, as_shapes, checked, number


class Layers(TypedDict, total=False):
    """What the hidden layers of a network are made of, see :class:`MLP`."""

    activation: type[nn.Module]
    batch_norm: bool


class MLP(nn.Module):
    """A body of fully connected layers, over one or several inputs that broadcast.

    The first layer is ``sum_i W_i x_i + b``: the linear map of the concatenated inputs, without
    the concatenation. An enumerated ``y`` of shape ``(K, 1, K)`` meets an ``x`` of shape
    ``(N, D)`` in the hidden layer, so nothing is tiled and x's part is computed once for all K.

    Args:
        inputs: The size of the input, or the shape of each of several. One of several dimensions,
            such as an image, is flattened.
        out: The shape of the output.
        hidden: The sizes of the hidden layers. ``()`` gives a linear map.
        activation: The class of the nonlinearity between layers.
        batch_norm: Whether a :class:`BatchNorm` stands before each activation.

    Raises:
        InputError: if a size is not positive, or an input is not of the declared shape.

    Weights are drawn by Xavier's uniform initialiser, as if the inputs were concatenated.
    """

    broadcasts = True

    def __init__(
        self,
        inputs: int | Sequence[Shape],
        out: Shape,
        *,
        hidden: Sequence[int] = (500,),
        activation: type[nn.Module] = nn.Softplus,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.inputs, self.out = as_shapes(inputs), checked(out, "an output")
        for size in hidden:
            positive(**{"the size of a hidden layer": size})
        sizes = [*hidden, number(self.out)]
        widths = [number(shape) for shape in self.inputs]
        first = _xavier(nn.Linear(sum(widths), sizes[0]))
        self.first = nn.ModuleList()
        for i, weight in enumerate(first.weight.detach().split(widths, dim=1)):
            linear = nn.Linear(weight.shape[1], sizes[0], bias=i == 0)
            linear.weight = nn.Parameter(weight.clone())
            if i == 0:
                linear.bias = first.bias
            self.first.append(linear)
        layers: list[nn.Module] = []
        for n_in, n_out in zip(sizes, sizes[1:]):
            if batch_norm:
                layers.append(BatchNorm(n_in))
            layers += [activation(), _xavier(nn.Linear(n_in, n_out))]
        self.rest = nn.Sequential(*layers)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Inputs of shapes ``(..., *inputs[i])`` to an output of shape ``(..., *out)``."""
        check_inputs(self.inputs, inputs)
        hidden, *further = (
            linear(x.flatten(-len(shape)) if len(shape) > 1 else x)
            for linear, x, shape in zip(self.first, inputs, self.inputs)
        )
        for part in further:
            hidden = hidden + part
        result: Tensor = self.rest(hidden)
        return result if len(self.out) == 1 else result.unflatten(-1, self.out)


def check_inputs(shapes: Sequence[tuple[int, ...]], inputs: Sequence[Tensor]) -> None:
    """Raise :class:`InputError` unless inputs end in these shapes."""
    came = tuple(tuple(x.shape[-len(shape):]) for x, shape in zip(inputs, shapes))
    if len(inputs) != len(shapes) or came != tuple(shapes):
        wanted, got = (
            [("...", *shape) for shape in shapes], [tuple(x.shape) for x in inputs]
        )
        raise InputError(f"expected inputs of shapes {_listed(wanted)}, got {_listed(got)}")


def _listed(shapes: Sequence[tuple[object, ...]]) -> str:
    return " and ".join(f"({', '.join(map(str, shape))})" for shape in shapes) or "none"


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation of (..., H) with one mean and variance over all leading dimensions.

    Of an enumerated label's rows (K, N, H) that is over examples and classes together: with a
    mean for each class, what the label adds to the layer would be the first thing taken out.

    A single row, such as an epoch's last batch may have, has no variance of its own: the running
    statistics stand in for it, and stay as they are.
    """

    def forward(self, input: Tensor) -> Tensor:
        rows = input.flatten(0, -2)
        if len(rows) > 1:
            return super().forward(rows).view_as(input)
        return F.batch_norm(
            rows, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        ).view_as(input)


def _xavier(linear: nn.Linear) -> nn.Linear:
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
