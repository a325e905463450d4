"""The study of Feng's factored pair: its arithmetic by hand, and the whole at a tiny scale."""

import math

import numpy as np
import pytest
import torch
from small_mnist import small_mnist
from torch.nn import functional as F

from pyro_ssvae import data
from pyro_ssvae.errors import InputError
from pyro_ssvae.reproduce import canvases, feng_parts
from pyro_ssvae.reproduce import feng_labels as study
from pyro_ssvae.reproduce.work import Work


def made_table(name: str = "emotions", root: object = None) -> data.Dataset:
    """Rows with three labels, each the sign of a feature; other names are of no data here."""
    if name not in ("emotions", "mnist"):
        raise InputError("there is no such file")
    if name == "mnist":
        return small_mnist()
    x = np.random.default_rng(0).uniform(size=(200, 5))
    return data.from_arrays(x, (x[:, :3] > 0.5).astype(int), name=name, kind="features")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(canvases.data, "load", made_table)
    monkeypatch.setattr(feng_parts, "loaded", made_table)
    monkeypatch.setattr(study, "loaded", made_table)
    for name, number in {"LABELLED": 60, "UNLABELLED": 100, "TESTED": 80}.items():
        monkeypatch.setattr(feng_parts, name, number)
    canvases.mnist.cache_clear()
    yield
    canvases.mnist.cache_clear()


def test_a_canvas_shows_its_digits_side_by_side() -> None:
    digits = canvases.mnist()["training"]
    drawn = canvases.draw(digits, 3, 20, seed=0)
    assert drawn.x.shape == (20, 1, 14, 42) and drawn.y.shape == (20, 3)
    for image, label in zip(drawn.x, drawn.y):
        for part, digit in zip(image.split(14, dim=-1), label):
            (same,) = (digits.x == part).flatten(1).all(1).nonzero().squeeze(1).tolist()
            assert digits.y[same, 0] == digit


def test_digits_are_at_half_their_size_and_of_their_own_part() -> None:
    whole, parts = small_mnist(), canvases.mnist()
    assert len(parts["training"].x) == 800 and len(parts["test"].x) == 200
    by_hand = whole.x[800:, :, :2, :2].mean((2, 3))
    torch.testing.assert_close(parts["test"].x[:, :, 0, 0], by_hand)


def test_encoded_labels_are_one_hot_vectors_one_after_the_other() -> None:
    came = canvases.Canvases(torch.zeros(1, 1, 14, 28), torch.tensor([[3, 0]])).encoded
    assert came.nonzero()[:, 1].tolist() == [3, 10]


@pytest.mark.parametrize("how, decoded", [("relaxed", 1), ("enumerated", 100)])
def test_decoded_images_are_counted(how, decoded) -> None:
    came = canvases.cost(2, how, examples=3, repeats=1)
    assert came["decoded"] == decoded and came["milliseconds"] > 0


def test_the_divergence_of_the_mixture_is_that_of_one_normal_where_all_are_the_same() -> None:
    torch.manual_seed(0)
    mean, deviation = torch.full((1_000, 2), 0.7), torch.full((1_000, 2), 0.5)
    by_hand = 2 * 0.5 * (0.7**2 + 0.5**2 - 1 - math.log(0.5**2))
    assert feng_parts.marginal_kl(mean, deviation) == pytest.approx(by_hand, abs=0.06)


def test_equation_14_holds_of_a_trained_pair() -> None:
    came = feng_parts.information(capacity=None, seed=0, epochs=20)
    assert came["rest"] == pytest.approx(came["kl"] - came["information"])
    assert came["rest"] == pytest.approx(came["marginal"], abs=0.25)
    assert 0 < came["information"] < came["most"] == math.log(80)


def told(monkeypatch, policy: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The labels as they are told, and the true ones."""
    seen = {}

    def noting(labelled, y, unlabelled, how, **options):
        seen["y"], seen["x"] = y, labelled.x
        raise StopIteration

    monkeypatch.setattr(canvases, "trained", noting)
    with pytest.raises(StopIteration):
        feng_parts.uncertain(policy=policy, how="relaxed", seed=0, epochs=1)
    return seen["y"].unflatten(1, (2, 10)), seen["x"]


def test_uncertain_labels_are_unknown_believed_or_left_out_with_their_rows(monkeypatch) -> None:
    labelled, _, _ = feng_parts._drawn(2, 0, None)
    truth = F.one_hot(labelled.y, 10).float()
    unknown, _ = told(monkeypatch, "unknown")
    hidden = unknown.isnan().any(-1)
    assert 0.35 < hidden.float().mean() < 0.65
    assert torch.equal(unknown[~hidden], truth[~hidden])
    believed, _ = told(monkeypatch, "believed")
    wrong = (believed != truth).any(-1)
    assert not (wrong & ~hidden).any()
    assert 0.3 < wrong[hidden].float().mean() < 0.7
    rows, x = told(monkeypatch, "rows left out")
    certain = ~hidden.any(1)
    assert torch.equal(rows, truth[certain]) and torch.equal(x, labelled.x[certain])


def test_the_scores_of_a_table_are_those_by_hand() -> None:
    split = made_table().split(100, seed=0)
    present = torch.tensor([[0.9, 0.2, 0.6], [0.3, 0.4, 0.8]])
    truth = torch.tensor([[1, 1, 0], [0, 0, 1]])
    probs = torch.stack([1 - present, present], -1).flatten(1)
    y = F.one_hot(truth, 2).flatten(1).float()
    came = feng_parts.scores(split, probs, y)
    assert came["hamming"] == pytest.approx(2 / 6)
    # Two of three told are right, and two of three that are present told; by label 1, 0, 2/3.
    assert came["micro_f1"] == pytest.approx(2 / 3)
    assert came["macro_f1"] == pytest.approx((1 + 0 + 2 / 3) / 3)
    # The pairs of a present and an absent label: (2 over 3 wrong, 1 over 3 right), all right.
    assert came["ranking"] == pytest.approx((1 / 2 + 0) / 2)


def test_logistic_regressions_learn_a_table_from_labels_of_which_some_are_missing() -> None:
    came = feng_parts.several(
        data="emotions", how="logistic", share=0.5, missing=0.3, seed=0, epochs=1
    )
    assert came["map"] > 0.9 and came["hamming"] < 0.25


def test_the_study_is_done_at_a_tiny_scale(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(study, "COUNTED", {"relaxed": (1, 2), "enumerated": (1, 2)})
    monkeypatch.setattr(study, "READ", {how: (1, 2) for how in study.READ})
    monkeypatch.setattr(study, "SHARES", ((0.1, 0.0), (0.5, 0.0), (0.5, 0.5)))
    found = study.reproduce(Work(tmp_path, scale=0.07, root=tmp_path))
    assert "Left out, for lack of files: elpv, mediamill, scene" in found.setting
    assert [claim.holds for claim in found.claims][0] is True and len(found.claims) == 6
    assert [picture.name for picture in found.pictures] == ["cost", "canvases", "tables"]
    assert all(np.isfinite(row.found).all() for row in found.rows)
