"""The thesis's studies run, and their own arithmetic is what it says."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from pyro_ssvae import Objective, guides, models, nn
from pyro_ssvae.data import load
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.labels import OneHots
from pyro_ssvae.reproduce import (
    images,
    plane,
    thesis_adversarial,
    thesis_analogies,
    thesis_circles,
    thesis_leakage,
    thesis_moons,
    thesis_optimum,
    thesis_pretraining,
)
from pyro_ssvae.reproduce.findings import Findings
from pyro_ssvae.reproduce.work import Work

SIGMA2 = (0.1, 1.0)


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Work:
    """A place for an epoch of five updates in the plane, or of digits, and one draw."""
    monkeypatch.setattr(plane, "BATCH", 1_990)  # which divides 9,950: one program
    monkeypatch.setattr(plane, "UPDATES", 5)
    monkeypatch.setattr(images, "DATA", ("digits",))
    monkeypatch.setattr(images, "MOST", 1)
    return Work(tmp_path, scale=1e-4)


def check(findings: Findings, rows: int, claims: int, pictures: set[str]) -> None:
    assert len(findings.rows) == rows and len(findings.claims) == claims
    assert {picture.name for picture in findings.pictures} == pictures
    for row in findings.rows:
        assert len(row.found) == 1 and math.isfinite(row.mean)
    for claim in findings.claims:
        assert claim.holds is None and claim.because  # one draw does not tell
    for picture in findings.pictures:
        picture.figure.canvas.draw()


def test_circles(little: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thesis_circles, "SIGMA2", SIGMA2)
    findings = thesis_circles.reproduce(little)
    check(findings, 7, 7, {"classifiers", "reconstructions", "sigma2"})


def test_moons(little: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thesis_moons, "SIGMA2", SIGMA2)
    monkeypatch.setattr(thesis_moons, "DRAWN", 0.1)
    pictures = {"classifiers-early", "field-early", "classifiers-end", "field-end"}
    check(thesis_moons.reproduce(little), 12, 4, pictures)


def test_the_optimum(little: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ((1.0, 0.0), (1.0, 0.1), (1.0, 1.0), (1.0, 10.0), (0.01, 0.1), (0.01, 1.0))
    monkeypatch.setattr(thesis_optimum, "SETTINGS", settings)
    findings = thesis_optimum.reproduce(little)
    check(findings, 7, 5, {"departures", "classifiers"})


def test_leakage(little: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thesis_leakage, "ALPHAS", (1.0, 10.0))
    monkeypatch.setattr(thesis_leakage, "IMAGES", 100)
    check(thesis_leakage.reproduce(little), 6, 2, {"leakage"})


def test_pretraining(little: Work) -> None:
    arms = len(thesis_pretraining.ARMS)
    check(thesis_pretraining.reproduce(little), arms, 5, {"reconstructions-digits"})


def test_analogies(little: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thesis_analogies, "IMAGES", 50)
    check(thesis_analogies.reproduce(little), 9, 4, {"analogies-digits", "kept"})


def test_an_adversary(little: Work) -> None:
    check(thesis_adversarial.reproduce(little), 6, 2, {"adversary"})


def test_the_weight_of_the_reconstruction_is_a_variance_up_to_a_constant() -> None:
    sigma2, x = 0.3, torch.randn(6, 2, dtype=torch.float64)
    weighed = plane.m2(0, sigma2=sigma2, alpha=0.0).double()
    model = models.M2(2, 2, z_dim=1, hidden=(50,) * 3, likelihood=nn.Normal(sigma2**0.5))
    guide = guides.M2(model, hidden=(50,) * 3, classifier=plane.one_layer)
    usual = Objective(model, guide).double()
    usual.load_state_dict(weighed.state_dict(), strict=False)
    values, gradients = [], []
    for objective in (weighed, usual):
        torch.manual_seed(0)
        loss = objective.bound(x)
        values.append(loss.detach())
        gradients.append(torch.autograd.grad(loss, list(objective.parameters())))
    constant = math.log(2 * math.pi) / sigma2 - math.log(2 * math.pi * sigma2)
    assert_close(values[0] - values[1], torch.tensor(constant, dtype=torch.float64))
    assert_close(gradients[0], gradients[1])


def test_errors_of_a_decoder_that_gives_the_origin_are_squared_lengths() -> None:
    objective = plane.m2(0, sigma2=1.0, alpha=0.0)
    with torch.no_grad():
        for parameter in objective.model.decoder.parameters():
            parameter.zero_()
    x = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    assert_close(plane.errors_by_class(objective, x), torch.tensor([[25.0, 25.0], [1.0, 1.0]]))
    assert_close(plane.reconstruction_classifier(objective, x, 0.1), torch.full((2, 2), 0.5))
    assert_close(plane.reconstructed(objective, x, plane.label(1, x)), torch.zeros(2, 2))


def test_a_grid_goes_row_by_row_from_below() -> None:
    split = plane.points("moons", 0)
    left, right, lower, upper = plane.frame(split)
    cells = plane.grid(split, 2)
    assert cells[0].tolist() == pytest.approx([left + (right - left) / 4,
                                               lower + (upper - lower) / 4])
    assert cells[1, 0] > cells[0, 0] and cells[1, 1] == cells[0, 1] and cells[2, 1] > cells[0, 1]


def test_a_draw_of_points_is_of_the_size_of_the_thesis() -> None:
    split = plane.points("circles", 0)
    assert [len(own) for own in plane.labelled(split)] == [25, 25]
    assert len(split.unlabelled) == 9_950


def test_a_pair_begins_as_the_vae_that_it_borrows_from_where_y_has_no_weight() -> None:
    split = load("digits").split(50)
    vae, m2 = (images.trained(name, split, 1, hidden=(5,), z_dim=2) for name in ("vae", "m2"))
    thesis_pretraining.beginning(vae)(m2)
    with torch.no_grad():
        m2.model.decoder.body.first[1].weight.zero_()
        m2.guide.encoder.body.first[1].weight.zero_()
    x, y = split.part("test")
    with evaluating(vae, m2):
        expected = vae.guide.encoder(x[:4]).mean
        assert_close(m2.guide.encoder(x[:4], y[:4]).mean, expected)
        assert_close(m2.model.decoder(expected, y[:4]).mean, vae.model.decoder(expected).mean)


def test_true_classes_come_again_for_every_label() -> None:
    y = torch.eye(3)[[2, 0]]
    assert thesis_leakage.truths(y, 3).tolist() == [2, 0, 2, 0, 2, 0]


def test_grey_is_neither_black_nor_white() -> None:
    x = torch.tensor([[[[0.0, 1.0]]], [[[0.5, 0.5]]], [[[0.5, 1.0]]]])
    assert thesis_analogies.greyness(x).tolist() == [0, 1, 0.5]


def test_digits_have_more_epochs_than_mnist_up_to_a_number() -> None:
    assert images.epochs(Work(Path(), scale=0.004)) == {"mnist": 2, "digits": 40}
    assert images.epochs(Work(Path())) == {"mnist": 500, "digits": 200}
    on_one = Work(Path(), scales={"mnist": 0.004}, numbers={"mnist": 3})
    assert images.epochs(on_one) == {"mnist": 2, "digits": 200}
    assert images.draws(on_one, 5) == {"mnist": range(3), "digits": range(5)}


class Judge(torch.nn.Module):
    """It says 1 of an image that is bright in the middle, else 0."""

    @property
    def guide(self) -> Judge:
        return self

    def classify(self, x: torch.Tensor) -> Any:
        return OneHots(torch.stack([0.5 - x.flatten(1).mean(1), x.flatten(1).mean(1) - 0.5], -1))


def test_an_analogy_counts_where_it_is_of_the_label_asked_for() -> None:
    dark, bright = torch.zeros(1, 2, 2), torch.full((1, 2, 2), 0.9)
    y = torch.eye(2)[[0, 1, 1]]
    # With label 0 all are dark, as asked for; with label 1 one of the three is bright.
    every = torch.stack([torch.stack([dark, dark, dark]), torch.stack([dark, bright, dark])])
    found = thesis_analogies.measures(every, y, Judge())
    assert found["kept own"] == pytest.approx(2 / 3)  # (0, 0), (1, 1) are, the third is dark
    assert found["kept others"] == pytest.approx(2 / 3)  # (1, 0) is dark, both (0, 1) are as asked
    assert found["kept by class"] == [0.0, 1.0]
    assert found["grey own"] == pytest.approx(0.36 / 3) and found["grey others"] == 0
