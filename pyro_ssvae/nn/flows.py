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
from pyro_ssvae.nn.network import Body, network
from pyro_ssvae.nn.shapes import Shape


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
    body: Body,
    inputs: int | Sequence[Shape],
    z_dim: int,
    hidden: Sequence[int],
    flows: int = 0,
    **layers: Unpack[Layers],
) -> nn.Module:
    """The network of q(z | ...): a diagonal normal, and autoregressive flows on it.

    Kingma et al. (2016), Improved Variational Inference with Inverse Autoregressive Flow: each
    layer shifts and scales a dimension by what those before it were, in alternating order.

    Args:
        body: The body, as for :func:`network`; so are ``inputs``, ``hidden`` and ``layers``.
        inputs: The size of the input, or the shape of each of several.
        z_dim: The number of dimensions of z.
        hidden: The sizes of the hidden layers.
        flows: The number of flows.
        layers: What the hidden layers are made of.

    Raises:
        InputError: If ``flows`` is negative.
    """
    normal = network(body, Normal(), inputs, z_dim, hidden, **layers)
    if flows < 0:
        raise InputError(f"expected flows >= 0, got {flows}")
    if flows == 0:
        return normal
    width = max(2 * z_dim, 16)
    transforms: list[Any] = []
    for i in range(flows):
        order = torch.arange(z_dim) if i % 2 == 0 else torch.arange(z_dim).flip(0)
        autoregressive = AutoRegressiveNN(z_dim, [width], permutation=order)
        transforms.append(AffineAutoregressive(autoregressive, stable=True))
    return Flow(normal, transforms)
