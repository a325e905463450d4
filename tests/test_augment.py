"""The random changes of images, measured on images, and the views made of them."""

import math

import pytest
import torch
from torch import Tensor, nn

from pyro_ssvae import InputError
from pyro_ssvae.nn import Affine, Colour, Crop, Erase, Flip, Views, views

DRAWS = 2_000
ALL = {
    "affine": Affine(turn=20.0, shift=0.1, scale=0.1, shear=0.1), "crop": Crop(0.25),
    "flip": Flip(), "erase": Erase(0.4), "colour": Colour(0.5),
    **{f"{name} of {kind}": getattr(views(kind), name)
       for kind in ("digits", "characters", "objects") for name in ("weak", "strong")},
}
any_change = pytest.mark.parametrize("change", ALL.values(), ids=ALL)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def spots(*places: tuple[int, int], side: int = 41) -> Tensor:
    """Images (DRAWS, 1, side, side) with a bright square of 3 x 3 at each place (right, down)."""
    image = torch.zeros(1, side, side)
    for right, down in places:
        image[:, down - 1:down + 2, right - 1:right + 2] = 1.0
    return image.expand(DRAWS, -1, -1, -1)


def centre_of_mass(images: Tensor) -> Tensor:
    """Of images (N, 1, H, W) the places (N, 2), right and down, of their centres."""
    images = images.squeeze(1)
    mass = images.sum((1, 2))
    down, right = (torch.arange(float(side)) for side in images.shape[1:])
    return torch.stack([images.sum(1) @ right, images.sum(2) @ down], 1) / mass.unsqueeze(1)


@any_change
def test_each_image_is_changed_in_its_own_way_and_anew(change: nn.Module) -> None:
    x = torch.rand(1, 3, 12, 12).expand(40, -1, -1, -1)
    one, other = change(x), change(x)
    assert one.shape == x.shape and not torch.equal(one, other)
    assert len({tuple(image.flatten().tolist()) for image in one}) >= 2


@any_change
def test_in_evaluation_images_are_left_as_they_are(change: nn.Module) -> None:
    x = torch.rand(5, 3, 8, 8)
    try:
        assert torch.equal(change.eval()(x), x)
    finally:
        change.train()


@any_change
def test_pixels_stay_between_0_and_1(change: nn.Module) -> None:
    changed = change(torch.rand(50, 3, 8, 10))
    assert changed.min() >= 0 and changed.max() <= 1 + 1e-6


@any_change
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_images_stay_of_their_type_and_on_their_device(change: nn.Module, dtype) -> None:
    assert change(torch.rand(5, 3, 8, 8, dtype=dtype)).dtype == dtype
    assert change(torch.empty(5, 3, 8, 8, dtype=dtype, device="meta")).device.type == "meta"


@any_change
def test_what_is_no_image_is_refused(change: nn.Module) -> None:
    with pytest.raises(InputError, match=r"images \(N, C, H, W\), got x of shape \(5, 64\)"):
        change(torch.rand(5, 64))


def of_first_column(maps: Tensor) -> Tensor:
    return maps[:, :, 0].norm(dim=1).log()


# Each part of a map alone: its limit, and how it is read from the maps of images of 8 x 12 pixels.
PARTS = {
    "turn": (10.0, lambda m: torch.atan2(m[:, 1, 0] * 8 / 12, m[:, 0, 0]).rad2deg()),
    "scale": (0.1, lambda m: m[:, 0, 0].log()),
    "shear": (0.2, lambda m: m[:, 0, 1] * 12 / 8),
    "shift": (0.15, lambda m: m[:, 0, 2] / 2),
}


@pytest.mark.parametrize("part", PARTS)
def test_each_part_of_the_map_is_uniform_within_its_limit(part: str) -> None:
    limit, measured = PARTS[part]
    maps = Affine(**{part: limit}).maps(torch.zeros(DRAWS, 1, 8, 12))
    values = measured(maps) / limit
    assert values.abs().max() < 1 + 1e-5
    # Moments of a uniform variable on (-1, 1), within four standard errors.
    assert values.mean().abs() < 4 * math.sqrt(1 / 3 / DRAWS)
    assert abs(values.square().mean() - 1 / 3) < 4 * math.sqrt(4 / 45 / DRAWS)


def test_both_sides_are_scaled_apart() -> None:
    maps = Affine(scale=0.3).maps(torch.zeros(DRAWS, 1, 8, 8)).log()
    wider, higher = maps[:, 0, 0], maps[:, 1, 1]
    assert (wider - higher).abs().max() > 0.5 and wider.abs().max() < 0.3 + 1e-5


@pytest.mark.parametrize("width", [41, 61])
def test_a_turn_is_one_in_pixels_whatever_the_form_of_the_image(width: int) -> None:
    image = torch.zeros(1, 1, 41, width)
    left, right, middle = width // 2 - 14, width // 2 + 14, 20
    for place in (left, right):
        image[..., middle - 1:middle + 2, place - 1:place + 2] = 1.0
    turned = Affine(turn=10.0)(image.expand(DRAWS, -1, -1, -1))
    half = width // 2
    line = centre_of_mass(turned[..., half:]) + torch.tensor([float(half), 0.0]) - centre_of_mass(
        turned[..., :half]
    )
    angles = torch.atan2(line[:, 1], line[:, 0]).rad2deg()
    assert 9.7 < angles.max() < 10.3 and -10.3 < angles.min() < -9.7
    assert line.norm(dim=1).sub(28).abs().max() < 0.5  # nothing is stretched


def test_a_shift_is_a_share_of_the_side() -> None:
    away = centre_of_mass(Affine(shift=0.1)(spots((20, 20)))) - 20
    assert away.abs().max() < 4.1 + 0.01 and (away.abs().amax(0) > 4.0).all()


def test_a_crop_is_a_shift_by_whole_pixels_with_the_mirrored_image_around() -> None:
    x = torch.rand(200, 2, 8, 4)
    padded = nn.functional.pad(x, (1, 1, 2, 2), mode="reflect")  # a quarter of each side
    for image, within in zip(Crop(0.25)(x), padded):
        crops = [within[:, i:i + 8, j:j + 4] for i in range(5) for j in range(3)]
        assert sum(torch.equal(image, crop) for crop in crops) == 1


def test_every_crop_is_equally_frequent() -> None:
    x = torch.arange(8.0).view(1, 1, 8, 1).expand(DRAWS, -1, -1, 8)
    tops = Crop(0.25)(x)[:, 0, 3, 0].long() - 3
    counts = torch.bincount(tops + 2, minlength=5)
    assert len(counts) == 5 and (counts - DRAWS / 5).abs().max() < 5 * math.sqrt(DRAWS * 0.16)


def test_half_of_the_images_are_flipped() -> None:
    x = torch.rand(DRAWS, 1, 4, 5)
    flipped = Flip()(x)
    as_they_were = (flipped == x).all(-1).all(-1).squeeze(1)
    mirrored = (flipped == x.flip(-1)).all(-1).all(-1).squeeze(1)
    assert (as_they_were ^ mirrored).all()
    assert abs(mirrored.float().mean() - 0.5) < 4 * 0.5 / math.sqrt(DRAWS)


def test_a_rectangle_is_erased_with_its_centre_anywhere() -> None:
    erased = Erase(0.5, fill=0.25)(torch.ones(DRAWS, 3, 8, 12))
    gone = erased == 0.25
    assert ((erased == 1) | gone).all() and (gone == gone[:, :1]).all()
    sizes = gone[:, 0].any(2).sum(1), gone[:, 0].any(1).sum(1)
    assert sizes[0].max() == 4 and sizes[1].max() == 6  # smaller where it reaches over the edge
    assert sizes[0].min() == 2 and sizes[1].min() == 3
    inside = gone[:, 0, 3:5, 5:7].float().mean()
    assert abs(inside - 0.25) < 0.03  # half of the rows and half of the columns
    assert gone[:, 0].any(0).all()


def test_colours_change_by_three_factors() -> None:
    # Pixels in the middle of [0, 1], so that nothing is cut off.
    x = 0.5 + 0.02 * torch.rand(DRAWS, 3, 4, 4)
    changed = Colour(0.5)(x)
    brightness = changed.mean((1, 2, 3)) / x.mean((1, 2, 3))
    assert 0.5 <= brightness.min() < 0.52 and 1.48 < brightness.max() <= 1.5001

    def spread(images: Tensor) -> Tensor:  # of the grey pixels: contrast and brightness
        return images.mean(1).flatten(1).std(1)

    contrast = spread(changed) / spread(x) / brightness
    assert 0.49 < contrast.min() < 0.53 and 1.47 < contrast.max() < 1.51

    def colourfulness(images: Tensor) -> Tensor:
        return (images - images.mean(1, keepdim=True)).flatten(1).norm(dim=1)

    saturation = colourfulness(changed) / colourfulness(x) / brightness / contrast
    assert 0.49 < saturation.min() < 0.53 and 1.47 < saturation.max() < 1.51


def test_views_of_nothing_are_the_examples_themselves() -> None:
    x = torch.rand(5, 64)
    none = views("none")
    assert none.weak(x) is x and none.strong(x) is x


@pytest.mark.parametrize("kind", ["digits", "characters", "objects"])
def test_strong_views_are_farther_from_the_image_than_weak_ones(kind) -> None:
    x = nn.functional.interpolate(torch.rand(100, 3, 3, 3), size=16, mode="bilinear")
    of_kind = views(kind)
    assert isinstance(of_kind, Views)
    assert (of_kind.strong(x) - x).square().mean() > (of_kind.weak(x) - x).square().mean()


@pytest.mark.parametrize("kind", ["digits", "characters"])
def test_digits_are_not_mirrored(kind) -> None:
    corner = torch.zeros(DRAWS, 1, 28, 28)
    corner[..., 4:8, 4:8] = 1.0
    for name in ("weak", "strong"):
        assert getattr(views(kind), name)(corner)[..., 20:].sum() == 0


@pytest.mark.parametrize("kind", ["characters", "objects"])
def test_weak_views_are_as_sharp_as_the_image(kind) -> None:
    x = torch.zeros(DRAWS, 1, 28, 28)
    x[..., 10:18, 10:18] = torch.rand(DRAWS, 1, 8, 8)
    for one, other in zip(views(kind).weak(x), x):
        assert torch.equal(one.flatten().sort().values, other.flatten().sort().values)


@pytest.mark.parametrize("make, named", [
    (lambda: Affine(turn=-1.0), "finite turn >= 0, got -1"),
    (lambda: Affine(shift=math.inf), "finite shift >= 0, got inf"),
    (lambda: Crop(1.0), r"padding in \[0, 1\), got 1"),
    (lambda: Erase(-0.5), "finite side >= 0, got -0.5"),
    (lambda: Colour(1.5), r"strength in \[0, 1\], got 1.5"),
    (lambda: views("digit"), "did you mean 'digits'"),
])
def test_what_is_out_of_range_is_refused(make, named) -> None:
    with pytest.raises(InputError, match=named):
        make()


def test_a_shift_is_a_pixel_at_least_and_none_is_none() -> None:
    x = torch.zeros(2_000, 1, 4, 8)
    places = Affine(shift=0.01).maps(x)[:, :, 2].abs().amax(0)  # 2 is a whole side
    torch.testing.assert_close(places, torch.tensor([2 / 8, 2 / 4]), rtol=0.01, atol=0)
    assert not Affine(turn=1.0).maps(x)[:, :, 2].any()


def test_a_weak_view_of_objects_is_flipped_half_the_time() -> None:
    x = torch.zeros(200, 1, 16, 16)
    x[..., :4] = 1.0  # light on the left
    right = views("objects").weak(x)[..., 10:].amax((1, 2, 3)) > 0.9
    assert 0.3 < right.double().mean() < 0.7
