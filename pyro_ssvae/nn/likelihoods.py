"""Decoders by the name of their likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Unpack

from torch import nn

from pyro_ssvae.errors import InputError, unknown
from pyro_ssvae.nn.columns import Columns
from pyro_ssvae.nn.heads import Bernoulli, Categorical, Normal
from pyro_ssvae.nn.mixed import Mixed
from pyro_ssvae.nn.mlp import Layers

# A pair is built with the columns of its data in place of the name "mixed".
Likelihood = Literal["bernoulli", "normal", "mixed"] | Columns


def likelihood(
    name: Likelihood | Literal["categorical"],
    in_dims: int | Sequence[int],
    hidden: Sequence[int],
    out_dim: int,
    sigma: float | None,
    vocabulary: int | None = None,
    **layers: Unpack[Layers],
) -> nn.Module:
    """The decoder network for a likelihood.

    Args:
        name: The name of the likelihood: ``"bernoulli"``, ``"normal"`` or ``"categorical"``. Of a
            frame its columns, which are of several types.
        in_dims: The size of each input, as for :class:`MLP`.
        hidden: The sizes of the hidden layers.
        out_dim: The number of dimensions of x.
        sigma: The fixed standard deviation of a normal likelihood, and of the numbers of a frame:
            ``1 / sigma**2`` weighs the reconstruction against the rest of the bound. With None the
            network gives one for every dimension. Other likelihoods do not use it.
        vocabulary: The number of a categorical likelihood's different tokens. Other likelihoods do
            not use it.
        layers: What the hidden layers are made of, as for :class:`MLP`.

    Raises:
        InputError: If there is no likelihood of this name, or x is not of these columns.
    """
    if isinstance(name, Columns):
        if name.width != out_dim:
            raise InputError(
                f"expected x of the {name.width} dimensions that its columns have, got {out_dim}"
            )
        return Mixed(in_dims, hidden, name, sigma, **layers)
    if name == "bernoulli":
        return Bernoulli(in_dims, hidden, out_dim, **layers)
    if name == "normal":
        return Normal(in_dims, hidden, out_dim, sigma, **layers)
    if name == "categorical":
        return Categorical(in_dims, hidden, out_dim, vocabulary, **layers)
    if name == "mixed":
        raise InputError("likelihood='mixed' is that of a frame: give its columns in place of it")
    raise unknown("likelihood", name, ("bernoulli", "normal", "categorical"))
