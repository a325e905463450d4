"""A program for several replicas side by side, each with noise of its own."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence

from torch import Tensor, fx
from torch.func import vmap

from pyro_ssvae import private
from pyro_ssvae.engine.noise import Noise, lifted
from pyro_ssvae.engine.program import CaptureError, reason


def vectorised(
    graph: fx.GraphModule, tensors: Sequence[Tensor], *, of_all: Collection[int]
) -> tuple[fx.GraphModule, list[Noise]]:
    """A graph of one replica as one of all of them, by ``torch.func.vmap``.

    Args:
        graph: The graph of one replica.
        tensors: The inputs of all replicas, side by side. They are left alone.
        of_all: The places of inputs that all replicas have in common.

    Returns:
        The graph, and the draws of noise of one replica, in their order. The graph takes the
        draws of all replicas, side by side, after its other inputs.

    Raises:
        CaptureError: If the graph cannot be vectorised, or draws noise that depends on parameters.
    """
    alone, noises = lifted(graph)
    replicas = len(tensors[0])
    noise = [each.empty(replicas) for each in noises]
    places = [None if i in of_all else 0 for i in range(len(tensors))] + [0] * len(noise)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "There is a performance drop")  # while tracing
            graph = private.traced(vmap(alone, in_dims=tuple(places)), [*tensors, *noise])
    except Exception as error:
        raise CaptureError(f"this pair cannot be vectorised: {reason(error)}") from error
    return graph, noises
