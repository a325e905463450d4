"""Matrix products in bfloat16, and everything else in the precision of the parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from pyro_ssvae.errors import one_of

Precision = Literal["fp32", "bf16"]


class _Bfloat16Products(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is not F.linear:
            return func(*args, **(kwargs or {}))
        x, weight, *rest = args
        bias = rest[0] if rest else (kwargs or {}).get("bias")
        product = F.linear(x.bfloat16(), weight.bfloat16()).to(weight.dtype)
        return product if bias is None else product + bias


@contextmanager
def matrix_products(precision: Precision) -> Iterator[None]:
    """Within, linear layers multiply in this precision, and so do their gradients.

    Biases, activations, log-probabilities and sums stay in the precision of the parameters, where
    bfloat16's three decimal digits would not do: so there is no loss to scale.
    """
    one_of("precision", precision, get_args(Precision))
    if precision == "fp32":
        yield
    else:
        with _Bfloat16Products():
            yield
