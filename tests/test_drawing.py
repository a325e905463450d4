"""What figures have in common."""

from __future__ import annotations

import pytest
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from pyro_ssvae.report.drawing import color, label_names, legend_columns, plane_axes
from pyro_ssvae.targets import Classes, SeveralLabels, Target


def test_twenty_models_have_twenty_colours_of_which_the_first_ten_are_matplotlibs() -> None:
    colors = [color(i) for i in range(20)]
    assert len(set(colors)) == 20
    assert [to_hex(c) for c in colors[:10]] == [to_hex(colormaps["tab10"](i)) for i in range(10)]
    assert color(20) == color(0)


@pytest.mark.parametrize("target, expected", [
    (Classes(("cat", "dog", "eel")), ["cat", "dog", "eel"]),
    (SeveralLabels(("sad", "calm", "loud")), ["sad", "calm", "loud"]),
    (Classes(("$a", "b$c$")), [r"\$a", r"b\$c\$"]),
    (Classes(("_hidden", "two\nlines")), [" _hidden", "two lines"]),
    (Classes(("a" * 24, "b" * 25)), ["a" * 24, "b" * 23 + "…"]),
])
def test_classes_and_labels_are_called_by_name(target: Target, expected: list[str]) -> None:
    assert label_names(target) == expected


def test_a_legend_has_as_many_columns_as_there_is_room_for() -> None:
    assert legend_columns(["m2", "vade", "adgm"], 3.6) == 3
    assert legend_columns(["m2, hidden=(256, 256), alpha=10"] * 4, 3.6) == 1


@pytest.mark.parametrize("height, share", [(0.01, 0.4), (0.5, 0.5), (1.0, 1.0), (9.0, 1.2)])
def test_a_figure_of_the_plane_is_as_high_as_its_points_need(height: float, share: float) -> None:
    figure = Figure(figsize=(5, 1))
    axes = figure.subplots()
    axes.set(xlim=(0, 1), ylim=(0, height))
    plane_axes(figure, axes)
    assert axes.get_aspect() == 1
    assert figure.get_figheight() == pytest.approx(1 + 0.72 * 5 * share)
