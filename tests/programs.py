"""Programs vectorised once for equal ones: for tests that are about what is around them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from torch import Tensor, fx

from pyro_ssvae.engine.noise import Noise
from pyro_ssvae.engine.vectorised import vectorised


class Programs:
    """What was vectorised, to be had again by the same program and equal shapes."""

    def __init__(self) -> None:
        self.vectorised: list[tuple[Any, tuple[fx.GraphModule, list[Noise]]]] = []

    def vectorise(
        self, graph: fx.GraphModule, tensors: Sequence[Tensor], *, of_all: Collection[int]
    ) -> tuple[fx.GraphModule, list[Noise]]:
        """:func:`pyro_ssvae.engine.vectorised.vectorised` of a graph that is kept."""
        wanted = graph, [tensor.shape for tensor in tensors], of_all
        known = [result for key, result in self.vectorised if key == wanted]
        if not known:
            known = [vectorised(graph, tensors, of_all=of_all)]
            self.vectorised.append((wanted, known[0]))
        return known[0]
