"""Heads over vectors and images, against formulas written out, and the shapes they speak of."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from pyro_ssvae import InputError, nn
from pyro_ssvae.nn.shapes import as_shapes, checked, is_image

TIGHT = {"rtol": 1e-12, "atol": 1e-12}
SHAPES = [(4,), (1, 3, 5), (3, 2, 4)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


# Shapes


def test_a_number_is_the_shape_of_a_vector() -> None:
    assert nn.as_shape(5) == (5,) and nn.as_shape((3, 8, 8)) == (3, 8, 8)
    assert nn.number(5) == 5 and nn.number((3, 8, 8)) == 192
    assert is_image((1, 8, 8)) and not is_image(64) and not is_image((64,))


def test_inputs_are_one_number_or_the_shape_of_each() -> None:
    assert as_shapes(5) == ((5,),)
    assert as_shapes((5, 3)) == ((5,), (3,))
    assert as_shapes([(3, 8, 8), 10]) == ((3, 8, 8), (10,))


@pytest.mark.parametrize("shape, message", [
    ((), "expected the shape of x, got none"),
    (0, "expected the size of x > 0, got 0"),
    ((3, -1, 8), "expected the size of x > 0, got -1"),
])
def test_a_shape_has_positive_sizes(shape, message) -> None:
    with pytest.raises(InputError, match=message):
        checked(shape, "x")
    with pytest.raises(InputError, match="at least one input, got none"):
        as_shapes([])


# Raw numbers


@pytest.mark.parametrize("head, of_vector, of_image", [
    (nn.Bernoulli(), (4,), (3, 8, 6)),
    (nn.Normal(0.1), (4,), (3, 8, 6)),
    (nn.Normal(), (8,), (6, 8, 6)),
    (nn.Categorical(5), (20,), (15, 8, 6)),
    (nn.Point(), (4,), (3, 8, 6)),
])
def test_raw_numbers_of_a_pixel_lie_along_the_channels(head, of_vector, of_image) -> None:
    assert head.raw((4,)) == of_vector
    assert head.raw((3, 8, 6)) == of_image


@pytest.mark.parametrize("head", [
    nn.Bernoulli(), nn.Normal(0.1), nn.Normal(), nn.Categorical(5), nn.Point(),
], ids=str)
@each_shape
def test_a_value_is_one_event_whatever_its_shape(head, shape) -> None:
    found = head(double(2, 7, *head.raw(shape)), shape)
    assert (found.batch_shape, found.event_shape) == ((2, 7), shape)
    assert found.sample().shape == (2, 7, *shape)


# Values


def pixels(log_prob: Tensor) -> Tensor:
    """The sum over all but the first two dimensions."""
    return log_prob.reshape(2, 7, -1).sum(-1)


@each_shape
def test_a_bernoulli_has_the_cross_entropy_of_its_pixels(shape) -> None:
    logits, x = double(2, 7, *shape), torch.rand(7, *shape, dtype=torch.float64)
    p = 1 / (1 + torch.exp(-logits))
    found = nn.Bernoulli()(logits, shape)
    assert_close(found.log_prob(x), pixels(x * p.log() + (1 - x) * (1 - p).log()), **TIGHT)
    assert_close(found.mean, p, **TIGHT)


def log_normal(x: Tensor, loc: Tensor, scale: Tensor | float) -> Tensor:
    scale = torch.as_tensor(scale, dtype=torch.float64)
    return -(x - loc).square() / (2 * scale**2) - scale.log() - math.log(2 * math.pi) / 2


@each_shape
def test_a_normal_of_fixed_sigma_is_around_its_raw_numbers(shape) -> None:
    loc, x = double(2, 7, *shape), double(7, *shape)
    found = nn.Normal(0.3)(loc, shape)
    assert_close(found.log_prob(x), pixels(log_normal(x, loc, 0.3)), **TIGHT)


@each_shape
def test_a_normal_has_its_scales_behind_its_means_along_the_channels(shape) -> None:
    raw, x = double(2, 7, 2 * shape[0], *shape[1:]), double(7, *shape)
    loc = raw[:, :, :shape[0]]
    scale = torch.log1p(torch.exp(raw[:, :, shape[0]:])) + nn.MIN_SCALE
    found = nn.Normal()(raw, shape)
    assert_close(found.log_prob(x), pixels(log_normal(x, loc, scale)), **TIGHT)
    assert_close(found.mean, loc, **TIGHT)


@each_shape
def test_a_categorical_has_the_log_odds_of_a_pixels_tokens_one_after_the_other(shape) -> None:
    raw = double(2, 7, 5 * shape[0], *shape[1:])
    x = torch.randint(5, (7, *shape)).double()
    expected = torch.zeros(2, 7, dtype=torch.float64)
    for channel in range(shape[0]):
        log_p = raw[:, :, 5 * channel:5 * channel + 5]
        log_p = log_p - log_p.exp().sum(2, keepdim=True).log()
        for token in range(5):
            of_token = torch.where(x[:, channel] == token, log_p[:, :, token], 0.0)
            expected = expected + pixels(of_token)
    assert_close(nn.Categorical(5)(raw, shape).log_prob(x), expected, **TIGHT)


@each_shape
def test_a_point_is_its_raw_numbers(shape) -> None:
    raw = double(7, *shape)
    assert torch.equal(nn.Point()(raw, shape).sample(), raw)


def test_one_hot_labels_of_several_sizes_are_normalised_one_by_one() -> None:
    raw = double(7, 5)
    found = nn.OneHots((2, 3))(raw, (5,))
    expected = torch.cat([raw[:, :2].softmax(-1), raw[:, 2:].softmax(-1)], -1)
    assert found.sizes == (2, 3)
    assert_close(found.probs, expected, **TIGHT)
    assert nn.OneHots()(raw, (5,)).sizes == (5,)


# What a head is


def test_equal_heads_are_equal_and_nothing_of_them_changes() -> None:
    assert nn.Normal(0.1) == nn.Normal(0.1) != nn.Normal()
    with pytest.raises(AttributeError):
        nn.Normal(0.1).sigma = 0.2


@pytest.mark.parametrize("make, message", [
    (lambda: nn.Normal(-1.0), "expected sigma > 0, got -1"),
    (lambda: nn.Categorical(0), "expected vocabulary > 0, got 0"),
    (lambda: nn.Categorical(2.5), "expected the number of different tokens, such as 256, got 2.5"),
    (lambda: nn.Mixed(0.0), "expected sigma > 0, got 0"),
])
def test_a_head_that_cannot_be_is_refused(make, message) -> None:
    with pytest.raises(InputError, match=message):
        make()
