"""Cheaper operations give what torch's give, to the rounding of float32."""

import math

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional

from pyro_ssvae.engine.cheaper import (
    cheaper,
    cross_entropy,
    log1p_of_share,
    log_softmax_backward,
    softplus,
    softplus_backward,
)

aten = torch.ops.aten
REAL = torch.cat([torch.linspace(-100, 100, 40_001), torch.linspace(-1e-3, 1e-3, 201)])


def names(graph: torch.fx.GraphModule) -> set[str]:
    return {str(node.target) for node in graph.graph.nodes if node.op == "call_function"}


def test_the_series_is_the_logarithm_to_the_last_digits_of_float32() -> None:
    t = torch.cat([torch.linspace(0, 1, 100_001), torch.logspace(-38, 0, 1_001)])
    torch.testing.assert_close(log1p_of_share(t).double(), t.double().log1p(), rtol=3e-7, atol=0.0)


def test_the_rest_of_the_series_is_below_the_rounding_of_float32() -> None:
    t = torch.linspace(0, 1, 10_001, dtype=torch.float64)
    torch.testing.assert_close(log1p_of_share(t), t.log1p(), rtol=2e-9, atol=0.0)


def test_softplus_is_torchs_everywhere() -> None:
    exact = functional.softplus(REAL.double())
    error = (softplus(REAL).double() - exact).abs() / exact
    normal = exact > torch.finfo(torch.float32).tiny
    assert (error <= 1e-7 * (3.0 + (-REAL).relu()))[normal].all()
    assert (softplus(REAL)[~normal] <= torch.finfo(torch.float32).tiny).all()


def test_softplus_and_its_gradient_of_what_is_beyond_all_numbers() -> None:
    x = torch.tensor([math.inf, -math.inf, 1e38, -1e38])
    assert torch.equal(softplus(x), functional.softplus(x))
    assert torch.equal(softplus_backward(torch.full_like(x, 2.0), x), torch.tensor([2.0, 0, 2, 0]))
    nothing = torch.tensor(math.nan)
    assert softplus(nothing).isnan() and softplus_backward(torch.ones(()), nothing).isnan()


def test_the_gradient_of_softplus_is_torchs() -> None:
    gradient = torch.linspace(-2, 2, len(REAL))
    exact = gradient.double() * REAL.double().sigmoid()
    torch.testing.assert_close(
        softplus_backward(gradient, REAL).double(), exact, rtol=3e-7, atol=1e-37
    )


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_the_cross_entropy_is_torchs(target) -> None:
    targets = torch.full_like(REAL, target)
    exact = functional.binary_cross_entropy_with_logits(
        REAL.double(), targets.double(), reduction="none"
    )
    # What is left of two large numbers has the rounding of these.
    torch.testing.assert_close(cross_entropy(REAL, targets).double(), exact, rtol=3e-7, atol=8e-6)


def test_the_gradient_of_the_log_softmax_is_torchs_but_for_subnormal_numbers() -> None:
    logits = torch.tensor([[0.0, -1.0, -5.0], [0.0, -60.0, -80.0], [0.0, -90.0, -100.0]])
    log_probs, gradient = logits.log_softmax(-1), torch.tensor([[0.7, -1.3, 0.2]]).expand(3, -1)
    found = log_softmax_backward(gradient, log_probs)
    shares = log_probs.double().exp()
    exact = gradient.double() - shares * gradient.double().sum(-1, keepdim=True)
    torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=1e-7)

    own = -shares * 0.5  # of gradients of the first class alone: the others have only these
    found = log_softmax_backward(torch.tensor([[0.5, 0.0, 0.0]]).expand(3, -1), log_probs)
    counted = torch.tensor([[True, True], [True, False], [False, False]])
    assert torch.equal(found[:, 1:] != 0.0, counted)
    torch.testing.assert_close(
        found[:, 1:].double(), own[:, 1:].where(counted, 0.0), rtol=1e-5, atol=0.0
    )


def hidden(x: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What a layer, a likelihood and a classifier compute, forward and backward."""
    loss = functional.binary_cross_entropy_with_logits(x, target, reduction="none")
    back = aten._log_softmax_backward_data(target, x, -1, x.dtype)
    return functional.softplus(x), loss, aten.softplus_backward(target, x, 1.0, 20.0), back


def test_a_graph_of_float32_is_made_cheaper_and_is_left_as_it_was() -> None:
    x, target = torch.randn(7, 5), torch.rand(7, 5)
    graph = make_fx(hidden)(x, target)
    before = names(graph)
    result = cheaper(graph)
    assert before == names(graph) == {
        "aten.softplus.default", "aten.softplus_backward.default",
        "aten.binary_cross_entropy_with_logits.default",
        "aten._log_softmax_backward_data.default",
    }
    assert not names(make_fx(result)(x, target)) & before
    for one, other in zip(result(x, target), graph(x, target)):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("function, dtype", [
    (hidden, torch.float64),
    (hidden, torch.bfloat16),
    (lambda x, _: functional.softplus(x, beta=2.0), torch.float32),
    (lambda x, target: aten.softplus_backward(target, x, 2.0, 20.0), torch.float32),
    (lambda x, target: functional.binary_cross_entropy_with_logits(x, target), torch.float32),
    (lambda x, target: functional.binary_cross_entropy_with_logits(
        x, target, pos_weight=torch.full((5,), 2.0), reduction="none"
    ), torch.float32),
    (lambda x, target: aten._log_softmax_backward_data(target, x, 0, x.dtype), torch.float32),
])
def test_all_else_is_left_to_the_bit(function, dtype) -> None:
    x, target = torch.randn(7, 5, dtype=dtype), torch.rand(7, 5, dtype=dtype)
    graph = make_fx(function)(x, target)
    result = cheaper(graph)
    assert names(result) == names(graph)
    torch.testing.assert_close(result(x, target), graph(x, target), rtol=0.0, atol=0.0)
