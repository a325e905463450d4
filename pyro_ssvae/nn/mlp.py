"""Multilayer perceptrons over inputs that broadcast, and their batch normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from torch import Tensor, nn

from pyro_ssvae.errors import InputError, positive


class Layers(TypedDict, total=False):
    """What the hidden layers of a network are made of, see :class:`MLP`."""

    activation: type[nn.Module]
    batch_norm: bool


class MLP(nn.Module):
    """A multilayer perceptron over one or several inputs that broadcast against each other.

    The first layer is ``sum_i W_i x_i + b``: the linear map of the concatenated inputs, without
    the concatenation. An enumerated ``y`` of shape ``(K, 1, K)`` meets an ``x`` of shape
    ``(N, D)`` in the hidden layer, so nothing is tiled and x's part is computed once for all K.

    Args:
        in_dims: The size of the input's last dimension, or one size for each of several inputs.
        hidden: The sizes of the hidden layers. ``()`` gives a linear map.
        out_dim: The size of the output's last dimension.
        activation: The class of the nonlinearity between layers.
        batch_norm: Whether a :class:`BatchNorm` stands before each activation.

    Raises:
        InputError: if a size is not positive, or an input's last dimension is not as declared.

    Weights are drawn by Xavier's uniform initialiser, as if the inputs were concatenated.
    """

    def __init__(
        self,
        in_dims: int | Sequence[int],
        hidden: Sequence[int],
        out_dim: int,
        *,
        activation: type[nn.Module] = nn.Softplus,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.in_dims = (in_dims,) if isinstance(in_dims, int) else tuple(in_dims)
        if not self.in_dims:
            raise InputError("expected the size of at least one input, got none")
        sizes = [*hidden, out_dim]
        for kind, dims in {"input": self.in_dims, "hidden": hidden, "output": [out_dim]}.items():
            for size in dims:
                positive(**{f"{kind} layer size": size})
        first = _xavier(nn.Linear(sum(self.in_dims), sizes[0]))
        self.first = nn.ModuleList()
        for i, weight in enumerate(first.weight.detach().split(self.in_dims, dim=1)):
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
        """Inputs of shapes ``(..., in_dims[i])`` to an output of shape ``(..., out_dim)``."""
        sizes = tuple(x.shape[-1] if x.dim() else 0 for x in inputs)
        if sizes != self.in_dims:
            raise InputError(
                f"expected inputs of size {self.in_dims} in their last dimension, got {sizes}"
                f" (shapes {[tuple(x.shape) for x in inputs]})"
            )
        hidden, *further = (linear(x) for linear, x in zip(self.first, inputs))
        for part in further:
            hidden = hidden + part
        return self.rest(hidden)


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation of (..., H) with one mean and variance over all leading dimensions.

    Of an enumerated label's rows (K, N, H) that is over examples and classes together: with a
    mean for each class, what the label adds to the layer would be the first thing taken out.
    """

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.flatten(0, -2)).view_as(input)


def _xavier(linear: nn.Linear) -> nn.Linear:
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
