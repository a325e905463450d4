"""Figures of a real number."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pyro_ssvae.report import number_plots
from pyro_ssvae.targets import Number
from pyro_ssvae.targets.normals import WIDTH

TARGET = Number("price $", loc=100.0, scale=10.0)
PREDICTED = torch.tensor([[0.0, 1.0], [1.0, 0.5], [-1.0, 2.0]])
Y = torch.tensor([[0.5], [1.0], [-2.0]])


def test_means_and_intervals_are_drawn_in_units_against_the_true_numbers() -> None:
    (axes,) = number_plots.regression(PREDICTED, Y, TARGET).axes
    (means, _, (bars,)) = axes.containers[0]
    assert means.get_xdata().tolist() == [105.0, 110.0, 80.0]
    assert means.get_ydata().tolist() == [100.0, 110.0, 90.0]
    heights = [segment[:, 1] for segment in bars.get_segments()]
    assert np.allclose([np.ptp(ends) for ends in heights], [20 * WIDTH, 10 * WIDTH, 40 * WIDTH])
    diagonal = axes.lines[-1]
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata()) == [80.0, 110.0]
    assert axes.get_ylabel() == r"predicted price \$"
    assert axes.get_title() == "RMSE 6.455, 100.0% in the interval"


def test_the_title_scores_examples_that_are_too_many_to_draw(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(number_plots, "BARS", 2)
    (axes,) = number_plots.regression(PREDICTED, Y, TARGET).axes
    assert len(axes.containers[0][0].get_xdata()) == 2
    assert axes.get_title().startswith("RMSE 6.455")


def test_latent_points_have_the_colour_of_the_true_number() -> None:
    z = np.arange(6.0).reshape(3, 2)
    axes, bar = number_plots.latent(z, ["z 1", "z 2"], Y, TARGET).axes
    (points,) = axes.collections
    assert np.allclose(points.get_offsets(), z)
    assert points.get_array().tolist() == [105.0, 110.0, 80.0]
    assert bar.get_ylabel() == r"true price \$"


def test_a_single_dimension_is_drawn_against_the_true_number() -> None:
    (axes,) = number_plots.latent(np.arange(3.0)[:, None], [], Y, TARGET).axes
    (points,) = axes.collections
    assert np.allclose(points.get_offsets(), [[0, 105], [1, 110], [2, 80]])
