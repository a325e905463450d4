"""What an autoencoder and a VAE answer to the lecture's three questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pyro_ssvae.reproduce.draws import above, all_of, difference, greater
from pyro_ssvae.reproduce.findings import Claim

SOURCE = "lecture 13, AutoEncoders"
ANSWER = f"our answer to a question of {SOURCE}"
NEAR = 1.0  # nats of divergence up to which codes count as distributed as the prior
POINTS = 2.0  # of accuracy that count as no worse

Results = Mapping[tuple[str, int], Sequence[Any]]
Scores = Mapping[str, Sequence[float]]


def of_generation(results: Results, dims: int) -> list[Claim]:
    """Question 1: can we generate x samples from an autoencoder?"""
    scores = {
        who: {
            name: [run["generation"][source][name] for run in results[way, dims]]
            for name in ("distance", "coverage")
        }
        for who, way, source in (
            ("VAE", "VAE", "prior"), ("AE", "AE", "prior"), ("AE, fitted", "AE", "fitted"),
        )
    }
    text = ", ".join(
        f"{who} {fmean(of['distance']):.2f} and {fmean(of['coverage']):.2f}"
        for who, of in scores.items()
    )
    return [
        Claim("1. An autoencoder generates worse than a VAE: its images of z ~ N(0, I) are farther"
              " from the training images, and test images are farther from them.", ANSWER,
              _farther(scores["AE"], scores["VAE"]),
              f"in {dims} dimensions, distance to the nearest training image and of a test image to"
              f" the nearest sample: {text}"),
        Claim("With z of a Gaussian that is fitted to its codes afterwards, the autoencoder's"
              " images are nearer to the training images, and test images are nearer to them.",
              "ours", _farther(scores["AE"], scores["AE, fitted"]),
              "the last two of the pairs of numbers above"),
    ]


def of_density(results: Results) -> list[Claim]:
    """Question 2: can we approximate p(x) with an autoencoder?"""
    worse, more, tighter, text, nats = [], [], [], [], []
    for dims in sorted({dims for _, dims in results}):
        ours, other = results["VAE", dims], results["AE", dims]
        bound, weighted = _of(ours, "density", "iwae"), _of(other, "density", "iwae")
        maximised, elbo = _of(other, "density", "reconstruction"), _of(ours, "density", "elbo")
        worse.append(greater(bound, weighted))
        more.append(greater(maximised, weighted))
        gains = [a - b for a, b in zip(bound, elbo)]
        tighter.append(above(gains, 0.0))
        text.append(
            f"{dims} dimensions: AE's log p(x | code) {fmean(maximised):.1f}, bound under N(0, I)"
            f" {fmean(weighted):.1f}; VAE's bound {fmean(bound):.1f}"
        )
        nats.append(f"{fmean(gains):.2f}")
    return [
        Claim("2. An autoencoder gives no p(x): under N(0, I) its decoder has a lower"
              " importance-weighted bound than the VAE's, with an encoder that is fitted to it"
              " afterwards, and what it maximises, log p(x | code), is above that bound.", ANSWER,
              all_of([*worse, *more]), "nats; " + "; ".join(text)),
        Claim("A VAE gives p(x) by a bound, the ELBO, which importance weights tighten.", ANSWER,
              all_of(tighter), "nats above the ELBO, by dimensions: " + ", ".join(nats)),
    ]


def of_space(results: Results, dims: int) -> list[Claim]:
    """Question 3: what is the difference between the representation spaces?"""
    ours, other = results["VAE", dims], results["AE", dims]
    divergence, plain = (_of(runs, "space", "divergence") for runs in (ours, other))
    sure, less_sure = (_percent(runs, "space", "sure") for runs in (ours, other))
    told, as_told = (_percent(runs, "space", "leakage") for runs in (ours, other))
    return [
        Claim("3. The VAE's codes have about the mean and the covariance of its prior, and the"
              " autoencoder's do not: the KL divergence of the Gaussian of all codes from N(0, I)"
              f" is below {NEAR:g} nat, and above.", ANSWER,
              all_of([greater([NEAR] * len(divergence), divergence), above(plain, NEAR)]),
              f"in {dims} dimensions: VAE {fmean(divergence):.2f}, AE {fmean(plain):.1f} nats"),
        Claim("Between two digits the VAE's images are digits more often: a classifier is sure of"
              " more of the halves.", "ours", greater(sure, less_sure),
              f"it is sure of {fmean(sure):.0f} % of the halves of the VAE and"
              f" {fmean(less_sure):.0f} % of the AE; points, {difference(sure, less_sure)}"),
        Claim("The VAE's codes tell the class no worse to a linear classifier: its accuracy is less"
              f" than {POINTS:g} points below that from the autoencoder's.", "ours",
              greater(told, as_told, by=-POINTS),
              f"accuracy VAE {fmean(told):.1f} %, AE {fmean(as_told):.1f} %; points,"
              f" {difference(told, as_told)}"),
    ]


def _farther(one: Scores, other: Scores) -> bool | None:
    """Whether one is farther from data than the other, to and from its nearest images."""
    return all_of(greater(one[name], other[name]) for name in ("distance", "coverage"))


def _of(runs: Sequence[Any], part: str, name: str) -> list[float]:
    return [run[part][name] for run in runs]


def _percent(runs: Sequence[Any], part: str, name: str) -> list[float]:
    return [100 * value for value in _of(runs, part, name)]
