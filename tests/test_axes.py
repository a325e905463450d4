"""Axes of a grid that every study of semi-supervised learning has."""

from __future__ import annotations

import numpy as np
import pytest

from pyro_ssvae import InputError, data
from pyro_ssvae.experiments.axes import label_counts, mismatch, unlabelled_counts
from pyro_ssvae.experiments.grid import grid


def test_label_counts_are_those_that_every_class_allows() -> None:
    y = np.repeat([0, 1, 2], [40, 20, 60])
    dataset = data.from_arrays(np.zeros((120, 2)), y, test=None)
    assert label_counts(dataset) == [3, 6, 15, 30]
    assert label_counts(dataset, a_class=[10, 11]) == [30]


def test_a_grid_of_every_count_can_be_drawn() -> None:
    digits = data.load("digits")
    for setting in grid(["m2"], digits, labels=label_counts(digits), draws=1):
        assert len(setting.split().labelled) == setting.labels
    for setting in grid(["m2"], digits, draws=1, drawing=unlabelled_counts(digits)):
        assert len(setting.split().unlabelled) == setting.drawing["unlabelled"]


def test_labels_that_are_no_classes_have_no_counts() -> None:
    with pytest.raises(InputError, match="expected data whose labels are classes, got diabetes"):
        label_counts(data.load("diabetes"))


def test_mismatch_keeps_the_number_of_unlabelled_examples() -> None:
    digits = data.load("digits").only("0", "1", "2", "3", "4", "5")
    settings = grid(["m2"], digits, labels=60, draws=1, drawing=mismatch(200))
    assert digits.foreign is not None
    shares = []
    for setting in settings:
        split = setting.split()
        assert len(split.unlabelled) == 200
        shares.append(float(np.isin(split.unlabelled, digits.foreign).mean()))
    assert shares == [0.0, 0.25, 0.5, 0.75, 1.0]
