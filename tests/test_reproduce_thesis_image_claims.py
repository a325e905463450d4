"""What the thesis's studies of images say of told numbers: borne out, refuted, or undecided.

Numbers are told as means, in percent. Every mean becomes five draws that lie close about it, unless
a test says that they are few or that they lie far apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pyro_ssvae.reproduce import (
    images,
    thesis_adversarial,
    thesis_analogies,
    thesis_leakage,
    thesis_pretraining,
)
from pyro_ssvae.reproduce.findings import Claim

CLOSE = (0.0, 0.1, -0.1, 0.2, -0.2)  # the deviations of draws from their mean
FEW = CLOSE[:4]  # one less than tell
APART = (0.0, 60.0, -60.0, 40.0, -40.0)
Deviations = Sequence[float]
Verdict = bool | None


@pytest.fixture(autouse=True)
def on_digits_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "DATA", ("digits",))


def draws(mean: float, deviations: Deviations = CLOSE, factor: float = 1.0) -> list[float]:
    """Draws about a mean. Two of different factors differ by a different amount in every draw."""
    return [mean + factor * deviation for deviation in deviations]


# An adversary: accuracies, and what a probe reads off z', of M2 alone and in both games.

def adversary(
    accuracies: Sequence[float], leaked: Sequence[float], deviations: Deviations = CLOSE
) -> list[Claim]:
    return thesis_adversarial.claims([
        {"data": "digits", "arm": arm, "accuracy": (accuracy + factor * deviation) / 100,
         "leakage": (leakage + factor * deviation) / 100}
        for factor, arm, accuracy, leakage
        in zip((1, 2, 3), thesis_adversarial.ARMS, accuracies, leaked)
        for deviation in deviations
    ])


@pytest.mark.parametrize(("accuracies", "leaked", "alike", "taken"), [
    ((90, 90, 91), (80, 60, 79), True, True),  # one game in which the probe loses will do
    ((90, 90, 95), (80, 79, 90), False, False),  # but no game must change the accuracy
    ((90, 90, 87), (80, 75, 71), False, False),  # for the worse neither
    ((90, 90, 92), (80, 79, 70), None, None),
])
def test_an_adversary(
    accuracies: Sequence[float], leaked: Sequence[float], alike: Verdict, taken: Verdict
) -> None:
    assert [claim.holds for claim in adversary(accuracies, leaked)] == [alike, taken]


@pytest.mark.parametrize("deviations", (FEW, APART))
def test_an_adversary_in_few_draws_or_far_apart_does_not_tell(deviations: Deviations) -> None:
    told = adversary((90, 90, 91), (80, 69, 69), deviations)
    assert [claim.holds for claim in told] == [None, None]


# Pretraining: accuracies of everything trained.

ACCURACIES = {
    "classifier alone": 75.0, "M2, alpha = 0.1": 91.0, "M2, alpha = 0.1, pretrained": 60.0,
    "M2, alpha = 1, pretrained": 70.0, "M2, alpha = 100, pretrained": 76.0,
    "ours, lambda = 0.5, pretrained": 70.0, "simplified, lambda = 0.001, pretrained": 82.0,
}


def pretraining(
    accuracies: Mapping[str, float], deviations: Deviations = CLOSE
) -> list[Verdict]:
    told = {**ACCURACIES, **accuracies}
    assert set(told) == set(thesis_pretraining.ARMS)
    claims = thesis_pretraining.claims([
        {"data": "digits", "arm": arm, "accuracy": own / 100}
        for factor, (arm, mean) in enumerate(told.items())
        for own in draws(mean, deviations, factor)
    ])
    assert all(claim.data == "digits" for claim in claims)
    return [claim.holds for claim in claims]


@pytest.mark.parametrize(("accuracies", "verdicts"), [
    ({}, [True, True, True, True, True]),
    ({"M2, alpha = 0.1, pretrained": 78.0}, [False, True, True, True, True]),
    ({"M2, alpha = 0.1": 50.0}, [True, False, True, True, True]),
    ({"M2, alpha = 100, pretrained": 73.0}, [True, True, False, True, True]),
    ({"M2, alpha = 100, pretrained": 74.0}, [True, True, None, True, True]),
    ({"ours, lambda = 0.5, pretrained": 90.0}, [True, True, True, False, True]),
    ({"simplified, lambda = 0.001, pretrained": 70.0}, [True, True, True, True, False]),
    ({"ours, lambda = 0.5, pretrained": 76.0}, [True, True, True, None, True]),
    (dict.fromkeys(ACCURACIES, 75.0), [None, None, True, True, None]),
])
def test_pretraining(accuracies: Mapping[str, float], verdicts: list[Verdict]) -> None:
    assert pretraining(accuracies) == verdicts


@pytest.mark.parametrize("deviations", (FEW, APART))
def test_pretraining_in_few_draws_or_far_apart_does_not_tell(deviations: Deviations) -> None:
    assert pretraining({}, deviations) == [None] * 5


# Analogies: shares of images and analogies, and shares of a 1 and of every other digit.

SHARES = {"best": 90.0, "grey own": 10.0, "grey others": 12.0, "kept others": 80.0}


def analogies(
    shares: Mapping[str, float] = SHARES, ones: float = 50.0, others: float = 85.0,
    deviations: Deviations = CLOSE,
) -> list[Verdict]:
    results: list[dict[str, Any]] = []
    for deviation in deviations:
        told = {**SHARES, **shares}
        kept = [others + deviation, ones - deviation, *[others + deviation] * 8]
        results.append({
            "data": "digits", "kept by class": [share / 100 for share in kept],
            **{name: (share + deviation) / 100 for name, share in told.items()},
            "grey own": told["grey own"] / 100,  # or else the difference would be the same
        })
    return [claim.holds for claim in thesis_analogies.claims(results)]


@pytest.mark.parametrize(("shares", "ones", "verdicts"), [
    ({}, 50.0, [True, True, True, True]),
    ({"best": 40.0}, 50.0, [False, True, True, True]),
    ({"best": 50.0}, 50.0, [None, True, True, True]),
    ({"grey others": 10.5}, 50.0, [True, False, True, True]),
    ({"grey others": 11.0}, 50.0, [True, None, True, True]),
    ({"kept others": 49.0}, 50.0, [True, True, False, True]),
    ({"kept others": 50.0}, 50.0, [True, True, None, True]),
    ({}, 80.0, [True, True, True, False]),
    ({}, 75.0, [True, True, True, None]),
])
def test_analogies(shares: Mapping[str, float], ones: float, verdicts: list[Verdict]) -> None:
    assert analogies(shares, ones) == verdicts


@pytest.mark.parametrize("deviations", (FEW, APART))
def test_analogies_in_few_draws_or_far_apart_do_not_tell(deviations: Deviations) -> None:
    assert analogies(deviations=deviations) == [None] * 4


# Leakage: by alpha the accuracies of a network, which decides, and of a logistic regression.

def leakage(
    network: Sequence[float], deviations: Deviations = CLOSE, linear: float = 0.0
) -> list[Verdict]:
    claims = thesis_leakage.claims([
        {"data": "digits", "alpha": alpha, "network": own / 100, "linear": linear / 100}
        for alpha, mean in zip(thesis_leakage.ALPHAS, network)
        for own in draws(mean, deviations)
    ])
    assert all(claim.data == "digits" for claim in claims)
    return [claim.holds for claim in claims]


@pytest.mark.parametrize(("network", "verdicts"), [
    ((90, 90, 90, 86), [True, True]),
    ((90, 90, 90, 84), [True, False]),  # regardless of alpha
    ((90, 90, 90, 85), [True, None]),
    ((90, 90, 90, 49), [False, False]),
    ((90, 90, 90, 50), [None, False]),
])
def test_leakage(network: Sequence[float], verdicts: list[Verdict]) -> None:
    assert leakage(network) == verdicts
    assert leakage(network, linear=100.0) == verdicts  # the better of two does not decide


@pytest.mark.parametrize("deviations", (FEW, APART))
def test_leakage_in_few_draws_or_far_apart_does_not_tell(deviations: Deviations) -> None:
    assert leakage((90, 90, 90, 90), deviations) == [None, None]
