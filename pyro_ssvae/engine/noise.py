"""The noise of a traced program, made an input of it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from pyro_ssvae.engine.program import CaptureError

aten = torch.ops.aten
DRAWS = {
    aten.normal_.default: "normal_", aten.uniform_.default: "uniform_",
    aten.exponential_.default: "exponential_", aten.bernoulli_.float: "bernoulli_",
}
CREATED = {  # of the second two only the shape depends on another tensor
    aten.randn.default: "normal_", aten.rand.default: "uniform_",
    aten.randn_like.default: "normal_", aten.rand_like.default: "uniform_",
}


@dataclass(frozen=True)
class Noise:
    """A draw that depends on no value of another tensor.

    Attributes:
        shape: The shape of what is drawn.
        dtype: The type of what is drawn.
        device: The device that it is drawn on.
        draw: The name of the method of a tensor that fills it.
        arguments: The arguments of that method.
    """

    shape: torch.Size
    dtype: torch.dtype
    device: torch.device
    draw: str
    arguments: tuple[Any, ...]

    def empty(self, replicas: int) -> Tensor:
        """Room for the draws of so many replicas, (replicas, *shape)."""
        return torch.empty((replicas, *self.shape), dtype=self.dtype, device=self.device)

    def fill(self, tensor: Tensor, generator: torch.Generator | None) -> None:
        """Draw as the program would have done with this generator, None for torch's own."""
        getattr(tensor, self.draw)(*self.arguments, generator=generator)


def draws(operation: Any) -> bool:
    """Whether an operation of torch's draws from a generator."""
    return torch.Tag.nondeterministic_seeded in getattr(operation, "tags", ())


def lifted(graph: fx.GraphModule) -> tuple[fx.GraphModule, list[Noise]]:
    """The graph with its noise as further inputs, in the order in which it was drawn.

    Raises:
        CaptureError: if what is drawn depends on other tensors, or is not known here.
    """
    graph = copy.deepcopy(graph)
    nodes = graph.graph
    last = [node for node in nodes.nodes if node.op == "placeholder"][-1]
    noises = []
    for node in list(nodes.nodes):
        if not draws(node.target):
            continue
        draw = (DRAWS | CREATED).get(node.target)
        arguments = node.args[1:] if node.target in DRAWS else ()
        if draw is None or any(isinstance(a, fx.Node) for a in arguments):
            raise CaptureError(f"it draws noise that depends on parameters, by {node.target}")
        value = node.meta["val"]
        noises.append(Noise(value.shape, value.dtype, value.device, draw, tuple(arguments)))
        with nodes.inserting_after(last):
            last = nodes.placeholder(f"noise_{len(noises)}")
        node.replace_all_uses_with(last)
        nodes.erase_node(node)
    nodes.eliminate_dead_code()
    graph.recompile()
    return graph, noises
