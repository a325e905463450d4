"""The mixture of discretised logistics against its definition, summed over all levels."""

import math

import pytest
import torch
from torch import Tensor
from torch.func import vmap
from torch.testing import assert_close

from pyro_ssvae import InputError, nn, private
from pyro_ssvae.nn.logistics import MixedLogistics

M = 3


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def raw_numbers(channels: int, *leading: int, size: tuple[int, int] = (1, 1)) -> Tensor:
    shape = nn.Logistics(M).raw((channels, *size))
    return 1.5 * torch.randn(*leading, *shape, dtype=torch.float64)


def every_image(channels: int, levels: int) -> Tensor:
    """All images of a single pixel, (levels**channels, channels, 1, 1)."""
    grid = torch.linspace(0, 1, levels, dtype=torch.float64)
    return torch.cartesian_prod(*[grid] * channels).reshape(-1, channels, 1, 1)


def by_definition(raw: Tensor, x: Tensor, levels: int) -> float:
    """log p of a pixel (3,), from its raw numbers (P,), as the paper has it."""
    logits, loc = raw[:M], raw[M:4 * M].view(M, 3)
    scale, (a, b, c) = raw[4 * M:7 * M].view(M, 3).exp(), raw[7 * M:].view(M, 3).tanh().unbind(1)
    red, green, blue = 2 * x - 1
    means = [loc[:, 0], loc[:, 1] + a * red, loc[:, 2] + b * red + c * green]
    half, result = 1 / (levels - 1), logits.softmax(0)
    for mean, s, value in zip(means, scale.unbind(1), (red, green, blue)):
        upper = torch.sigmoid((value + half - mean) / s) if value < 1 - half else 1.0
        lower = torch.sigmoid((value - half - mean) / s) if value > half - 1 else 0.0
        result = result * (upper - lower)
    return result.sum().log().item()


@pytest.mark.parametrize(("channels", "levels"), [(1, 256), (2, 16), (3, 6)])
def test_the_probabilities_of_all_levels_sum_to_one(channels, levels) -> None:
    p = MixedLogistics(raw_numbers(channels, 4), channels, levels)
    total = p.log_prob(every_image(channels, levels).unsqueeze(1)).logsumexp(0)
    assert_close(total, torch.zeros(4, dtype=torch.float64), rtol=0.0, atol=1e-12)


def test_three_channels_are_those_of_the_paper() -> None:
    raw, images = raw_numbers(3), every_image(3, 4)
    found = MixedLogistics(raw, 3, 4).log_prob(images)
    expected = [by_definition(raw.flatten(), x.flatten(), 4) for x in images]
    assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=1e-10)


def test_pixels_are_independent() -> None:
    raw, x = raw_numbers(3, size=(2, 3)), torch.rand(3, 2, 3, dtype=torch.float64)
    each = [
        MixedLogistics(raw[:, i:i + 1, j:j + 1], 3).log_prob(x[:, i:i + 1, j:j + 1])
        for i in range(2) for j in range(3)
    ]
    assert_close(MixedLogistics(raw, 3).log_prob(x), sum(each))


def test_values_between_levels_have_the_probability_of_the_nearest() -> None:
    p = MixedLogistics(raw_numbers(1), 1)
    x = torch.full((1, 1, 1), 100.4 / 255, dtype=torch.float64)
    assert torch.equal(p.log_prob(x), p.log_prob(torch.full_like(x, 100 / 255)))


def test_an_enumerated_label_broadcasts() -> None:
    raw, x = raw_numbers(3, 4, 2, size=(2, 2)), torch.rand(2, 3, 2, 2, dtype=torch.float64)
    together = MixedLogistics(raw, 3).log_prob(x)
    assert_close(together, torch.stack([MixedLogistics(each, 3).log_prob(x) for each in raw]))
    wide = MixedLogistics(raw[0], 3).expand(torch.Size([4, 2]))
    assert wide.batch_shape == (4, 2) and wide.event_shape == (3, 2, 2)
    assert_close(wide.log_prob(x)[2], MixedLogistics(raw[0], 3).log_prob(x))


@pytest.mark.parametrize("number", [-1e4, -100.0, -8.0, 0.0, 8.0, 100.0, 1e4])
def test_in_single_precision_values_and_gradients_are_finite(number) -> None:
    for part in range(3):
        raw = torch.zeros(nn.Logistics(M).raw((3, 1, 1)))
        raw[part * 3 * M:(part + 1) * 3 * M] = number
        raw.requires_grad_()
        for level in (0.0, 1 / 255, 0.5, 1.0):
            value = MixedLogistics(raw, 3).log_prob(torch.full((3, 1, 1), level))
            (gradient,) = torch.autograd.grad(value, raw)
            assert value.isfinite() and gradient.isfinite().all(), (part, level)


def test_in_single_precision_a_level_far_from_the_mean_keeps_its_digits() -> None:
    raw = torch.tensor([0.0, -0.9, -4.0]).view(3, 1, 1)  # one component, of scale exp(-4)
    x = torch.full((1, 1, 1), 200 / 255)
    value = 2 * 200 / 255 - 1
    # That far, the logistic's tail is exponential: exp(-l) - exp(-u).
    lower = (value - 1 / 255 + 0.9) * math.exp(4)
    expected = -lower + math.log(-math.expm1(-2 / 255 * math.exp(4)))
    found = MixedLogistics(raw, 1).log_prob(x).item()
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_gradient_is_that_of_finite_differences() -> None:
    raw, x = raw_numbers(3, 2).requires_grad_(), torch.tensor([[0.0, 0.4, 1.0], [0.2, 1.0, 0.0]])
    x = x.double().view(2, 3, 1, 1)
    assert torch.autograd.gradcheck(lambda raw: MixedLogistics(raw, 3).log_prob(x), raw)


def test_samples_are_levels_as_often_as_their_probabilities_say() -> None:
    p, images, draws = MixedLogistics(raw_numbers(3), 3, 3), every_image(3, 3), 40_000
    x = p.sample(torch.Size([draws]))
    assert x.shape == (draws, 3, 1, 1)
    index = (2 * x.flatten(1)).round() @ torch.tensor([9.0, 3.0, 1.0], dtype=torch.float64)
    frequency = torch.bincount(index.long(), minlength=27) / draws
    expected = p.log_prob(images).exp()
    deviation = (expected * (1 - expected) / draws).sqrt()
    assert ((frequency - expected).abs() < 4.5 * deviation + 1e-4).all()


@pytest.mark.parametrize("shift", [-3.0, 0.0, 3.0])
def test_the_mean_of_one_channel_is_that_of_all_levels(shift) -> None:
    raw, images = raw_numbers(1, 5), every_image(1, 256)
    raw[:, M:2 * M] += shift
    p = MixedLogistics(raw, 1)
    expected = (p.log_prob(images.unsqueeze(1)).exp() * images.flatten(1)).sum(0)
    assert_close(p.mean.flatten(), expected, rtol=0.0, atol=0.5 / 255)


def test_the_mean_of_three_channels_clear_of_the_edges_is_that_of_all_levels() -> None:
    raw, images = raw_numbers(3), every_image(3, 32)
    raw[M:4 * M], raw[4 * M:7 * M] = 0.1 * raw[M:4 * M], -3.0
    p = MixedLogistics(raw, 3, 32)
    expected = (p.log_prob(images).exp().view(-1, 1) * images.flatten(1)).sum(0)
    assert_close(p.mean.flatten(), expected, rtol=0.0, atol=0.5 / 31)


def test_it_is_a_head() -> None:
    head = nn.Logistics(components=4)
    assert head.raw((3, 5, 6)) == (40, 5, 6) and head.raw((1, 5, 6)) == (12, 5, 6)
    p = head(torch.zeros(7, 2, 40, 5, 6), (3, 5, 6))
    assert p.batch_shape == (7, 2) and p.event_shape == (3, 5, 6)
    assert p.mean.shape == p.sample().shape == (7, 2, 3, 5, 6)
    assert nn.Logistics() == nn.Logistics(10) and hash(head) == hash(nn.Logistics(4))


def test_it_is_traced_and_vectorised() -> None:
    raw, x = raw_numbers(3, 2, size=(2, 2)), torch.rand(2, 3, 2, 2, dtype=torch.float64)
    graph = private.traced(lambda raw, x: [MixedLogistics(raw, 3).log_prob(x)], [raw, x])
    other = raw_numbers(3, 2, size=(2, 2))
    expected = MixedLogistics(other, 3).log_prob(x)
    assert_close(graph(other, x)[0], expected)
    one_by_one = vmap(lambda raw, x: MixedLogistics(raw, 3, validate_args=False).log_prob(x))
    assert_close(one_by_one(other, x), expected)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match=r"images, \(C, H, W\): got x of shape \(64,\)"):
        nn.Logistics().raw((64,))
    with pytest.raises(InputError, match="expected components > 0, got 0"):
        nn.Logistics(0)
