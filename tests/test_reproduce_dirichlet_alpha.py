"""The study of alpha: its own arithmetic, and that it runs at a tiny scale."""

import math

import pytest
import torch

from pyro_ssvae import data
from pyro_ssvae.reproduce import dirichlet_alpha, dirichlet_identity
from pyro_ssvae.reproduce.work import Work


def test_the_constant_is_the_logarithm_of_the_factorial() -> None:
    assert dirichlet_identity.constant(10) == pytest.approx(math.log(math.factorial(10)))


def test_twins_have_equal_weights_in_float64() -> None:
    split = data.load("digits").split(labels=50, seed=0)
    first, second = dirichlet_identity.twins(split, 0, 3.0)
    assert dirichlet_identity.apart((first, second)) == 0.0
    assert all(p.dtype == torch.float64 for p in second.parameters())
    assert first.weights["classification"] == 3.0 == second.model.temper
    assert second.weights["classification"] == 0.0


def test_the_two_trainings_stay_together() -> None:
    rows = dirichlet_identity.labelled_identity(draw=1, epochs=1)["rows"]
    assert rows[-1]["loss"] < rows[0]["loss"]
    for row in rows:
        assert max(row["value"], row["gradient"], row["weights"]) < 1e-9


def test_the_unlabelled_losses_differ_by_the_entropy() -> None:
    rows = dirichlet_identity.whole_identity(draw=1, epochs=1)["rows"]
    assert all(row["value"] < 1e-9 and row["entropy"] > 0.1 for row in rows)


@pytest.mark.parametrize("weight", [0.5, 4.0])
def test_a_power_is_off_the_bound_by_its_share_of_the_classification_loss(weight) -> None:
    found = dirichlet_identity.weighed(draw=0, epochs=1, weight=weight)
    assert found["gap"] == pytest.approx((weight - 1) * found["ce"])
    assert found["identity"] < 1e-9 and found["sharpened"] < 1e-9
    assert (found["mass"] > 0) == (weight < 1)


def test_dirichlet_alpha_at_a_tiny_scale(tmp_path, monkeypatch) -> None:
    weights = (1.0, 10.0)
    few = {
        "WEIGHTS": weights, "AT_ONE": {},
        "M2": {f"M2, alpha = {w:g}": {"alpha": w} for w in weights},
        "POWERS": {f"Dirichlet, power {w:g}": {"temper": w} for w in weights},
        "AT_TEN": {
            name: options for name, options in dirichlet_alpha.AT_TEN.items() if "bound" in options
        },
    }
    for name, value in few.items():
        monkeypatch.setattr(dirichlet_alpha, name, value)
    findings = dirichlet_alpha.reproduce(Work(tmp_path, scale=0.02))
    assert {picture.name for picture in findings.pictures} == {"identity", "accuracy", "variants"}
    assert len(findings.rows) == 4 + 3 * 2 + (2 + 2 + 2) + 4 * 3 + 2
    held = [claim.holds for claim in findings.claims]
    assert held[:4] == [True] * 4
    assert held[4:] == [None] * len(held[4:])  # one draw tells nothing
