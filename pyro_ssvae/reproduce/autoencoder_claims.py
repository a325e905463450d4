"""What an autoencoder and a VAE answer to the lecture's three questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pyro_ssvae.reproduce.findings import Claim

SOURCE = "lecture 13, AutoEncoders"

Results = Mapping[tuple[str, int], Sequence[Any]]


def of_generation(results: Results, dims: int) -> list[Claim]:
    """Question 1: can we generate x samples from an autoencoder?"""
    ours, other = results["VAE", dims], results["AE", dims]
    pairs = [
        (run["generation"]["prior"], plain["generation"]["prior"])
        for run, plain in zip(ours, other)
    ]
    nearer = all(a["distance"] < b["distance"] and a["coverage"] < b["coverage"] for a, b in pairs)
    fitted = [run["generation"]["fitted"] for run in other]
    text = ", ".join(
        f"{who} {fmean(each['distance'] for each in scores):.2f} and"
        f" {fmean(each['coverage'] for each in scores):.2f}"
        for who, scores in {
            "VAE": [a for a, _ in pairs], "AE": [b for _, b in pairs], "AE, fitted": fitted,
        }.items()
    )
    closer = fmean(each["coverage"] for each in fitted) < fmean(b["coverage"] for _, b in pairs)
    return [
        Claim("1. An autoencoder does not generate: z ~ N(0, I) gives images that are farther from"
              " data than the VAE's, in every seed.", SOURCE, nearer,
              f"in {dims} dimensions, distance to the nearest training image and of a test image to"
              f" the nearest sample: {text}"),
        Claim("With a density fitted to its codes afterwards it comes nearer to data.", "ours",
              closer, "the last two of the numbers above"),
    ]


def of_density(results: Results) -> list[Claim]:
    """Question 2: can we approximate p(x) with an autoencoder?"""
    worse, tighter, text = [], [], []
    for dims in sorted({dims for _, dims in results}):
        ours, other = results["VAE", dims], results["AE", dims]
        worse += [
            plain["density"]["iwae"] < run["density"]["iwae"] for run, plain in zip(ours, other)
        ]
        # Each is an estimate from samples, so that their means over the seeds are compared.
        tighter.append(fmean(run["density"]["iwae"] - run["density"]["elbo"] for run in ours))
        text.append(
            f"{dims} dimensions: AE's log p(x | code)"
            f" {fmean(run['density']['reconstruction'] for run in other):.1f}, bound under N(0, I)"
            f" {fmean(run['density']['iwae'] for run in other):.1f}; VAE's bound"
            f" {fmean(run['density']['iwae'] for run in ours):.1f}"
        )
    return [
        Claim("2. An autoencoder gives no p(x): what it maximises is no bound, and under N(0, I)"
              " its decoder is worth less than the VAE's, in every seed.", SOURCE, all(worse),
              "nats; " + "; ".join(text)),
        Claim("A VAE gives p(x) by a bound, which importance weights tighten.", SOURCE,
              min(tighter) > 0, "nats above the ELBO, by dimensions: "
              + ", ".join(f"{nats:.2f}" for nats in tighter)),
    ]


def of_space(results: Results, dims: int) -> list[Claim]:
    """Question 3: what is the difference between the representation spaces?"""
    ours, other = results["VAE", dims], results["AE", dims]
    divergence = {
        who: [run["space"]["divergence"] for run in runs]
        for who, runs in {"VAE": ours, "AE": other}.items()
    }
    sure = {
        who: [run["space"]["sure"] for run in runs]
        for who, runs in {"VAE": ours, "AE": other}.items()
    }
    leaks = {
        who: fmean(run["space"]["leakage"] for run in runs)
        for who, runs in {"VAE": ours, "AE": other}.items()
    }
    return [
        Claim("3. The VAE's codes are distributed as its prior, the autoencoder's are not.", SOURCE,
              max(divergence["VAE"]) < min(divergence["AE"]),
              f"KL of the Gaussian of all codes from N(0, I) in {dims} dimensions:"
              f" VAE {fmean(divergence['VAE']):.2f}, AE {fmean(divergence['AE']):.1f} nats"),
        Claim("Between two digits the VAE's images are digits more often.", "ours",
              fmean(sure["VAE"]) > fmean(sure["AE"]),
              f"the classifier is sure of {100 * fmean(sure['VAE']):.0f} % of the halves of the VAE"
              f" and {100 * fmean(sure['AE']):.0f} % of the AE"),
        Claim("The VAE's codes tell the class no worse to a linear classifier.", "ours",
              leaks["VAE"] > leaks["AE"] - 0.02,
              f"accuracy VAE {100 * leaks['VAE']:.1f} %, AE {100 * leaks['AE']:.1f} %"),
    ]
