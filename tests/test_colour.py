"""Figures of images in colour, in files or in memory, and of images of other channels."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pyro
import pytest
import torch
from image_sources import image
from matplotlib.figure import Figure
from pyro.distributions import Normal, OneHotCategorical
from torch import Tensor, nn
from torch.nn import functional as F

from pyro_ssvae import Objective
from pyro_ssvae.data import Dataset, Split, folder
from pyro_ssvae.inference import query
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.report import page, plots
from pyro_ssvae.report.classifier_plots import mistaken_images
from pyro_ssvae.report.drawing import show
from pyro_ssvae.targets import Classes

HISTORY = [{"epoch": 1, "updates": 1, "seconds": 1.0, "loss": 1.0, "val_accuracy": 0.5}]
HEIGHT, WIDTH = 4, 6
PALETTE = torch.tensor([[0.9, 0.1, 0.2], [0.1, 0.3, 0.8]])  # of classes: red and blue


class Model(nn.Module):
    """p(x, y, z) = p(y) p(z) p(x | y, z): an image of the colour of y, as bright as z says."""

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", OneHotCategorical(torch.ones(2) / 2), obs=y)
            z = pyro.sample("z", Normal(torch.zeros(1), 1.0).to_event(1))
            mean = ((y @ PALETTE) * z.sigmoid())[..., None, None].expand(*z.shape[:-1], 3, 4, 6)
            pyro.sample("x", Normal(mean, 0.1).to_event(3), obs=x)


class Guide(nn.Module):
    """q(y, z | x) = q(y | x) q(z | x)."""

    def classify(self, x: Tensor) -> OneHotCategorical:
        return OneHotCategorical(logits=9 * x.mean((-2, -1))[..., [0, 2]])

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", len(x)):
            if y is None:
                pyro.sample("y", self.classify(x), infer={"enumerate": "parallel"})
            pyro.sample("z", Normal(x.flatten(-3).mean(-1, keepdim=True), 0.1).to_event(1))


@pytest.fixture(scope="module")
def in_files(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """A folder of twenty images, which stay in their files, in the colours of their classes."""
    root = tmp_path_factory.mktemp("paint")
    rng = np.random.default_rng(0)
    for number in range(20):
        pixels = 255 * PALETTE[number % 2].numpy() * rng.random((HEIGHT, WIDTH, 1))
        place = root / ("a-red" if (number % 2 == 0) ^ (number < 2) else "b-blue") / f"{number}.png"
        image(place, pixels.astype(np.uint8))  # the first two lie in the wrong folder
    return folder.load(root, in_memory=1).split(labels=4, validation=2)


@pytest.fixture(scope="module")
def in_memory(in_files: Split) -> Split:
    x = in_files.dataset.x[torch.arange(20)]
    return replace(in_files, dataset=replace(in_files.dataset, x=x))


@pytest.fixture
def objective() -> Objective:
    return Objective(Model(), Guide())


def canvas(figure: Figure) -> np.ndarray[Any, Any]:
    """The picture of a figure."""
    (axes,) = figure.axes
    return np.asarray(axes.images[0].get_array())


def tiles(figure: Figure) -> list[np.ndarray[Any, Any]]:
    """The images of 4 x 6 pixels in a figure, row by row."""
    picture = canvas(figure)
    return [
        picture[top:top + HEIGHT, left:left + WIDTH]
        for top in range(0, len(picture), HEIGHT + 1)
        for left in range(0, picture.shape[1], WIDTH + 1)
    ]


# One image


@pytest.mark.parametrize("channels", [3, 4])
def test_three_or_four_channels_are_colours(channels: int) -> None:
    x = torch.rand(channels, HEIGHT, WIDTH)
    axes = Figure().subplots()
    show(axes, x)
    shown = axes.images[0].get_array()
    assert shown.shape == (HEIGHT, WIDTH, channels)
    for channel in range(channels):
        assert np.allclose(shown[:, :, channel], x[channel])


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_of_other_numbers_of_channels_the_first_is_drawn_in_grey(channels: int) -> None:
    x = torch.rand(channels, HEIGHT, WIDTH)
    axes = Figure().subplots()
    show(axes, x)
    (shown,) = axes.images
    assert np.allclose(shown.get_array(), x[0])
    assert shown.get_cmap().name == "gray_r" and shown.get_clim() == (0, 1)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("channels", [1, 3])
def test_values_outside_0_to_1_are_drawn_as_the_nearest_within(channels: int) -> None:
    x = torch.linspace(-1, 2, channels * HEIGHT * WIDTH).reshape(channels, HEIGHT, WIDTH)
    axes = Figure().subplots()
    show(axes, x)
    axes.figure.savefig(io.BytesIO())
    assert (axes.images[0].get_array().min(), axes.images[0].get_array().max()) == (0, 1)


# Figures


def test_samples_are_images_in_the_colours_of_their_classes_with_white_between(
    in_memory: Split, objective: Objective
) -> None:
    with evaluating(objective):
        figure = plots.samples(objective.model, in_memory, rows=3)
    picture = canvas(figure)
    assert picture.shape == (3 * (HEIGHT + 1) - 1, 2 * (WIDTH + 1) - 1, 3)
    assert (picture[HEIGHT] == 1).all() and (picture[:, WIDTH] == 1).all()
    for place, tile in enumerate(tiles(figure)):
        colour = PALETTE[place % 2].numpy()
        assert np.allclose(tile / tile[0, 0, 0], colour / colour[0], atol=1e-5)


def test_samples_of_a_model_that_seldom_draws_a_class_are_asked_for_again(
    in_memory: Split, objective: Objective, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def drawn(model: Any, x: Tensor) -> Any:
        calls.append(len(x))
        y = torch.zeros(len(x), dtype=torch.int64)
        y[-1] = len(calls) > 2  # one of class 1 in every draw but the first two
        mean = torch.full_like(x, len(calls) / 10)
        return Normal(mean, 1.0).to_event(3), F.one_hot(y, 2)

    monkeypatch.setattr(query, "draw", drawn)
    shown = [tile[0, 0, 0] for tile in tiles(plots.samples(objective.model, in_memory, rows=2))]
    assert np.allclose(shown, [0.1, 0.3, 0.1, 0.4])
    assert calls == [4] * 4


def test_analogies_show_each_image_in_colour_and_then_every_class(
    in_memory: Split, objective: Objective
) -> None:
    x, _ = in_memory.part("test")
    with evaluating(objective):
        figure = plots.analogies(objective.model, objective.guide, x[:2], in_memory)
        z = query.posterior_mean(objective.guide, x[:2])
    for row in range(2):
        given, *made = tiles(figure)[3 * row:3 * row + 3]
        assert np.allclose(given, x[row].permute(1, 2, 0))
        for k in range(2):
            expected = PALETTE[k] * z[row].sigmoid()
            assert np.allclose(made[k], expected.expand(HEIGHT, WIDTH, 3), atol=1e-6)


def test_mistaken_images_are_drawn_in_colour_in_their_proportions() -> None:
    probs, y = torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.eye(2).flip(0)
    x = torch.rand(2, 3, HEIGHT, WIDTH)
    (axes,) = mistaken_images(probs, x, y, ("cat", "dog")).axes
    for shown, i in zip(axes.images, (0, 1), strict=True):
        assert np.allclose(shown.get_array(), x[i].permute(1, 2, 0))
        left, right, bottom, top = shown.get_extent()
        assert (bottom - top) / (right - left) == pytest.approx(HEIGHT / WIDTH)


def test_images_in_files_have_the_figures_of_images_in_memory(
    in_files: Split, in_memory: Split, objective: Objective
) -> None:
    one, other = (plots.figures(objective, split, HISTORY) for split in (in_files, in_memory))
    assert set(one) == set(other) == {
        "learning_curves", "samples", "analogies", "latent", "confusion", "reliability", "mistakes",
    }
    for name in ("samples", "analogies"):
        assert np.allclose(canvas(one[name]), canvas(other[name]))


def test_captions_speak_of_images(in_files: Split) -> None:
    for dataset in (in_files.dataset, of_two_columns()):
        text = page.captions(dataset, classes=True)["samples"]
        assert text.startswith("Images") is dataset.images
        assert ("over the data" in text) is (dataset.shape == (2,))


def of_two_columns() -> Dataset:
    return Dataset(
        name="points", x=torch.rand(4, 2), y=torch.tensor([0, 1, 0, 1]), test=torch.tensor([0]),
        target=Classes(("a", "b")), validation=1,
    )
