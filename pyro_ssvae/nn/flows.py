"""Normalizing flows on a network's distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
from pyro import distributions as dist
from pyro.distributions.transforms import AffineAutoregressive
from pyro.nn import AutoRegressiveNN
from torch import Tensor, nn
from torch.distributions import Transform

from pyro_ssvae.errors import InputError
from pyro_ssvae.nn.heads import Normal
from pyro_ssvae.nn.mlp import Layers


class Flow(nn.Module):
    """A normalizing flow: a network's distribution, pushed through invertible transforms.

    Rezende and Mohamed (2015), Variational Inference with Normalizing Flows. Any guide takes one:
    ``guide.encoder = nn.Flow(guide.encoder, transforms)``.

    Args:
        base: A network that returns a distribution over vectors.
        transforms: The transforms, applied in this order: Pyro's, such as ``AffineCoupling``, or
            zuko's, such as ``zuko.flows.MaskedAutoregressiveTransform(J)``.
    """

    def __init__(self, base: nn.Module, transforms: Sequence[Any]) -> None:
        super().__init__()
        self.base = base
        self.transforms = list(transforms)
        self.parameters_of_transforms = nn.ModuleList(
            t for t in transforms if isinstance(t, nn.Module)
        )

    def forward(self, *inputs: Tensor) -> dist.Distribution:
        """The distribution over vectors, of the shape of the base's."""
        # zuko's transforms are made by a call, Pyro's are transforms themselves.
        made = [t if isinstance(t, Transform) else t() for t in self.transforms]
        return dist.TransformedDistribution(self.base(*inputs), made)


def posterior(
    in_dims: int | Sequence[int],
    hidden: Sequence[int],
    out_dim: int,
    flows: int = 0,
    **layers: Unpack[Layers],
) -> nn.Module:
    """The network of q(z | ...): a diagonal normal, and autoregressive flows on it.

    Kingma et al. (2016), Improved Variational Inference with Inverse Autoregressive Flow: each
    layer shifts and scales a dimension by what those before it were, in alternating order.

    Args:
        in_dims: The size of each input, as for :class:`MLP`.
        hidden: The sizes of the normal's hidden layers.
        out_dim: The number of dimensions of z.
        flows: The number of flows.
        layers: What the normal's hidden layers are made of, as for :class:`MLP`.

    Raises:
        InputError: If ``flows`` is negative.
    """
    normal = Normal(in_dims, hidden, out_dim, **layers)
    if flows < 0:
        raise InputError(f"expected flows >= 0, got {flows}")
    if flows == 0:
        return normal
    width = max(2 * out_dim, 16)
    transforms: list[Any] = []
    for i in range(flows):
        order = torch.arange(out_dim) if i % 2 == 0 else torch.arange(out_dim).flip(0)
        network = AutoRegressiveNN(out_dim, [width], permutation=order)
        transforms.append(AffineAutoregressive(network, stable=True))
    return Flow(normal, transforms)
