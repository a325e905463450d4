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
from torch.fx.experimental.proxy_tensor import make_fx

from pyro_ssvae.data import Batch
from pyro_ssvae.objective import Loss, Objective
from pyro_ssvae.precision import Precision, matrix_products

TERMS = ("labelled", "unlabelled", "alpha")  # weights of terms, that are absent at zero


class CaptureError(RuntimeError):
    """An objective cannot be captured; the message says why."""


@dataclass(frozen=True)
class Program:
    """An update of an objective for batches of one shape.

    Attributes:
        graph: called with the state, a batch's x, y and u and the scalars, as :func:`trace`
            was; it changes the state in place and returns a list of tensors, see :meth:`loss`.
        state: parameters, buffers and Adam's averages and counts, the optimizer's own.
        shapes: of the batch.
        terms: names of the loss's terms.
        scalars: names of the scalars, of which the first are ``"epoch"`` and ``"lr"``.
        learnt: the parameters that have a gradient.
        whole: whether the graph moves the parameters too; else it returns the gradients.
    """

    graph: torch.fx.GraphModule
    state: list[Tensor]
    shapes: list[torch.Size]
    terms: list[str]
    scalars: list[str]
    learnt: list[nn.Parameter]
    whole: bool

    def loss(self, outputs: Sequence[Tensor]) -> Loss:
        """The loss among what the graph returns."""
        return Loss(outputs[0], dict(zip(self.terms, outputs[1:])))

    def gradients(self, outputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """The gradients of :attr:`learnt` among what the graph returns; none if it is whole."""
        return outputs[1 + len(self.terms):]


def trace(
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    *,
    precision: Precision = "fp32",
) -> Program:
    """Run an update once, noting down its tensor operations; nothing is changed.

    Args:
        objective: in the mode, on the device and with the options to trace it with.
        optimizer: of its parameters. The step of a fused Adam with one group of parameters and
            no weight decay becomes a part of the program, and moves nothing where the loss is not
            finite; any other is taken outside it.
        batch: of the shape to trace it for.
        precision: of matrix products, ``"fp32"`` or ``"bf16"``.

    Raises:
        CaptureError: if the program branches on the values of tensors.
    """
    weights = inputs(objective)
    last = _LastSite()
    with ExitStack() as stack:
        stack.enter_context(_unchanged(objective, batch.x.device))
        stack.enter_context(matrix_products(precision))
        stack.enter_context(pyro.validation_enabled(False))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        try:
            with last:
                loss, learnt = _learnt(objective, batch)
                adam = _plain_adam(optimizer, learnt)
                state = [p.detach() for p in learnt] + list(objective.buffers())
                state += [average for averages in adam or () for average in averages]
                scalars = scalar_tensors(["epoch", "lr", *weights], loss.total)
                group = None if adam is None else optimizer.param_groups[0]
                step = _Step(objective, learnt, group, weights)
                graph = make_fx(step)(*(tensor.clone() for tensor in state), *batch, *scalars)
        except Exception as error:  # whatever the tracer met that is no tensor operation
            raise CaptureError(f"{reason(error)} (after site {last.name!r})") from error
    if adam is not None:
        for parameter, *averages in zip(learnt, *adam):
            optimizer.state[parameter] = dict(zip(("exp_avg", "exp_avg_sq", "step"), averages))
    return Program(
        graph, state, [part.shape for part in batch], list(loss.terms),
        ["epoch", "lr", *weights], learnt, adam is not None,
    )


def inputs(objective: Objective) -> list[str]:
    """The weights of the objective that are inputs of its program; without a term, none is."""
    return [w for w in TERMS if getattr(objective, w) > 0] + ["beta", "gamma"]


def scalar_tensors(names: Sequence[str], like: Tensor) -> list[Tensor]:
    """Zeros to hold scalars of these names, of the dtype and on the device of ``like``."""
    return [torch.zeros((), dtype=like.dtype, device=like.device) for _ in names]


def reason(error: Exception) -> str:
    """In one line, why something could not be captured."""
    text = str(error).strip()
    if "value out of a tracing tensor" in text:
        return "the program branches on the values of a tensor"
    return f"{type(error).__name__}: {text.splitlines()[0] if text else 'no message'}"


class _Step:
    """An update as a function of all tensors that it reads."""

    def __init__(
        self,
        objective: Objective,
        learnt: list[nn.Parameter],
        adam: Mapping[str, Any] | None,
        weights: list[str],
    ) -> None:
        self.objective, self.learnt, self.adam, self.weights = objective, learnt, adam, weights
        self.buffers = list(objective.buffers())

    def __call__(self, *tensors: Tensor) -> list[Tensor]:
        given = iter(tensors)
        parameters, buffers = _take(given, self.learnt), _take(given, self.buffers)
        averages = [_take(given, self.learnt) for _ in range(3 if self.adam else 0)]
        batch = Batch(next(given), next(given), next(given))
        epoch, lr, *weights = given
        values = [parameter.detach().requires_grad_() for parameter in parameters]
        others = dict(zip([*self.learnt, *self.buffers], [*values, *buffers]))
        with (
            _attributes(self.objective, dict(zip(self.weights, weights))),
            _tensors_replaced(self.objective, others),
        ):
            loss = self.objective(batch, epoch)
        gradients = torch.autograd.grad(loss.total, values)
        outputs = [loss.total.detach(), *loss.terms.values()]
        if self.adam is None:
            return [*outputs, *gradients]
        finite = outputs[0].isfinite()
        for moved in zip(parameters, gradients, *averages):
            _adam(*moved, lr=lr, options=self.adam, where=finite)
        return outputs


def _take(tensors: Iterator[Tensor], places: Sequence[Any]) -> list[Tensor]:
    return [next(tensors) for _ in places]


def _adam(
    parameter: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, count: Tensor,
    *, lr: Tensor, options: Mapping[str, Any], where: Tensor,
) -> None:
    # Kingma and Ba (2015), Adam, algorithm 1, as torch rounds it.
    beta1, beta2 = options["betas"]
    steps = count + 1
    unbiased1, unbiased2 = (1 - beta ** steps.double() for beta in (beta1, beta2))
    first = mean.lerp(gradient, 1 - beta1)
    second = beta2 * square + (1 - beta2) * gradient * gradient
    scale = second.sqrt() / unbiased2.sqrt().to(lr.dtype) + options["eps"]
    value = parameter - (lr / unbiased1).to(lr.dtype) * first / scale
    for old, new in zip((parameter, mean, square, count), (value, first, second, steps)):
        old.copy_(torch.where(where, new, old))


def _plain_adam(
    optimizer: torch.optim.Optimizer, learnt: list[nn.Parameter]
) -> list[list[Tensor]] | None:
    """Averages, averaged squares and counts, the optimizer's own where it has begun."""
    if type(optimizer) is not torch.optim.Adam or len(optimizer.param_groups) != 1:
        return None
    group = optimizer.param_groups[0]
    if not group["fused"] or any(group[o] for o in ("weight_decay", "amsgrad", "maximize")):
        return None
    if {id(p) for p in learnt} - {id(p) for p in group["params"]}:
        return None
    begun = [optimizer.state.get(parameter, {}) for parameter in learnt]
    zeros = [torch.zeros_like(p, memory_format=torch.preserve_format) for p in learnt]
    return [
        [state.get("exp_avg", z) for state, z in zip(begun, zeros)],
        [state.get("exp_avg_sq", z.clone()) for state, z in zip(begun, zeros)],
        [state.get("step", z.new_zeros((), dtype=torch.float32)) for state, z in zip(begun, zeros)],
    ]


def _learnt(objective: Objective, batch: Batch) -> tuple[Loss, list[nn.Parameter]]:
    """A loss, and the parameters on which it depends."""
    parameters = [p for p in objective.parameters() if p.requires_grad]
    loss = objective(batch, 0.0)
    gradients = torch.autograd.grad(loss.total, parameters, allow_unused=True)
    return loss, [p for p, gradient in zip(parameters, gradients) if gradient is not None]


@contextmanager
def _unchanged(module: nn.Module, device: torch.device) -> Iterator[None]:
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
def _attributes(objective: Objective, values: Mapping[str, Tensor]) -> Iterator[None]:
    before = {name: getattr(objective, name) for name in values}
    try:
        vars(objective).update(values)
        yield
    finally:
        vars(objective).update(before)


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
