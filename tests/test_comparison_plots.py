"""Figures of a comparison."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from pyro_ssvae.report.comparison_plots import accuracies, curves

COLORS = {"m2": "#ff0000", "vae": "#00ff00", "LabelSpreading": "#0000ff"}


def history(**columns: list[float]) -> list[dict[str, float]]:
    epochs = range(len(next(iter(columns.values()))))
    return [{name: values[e] for name, values in columns.items()} for e in epochs]


def test_accuracies_are_dots_in_the_models_colour_with_their_mean() -> None:
    (axes,) = accuracies({"m2": [0.5, 0.75], "LabelSpreading": [0.875]}, COLORS).axes
    runs, mean, reference, _ = axes.collections
    assert np.allclose(runs.get_offsets(), [[50, 0], [75, 0]])
    assert np.allclose(mean.get_offsets(), [[62.5, 0]])
    assert np.allclose(reference.get_offsets(), [[87.5, 1]])
    for dots, name in ((runs, "m2"), (reference, "LabelSpreading")):
        assert tuple(dots.get_facecolor()[0][:3]) == to_rgba(COLORS[name])[:3]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["m2", "LabelSpreading"]


def test_curves_are_means_and_ranges_in_the_models_colour() -> None:
    runs = [history(val_elbo=[-4.0, -2.0]), history(val_elbo=[-3.0, -1.0, 0.0])]
    (axes,) = curves({"vae": runs}, COLORS)["ELBO (nats)"].axes
    (line,) = axes.lines
    assert list(line.get_xdata()) == [1, 2]  # as long as all runs went
    assert list(line.get_ydata()) == [-3.5, -1.5]
    assert (line.get_label(), line.get_color()) == ("vae", COLORS["vae"])
    (band,) = axes.collections
    heights = {tuple(point) for point in band.get_paths()[0].vertices.tolist()}
    assert heights == {(1.0, -4.0), (1.0, -3.0), (2.0, -2.0), (2.0, -1.0)}


def test_there_is_a_figure_for_each_score_that_some_model_has() -> None:
    classifies = history(val_accuracy=[0.5], val_nll=[1.0], val_elbo=[-2.0])
    histories = {"m2": [classifies], "vae": [history(val_elbo=[-3.0])]}
    shown = {
        title: [line.get_label() for line in figure.axes[0].lines]
        for title, figure in curves(histories, COLORS).items()
    }
    assert shown == {
        "accuracy": ["m2"], "NLL (nats)": ["m2"], "ELBO (nats)": ["m2", "vae"],
    }
    assert list(curves({"vae": [history(val_elbo=[-3.0])]}, COLORS)) == ["ELBO (nats)"]


@pytest.mark.parametrize("epochs, ticks", [(1, [1]), (2, [1, 2]), (3, [1, 2, 3])])
def test_ticks_are_whole_epochs(epochs: int, ticks: list[int]) -> None:
    runs = [history(val_elbo=[-1.0 * e for e in range(epochs)])]
    (axes,) = curves({"vae": runs}, COLORS)["ELBO (nats)"].axes
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == ticks


def test_shares_end_near_a_hundred_percent() -> None:
    (axes,) = accuracies({"m2": [0.5, 1.0]}, COLORS).axes
    assert axes.get_xlim()[1] <= 101


def test_lines_differ_by_more_than_their_colours_and_long_names_stand_one_below_another() -> None:
    names = [f"m2, labels=50, m2.alpha={k}" for k in range(4)]
    runs = [history(val_elbo=[-1.0, -2.0])]
    figure = curves({name: runs for name in names}, dict.fromkeys(names, "red"))["ELBO (nats)"]
    assert len({line.get_linestyle() for line in figure.axes[0].lines}) == 4
    figure.canvas.draw()
    (legend,) = figure.legends
    edges = legend.get_window_extent()
    assert edges.x0 >= 0 and edges.x1 <= figure.bbox.x1
