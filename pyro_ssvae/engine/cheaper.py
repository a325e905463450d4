"""A graph in operations that cost less where inductor compiles them for a CPU.

Softplus and the cross-entropy of logits need ``log(1 + t)``. The library of vectorised functions
that inductor calls for it takes more time than all else in a hidden layer but its matrix product.
Of a t in [0, 1] a short series has it to the last digits of float32, in operations that fuse. And
inductor writes an exponential that is used twice to memory, and reads it again: here none is.

A classifier that is sure of its classes has gradients by its logits that are subnormal numbers, and
processors take a hundred times longer for matrix products of these: here they are zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from pyro_ssvae.inference.elbo import smallest_factor

aten = torch.ops.aten
LEAST = smallest_factor(torch.float32)
TERMS = 8  # of the series, whose rest is below 2e-9 of it: float32 has 6e-8


def log1p_of_share(t: Tensor) -> Tensor:
    """The logarithm of 1 + t for t in [0, 1], (...,), to a relative 3e-7 in float32.

    It is 2 artanh(s) of s = t / (2 + t), which is in [0, 1 / 3]: 2 (s + s^3 / 3 + s^5 / 5 + ...).
    """
    s = t / (2.0 + t)
    square = s * s
    result = square * (2.0 / (2 * TERMS - 1)) + 2.0 / (2 * TERMS - 3)
    for power in range(2 * TERMS - 5, 0, -2):
        result = result * square + 2.0 / power
    return s * result


def softplus(x: Tensor) -> Tensor:
    """The logarithm of 1 + exp(x), of the shape of x, as torch's.

    Of a negative x it has a relative error of 1e-7 (3 - x), which is that of x in exp(x).
    """
    # By a power of 2, which inductor computes where it is used.
    return x.relu() + log1p_of_share(torch.exp2(x.abs() * -math.log2(math.e)))


def softplus_backward(gradient: Tensor, x: Tensor) -> Tensor:
    """The gradient by x of what has this gradient by the softplus of x, as torch's."""
    return gradient * x.sigmoid()


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """The cross-entropy of Bernoulli variables, of the shape of both, as torch's."""
    return softplus(logits) - logits * target


def log_softmax_backward(gradient: Tensor, log_probs: Tensor) -> Tensor:
    """The gradient by logits (..., K) of what has this gradient by their log-softmax, as torch's.

    What is below 1e-31 is zero, so that its products with weights are no subnormal numbers either.
    """
    result = gradient - log_probs.exp() * gradient.sum(-1, keepdim=True)
    return torch.where(result.abs() < LEAST, 0.0, result)


# What is computed in its place, of so many arguments, if the others are these.
FORMULAS: dict[Any, tuple[Callable[..., Any], int, tuple[tuple[Any, ...], ...]]] = {
    aten.softplus.default: (softplus, 1, ((), (1.0, 20.0))),
    aten.softplus_backward.default: (softplus_backward, 2, ((1.0, 20.0),)),
    aten.binary_cross_entropy_with_logits.default: (cross_entropy, 2, ((None, None, 0),)),
    aten._log_softmax_backward_data.default: (log_softmax_backward, 2, ((-1, torch.float32),)),
}


def cheaper(graph: fx.GraphModule) -> fx.GraphModule:
    """The graph with these operations in place of torch's, where they are of float32 on a CPU."""
    return _Cheaper(graph).transform()


class _Cheaper(fx.Transformer):
    def run_node(self, n: fx.Node) -> Any:
        formula, number, others = FORMULAS.get(n.target, (None, 0, ()))
        value = n.meta.get("val")
        if formula is None or n.args[number:] not in others or not _of_float32_on_cpu(value):
            return super().run_node(n)
        arguments, _ = self.fetch_args_kwargs_from_env(n)
        return formula(*arguments[:number])


def _of_float32_on_cpu(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.float32 and value.device.type == "cpu"
