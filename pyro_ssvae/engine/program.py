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
from pyro_ssvae.inference.programs import buffers_kept
from pyro_ssvae.system.randomness import other_noise, other_noise_kept

SAME = 1e-2  # of its size that a gradient may be off by rounding, in bfloat16 too


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
    """Run an objective and its gradient, noting down their tensor operations.

    Weights, buffers and random states are as they were in the end; what else the objective changes
    as it runs is not put back. What the operations give is held against what the program gave.

    Args:
        objective: The objective, in the mode, on the device and with the options to trace it with.
        batch: A batch of the shape to trace it for.
        precision: The precision of matrix products, ``"fp32"`` or ``"bf16"``.

    Raises:
        CaptureError: if the program branches on the values of tensors, changes what is no buffer or
            replaces one, gives another value or gradient as a graph, or a parameter has a hook that
            is to be called with its gradient.
    """
    if hooked := _hooked(objective):
        raise CaptureError(f"{hooked[0]} has a hook, which is called with its gradient")
    last, device = _LastSite(), batch.x.device
    with ExitStack() as stack:
        stack.enter_context(shares.without_sums())
        stack.enter_context(pyro.validation_enabled(False))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        try:
            with unchanged(objective, device), matrix_products(precision), last:
                objective(_other(batch), 0.0)  # what it makes at its first call is there then
            with unchanged(objective, device), matrix_products(precision), last:
                before = _state(objective)
                loss, gradients = _learnt(objective, batch)
                _check_unchanged(before, _state(objective))
            learnt, buffers, weights = list(gradients), list(objective.buffers()), inputs(objective)
            numbers = scalars(1 + len(weights), learnt[0])
            tensors = [*learnt, *buffers, *batch.tensors, *numbers]
            with unchanged(objective, device), matrix_products(precision), last:
                graph = private.traced(_Gradients(objective, learnt, buffers, weights), tensors)
        except CaptureError:
            raise
        except Exception as error:  # whatever the tracer met that is no tensor operation
            raise CaptureError(f"{reason(error)} (after site {last.name!r})") from error
        shapes = [part.shape for part in batch.tensors]
        program = Program(graph, learnt, buffers, shapes, weights, list(loss.terms))
        with unchanged(objective, device), torch.no_grad():
            values = [torch.full_like(number, objective.weights[name])
                      for number, name in zip(numbers[1:], weights)]
            outputs = graph(*program.state, *batch.tensors, numbers[0], *values)
            _check_same(program.split(outputs), loss, list(gradients.values()))
    return program


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


def _learnt(objective: Objective, batch: Batch) -> tuple[Loss, dict[nn.Parameter, Tensor]]:
    """A loss, and its gradients by the parameters on which it depends."""
    parameters = [p for p in objective.parameters() if p.requires_grad]
    loss = objective(batch, 0.0)
    gradients = torch.autograd.grad(loss.total, parameters, allow_unused=True)
    return loss, {p: each for p, each in zip(parameters, gradients) if each is not None}


def _other(batch: Batch) -> Batch:
    """A batch of the same shapes whose rows are all the first one."""
    return Batch(*(part[part.new_zeros(len(part), dtype=torch.int64)] for part in batch.tensors))


def _state(objective: Objective) -> dict[str, Any]:
    """What no update may change, for a graph does not: settings, places of buffers, noise."""
    places = {
        f"the buffer {name}": (id(buffer), buffer.data_ptr())
        for name, buffer in objective.named_buffers()
    }
    return {**constants(objective), **places, **other_noise()}


def _check_unchanged(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Raise :class:`CaptureError` if anything has changed that :func:`_state` tells of."""
    changed = [n for n, value in after.items() if n not in before or before[n] != value]
    if changed:
        raise CaptureError(
            f"an update changes {', '.join(changed[:3])}; what it changes are to be buffers, in"
            " place, as by copy_, and noise is to be torch's"
        )


def _check_same(
    found: tuple[Outcome, list[Tensor], Tensor], loss: Loss, gradients: Sequence[Tensor]
) -> None:
    """Raise :class:`CaptureError` unless a graph gave the loss and the gradients of its program."""
    outcome, ours, _ = found
    whole = torch.stack([gradient.norm() for gradient in gradients]).norm()
    pairs = [(f"{loss.total:.6g} as its loss", outcome.total, loss.total.detach()), *(
        (f"a gradient of shape {tuple(theirs.shape)}", one, theirs)
        for one, theirs in zip(ours, gradients)
    )]
    for what, one, other in pairs:
        # A gradient may be zero but for rounding, as that of a bias which is normalised away.
        least = other.norm() + (0.0 if one is outcome.total else 1e-3 * whole)
        if (one - other).norm() > SAME * least:
            raise CaptureError(
                f"its graph does not give {what}: it computes something twice, with noise of its"
                " own each time, or with noise that is not torch's"
            )


@contextmanager
def unchanged(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Put buffers, such as the statistics of batch normalisation, and random states back."""
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        other_noise_kept(), buffers_kept(module),
    ):
        yield


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
