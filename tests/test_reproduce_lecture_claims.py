"""The verdicts of the lecture's studies on numbers that they are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pyro_ssvae.reproduce import autoencoder_claims, em_findings, lecture_collapse
from pyro_ssvae.reproduce.em_findings import NEAR
from pyro_ssvae.reproduce.findings import Claim
from pyro_ssvae.reproduce.lecture_collapse import LONGER, PLAIN

Told = float | Sequence[float]  # a mean of draws that leave no doubt, or the draws

DRAWS = (0.01, -0.01, 0.02, -0.02, 0.0)  # the luck of each, which all methods share


def doubtful(mean: float, spread: float = 1.0) -> list[float]:
    """Draws of a method whose luck is its own."""
    return [mean + spread * luck for luck in (1.0, -1.0, 0.8, -0.9, 0.1)]


def drawn(told: Told) -> list[float]:
    return [told + luck for luck in DRAWS] if isinstance(told, float) else list(told)


def verdict(claims: Sequence[Claim], beginning: str) -> bool | None:
    (claim,) = [claim for claim in claims if claim.text.startswith(beginning)]
    return claim.holds


def all_hold(claims: Sequence[Claim]) -> bool:
    return all(claim.holds is True for claim in claims)


def all_undecided(claims: Sequence[Claim]) -> bool:
    return all(claim.holds is None for claim in claims)


# Posterior collapse: the mutual information and the bound of every way, in nats.

Ways = Mapping[str, tuple[Told, Told]]

TRUE = "true"  # the network that draws the sequences, of which there is log p(x) alone
COLLAPSE: Ways = {
    "independent tokens": (1.9, -20.7), PLAIN: (0.03, -17.0), "without z": (0.0, -17.02),
    "lambda = 0.3": (3.3, -17.4), "warm-up": (0.7, -16.95), "aggressive": (0.5, -16.8),
    LONGER: (0.05, -16.9), TRUE: (0.0, -14.7),
}


def of_collapse(told: Ways, draws: int = 5) -> list[Claim]:
    results = {
        way: [
            {"mutual_information": information, "iwae": bound, "steps": 200, "seconds": 1.0,
             "aggressive": 4}
            for information, bound in list(zip(*map(drawn, both)))[:draws]
        ]
        for way, both in told.items()
    }
    true = [run["iwae"] for run in results.pop(TRUE)]
    return [
        *lecture_collapse.of_collapse(results, true), *lecture_collapse.of_weights(results),
        *lecture_collapse.of_aggressive(results, epochs=20),
    ]


BETTER = "Training closer to EM has the better importance-weighted bound"
BUDGET = {
    "epochs": f"{BETTER} after as many epochs",
    "steps": f"{BETTER} than plain training of up to as many gradient steps, stopped early",
}


def test_collapse_may_be_borne_out_in_all_that_is_said_of_it() -> None:
    assert all_hold(of_collapse(COLLAPSE))


def test_four_seeds_decide_nothing_of_collapse() -> None:
    assert all_undecided(of_collapse(COLLAPSE, draws=4))


@pytest.mark.parametrize(("beginning", "way", "told", "holds"), [
    ("With an autoregressive", PLAIN, (0.2, -17.0), False),
    ("With an autoregressive", "independent tokens", (0.05, -20.7), False),
    ("With an autoregressive", PLAIN, (doubtful(0.1), -17.0), None),
    ("The collapsed model is one", "without z", (0.0, -17.15), False),
    ("The collapsed model is one", "without z", (0.0, -16.85), False),
    ("The collapsed model is one", "without z", (0.0, doubtful(-17.0)), None),
    ("To keep z in use", "warm-up", (0.7, -16.85), False),
    ("To keep z in use", "lambda = 0.3", (0.7, -16.85), False),
    ("To keep z in use", "warm-up", (0.7, doubtful(-16.9)), None),
    ("None of these trainings", LONGER, (0.05, -15.5), False),
    ("None of these trainings", TRUE, (0.0, doubtful(-15.8)), None),
    ("A weight 0 < lambda < 1", "lambda = 0.3", (0.05, -17.4), False),
    ("A weight 0 < lambda < 1", PLAIN, (4.0, -17.0), False),
    ("A weight 0 < lambda < 1", "lambda = 0.3", (doubtful(0.1), -17.4), None),
    ("Such a weight breaks", "lambda = 0.3", (3.3, -16.9), False),
    ("Such a weight breaks", "lambda = 0.3", (3.3, doubtful(-17.0)), None),
    ("A warm-up", "warm-up", (0.08, -16.95), False),
    ("A warm-up", "warm-up", (doubtful(0.1), -16.95), None),
    ("Training closer to EM keeps", "aggressive", (0.06, -16.8), False),
    ("Training closer to EM keeps", PLAIN, (0.6, -17.0), False),
    ("Training closer to EM keeps", "aggressive", (doubtful(0.1), -16.8), None),
    (BUDGET["epochs"], "aggressive", (0.5, -17.1), False),
    (BUDGET["epochs"], "aggressive", (0.5, doubtful(-17.0)), None),
    (BUDGET["steps"], "aggressive", (0.5, -16.95), False),
    (BUDGET["steps"], LONGER, (0.05, doubtful(-16.8)), None),
])
def test_a_claim_on_collapse_is_refuted_or_left_open(
    beginning: str, way: str, told: tuple[Told, Told], holds: bool | None
) -> None:
    assert verdict(of_collapse({**COLLAPSE, way: told}), beginning) is holds


def test_training_that_is_better_for_its_steps_alone_is_told_from_one_that_is_better() -> None:
    claims = of_collapse({**COLLAPSE, "aggressive": (0.5, -16.95)})
    assert [verdict(claims, BUDGET[of]) for of in ("epochs", "steps")] == [True, False]


def test_claims_on_training_closer_to_em_say_what_it_was_tried_on() -> None:
    claims = [c for c in of_collapse(COLLAPSE) if c.text.startswith("Training closer to EM")]
    assert len(claims) == 3 and all(claim.source.startswith("ours") for claim in claims)
    for words in ("2,000 sequences of a vocabulary of 20", "20 epochs and a patience of 3"):
        assert all(words in claim.text for claim in claims)


# Autoencoder and VAE: the scores in 8 dimensions; those of density stand for 2 dimensions too.

Scores = Mapping[str, Told]

VAE: Scores = {
    "distance": 2.7, "coverage": 2.8, "reconstruction": -20.0, "elbo": -24.3, "iwae": -24.0,
    "divergence": 0.1, "sure": 0.6, "leakage": 0.78,
}
AE: Scores = {
    "distance": 2.9, "coverage": 3.1, "reconstruction": -15.0, "elbo": -31.0, "iwae": -30.0,
    "divergence": 90.0, "sure": 0.5, "leakage": 0.79,
}
FITTED: Scores = {"distance": 2.6, "coverage": 2.7}


def of_autoencoder(told: Mapping[str, Scores], draws: int = 5) -> list[Claim]:
    fitted = {"fitted": told.get("fitted", FITTED)}
    of = {"AE": told.get("AE", AE), "VAE": told.get("VAE", VAE)}
    results = {
        (way, dims): [_run(scores, fitted, draw) for draw in range(draws)]
        for way, scores in of.items() for dims in (2, 8)
    }
    return [
        *autoencoder_claims.of_generation(results, 8), *autoencoder_claims.of_density(results),
        *autoencoder_claims.of_space(results, 8),
    ]


def _run(scores: Scores, fitted: Mapping[str, Scores], draw: int) -> dict[str, Any]:
    generation = {"prior": scores, **fitted}
    return {
        "generation": {
            source: {name: drawn(of[name])[draw] for name in ("distance", "coverage")}
            for source, of in generation.items()
        },
        **{
            part: {name: drawn(scores[name])[draw] for name in names}
            for part, names in {
                "density": ("reconstruction", "elbo", "iwae"),
                "space": ("divergence", "sure", "leakage"),
            }.items()
        },
    }


def test_the_answers_to_the_three_questions_may_all_be_borne_out() -> None:
    assert all_hold(of_autoencoder({}))


def test_four_seeds_answer_none_of_the_three_questions() -> None:
    assert all_undecided(of_autoencoder({}, draws=4))


@pytest.mark.parametrize(("beginning", "who", "told", "holds"), [
    ("1. An autoencoder generates worse", "AE", {"distance": 2.6}, False),
    ("1. An autoencoder generates worse", "AE", {"coverage": 2.7}, False),
    ("1. An autoencoder generates worse", "AE", {"coverage": doubtful(2.8)}, None),
    ("With z of a Gaussian", "fitted", {"distance": 3.0}, False),
    ("With z of a Gaussian", "fitted", {"coverage": 3.2}, False),
    ("With z of a Gaussian", "fitted", {"coverage": doubtful(3.1)}, None),
    ("2. An autoencoder gives no p(x)", "AE", {"iwae": -23.0}, False),
    ("2. An autoencoder gives no p(x)", "AE", {"reconstruction": -31.0}, False),
    ("2. An autoencoder gives no p(x)", "AE", {"iwae": doubtful(-24.0)}, None),
    ("A VAE gives p(x)", "VAE", {"elbo": -23.9}, False),
    ("A VAE gives p(x)", "VAE", {"elbo": doubtful(-24.1)}, None),
    ("3. The VAE's codes", "VAE", {"divergence": 1.5}, False),
    ("3. The VAE's codes", "AE", {"divergence": 0.5}, False),
    ("3. The VAE's codes", "VAE", {"divergence": doubtful(1.0)}, None),
    ("Between two digits", "VAE", {"sure": 0.4}, False),
    ("Between two digits", "VAE", {"sure": doubtful(0.5, 0.1)}, None),
    ("The VAE's codes tell the class", "VAE", {"leakage": 0.76}, False),
    ("The VAE's codes tell the class", "VAE", {"leakage": doubtful(0.77, 0.1)}, None),
])
def test_an_answer_is_refuted_or_left_open(
    beginning: str, who: str, told: Scores, holds: bool | None
) -> None:
    before = {"VAE": VAE, "AE": AE, "fitted": FITTED}[who]
    assert verdict(of_autoencoder({who: {**before, **told}}), beginning) is holds


# EM: iterations to the optimum by the share of labels, and what is exact.

ITERATIONS: Mapping[float, Sequence[int]] = {
    0.0: (24, 25, 23, 24, 25), 0.5: (6, 7, 5, 6, 7), 1.0: (1, 1, 1, 1, 1),
}
EXACT = {"parameters": 0.004, "e_step": 5e-16, "fall": -1e-14, "svi": 5e-7}


def of_mixtures(
    iterations: Mapping[float, Sequence[int]] = ITERATIONS, draws: int = 5, **told: float
) -> list[Claim]:
    exact = {**EXACT, **told}
    svi = {"gaps": [1.0, exact.pop("svi")]}
    return em_findings.mixture_claims({
        share: [
            {"em": {"gaps": [1.0] * many + [0.0]}, "svi": svi, "fall_batches": 0.02, **exact}
            for many in numbers[:draws]
        ]
        for share, numbers in iterations.items()
    })


def test_what_is_said_of_em_may_all_be_borne_out() -> None:
    assert all_hold(of_mixtures())


def test_identities_hold_of_one_draw_and_means_do_not() -> None:
    assert [claim.holds for claim in of_mixtures(draws=1)] == [True, True, True, True, None]


@pytest.mark.parametrize(("beginning", "told"), [
    ("GMM and GDA", {"svi": 2 * NEAR}), ("GMM and GDA", {"svi": -2 * NEAR}),
    ("GMM and GDA", {"parameters": 0.06}), ("The E-step", {"e_step": 1e-8}),
    ("EM is hill climbing", {"fall": 1e-11}),
])
def test_an_identity_of_em_is_refuted_beyond_its_tolerance(
    beginning: str, told: Mapping[str, float]
) -> None:
    assert verdict(of_mixtures(**told), beginning) is False


@pytest.mark.parametrize(("beginning", "share", "numbers", "holds"), [
    ("With all labels", 1.0, (1, 1, 1, 1, 2), False),
    ("The more labels", 0.5, (30, 31, 29, 30, 31), False),
    ("The more labels", 0.5, (12, 48, 11, 46, 3), None),
])
def test_iterations_of_em_refute_a_claim_or_leave_it_open(
    beginning: str, share: float, numbers: Sequence[int], holds: bool | None
) -> None:
    assert verdict(of_mixtures({**ITERATIONS, share: numbers}), beginning) is holds


# Chains: operations as powers of k, a constant an edge, and of the table of all values.


def of_chains(
    k: float = 2.0, long: float = 2.0, joint: float = 1.0, apart: float = 0.0, uneven: float = 1.0
) -> list[Claim]:
    def costs(power: float, n: int) -> list[dict[str, float]]:
        return [{"k": k, "n": n, "operations": 7 * (n - 1) * k**power} for k in (16, 32, 64, 128)]

    small = [
        {"k": k, "n": n, "eliminated": {"value": -1.0},
         "joint": {"value": -1.0 + apart, "operations": k ** ((n - 1) * joint)}}
        for k, n in ((2, 3), (2, 8), (4, 5))
    ]
    by_n = [costs(2.0, 4)[2], costs(2.0, 8)[2]]
    by_n[1]["operations"] *= uneven
    return em_findings.chain_claims(costs(k, 8), by_n, costs(long, 16), small)


def test_what_is_said_of_elimination_may_all_be_borne_out() -> None:
    assert all_hold(of_chains())


@pytest.mark.parametrize(("beginning", "told"), [
    ("Enumeration in parallel", {"apart": 1e-11}),
    ("Summing out jointly", {"joint": 1.2}), ("Summing out jointly", {"joint": 0.8}),
    ("Elimination costs", {"k": 2.2}), ("Elimination costs", {"k": 1.8}),
    ("Elimination costs", {"uneven": 1.6}),
    ("Pyro eliminates", {"long": 2.8}), ("Pyro eliminates", {"long": 1.8}),
])
def test_operations_refute_what_is_said_of_elimination(
    beginning: str, told: Mapping[str, float]
) -> None:
    claims = of_chains(**told)
    assert verdict(claims, beginning) is False
    assert sum(claim.holds is False for claim in claims) == 1
