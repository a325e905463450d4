"""An update as a program of tensor operations: what is left of Pyro once it has run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn

from pyro_ssvae import private
from pyro_ssvae.contract import Batch
from pyro_ssvae.engine.outcome import Outcome, to_skip
from pyro_ssvae.engine.precision import Precision, matrix_products
from pyro_ssvae.engine.settings import settings
from pyro_ssvae.inference import shares
from pyro_ssvae.inference.objective import Loss, Objective


class CaptureError(RuntimeError):
    """An objective cannot be captured; the message says why."""


@dataclass(frozen=True)
class Program:
    """The losses and the gradients of an objective, for batches of one shape.

    Attributes:
        graph: The graph. It takes the tensors of ``learnt`` and ``buffers``, a batch's x, y and u,
            the epoch and the ``weights``. It returns what :meth:`split` tells apart, and changes
            the buffers in place.
        learnt: The parameters that have a gradient.
        buffers: The buffers of the objective, such as the statistics of batch normalisation.
        shapes: The shapes of the batch's parts.
        weights: The names of the weights that are inputs of the graph.
        terms: The names of the loss's terms.
    """

    graph: torch.fx.GraphModule
    learnt: list[nn.Parameter]
    buffers: list[Tensor]
    shapes: list[torch.Size]
    weights: list[str]
    terms: list[str]

    @property
    def state(self) -> list[Tensor]:
        """The tensors that the graph takes first, without their gradients."""
        return [parameter.detach() for parameter in self.learnt] + self.buffers

    def split(self, outputs: Sequence[Tensor]) -> tuple[Outcome, list[Tensor], Tensor]:
        """What the graph returns: the outcome, the gradients, and whether they are broken.

        The latter is float32, 0 where the loss and all gradients are finite and 1 elsewhere.
        """
        total, *values, finite, broken = outputs
        terms, gradients = values[:len(self.terms)], values[len(self.terms):]
        return Outcome(total, dict(zip(self.terms, terms)), finite), gradients, broken


def trace(objective: Objective, batch: Batch, *, precision: Precision = "fp32") -> Program:
    """Run an objective and its gradient once, noting down their tensor operations.

    Nothing is changed by it.

    Args:
        objective: The objective, in the mode, on the device and with the options to trace it with.
        batch: A batch of the shape to trace it for.
        precision: The precision of matrix products, ``"fp32"`` or ``"bf16"``.

    Raises:
        CaptureError: if the program branches on the values of tensors, or a parameter has a hook
            that is to be called with its gradient.
    """
    if hooked := _hooked(objective):
        raise CaptureError(f"{hooked[0]} has a hook, which is called with its gradient")
    last = _LastSite()
    with ExitStack() as stack:
        stack.enter_context(unchanged(objective, batch.x.device))
        stack.enter_context(shares.without_sums())
        stack.enter_context(matrix_products(precision))
        stack.enter_context(pyro.validation_enabled(False))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        try:
            with last:
                loss, learnt = _learnt(objective, batch)
                buffers, weights = list(objective.buffers()), inputs(objective)
                numbers = scalars(1 + len(weights), learnt[0])
                tensors = [*learnt, *buffers, *batch.tensors, *numbers]
                gradients = _Gradients(objective, learnt, buffers, weights)
                graph = private.traced(gradients, tensors)
        except Exception as error:  # whatever the tracer met that is no tensor operation
            raise CaptureError(f"{reason(error)} (after site {last.name!r})") from error
    shapes = [part.shape for part in batch.tensors]
    return Program(graph, learnt, buffers, shapes, weights, list(loss.terms))


def inputs(objective: Objective) -> list[str]:
    """The names of the weights that are inputs of the objective's program.

    A part of weight zero is not in the program. Beta weighs what is there in any case.
    """
    return [name for name in objective.weights if name == "beta" or objective.counts(name)]


def constants(objective: Objective) -> dict[str, Any]:
    """The settings of an objective that are no inputs of its program, by name.

    A program is the same for objectives with equal ones, and for an objective while they last.
    """
    result = settings(objective)
    del result["weights"]
    given = inputs(objective)
    return result | {"the parameters with hooks": _hooked(objective)} | {
        f"the weight of {name}": "positive" if name in given else "zero"
        for name in objective.weights if name != "beta"
    }


def _hooked(objective: Objective) -> list[str]:
    return [name for name, p in objective.named_parameters() if private.is_hooked(p)]


def scalars(number: int, like: Tensor) -> list[Tensor]:
    """So many zeros, of the dtype and on the device of ``like``."""
    return [torch.zeros((), dtype=like.dtype, device=like.device) for _ in range(number)]


def reason(error: Exception) -> str:
    """In one line, why something could not be captured."""
    text = str(error).strip()
    if "value out of a tracing tensor" in text:
        return "the program branches on the values of a tensor"
    return f"{type(error).__name__}: {text.splitlines()[0] if text else 'no message'}"


class _Gradients:
    """The loss and the gradients as a function of all tensors that they depend on."""

    def __init__(
        self,
        objective: Objective,
        learnt: list[nn.Parameter],
        buffers: list[Tensor],
        weights: list[str],
    ) -> None:
        self.objective, self.learnt, self.buffers = objective, learnt, buffers
        self.weights = weights

    def __call__(self, *tensors: Tensor) -> list[Tensor]:
        state = [*self.learnt, *self.buffers]
        given, rest = tensors[:len(state)], tensors[len(state):]
        parts, (epoch, *weights) = rest[:-1 - len(self.weights)], rest[-1 - len(self.weights):]
        values = [value.detach().requires_grad_() for value in given[:len(self.learnt)]]
        replaced = dict(zip(state, [*values, *given[len(self.learnt):]]))
        with (
            _weights_replaced(self.objective, dict(zip(self.weights, weights))),
            _tensors_replaced(self.objective, replaced),
        ):
            loss = self.objective(Batch(*parts), epoch)
        gradients = [
            _laid_out(gradient, value)
            for gradient, value in zip(torch.autograd.grad(loss.total, values), values)
        ]
        total = loss.total.detach()
        finite = torch.stack([value.isfinite().all() for value in (total, *gradients)])
        return [total, *loss.terms.values(), *gradients, finite, to_skip(finite)]


def _laid_out(gradient: Tensor, parameter: Tensor) -> Tensor:
    """A gradient in the memory layout of its parameter, which fused optimizers take for granted."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def _learnt(objective: Objective, batch: Batch) -> tuple[Loss, list[nn.Parameter]]:
    """A loss, and the parameters on which it depends."""
    parameters = [p for p in objective.parameters() if p.requires_grad]
    loss = objective(batch, 0.0)
    gradients = torch.autograd.grad(loss.total, parameters, allow_unused=True)
    return loss, [p for p, gradient in zip(parameters, gradients) if gradient is not None]


@contextmanager
def unchanged(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Put buffers, such as the statistics of batch normalisation, and random state back."""
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            for buffer, before in buffers:
                buffer.copy_(before)


class _LastSite(Messenger):
    """Remembers the name of the last sample site."""

    name = ""

    def _pyro_post_sample(self, msg: dict[str, Any]) -> None:
        self.name = msg["name"]


@contextmanager
def _weights_replaced(objective: Objective, values: Mapping[str, Tensor]) -> Iterator[None]:
    before = objective.weights
    try:
        vars(objective)["weights"] = {**before, **values}
        yield
    finally:
        vars(objective)["weights"] = before


@contextmanager
def _tensors_replaced(module: nn.Module, values: Mapping[Tensor, Tensor]) -> Iterator[None]:
    """Have a module compute with other tensors; torch.func loses parameters of shared modules."""
    owners: list[dict[str, Any]] = [
        tensors for part in module.modules() for tensors in (part._parameters, part._buffers)
    ]
    places = [
        (tensors, name, tensor)
        for tensors in owners for name, tensor in tensors.items() if tensor in values
    ]
    try:
        for tensors, name, tensor in places:
            tensors[name] = values[tensor]
        yield
    finally:
        for tensors, name, tensor in places:
            tensors[name] = tensor
