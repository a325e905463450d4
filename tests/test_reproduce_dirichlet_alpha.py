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
    assert held[:3] == [True] * 3
    assert held[3:] == [None] * 5  # one draw tells nothing


def accuracies(**more: float) -> dict[str, list[float]]:
    """Accuracies of five draws, equal in all objectives but for so many points more."""
    names = [*dirichlet_alpha.M2, *dirichlet_alpha.POWERS, *dirichlet_alpha.AT_TEN]
    return {name: [80.0 + draw + more.get(name, 0.0) for draw in range(5)] for name in names}


def told(percent: dict[str, list[float]]) -> dict[str, bool | None]:
    claims = dirichlet_alpha._accuracy_claims(percent)
    assert {claim.source for claim in claims} == {"this study"}
    assert all("less than 1 point" in claim.text for claim in claims)
    return {claim.text.partition(":")[0]: claim.holds for claim in claims}


def test_equal_accuracies_bear_out_all_that_is_said_of_them() -> None:
    assert set(told(accuracies()).values()) == {True}


@pytest.mark.parametrize(("worse", "claim"), [
    ("Dirichlet, power 10", "At weight 10 what is derived classifies as well as M2"),
    ("Dirichlet, power 1", "The derived weight 1 is enough, against ten times more"),
    ("Dirichlet, power 10, exact bound",
     "At power 10 the exact sum over y of an unlabelled example does as well as the mean over y"),
    ("Dirichlet, power 10, one sample of y",
     "At power 10 one sample of y of an unlabelled example does as well as the mean over y"),
])
@pytest.mark.parametrize(("points", "verdict"), [(0.9, True), (1.1, False)])
def test_a_loss_of_more_than_a_point_refutes(worse, claim, points, verdict) -> None:
    assert told(accuracies(**{worse: -points}))[claim] is verdict


def test_a_loss_of_one_to_minus_one_points_does_not_tell() -> None:
    percent = accuracies()
    name = "Dirichlet, power 1"
    percent[name] = [value + d for value, d in zip(percent[name], (-3, 2, -3, 2, -1))]
    verdicts = told(percent)
    assert verdicts["The derived weight 1 is enough, against ten times more"] is None
    assert verdicts["At weight 1 what is derived classifies as well as M2"] is None


@pytest.mark.parametrize(("part", "refuted"), [
    ("value", [0, 1]), ("gradient", [0]), ("weights", [0]), ("identity", [2]),
])
def test_an_identity_is_refuted_by_more_than_rounding(part, refuted) -> None:
    row = {"value": 1e-15, "gradient": 0.0, "weights": 0.0, part: 1e-6}
    at = {1.0: [{"identity": row.pop("identity", 1e-15)}]}
    claims = dirichlet_alpha._identity_claims([{"rows": [row]}], [{"rows": [row]}], at)
    assert [place for place, claim in enumerate(claims) if not claim.holds] == refuted
