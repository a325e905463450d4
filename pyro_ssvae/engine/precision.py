"""Matrix products and convolutions in bfloat16, all else in the precision of the parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from pyro_ssvae.errors import one_of

Precision = Literal["fp32", "bf16"]
CONVOLUTIONS = (F.conv2d, F.conv_transpose2d)


class _Bfloat16Products(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is not F.linear and func not in CONVOLUTIONS:
            return func(*args, **kwargs)
        x, weight, *rest = args
        bias = rest.pop(0) if rest else kwargs.pop("bias", None)
        product = func(x.bfloat16(), weight.bfloat16(), None, *rest, **kwargs).to(weight.dtype)
        if bias is None:
            return product
        return product + (bias if func is F.linear else bias.view(-1, 1, 1))


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
