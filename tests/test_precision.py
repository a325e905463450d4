"""bfloat16 matrix products: what is rounded, and what is not."""

from copy import deepcopy

import pytest
import small
import torch
from torch.nn import functional as F

from pyro_ssvae import InputError, fit
from pyro_ssvae.engine.capture import Captured
from pyro_ssvae.engine.precision import matrix_products
from pyro_ssvae.training.capturing import Capturing
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.steps import Eager


def test_linear_layers_multiply_rounded_numbers_and_add_an_exact_bias() -> None:
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(5, 3), torch.rand(4, 5)
    with matrix_products("bf16"):
        y = layer(x)
    rounded = (x.bfloat16() @ layer.weight.T.bfloat16()).float() + layer.bias
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, rounded, rtol=1e-2, atol=1e-2)
    assert not torch.equal(y, layer(x))
    with matrix_products("bf16"):
        zero = F.linear(torch.zeros(4, 5), layer.weight, layer.bias)
    assert torch.equal(zero, layer.bias.expand(4, 3))


def test_a_linear_map_may_be_given_its_weight_by_name() -> None:
    x, weight = torch.rand(4, 5), torch.rand(3, 5)
    with matrix_products("bf16"):
        by_name, by_place = F.linear(x, weight=weight), F.linear(x, weight)
        assert torch.equal(by_name, by_place)
        assert not torch.equal(by_name, (x @ weight.T))


@pytest.mark.parametrize("kind", [
    torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d,
    torch.nn.ConvTranspose1d, torch.nn.ConvTranspose2d, torch.nn.ConvTranspose3d,
])
def test_convolutions_multiply_rounded_numbers_and_add_an_exact_bias(kind) -> None:
    torch.manual_seed(0)
    layer = kind(2, 3, 3, stride=2)
    spatial = (6, 7, 5)[:layer.weight.dim() - 2]
    x = torch.rand(4, 2, *spatial, requires_grad=True)
    with matrix_products("bf16"):
        y = layer(x)
        zero = layer(torch.zeros(4, 2, *spatial))
    y.sum().backward()
    rounded = deepcopy(layer)
    rounded.weight.data = layer.weight.bfloat16().float()
    expected = rounded(x.bfloat16().float())
    assert y.dtype == x.grad.dtype == layer.weight.grad.dtype == torch.float32
    torch.testing.assert_close(y, expected, rtol=1e-2, atol=1e-2)
    assert not torch.equal(y, layer(x))
    assert torch.equal(zero, layer.bias.view(-1, *(1,) * len(spatial)).expand_as(zero))


def test_a_single_image_is_convolved_too() -> None:
    layer = torch.nn.Conv2d(2, 3, 3)
    with matrix_products("bf16"):
        y = layer(torch.ones(2, 4, 4))
    torch.testing.assert_close(y, layer(torch.ones(2, 4, 4)), rtol=2e-2, atol=2e-2)


def test_the_context_ends() -> None:
    layer, x = torch.nn.Linear(5, 3), torch.rand(4, 5)
    before = layer(x)
    with matrix_products("bf16"):
        pass
    assert torch.equal(layer(x), before)


def test_fp32_changes_nothing() -> None:
    layer, x = torch.nn.Linear(5, 3), torch.rand(4, 5)
    with matrix_products("fp32"):
        assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))


@pytest.mark.parametrize("capture", [True, False])
def test_an_update_has_losses_and_gradients_in_full_precision_near_those_of_fp32(capture) -> None:
    batch = small.batch()
    found = {}
    for precision in ("fp32", "bf16"):
        objective = small.m2()
        optimizer = torch.optim.SGD(objective.parameters(), lr=0.1)
        step = Eager(objective, optimizer, precision=precision)
        if capture:
            step = Capturing(step)
            step.captured = Captured(
                objective, optimizer, batch, precision=precision, compile=False
            )
        torch.manual_seed(2)
        found[precision] = step(batch, Moment(0, 0, 1))["loss"]
        assert all(p.grad.dtype == torch.float32 for p in objective.parameters())
    assert found["bf16"] != found["fp32"]
    torch.testing.assert_close(found["bf16"], found["fp32"], rtol=2e-2, atol=0.0)


def test_an_unknown_precision_is_refused(split) -> None:
    with pytest.raises(InputError, match="unknown precision 'fp16'.*bf16"):
        next(fit(small.m2(small.DIGIT, 10), split, precision="fp16"))
