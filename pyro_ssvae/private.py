"""What the library stands on that Pyro and torch do not call public: all of it, in one place.

A new version of either may move any of this. ``tests/test_private.py`` then says what broke.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from pyro.infer.traceenum_elbo import _compute_model_factors
from pyro.infer.util import Dice
from pyro.poutine import Trace
from torch import Tensor
from torch._guards import TracingContext, tracing
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks


def model_factors(model_trace: Trace, guide_trace: Trace) -> tuple[Any, Any, Any, Any, Any]:
    """The log-probabilities of a model's sites, told apart by what is summed over.

    Returns:
        The costs outside of every sum by their plates, the factors within one by their plates, the
        plates of every site, the dimensions that are summed over, and a common scale.
    """
    return _compute_model_factors(model_trace, guide_trace)


def log_factors(dice: Dice, plates: Any) -> list[Any]:
    """The logarithms, numbers or packed tensors, of what a cost in these plates is weighed by."""
    return dice._get_log_factors(plates)


def traced(
    function: Callable[..., Sequence[Tensor]], tensors: Sequence[Tensor]
) -> torch.fx.GraphModule:
    """The operations of a function, noted down while it runs on copies of tensors."""
    # For the shape of every operation torch makes a mode of its own, unless there is one: that
    # would take longer than all else. Within it, noise that nothing depends on is kept only as it
    # is for inductor with torch's own generators, and all later noise depends on it.
    with (
        tracing(TracingContext(FakeTensorMode())),
        torch._inductor.config.patch(fallback_random=True),
    ):
        return make_fx(function)(*(tensor.detach().clone() for tensor in tensors))


def compiled_by_inductor(
    graph: torch.fx.GraphModule, tensors: Sequence[Tensor]
) -> Callable[..., Sequence[Tensor]]:
    """A graph compiled for tensors like these; its noise is drawn from torch's own generators."""
    # With inductor's own generator the noise would be another than the eager program's.
    with torch.no_grad(), torch._inductor.config.patch(
        fallback_random=True, post_grad_custom_post_pass=_bias_after_product()
    ):
        return torch._inductor.standalone_compile(
            graph, list(tensors), dynamic_shapes="from_example_inputs"
        )


@functools.cache
def _bias_after_product() -> Any:
    """A pass of inductor's that adds the bias of a layer in the kernel after its matrix product.

    On a CPU inductor has torch add them at once, which copies the bias to every row of the result
    before. The kernel after it reads the result anyway.
    """
    from torch._inductor import custom_graph_pass  # whose import takes a second

    class BiasAfterProduct(custom_graph_pass.CustomGraphPass):
        def __call__(self, graph: torch.fx.Graph) -> None:
            for node in graph.find_nodes(op="call_function", target=torch.ops.aten.addmm.default):
                bias, one, other = node.args
                value = bias.meta["val"]
                slow = value.device.type == "cpu" and value.dtype == torch.float32
                if node.kwargs or value.dim() != 1 or not slow:
                    continue
                with graph.inserting_before(node):
                    product = graph.call_function(torch.ops.aten.mm.default, (one, other))
                    total = graph.call_function(torch.ops.aten.add.Tensor, (product, bias))
                for new in (product, total):
                    new.meta.update(node.meta)
                node.replace_all_uses_with(total)
                graph.erase_node(node)

        def uuid(self) -> Any:  # by which the cache of compiled code tells versions of it
            return custom_graph_pass.get_hash_for_files((__file__,))

    return BiasAfterProduct()


def fused_adam(
    parameters: list[Tensor],
    gradients: list[Tensor],
    means: list[Tensor],
    squares: list[Tensor],
    counts: list[Tensor],
    *,
    found_inf: Tensor,
    **options: Any,
) -> None:
    """Torch's fused Adam on these tensors, in place; ``found_inf`` of 1 has it do nothing."""
    torch._fused_adam_(
        parameters, gradients, means, squares, [], counts, amsgrad=False, found_inf=found_inf,
        **options,
    )


def largest(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The largest absolute value of each tensor, NaN where it has one."""
    return list(torch._foreach_norm(list(tensors), torch.inf))


def lerp(averages: Sequence[Tensor], values: Sequence[Tensor], weight: float) -> None:
    """Move averages towards values by a share of the way, in place."""
    torch._foreach_lerp_(list(averages), list(values), weight)


def standard_gamma(concentration: Tensor) -> Tensor:
    """Samples of Gamma(concentration, 1), with their gradients."""
    return torch._standard_gamma(concentration)


@contextmanager
def skipping(optimizer: torch.optim.Optimizer, found_inf: Tensor) -> Iterator[None]:
    """Have a fused optimizer do nothing within if ``found_inf`` is 1, as torch's GradScaler does.
    """
    optimizer.found_inf = found_inf  # type: ignore[attr-defined]
    try:
        yield
    finally:
        del optimizer.found_inf  # type: ignore[attr-defined]


def has_hooks(optimizer: torch.optim.Optimizer) -> bool:
    """Whether something is called before or after an optimizer's step."""
    return any((
        optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks,
        _global_optimizer_pre_hooks, _global_optimizer_post_hooks,
    ))


def is_hooked(parameter: Tensor) -> bool:
    """Whether something is called with the gradient of a parameter."""
    return bool(parameter._backward_hooks or parameter._post_accumulate_grad_hooks)


def can_skip(optimizer: torch.optim.Optimizer) -> bool:
    """Whether :func:`skipping` works for an optimizer."""
    return bool(getattr(optimizer, "_step_supports_amp_scaling", False))
