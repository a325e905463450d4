"""Programs traced once for all equal objectives: for tests that are about what is around them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, fx

from pyro_ssvae import Objective
from pyro_ssvae.contract import Batch
from pyro_ssvae.engine.noise import Noise
from pyro_ssvae.engine.program import Program, constants, trace
from pyro_ssvae.engine.vectorised import vectorised


class Programs:
    """What was traced and vectorised, to be had again by an equal objective and equal shapes."""

    def __init__(self) -> None:
        self.traced: list[tuple[Any, list[str], Program]] = []
        self.vectorised: list[tuple[Any, tuple[fx.GraphModule, list[Noise]]]] = []

    def trace(self, objective: Objective, batch: Batch, *, precision: str = "fp32") -> Program:
        """:func:`pyro_ssvae.engine.program.trace`, with the objective's own tensors."""
        like = [(part.shape, part.dtype) for part in batch.tensors]
        wanted = constants(objective), like, precision
        parameters = dict(objective.named_parameters())
        known = [(names, program) for key, names, program in self.traced if key == wanted]
        if not known:
            program = trace(objective, batch, precision=precision)
            learnt = {id(p) for p in program.learnt}
            known = [([name for name, p in parameters.items() if id(p) in learnt], program)]
            self.traced.append((wanted, *known[0]))
        names, program = known[0]
        learnt = [parameters[name] for name in names]
        return replace(program, learnt=learnt, buffers=list(objective.buffers()))

    def vectorise(
        self, graph: fx.GraphModule, tensors: Sequence[Tensor], *, of_all: Collection[int]
    ) -> tuple[fx.GraphModule, list[Noise]]:
        """:func:`pyro_ssvae.engine.vectorised.vectorised` of a graph from :meth:`trace`."""
        wanted = id(graph), [tensor.shape for tensor in tensors], of_all
        known = [result for key, result in self.vectorised if key == wanted]
        if not known:
            known = [vectorised(graph, tensors, of_all=of_all)]
            self.vectorised.append((wanted, known[0]))
        return known[0]
