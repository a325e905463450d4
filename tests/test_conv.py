"""Convolutional bodies against torch's own convolutions, and against a loop over classes."""

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F
from torch.testing import assert_close

from pyro_ssvae import InputError, nn, private
from pyro_ssvae.nn.conv import Transpose, Trunk
from pyro_ssvae.nn.convolutions import Convolution, halvings

TIGHT = {"rtol": 1e-10, "atol": 1e-10}
SIZES = [(28, 28), (32, 32), (8, 8), (4, 4), (5, 4), (9, 17), (27, 13), (64, 64)]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def small(inputs, out, **options) -> nn.Conv:
    return nn.Conv(inputs, out, hidden=(5,), width=2, **options).double()


def strides(body: torch.nn.Module) -> list[int]:
    return [part.stride[0] for part in body.modules() if isinstance(part, Convolution)]


# The trunk


def test_a_trunk_is_four_convolutions_of_which_the_first_and_the_third_halve() -> None:
    trunk = Trunk((3, 28, 28))
    layers = [part for part in trunk.modules() if isinstance(part, torch.nn.Conv2d)]
    assert [layer.out_channels for layer in layers] == [16, 32, 32, 32]
    assert [layer.stride for layer in layers] == [(2, 2), (1, 1), (2, 2), (1, 1)]
    assert trunk.features == 32 * 7 * 7


@pytest.mark.parametrize(("size", "expected"), [
    ((4, 4), [1, 1, 1, 1]), ((8, 8), [2, 1, 1, 1]), ((32, 32), [2, 1, 2, 1]),
    ((64, 64), [2, 2, 1, 2, 1]), ((9, 17), [2, 1, 1, 1]),
])
def test_larger_images_are_halved_more_often(size, expected) -> None:
    assert strides(Trunk((1, *size))) == expected


def test_a_trunk_computes_what_torch_computes() -> None:
    trunk, x = Trunk((2, 7, 6), width=3).double().eval(), double(4, 2, 7, 6)
    for part in trunk.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(part.weight)
            torch.nn.init.normal_(part.running_mean)
    expected = x
    for convolution, norm in zip(trunk.layers[0::3], trunk.layers[1::3]):
        weight = convolution.weight.detach().clone()
        expected = F.conv2d(expected, weight, stride=convolution.stride, padding=1)
        shape = (-1, 1, 1)
        expected = (expected - norm.running_mean.view(shape)) * norm.weight.view(shape)
        expected = (expected / (1 + 1e-5)**0.5 + norm.bias.view(shape)).relu()
    assert_close(trunk(x), expected.flatten(1), **TIGHT)


def test_the_gradient_of_a_convolution_is_laid_out_as_its_weight() -> None:
    layer = Convolution(4, 3)
    layer(torch.rand(2, 4, 5, 5)).sum().backward()
    assert layer.weight.grad.stride() == layer.weight.stride() == (36, 9, 3, 1)


def test_what_follows_a_convolution_on_a_cpu_has_its_channels_last() -> None:
    x = torch.rand(2, 1, 6, 6)
    assert Convolution(1, 4)(x).is_contiguous(memory_format=torch.channels_last)


# What meets it


@pytest.mark.parametrize("size", SIZES)
def test_images_of_any_size_go_in_and_come_out(size) -> None:
    body = small([(2, *size), 3], (4, *size))
    assert body(double(2, 2, *size), double(2, 3)).shape == (2, 4, *size)


@pytest.mark.parametrize("out", [6, (2, 5, 7)], ids=["numbers", "an image"])
def test_an_enumerated_label_gives_what_a_loop_over_classes_gives(out) -> None:
    body, x, classes = small([(1, 5, 6), 3], out).eval(), double(4, 1, 5, 6), torch.eye(3).double()
    together = body(x, classes.unsqueeze(1))
    one_by_one = [body(x, each.expand(4, 3)) for each in classes]
    assert together.shape[:2] == (3, 4)
    assert_close(together, torch.stack(one_by_one), **TIGHT)


def test_the_trunk_runs_once_for_all_classes() -> None:
    body, calls = small([(1, 5, 6), 3], 2), []
    body.trunks["0"].register_forward_hook(lambda trunk, given, out: calls.append(given[0].shape))
    body(double(4, 1, 5, 6), torch.eye(3).double().unsqueeze(1))
    assert calls == [(4, 1, 5, 6)]


def test_samples_are_leading_dimensions_of_images_too() -> None:
    body, x = small([(2, 4, 5), 3], (1, 6, 4)).eval(), double(3, 2, 2, 4, 5)
    y = double(2, 3)
    assert_close(body(x, y), torch.stack([body(each, y) for each in x]), **TIGHT)
    assert_close(body(x[0, 0], y[0]), body(x[0, :1], y[:1])[0], **TIGHT)


def test_every_image_has_a_trunk_of_its_own() -> None:
    body = small([(1, 4, 4), 2, (2, 5, 5)], 3)
    assert set(body.trunks) == {"0", "2"}
    assert body(double(6, 1, 4, 4), double(6, 2), double(6, 2, 5, 5)).shape == (6, 3)


def test_without_images_it_is_a_perceptron() -> None:
    body = small([4, 3], 2)
    assert isinstance(body.dense, nn.MLP) and not body.trunks
    x, y = double(5, 4), double(5, 3)
    assert torch.equal(body(x, y), body.dense(x, y))


# The transpose


@pytest.mark.parametrize("size", SIZES)
def test_a_transpose_begins_with_the_map_that_a_trunk_ends_with(size) -> None:
    transpose, trunk = Transpose((3, *size)), Trunk((3, *size))
    assert transpose.inputs == (32, *transpose.inputs[1:])
    assert torch.Size(transpose.inputs).numel() == trunk.features
    assert transpose(torch.rand(2, *transpose.inputs)).shape == (2, 3, *size)


def test_one_halving_is_undone_by_torchs_transposed_convolution() -> None:
    transpose = Transpose((2, 8, 7), width=2).double()
    relu, layer = transpose.layers
    x = double(3, 4, 4, 4)
    expected = F.conv_transpose2d(
        x.relu(), layer.weight.detach().clone(), layer.bias, stride=2, padding=1,
        output_padding=(1, 0),
    )
    assert_close(transpose(x), expected, **TIGHT)


def test_images_are_made_without_batch_normalisation_unless_asked_for() -> None:
    def normalised(body: nn.Conv) -> bool:
        return any(isinstance(part, torch.nn.BatchNorm2d) for part in body.transpose.modules())

    assert not normalised(small([4], (1, 8, 8)))
    assert normalised(small([4], (1, 8, 8), batch_norm=True))


def test_classes_do_not_mix_in_an_image_that_is_made_in_training() -> None:
    body, z, classes = small([4, 3], (1, 8, 8)), double(5, 4), torch.eye(3).double()
    together = body(z, classes.unsqueeze(1))
    assert_close(together[1], body(z, classes[1].expand(5, 3)), **TIGHT)


# Transformations


def test_gradients_are_those_of_finite_differences() -> None:
    body = small([(1, 4, 4), 2], (1, 4, 5)).eval()
    x, y = double(2, 1, 4, 4).requires_grad_(), double(2, 2).requires_grad_()
    body.trunks["0"].layers[2] = torch.nn.Softplus()  # no kink for a difference to step over
    assert torch.autograd.gradcheck(body, (x, y), eps=1e-6, atol=1e-4)


@pytest.mark.parametrize("out", [6, (2, 5, 7)], ids=["numbers", "an image"])
def test_replicas_side_by_side_compute_what_each_computes(out) -> None:
    bodies = [small([(2, 5, 6), 3], out).eval() for _ in range(3)]
    state, x, y = stack_module_state(bodies), double(4, 2, 5, 6), double(4, 3)
    together = vmap(lambda p, b: functional_call(bodies[0], (p, b), (x, y)))(*state)
    assert_close(together, torch.stack([body(x, y) for body in bodies]), **TIGHT)


@pytest.mark.parametrize("out", [6, (2, 5, 7)], ids=["numbers", "an image"])
def test_it_is_traced_with_its_gradients(out) -> None:
    body = small([(2, 5, 6), 3], out)
    weights = list(body.parameters())

    def function(x: Tensor, y: Tensor) -> list[Tensor]:
        return list(torch.autograd.grad(body(x, y).square().sum(), weights))

    given = double(4, 2, 5, 6), double(4, 3)
    graph = private.traced(function, given)
    other = double(4, 2, 5, 6), double(4, 3)
    for found, expected in zip(graph(*other), function(*other), strict=True):
        assert_close(found, expected, **TIGHT)


# Bad input


def test_an_image_of_other_channels_is_refused_with_both_shapes() -> None:
    body = small([(1, 8, 8), 3], 2)
    message = r"\(\.\.\., 1, 8, 8\) and \(\.\.\., 3\), got \(4, 3, 8, 8\) and \(4, 3\)"
    with pytest.raises(InputError, match=message):
        body(double(4, 3, 8, 8), double(4, 3))


@pytest.mark.parametrize("build", [
    lambda: nn.Conv([(1, 3, 8)], 2), lambda: nn.Conv([5], (1, 3, 8)), lambda: halvings((3, 8)),
])
def test_images_too_small_for_it_are_refused(build) -> None:
    with pytest.raises(InputError, match="at least 4 x 4 pixels .*got 3 x 8"):
        build()


def test_no_filters_are_refused() -> None:
    with pytest.raises(InputError, match="expected width > 0, got 0"):
        nn.Conv([(1, 8, 8)], 2, width=0)
