"""What the thesis's studies in the plane say of told numbers: borne out, refuted, or undecided.

Numbers are told as means, in percent. Every mean becomes five draws that lie close about it, unless
a test says that they are few or that they lie far apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from pyro_ssvae.reproduce import thesis_circles, thesis_moons, thesis_optimum
from pyro_ssvae.reproduce.findings import Claim

CLOSE = (0.0, 0.1, -0.1, 0.2, -0.2)  # the deviations of draws from their mean
FEW = CLOSE[:4]  # one less than tell
APART = (0.0, 30.0, -30.0, 20.0, -20.0)
SIGMA2 = (0.01, 0.1, 1.0, 3.0)
Deviations = Sequence[float]
Verdict = bool | None


@pytest.fixture(autouse=True)
def few_sigmas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thesis_circles, "SIGMA2", SIGMA2)
    monkeypatch.setattr(thesis_moons, "SIGMA2", SIGMA2[:2])


def verdict_on(claims: Sequence[Claim], words: str) -> Verdict:
    """The verdict on the one claim that has these words."""
    (claim,) = (claim for claim in claims if words in claim.text)
    return claim.holds


# Circles: the accuracy of the classifier alone, and those of M2 by sigma^2.

def circles(
    alone: float, accuracies: Sequence[float], deviations: Deviations = CLOSE, *,
    validated: Sequence[float] | None = None, errors: Sequence[float] = (0.1, 0.2, 0.3, 0.4),
) -> list[Claim]:
    """The claims, where those that are validated are the accuracies if nothing else is told.

    Every draw is there twice, once in the half that chooses and once in the half that compares.
    """
    results = [
        {
            "baseline": {"accuracy": (alone + deviation) / 100},
            "runs": [
                {"accuracy": (mean + factor * deviation) / 100, "error": error,
                 "curve": [0.0, chooses / 100]}
                for factor, mean, error, chooses
                in zip((2, 3, 4, 5), accuracies, errors, validated or accuracies)
            ],
        }
        for deviation in deviations for _ in range(2)
    ]
    return thesis_circles.claims(results)


ALONE, COMMON, BETTER, FIXED, SMALLER, RELATED = (
    "finds the boundary", "With sigma^2 = 1", "makes M2 better", "fixes M2", "The smaller",
    "The better M2 reconstructs",
)


@pytest.mark.parametrize(("words", "alone", "accuracies", "verdict"), [
    (ALONE, 99.7, (99, 95, 85, 80), True),
    (ALONE, 98.0, (99, 95, 85, 80), False),
    (ALONE, 99.0, (99, 95, 85, 80), None),
    (COMMON, 99.0, (99, 95, 85, 80), True),
    (COMMON, 80.0, (99, 95, 85, 80), False),
    (COMMON, 85.0, (99, 95, 85, 80), None),
    (BETTER, 99.0, (99, 95, 85, 80), True),
    (BETTER, 99.0, (80, 95, 85, 99), True),  # the best is larger than 1, and chosen all the same
    (FIXED, 99.5, (99, 95, 85, 80), True),
    (FIXED, 99.5, (95, 90, 85, 80), False),
    (FIXED, 99.5, (98.5, 90, 85, 80), None),
    (SMALLER, 99.0, (99, 95, 90, 80), True),
    (SMALLER, 99.0, (80, 90, 95, 99), False),
    (RELATED, 99.0, (99, 95, 90, 80), True),
    (RELATED, 99.0, (95, 80, 99, 90), False),  # -0.2: hardly related
])
def test_circles(words: str, alone: float, accuracies: Sequence[float], verdict: Verdict) -> None:
    assert verdict_on(circles(alone, accuracies), words) is verdict


@pytest.mark.parametrize("words", (COMMON, BETTER, FIXED, SMALLER, RELATED))
def test_circles_whose_draws_lie_far_apart_or_are_few_do_not_tell(words: str) -> None:
    assert verdict_on(circles(99, (95, 94, 90, 85), APART), words) is None
    assert verdict_on(circles(99, (95, 94, 90, 85), FEW[:2]), words) is None


def test_validation_data_choose_sigma2_among_all() -> None:
    told = circles(99, (80, 95, 90, 99), validated=(99, 90, 90, 90))
    assert verdict_on(told, BETTER) is False  # 80 against 90: the best on test data is not taken
    (claim,) = (claim for claim in told if BETTER in claim.text)
    assert claim.because.startswith("80.0 % with sigma^2 = 0.01, against 90.0 % with 1")


def test_sigma2_is_compared_on_other_draws_than_it_is_chosen_on() -> None:
    results = [
        {"baseline": {"accuracy": 0.99}, "runs": [
            {"accuracy": accuracy, "error": 0.1, "curve": [accuracy]}
            for accuracy in ((0.5 if draw % 2 else 1.0), 0.8, 0.8, 0.8)
        ]} for draw in range(10)
    ]
    assert verdict_on(thesis_circles.claims(results), BETTER) is False


def test_the_better_reconstruction_is_by_the_error_and_not_by_sigma2() -> None:
    told = circles(99, (80, 90, 95, 99), errors=(0.4, 0.3, 0.2, 0.1))
    assert verdict_on(told, RELATED) is True and verdict_on(told, SMALLER) is False


@pytest.mark.parametrize(("errors", "deviations", "verdict"), [
    ((0.1, 0.2, 0.3, 0.4), CLOSE, True), ((0.2, 0.2, 0.3, 0.4), CLOSE, False),
    ((0.1, 0.2, 0.3, 0.4), FEW, None),
])
def test_a_sigma2_that_is_tuned_models_the_circles_or_not(
    errors: Sequence[float], deviations: Deviations, verdict: Verdict
) -> None:
    told = circles(99, (99, 95, 85, 80), deviations, errors=errors)  # 0.01 is chosen
    assert verdict_on(told, "models the circles") is verdict


def test_a_rank_correlation_is_of_the_order_alone_and_0_without_one() -> None:
    assert thesis_circles.rank_correlation([1, 2, 30], [0.9, 0.8, 0.1]) == pytest.approx(-1)
    assert thesis_circles.rank_correlation([1, 2, 30], [0.5, 0.5, 0.5]) == 0


# The optimum: what is left of 100 % with sigma^2 = 1 by alpha, and with sigma^2 = 0.01.

LEFT = {0.0: 50.0, 0.1: 80.0, 1.0: 90.0, 10.0: 95.0, 100.0: 96.0, 1000.0: 99.5}
KEPT = (99.0, 99.0)


def optimum(
    left: Mapping[float, float], kept: Sequence[float], deviations: Deviations = CLOSE
) -> list[Claim]:
    ends = [*left.values(), *kept]
    return thesis_optimum.claims([
        {"start": 1.0, "runs": [{"accuracy": (end + deviation) / 100} for end in ends]}
        for deviation in deviations
    ])


GENERATIVE, WEAK, USUAL, HEAVY, GOOD = (
    "The generative loss", "alpha = 0.1", "loss, alpha = 1:", "heavy enough", "reconstruction is",
)


@pytest.mark.parametrize(("words", "left", "kept", "verdict"), [
    (GENERATIVE, {}, KEPT, True),
    (GENERATIVE, {0.0: 99.0}, KEPT, False),
    (GENERATIVE, {0.0: 98.0}, KEPT, None),
    (WEAK, {1.0: 100.0}, KEPT, True),  # of alpha = 0.1 alone
    (WEAK, {0.1: 99.0}, KEPT, False),
    (WEAK, {0.1: 98.0}, KEPT, None),
    (USUAL, {0.1: 100.0}, KEPT, True),
    (USUAL, {1.0: 99.0}, KEPT, False),
    (USUAL, {1.0: 98.0}, KEPT, None),
    (HEAVY, {}, KEPT, True),
    (HEAVY, {10.0: 99.0, 1000.0: 90.0}, KEPT, True),  # some alpha will do
    (HEAVY, {1.0: 99.0, 1000.0: 90.0}, KEPT, False),  # which is not one of the thesis's usual ones
    (HEAVY, {1000.0: 97.9}, KEPT, None),
    (GOOD, {}, KEPT, True),
    (GOOD, {}, (99.0, 95.0), False),  # every alpha must
    (GOOD, {}, (99.0, 98.0), None),
])
def test_the_optimum(
    words: str, left: Mapping[float, float], kept: Sequence[float], verdict: Verdict
) -> None:
    assert verdict_on(optimum({**LEFT, **left}, kept), words) is verdict


@pytest.mark.parametrize("deviations", (FEW, APART))
def test_an_optimum_of_few_draws_or_far_apart_does_not_tell(deviations: Deviations) -> None:
    left = dict.fromkeys(LEFT, 90.0)
    assert {claim.holds for claim in optimum(left, (90.0, 90.0), deviations)} == {None}


# Moons: by sigma^2 the accuracy before and after the KL divergence is in, and the agreement.

def moons(
    early: Sequence[float], late: Sequence[float], agreement: Sequence[float] = (95, 95),
    deviations: Deviations = CLOSE, *, agreement_late: Sequence[float] = (95, 95),
) -> list[Claim]:
    def looks(
        accuracies: Sequence[float], agreeing: Sequence[float], deviation: float
    ) -> list[dict[str, float]]:
        return [
            {"accuracy": (own + deviation) / 100, "agreement": (agrees + deviation) / 100}
            for own, agrees in zip(accuracies, agreeing)
        ]

    return thesis_moons.claims([
        {"early": looks(early, agreement, deviation),
         "end": looks(late, agreement_late, -deviation)}
        for deviation in deviations
    ])


PERFECT, CHANGES, WORSE, AGREES = (
    "almost perfectly", "changes dramatically", "for the worse", "by reconstruction",
)


@pytest.mark.parametrize(("words", "told", "verdict"), [
    (PERFECT, ((80, 98), (80, 80)), True),  # some sigma^2 will do
    (PERFECT, ((80, 96), (80, 80)), False),
    (PERFECT, ((80, 97), (80, 80)), None),
    (CHANGES, ((98, 80), (90, 80)), True),
    (CHANGES, ((80, 80), (90, 80)), True),  # up is a change too
    (CHANGES, ((80, 80), (84, 76)), False),
    (CHANGES, ((80, 80), (85, 80)), None),
    (WORSE, ((98, 80), (90, 80)), True),
    (WORSE, ((80, 80), (90, 80)), False),
    (WORSE, ((98, 80), (93, 80)), None),
    (AGREES, ((80, 80), (80, 80), (91, 92)), True),
    (AGREES, ((80, 80), (80, 80), (89, 99)), False),  # with every sigma^2
    (AGREES, ((80, 80), (80, 80), (90, 99)), None),
])
def test_moons(words: str, told: Sequence[Sequence[float]], verdict: Verdict) -> None:
    assert verdict_on(moons(*told), words) is verdict


def test_classifiers_of_moons_must_agree_at_both_moments() -> None:
    told = moons((80, 80), (80, 80), (99, 99), agreement_late=(99, 85))
    assert verdict_on(told, AGREES) is False


@pytest.mark.parametrize("deviations", (FEW, APART))
def test_moons_of_few_draws_or_far_apart_do_not_tell(deviations: Deviations) -> None:
    told = moons((98, 98), (90, 90), (95, 95), deviations)
    assert {claim.holds for claim in told} == {None}
