"""The random moves of images, measured on images."""

import math

import pytest
import torch
from torch import Tensor

from pyro_ssvae import InputError
from pyro_ssvae.nn import Jitter

DRAWS = 2_000


def spots(*places: tuple[int, int], side: int = 41) -> Tensor:
    """An image (1, side, side) with a bright square of 3 x 3 pixels at each place (right, down)."""
    image = torch.zeros(side, side)
    for right, down in places:
        image[down - 1:down + 2, right - 1:right + 2] = 1.0
    return image.unsqueeze(0)


def centre_of_mass(images: Tensor) -> Tensor:
    """Of images (N, H, W) the places (N, 2), right and down, of their centres."""
    mass = images.sum((1, 2))
    down, right = (torch.arange(float(side)) for side in images.shape[1:])
    return torch.stack([images.sum(1) @ right, images.sum(2) @ down], 1) / mass.unsqueeze(1)


def from_left_to_right(strength: float) -> Tensor:
    """What jitter makes of the line (28, 0) between two spots: (DRAWS, 2) vectors (right, down)."""
    torch.manual_seed(0)
    image = spots((6, 20), (34, 20)).expand(DRAWS, -1, -1, -1)
    moved = Jitter(strength)(image).squeeze(1)
    return centre_of_mass(moved[:, :, 21:]) + torch.tensor([21.0, 0.0]) - centre_of_mass(
        moved[:, :, :21]
    )


@pytest.mark.parametrize("strength", [1.0, 2.0])
def test_images_are_turned_by_up_to_10_degrees_times_the_strength_either_way(strength) -> None:
    # A shift moves both ends of a horizontal line alike, and shear moves along it; aspect adds
    # at most a twentieth to the tangent.
    right, down = from_left_to_right(strength).unbind(1)
    turned = torch.atan2(down, right)
    limit = math.atan(math.tan(math.radians(10 * strength)) * math.exp(0.05 * strength))
    assert turned.abs().max() < limit + math.radians(0.3)
    assert turned.max() > 0.9 * limit and turned.min() < -0.9 * limit


def of_first_column(maps: Tensor) -> Tensor:
    return maps[:, :, 0].norm(dim=1).log()


PARTS = {
    "rotation in degrees": (10.0, lambda m: torch.atan2(m[:, 1, 0], m[:, 0, 0]).rad2deg()),
    "scale": (0.1, of_first_column),
    "aspect": (0.05, lambda m: (m[:, 1, 1] / m[:, 0, 0]).log()),
    "shear": (0.1, lambda m: m[:, 0, 1] + m[:, 1, 0]),
    "pixels to the right": (1.0, lambda m: m[:, 0, 2] * 12 / 2),
    "pixels down": (1.0, lambda m: m[:, 1, 2] * 8 / 2),
}


@pytest.mark.parametrize("strength", [1.0, 0.5])
@pytest.mark.parametrize("part", PARTS)
def test_each_part_of_the_map_is_uniform_within_its_limit(part: str, strength: float) -> None:
    limit, measured = PARTS[part]
    torch.manual_seed(1)
    maps = Jitter(strength).maps(torch.zeros(DRAWS, 1, 8, 12))
    values = measured(maps) / (strength * limit)
    assert values.abs().max() < 1 + 1e-5
    # Moments of a uniform variable on (-1, 1), within four standard errors.
    assert values.mean().abs() < 4 * math.sqrt(1 / 3 / DRAWS)
    assert abs(values.square().mean() - 1 / 3) < 4 * math.sqrt(4 / 45 / DRAWS)


def test_an_image_is_moved_by_a_pixel_at_most_and_what_the_rest_adds_near_the_centre() -> None:
    torch.manual_seed(3)
    image = spots((20, 20)).expand(DRAWS, -1, -1, -1)
    moved = Jitter()(image).squeeze(1)
    away = (centre_of_mass(moved) - 20).abs().amax(0)
    # The shift is undone before the rest: a pixel, rotated by 10 degrees and enlarged.
    limit = math.exp(0.1) * (1 + math.tan(math.radians(10)) + 0.1)
    assert (away > 0.9).all() and (away < limit).all()


def test_each_image_is_moved_in_its_own_way_and_anew() -> None:
    jitter = Jitter()
    image = torch.zeros(1, 1, 8, 8)
    image[0, 0, 3, 3] = 1.0
    moved = jitter(image.expand(20, -1, -1, -1))
    assert len({tuple(row.tolist()) for row in moved.flatten(1)}) == 20
    assert not torch.equal(moved, jitter(image.expand(20, -1, -1, -1)))


def test_images_are_left_as_they_are_in_evaluation_and_by_strength_0() -> None:
    x = torch.rand(5, 3, 8, 8)
    assert torch.equal(Jitter().eval()(x), x)
    assert torch.equal(Jitter(strength=0.0)(x), x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_are_of_the_type_and_on_the_device_of_the_images(dtype: torch.dtype) -> None:
    x = torch.rand(5, 3, 8, 8, dtype=dtype)
    assert Jitter()(x).dtype == dtype
    maps = Jitter().maps(torch.empty(5, 3, 8, 8, dtype=dtype, device="meta"))
    assert maps.device.type == "meta" and maps.dtype == dtype


def test_pixels_stay_between_0_and_1() -> None:
    moved = Jitter(strength=3.0)(torch.rand(50, 3, 8, 8))
    assert moved.min() >= 0 and moved.max() <= 1 + 1e-6


def test_a_negative_strength_is_refused() -> None:
    with pytest.raises(InputError, match="jitter >= 0, got -0.5"):
        Jitter(strength=-0.5)


def test_all_channels_of_an_image_move_alike() -> None:
    image = torch.rand(5, 1, 8, 8).expand(-1, 3, -1, -1)
    moved = Jitter()(image)
    assert torch.equal(moved[:, 0], moved[:, 1]) and torch.equal(moved[:, 0], moved[:, 2])
    assert not torch.equal(moved, image)
