"""Matrix products and convolutions in bfloat16, all else in the precision of the parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from pyro_ssvae.errors import one_of

Precision = Literal["fp32", "bf16"]
PRODUCTS = (
    F.linear, F.conv1d, F.conv2d, F.conv3d,
    F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d,
)
NAMES = ("input", "weight", "bias")  # of the first arguments of each


class _Bfloat16Products(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func not in PRODUCTS:
            return func(*args, **kwargs)
        kwargs |= zip(NAMES, args)
        x, weight, bias = (kwargs.pop(name, None) for name in NAMES)
        rest = args[len(NAMES):]
        product = func(x.bfloat16(), weight.bfloat16(), None, *rest, **kwargs).to(weight.dtype)
        if bias is None:
            return product
        return product + bias.view(-1, *(1,) * (weight.dim() - 2))  # one for each channel


@contextmanager
def matrix_products(precision: Precision) -> Iterator[None]:
    """Within, linear layers and convolutions multiply in this precision, as do their gradients.

    Biases, activations, log-probabilities and sums stay in the precision of the parameters, where
    bfloat16's three decimal digits would not do: so there is no loss to scale.
    """
    one_of("precision", precision, get_args(Precision))
    if precision == "fp32":
        yield
    else:
        with _Bfloat16Products():
            yield
