"""What figures have in common."""

from __future__ import annotations

import pytest
import torch
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from pyro_ssvae.data import Dataset
from pyro_ssvae.report.drawing import color, label_names, plane_axes
from pyro_ssvae.targets import Classes, SeveralLabels, Target


def dataset(y: list[int] | list[list[int]], target: Target) -> Dataset:
    return Dataset(
        name="two", x=torch.zeros(2, 3), y=torch.tensor(y), target=target,
        test=torch.tensor([0]), validation=1,
    )


def test_twenty_models_have_twenty_colours_of_which_the_first_ten_are_matplotlibs() -> None:
    colors = [color(i) for i in range(20)]
    assert len(set(colors)) == 20
    assert [to_hex(c) for c in colors[:10]] == [to_hex(colormaps["tab10"](i)) for i in range(10)]
    assert color(20) == color(0)


@pytest.mark.parametrize("y, target, expected", [
    ([0, 2], Classes(("cat", "dog", "eel")), ["cat", "dog", "eel"]),
    ([[0, 1, 1], [1, -1, 1]], SeveralLabels(("sad", "calm", "loud")), ["sad", "calm", "loud"]),
    ([0, 1], Classes(("$a", "b$c$")), [r"\$a", r"b\$c\$"]),
])
def test_classes_and_labels_are_called_by_name(
    y: list[int] | list[list[int]], target: Target, expected: list[str]
) -> None:
    assert label_names(dataset(y, target)) == expected


@pytest.mark.parametrize("height, share", [(0.01, 0.4), (0.5, 0.5), (1.0, 1.0), (9.0, 1.2)])
def test_a_figure_of_the_plane_is_as_high_as_its_points_need(height: float, share: float) -> None:
    figure = Figure(figsize=(5, 1))
    axes = figure.subplots()
    axes.set(xlim=(0, 1), ylim=(0, height))
    plane_axes(figure, axes)
    assert axes.get_aspect() == 1
    assert figure.get_figheight() == pytest.approx(1 + 0.72 * 5 * share)
