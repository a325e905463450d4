"""The study of Feng's factored pair: its arithmetic by hand, and the whole at a tiny scale."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from pyro import distributions as dist
from small_mnist import small_mnist
from torch.nn import functional as F

from pyro_ssvae import Objective, data
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


class Known(torch.nn.Module):
    """A q(z | x) of two dimensions whose means are two pixels, stretched."""

    def forward(self, x: torch.Tensor) -> dist.Distribution:
        return dist.Normal(5 * x.flatten(1)[:, :2] - 2.5, 0.45).to_event(1)


def by_quadrature(mean: torch.Tensor, deviation: float) -> tuple[float, float]:
    """I(x; z) and KL[q(z) || N(0, I)] of the mixture of normals in the plane, on a grid."""
    side = torch.linspace(-5.5, 5.5, 221, dtype=torch.double)
    z = torch.cartesian_prod(side, side)
    squares = (z[:, None] - mean.double()).square().sum(-1) / deviation**2
    normal = math.log(2 * math.pi)
    log_q = (-squares / 2 - normal).logsumexp(1) - math.log(len(mean) * deviation**2)
    weight = log_q.exp() * (side[1] - side[0]) ** 2
    assert float(weight.sum()) == pytest.approx(1, abs=1e-6)
    entropy, own = -float((weight * log_q).sum()), 1 + normal + 2 * math.log(deviation)
    cross = float((weight * (z.square().sum(-1) / 2 + normal)).sum())
    return entropy - own, cross - entropy


def test_both_sides_of_equation_14_are_those_by_quadrature(monkeypatch) -> None:
    number, sure = 500, 4  # images, and standard errors
    x = torch.rand(number, 1, 14, 14, generator=torch.Generator().manual_seed(0))
    drawn = canvases.Canvases(x, torch.zeros(number, 1, dtype=torch.long))
    model, guide = canvases.pair(1, "relaxed", z_dim=2)
    guide.encoder = Known()
    monkeypatch.setattr(feng_parts, "_drawn", lambda *_: (drawn,) * 3)
    monkeypatch.setattr(canvases, "trained", lambda *_, **__: Objective(model, guide, alpha=1.0))
    came = feng_parts.information(capacity=None, seed=0, epochs=1)
    mean = guide.encoder(x).mean
    information, marginal = by_quadrature(mean, 0.45)
    assert information > 1.9
    # The deviations of the terms are about 1.0 and 1.25; the marginal has four terms an image.
    assert came["information"] == pytest.approx(information, abs=sure * 1.0 / number**0.5)
    assert came["marginal"] == pytest.approx(marginal, abs=sure * 1.25 / (4 * number) ** 0.5)
    squares = float(mean.square().sum(-1).mean())
    assert came["kl"] == pytest.approx(squares / 2 + 0.45**2 - 1 - 2 * math.log(0.45), rel=1e-5)
    assert came["rest"] == came["kl"] - came["information"]
    assert came["most"] == math.log(number)


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


def test_labelled_rows_alone_are_the_same_updates_with_no_weight_on_the_others(monkeypatch) -> None:
    seen = []

    def noting(objective, split, **options):
        seen.append((objective.weights, split, {**options, "optimizer": None}))
        return []

    monkeypatch.setattr(feng_parts, "fit", noting)
    for how in ("factored", feng_parts.LABELS_ALONE):
        feng_parts.several(data="emotions", how=how, share=0.1, missing=0.0, seed=1, epochs=3)
    (weights, split, options), (others, same, equally) = seen
    assert others == {**weights, "unlabelled": 0.0} and weights["unlabelled"] == 1
    assert equally == options and torch.equal(same.unlabelled, split.unlabelled)


def test_the_way_without_unlabelled_rows_is_for_few_labelled_ones() -> None:
    assert study._ways(0.05, 0.0) == study._ways(0.1, 0.0) == (
        "factored", "logistic", feng_parts.LABELS_ALONE
    )
    assert study._ways(0.2, 0.0) == study._ways(0.1, 0.5) == ("factored", "logistic")


def draws(score: str, mean: float, *more: float, number: int = 5) -> list[dict[str, float]]:
    """What draws measured: a mean, with an addition of their own."""
    added = more or (-0.002, -0.001, 0.0, 0.001, 0.002)
    return [{score: mean + one} for one in added[:number]]


def measured(number: int = 5, **scores: float) -> study.Measured:
    """Results that bear all claims out unless scores are told otherwise."""
    at = {
        "relaxed": 0.9, "enumerated": 0.9, "unknown": 0.8, "believed": 0.7, "early": 1.0,
        "late": 1.0, "marginal": 1.0, "decoded": 1.0, "factored": 0.6, "logistic": 0.5,
        "alone": 0.5, **scores,
    }
    information = {
        (None, epochs): [
            {**one, "rest": 1.0, "marginal": at["marginal"]}
            for one in draws("information", at[when], number=number)
        ]
        for epochs, when in ((1, "early"), (15, "late"))
    }
    ways = {"factored": "factored", "logistic": "logistic", feng_parts.LABELS_ALONE: "alone"}
    return study.Measured(
        {(how, c): [{"decoded": 10.0**c if how == "enumerated" else at["decoded"]}]
         for how, numbers in study.COUNTED.items() for c in numbers},
        {(how, 2): draws("digits", at[how], number=number) for how in ("relaxed", "enumerated")},
        {(policy, "relaxed"): draws("digits", at[policy], number=number)
         for policy in ("unknown", "believed")},
        information,
        {("scene", share, 0.0, way): draws("map", at[name], number=number)
         for share in (0.05, 0.1) for way, name in ways.items()},
        {}, [],
    )


CLAIMS = (
    "The traditional bound costs", "One relaxed sample costs", "I(x; z) can be viewed",
    "The KL divergence of", "Uncertain labels, of which",
    "With a tenth of the rows labelled or less, on average over scene, the factored",
    "With a tenth of the rows labelled or less, on average over scene, unlabelled",
)


def verdicts(found: study.Measured) -> list[bool | None]:
    claims = study.claims(found)
    assert all(claim.text.startswith(start) for claim, start in zip(claims, CLAIMS, strict=True))
    return [claim.holds for claim in claims]


def test_results_as_claimed_bear_the_claims_out() -> None:
    assert verdicts(measured()) == [True] * 7
    assert [claim.source for claim in study.claims(measured())].count("ours") == 4
    assert len(study.claims(measured()._replace(tables={}))) == 5


@pytest.mark.parametrize("missing", [[], ["mediamill"]])
def test_without_all_data_it_is_no_full_scale(
    missing: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = measured()._replace(missing=missing)
    monkeypatch.setattr(study, "measured", lambda work: found)
    monkeypatch.setattr(study, "rows", lambda found: [])
    monkeypatch.setattr(study, "pictures", lambda found: [])
    findings = study.reproduce(Work(tmp_path))
    assert findings.whole == (not missing)
    assert ("Left out, for lack of files: mediamill." in findings.setting) == bool(missing)


@pytest.mark.parametrize(("score", "value", "claim"), [
    ("decoded", 2.0, 0), ("relaxed", 0.88, 1), ("late", 1.2, 2), ("marginal", 1.2, 3),
    ("unknown", 0.6, 4), ("logistic", 0.7, 5), ("alone", 0.7, 6),
])
def test_each_claim_is_refuted_by_its_own_numbers(score, value, claim) -> None:
    came = verdicts(measured(**{score: value}))
    assert [place for place, holds in enumerate(came) if holds is False] == [claim]


@pytest.mark.parametrize(("score", "value", "claim"), [
    ("relaxed", 0.89, 1), ("late", 1.111, 2), ("unknown", 0.7, 4), ("logistic", 0.6, 5),
    ("alone", 0.6, 6),
])
def test_claims_whose_numbers_are_at_the_limit_are_not_decided(score, value, claim) -> None:
    added = (0.01, -0.01, 0.012, -0.011, 0.0)
    found = measured(**{score: value})
    for part in (found.read, found.doubtful, found.told, found.tables):
        for draw in range(5):
            for key, runs in part.items():
                if score in key or score == "late" and key[1] == 15 or (
                    score == "alone" and key[-1] == feng_parts.LABELS_ALONE
                ):
                    (name,) = {"digits", "information", "map"} & {*runs[draw]}
                    runs[draw][name] += added[draw]
    assert verdicts(found)[claim] is None


def test_few_draws_do_not_tell() -> None:
    assert verdicts(measured(number=3)) == [True, None, None, True, None, None, None]


def test_the_study_is_done_at_a_tiny_scale(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(study, "COUNTED", {"relaxed": (1, 2), "enumerated": (1, 2)})
    monkeypatch.setattr(study, "READ", {how: (1, 2) for how in study.READ})
    monkeypatch.setattr(study, "SHARES", ((0.1, 0.0), (0.5, 0.0), (0.5, 0.5)))
    found = study.reproduce(Work(tmp_path, scale=0.07, root=tmp_path))
    assert "Left out, for lack of files: elpv, mediamill, scene" in found.setting
    assert [claim.holds for claim in found.claims][0] is True and len(found.claims) == 7
    assert [picture.name for picture in found.pictures] == ["cost", "canvases", "tables"]
    assert all(np.isfinite(row.found).all() for row in found.rows)
    alone = [row.what for row in found.rows if "labelled rows alone: mAP" in row.what]
    assert alone == [
        "emotions, 10% of rows, 0% of labels missing, factored, labelled rows alone: mAP"
    ]
