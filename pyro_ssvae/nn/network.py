"""Networks: a body of any kind, and a head that makes a distribution of what it gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Unpack, cast, get_args

import torch
from torch import Tensor, nn

from pyro_ssvae.errors import InputError, unknown
from pyro_ssvae.nn.conv import Conv
from pyro_ssvae.nn.heads import Head
from pyro_ssvae.nn.likelihoods import Likelihood
from pyro_ssvae.nn.mlp import MLP, Layers
from pyro_ssvae.nn.shapes import Shape, as_shapes, checked
from pyro_ssvae.nn.wide_resnet import WideResNet
from pyro_ssvae.system.places import called, is_place
from pyro_ssvae.system.words import heard

# A body, as pairs take it: the name of one of the library's, a class or function that is called
# with the shapes of the inputs and of the output, the place of one, or a module.
Body = str | Callable[..., nn.Module] | nn.Module

BODIES: dict[str, type[nn.Module]] = {"mlp": MLP, "conv": Conv, "wrn-28-2": WideResNet}


class Network(nn.Module):
    """A body and a head: a network whose output is a distribution.

    Args:
        body: The body, a module from inputs to raw numbers.
        head: The head.
        shape: The shape of what the distribution is over.
    """

    def __init__(self, body: nn.Module, head: Head, shape: Shape) -> None:
        super().__init__()
        self.body, self.head, self.shape = body, head, checked(shape, "an output")

    def forward(self, *inputs: Tensor) -> Any:
        """The distribution over (..., *shape), one event."""
        return self.head(self.body(*inputs), self.shape)


class Plain(nn.Module):
    """A body of one's own, which sees one batch dimension whatever comes.

    Inputs with several leading dimensions, as an enumerated label brings them, are expanded against
    each other, and flattened to one. A body with an attribute ``broadcasts`` that is true sees them
    as they come.

    Args:
        body: The body.
        inputs: The shapes of its inputs.
    """

    def __init__(self, body: nn.Module, inputs: int | Sequence[Shape]) -> None:
        super().__init__()
        self.body, self.inputs = body, as_shapes(inputs)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Raw numbers (..., *out), of inputs (..., *inputs[i])."""
        leading = torch.broadcast_shapes(
            *(x.shape[:x.dim() - len(shape)] for x, shape in zip(inputs, self.inputs))
        )
        rows = [
            x.expand(*leading, *shape).reshape(-1, *shape) for x, shape in zip(inputs, self.inputs)
        ]
        return _checked(self.body(*rows)).unflatten(0, leading)


def network(
    body: Body,
    head: Head | str,
    inputs: int | Sequence[Shape],
    shape: Shape,
    hidden: Sequence[int],
    **layers: Unpack[Layers],
) -> Network:
    """A network with a body of any kind.

    Args:
        body: The body: ``"mlp"``, ``"conv"``, ``"conv:32"``, which has that many filters in its
            first layer, or ``"wrn-28-2"``; a class or function of one's own that is called as
            ``Net(inputs, out)`` with the shapes of the inputs and of the numbers that it is to
            give; the place of one, ``"mypackage.module:Net"``; or a module.
        head: The head, which says what numbers the body gives, or the text of a likelihood, such as
            ``"normal:0.1"``.
        inputs: The size of the input, or the shape of each of several.
        shape: The shape of what the distribution is over.
        hidden: The sizes of the hidden layers of the library's bodies.
        layers: What the hidden layers of the library's bodies are made of, as for :class:`MLP`.

    Raises:
        InputError: If there is no such body, it takes other inputs, or gives other numbers.

    Example:
        >>> import torch
        >>> from pyro_ssvae import nn
        >>> decoder = nn.network("mlp", nn.Bernoulli(), (2, 3), 6, hidden=(8,))
        >>> decoder(torch.rand(5, 2), torch.rand(5, 3)).mean.shape
        torch.Size([5, 6])
        >>> classifier = nn.network("conv", nn.OneHots(), [(1, 8, 8)], 10, hidden=(8,))
        >>> classifier(torch.rand(5, 1, 8, 8)).probs.shape
        torch.Size([5, 10])
    """
    if isinstance(head, str):
        head = cast(Head, heard(head, get_args(Likelihood), "likelihood"))
    if isinstance(head, type) or not callable(getattr(head, "raw", None)):
        raise InputError(f"expected a head such as nn.Bernoulli(), got {head!r:.60}")
    out = head.raw(checked(shape, "an output"))
    if isinstance(body, str) and not is_place(body):
        return Network(_named(body)(inputs, out, hidden=hidden, **layers), head, shape)
    return Network(_own(body, as_shapes(inputs), out), head, shape)


def _named(name: str) -> Callable[..., nn.Module]:
    """A body of the library by its name."""
    word, colon, width = name.partition(":")
    if word not in BODIES or (colon and BODIES[word] is not Conv):
        raise unknown("network", name, [*BODIES, "conv:WIDTH", "MODULE:NAME"])
    if not colon:
        return BODIES[word]
    if not width.isdecimal():
        raise InputError(f"network {name}: expected a whole number of filters, got {width!r}")
    return partial(Conv, width=int(width))


def _own(body: Body, inputs: Sequence[tuple[int, ...]], out: tuple[int, ...]) -> nn.Module:
    """A body of one's own, which was seen to take such inputs and to give such numbers."""
    name = body if isinstance(body, str) else getattr(body, "__name__", type(body).__name__)
    made: Any = called(body) if isinstance(body, str) else body
    try:
        if not isinstance(made, nn.Module):
            made = made(inputs, out)
        if not isinstance(made, nn.Module):
            raise InputError(f"network {name}: expected a torch.nn.Module, got {made!r:.60}")
        if not getattr(made, "broadcasts", False):
            made = Plain(made, inputs)
        came = _tried(made, inputs)
    except InputError:
        raise
    except Exception as error:  # its code can raise anything
        raise InputError(
            f"network {name}: expected one that takes {_listed(inputs)} an example and gives {out},"
            f" got {type(error).__name__}: {' '.join(str(error).split()):.200}"
        ) from error
    if came != out:
        raise InputError(
            f"network {name}: expected {out} for inputs of {_listed(inputs)}, got {came}"
        )
    return made


def _tried(body: nn.Module, inputs: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape that a body gives for one example, of two."""
    modes = {module: module.training for module in body.modules()}
    like = next((p for p in body.parameters() if p.is_floating_point()), torch.empty(0))
    rows = [torch.zeros(2, *shape).to(like) for shape in inputs]
    body.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            return tuple(_checked(body(*rows)).shape[1:])
    finally:
        for module, training in modes.items():
            module.training = training


def _checked(result: Any) -> Tensor:
    if not isinstance(result, Tensor):
        raise TypeError(f"a {type(result).__name__} in place of a tensor")
    return result


def _listed(shapes: Sequence[tuple[int, ...]]) -> str:
    return " and ".join(map(str, shapes))
