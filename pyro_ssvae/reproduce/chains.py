"""A chain of discrete variables: the probability of its end, by elimination and by the joint."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import pyro
import torch
from pyro import distributions as dist
from pyro.infer import TraceEnum_ELBO
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

PARALLEL = {"enumerate": "parallel"}


def chain(initial: Tensor, transitions: Tensor, last: Tensor) -> None:
    """P(x_1) P(x_2 | x_1) ... P(x_n | x_n-1), of which x_n is seen.

    Args:
        initial: The logits of x_1, (k,).
        transitions: The logits of every next one, given the one before, (n - 1, k, k).
        last: The value of x_n.
    """
    x = pyro.sample("x_1", dist.Categorical(logits=initial), infer=PARALLEL)
    for i in pyro.markov(range(len(transitions))):
        final = i == len(transitions) - 1
        x = pyro.sample(
            f"x_{i + 2}", dist.Categorical(logits=transitions[i][x]),
            obs=last if final else None, infer={} if final else PARALLEL,
        )


def nothing(initial: Tensor, transitions: Tensor, last: Tensor) -> None:
    """The guide: all but the end is summed over in the model."""


def eliminated(initial: Tensor, transitions: Tensor, last: Tensor) -> Tensor:
    """log P(x_n) as Pyro's enumeration gives it, one variable at a time."""
    elbo = TraceEnum_ELBO(max_plate_nesting=0)
    return -elbo.differentiable_loss(chain, nothing, initial, transitions, last)


def jointly(initial: Tensor, transitions: Tensor, last: Tensor) -> Tensor:
    """log P(x_n) by the table of all k^(n-1) values of the others."""
    joint = initial.log_softmax(-1)
    for step in transitions[:-1].log_softmax(-1):
        joint = joint.unsqueeze(-1) + step
    return (joint + transitions[-1].log_softmax(-1)[:, last]).logsumexp(list(range(joint.dim())))


def of_size(k: int, n: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """A random chain of n variables of k values each, and a value of the last."""
    noise = torch.Generator().manual_seed(seed)
    initial = torch.randn(k, generator=noise, dtype=torch.double).requires_grad_()
    transitions = torch.randn(n - 1, k, k, generator=noise, dtype=torch.double)
    return initial, transitions, torch.tensor(k // 2)


class Counted(TorchDispatchMode):
    """Counts what tensor operations do, while it is entered.

    A product of matrices counts its multiplications, and any other operation the numbers of the
    largest tensor that it reads or makes. What makes a view of numbers counts nothing.

    Attributes:
        operations: The count.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        packet = func.overloadpacket
        if packet in flop_registry:
            self.operations += flop_registry[packet](*args, **(kwargs or {}), out_val=result) // 2
        elif not func.is_view:
            self.operations += max(
                (each.numel() for each in (*args, result) if isinstance(each, Tensor)), default=0
            )
        return result


def cost(k: int, n: int, way: str) -> dict[str, Any]:
    """What log P(x_n) costs, ``way`` being ``"eliminated"`` or ``"jointly"``.

    Returns:
        The value, the number of operations and the shortest time of three, in seconds.
    """
    function: Callable[..., Tensor] = {"eliminated": eliminated, "jointly": jointly}[way]
    given = of_size(k, n)
    with pyro.validation_enabled(False):
        with Counted() as counted:
            value = function(*given)
        seconds = []
        for _ in range(3):
            begun = time.perf_counter()
            function(*given)
            seconds.append(time.perf_counter() - begun)
    return {"value": value.item(), "operations": counted.operations, "seconds": min(seconds)}
