"""Lecture on VAEs (He, COMP 5212, 2026), slides "AutoEncoders": an AE and a VAE on three questions.

The lecture asks of an autoencoder, log p(x | q(x)), beside a VAE: can it generate x, can it give
p(x), and how do the two spaces of representations differ. It leaves the answers to the listener,
and gives no data and no number. Here both are the pair ``vae``, the autoencoder with its point mass
as q(z | x) and no weight on the prior, of the same networks and the same training, on binary
digits: pixels of 0 and 1, drawn once with the grey values as probabilities, for which log p(x) is a
probability.

1. Both decode z ~ N(0, I), the autoencoder also a Gaussian that is fitted to its codes afterwards.
   A classifier of real digits that neither has seen says how often it is sure; distances to the
   nearest training image, and of test images to the nearest sample, say how near they are to data.
2. The VAE's ELBO and importance-weighted bound; the autoencoder's reconstruction, which bounds
   nothing; and the bound that its decoder has under N(0, I), once an encoder is fitted to it.
3. Codes against N(0, I), how far a prior's sample is from the nearest code, a linear classifier
   of the codes, and the halves between two digits.

Full scale: the 1,187 unlabelled images of digits, 5 seeds, 80 epochs, 2 and 8 dimensions of z.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal
from torch.optim import Adam

from pyro_ssvae.data import Split
from pyro_ssvae.evaluation.evaluate import elbo
from pyro_ssvae.evaluation.importance import iwae
from pyro_ssvae.evaluation.latents import posterior_means
from pyro_ssvae.evaluation.probes import active_units, leakage
from pyro_ssvae.experiments.pairs import pair
from pyro_ssvae.guides import VAE
from pyro_ssvae.inference.bounds import elbo_terms
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.reproduce import autoencoder_claims, autoencoder_plots
from pyro_ssvae.reproduce.findings import Findings, Picture, Row
from pyro_ssvae.reproduce.generation import (
    SURE,
    binarised,
    classifier,
    decoded,
    judged,
    nearest,
)
from pyro_ssvae.reproduce.work import Work
from pyro_ssvae.training.fit import fit

SEEDS, EPOCHS, DIMENSIONS, HIDDEN, LR, BATCH = 5, 80, (2, 8), (128,), 3e-3, 200
SAMPLES, WEIGHED, LABELS, STEPS, PAIRS = 1_000, 200, 50, 7, 200
WAYS: Mapping[str, Mapping[str, Any]] = {
    "AE": {"posterior": "point", "beta": 0.0}, "VAE": {},
}


def reproduce(work: Work) -> Findings:
    """Run it, at the scale of the work."""
    epochs, seeds = work.epochs(EPOCHS), work.draws(SEEDS)
    results = {
        (way, dims): work.each(trained, [
            {"way": way, "dims": dims, "seed": seed, "epochs": epochs} for seed in seeds
        ])
        for dims in DIMENSIONS for way in WAYS
    }
    real = work.each(reality, [{"seed": seed} for seed in seeds])
    wide = DIMENSIONS[-1]
    first = {way: results[way, wide][0] for way in WAYS}
    planes = {way: results[way, DIMENSIONS[0]][0] for way in WAYS}
    return Findings(
        title="An autoencoder and a VAE on the lecture's three questions",
        setting=(
            f"binary digits, {len(seeds)} seeds, {epochs} epochs of batches of {BATCH},"
            f" {' and '.join(map(str, DIMENSIONS))} dimensions of z, networks of 128 hidden units;"
            f" {SAMPLES:,} samples of each, {WEIGHED} importance weights"
        ),
        rows=_rows(results, real),
        claims=[
            *autoencoder_claims.of_generation(results, wide),
            *autoencoder_claims.of_density(results), *autoencoder_claims.of_space(results, wide),
        ],
        pictures=[
            Picture("planes", autoencoder_plots.planes(planes),
                    "Codes of test digits in two dimensions, by class, of the autoencoder and of"
                    " the VAE, with the circles that hold half and 99 % of N(0, I)."),
            Picture("samples", autoencoder_plots.samples(first),
                    f"Mean images of z ~ N(0, I) in {wide} dimensions, of the autoencoder, of the"
                    " autoencoder with a Gaussian fitted to its codes, and of the VAE."),
            Picture("interpolations", autoencoder_plots.interpolations(first),
                    f"Mean images on the line between the codes of two test digits, in {wide}"
                    " dimensions."),
        ],
    )


def trained(way: str, dims: int, seed: int, epochs: int) -> dict[str, Any]:
    """Train one of :data:`WAYS` and answer the three questions."""
    split = binarised(LABELS, seed)
    torch.manual_seed(seed)
    objective, _ = pair("vae").on(split, z_dim=dims, hidden=HIDDEN, **WAYS[way])
    for _ in fit(objective, split, epochs=epochs, lr=LR, seed=seed, batch_labelled=1,
                 batch_unlabelled=BATCH, capture="off"):
        pass
    result = {"density": _density(objective, split, way, seed, epochs)}
    with evaluating(objective, seed=seed):
        result |= {
            "generation": _generation(objective, split), "space": _space(objective, split),
            "figure": _figure(objective, split),
        }
    return result


def reality(seed: int) -> dict[str, Any]:
    """What the scores of generated images are for real ones: those of the test part."""
    split = binarised(LABELS, seed)
    x, _ = split.examples(split.test)
    half = len(x) // 2
    return judged(x[:half], classifier(split), _training(split), x[half:])


def _training(split: Split) -> Tensor:
    x, _ = split.examples(split.unlabelled)
    return x


def _generation(objective: Objective, split: Split) -> dict[str, Any]:
    """Scores of images drawn with z from the prior, and from a Gaussian fitted to the codes."""
    x, (tested, _) = _training(split), split.examples(split.test)
    judge, codes = classifier(split), posterior_means(objective.guide, x)
    fitted = MultivariateNormal(codes.mean(0), codes.T.cov() + 1e-6 * torch.eye(codes.shape[1]))
    sources = {"prior": torch.randn(SAMPLES, codes.shape[1]), "fitted": fitted.sample((SAMPLES,))}
    return {
        name: judged(torch.bernoulli(decoded(objective.model, z, x)), judge, x, tested)
        for name, z in sources.items()
    }


def _density(
    objective: Objective, split: Split, way: str, seed: int, epochs: int
) -> dict[str, float]:
    """What there is of log p(x) on the test part; a guide is fitted to the decoder of an AE."""
    x, _ = split.examples(split.test)
    with evaluating(objective, seed=seed):
        terms = elbo_terms(objective.model, objective.guide, x)
    result = {"reconstruction": float(terms["x"].value)}
    if way == "AE":
        torch.manual_seed(seed)
        guide = VAE(objective.model, hidden=HIDDEN)
        objective = Objective(objective.model, guide, labelled=0.0)
        optimizer = Adam(guide.parameters(), lr=LR)  # the decoder stays as it is
        for _ in fit(objective, split, epochs=epochs, seed=seed, optimizer=optimizer,
                     batch_labelled=1, batch_unlabelled=BATCH, capture="off"):
            pass
    with evaluating(objective, seed=seed):
        result["elbo"] = elbo(objective.model, objective.guide, x)
        result["iwae"] = iwae(objective.model, objective.guide, x, samples=WEIGHED)
    return result


def _space(objective: Objective, split: Split) -> dict[str, float]:
    """The codes of test images against the prior, and what lies between them.

    Returns:
        ``divergence``, KL[N(mean, covariance of q(z)) || N(0, I)] in nats; ``radius``, the root
        mean square of a code's coordinates; ``hole``, the mean distance of a sample of the prior to
        the nearest training code, and ``held``, that of a test code; ``sure``, the share of the
        halves between two digits of which the classifier is sure; ``leakage``, the accuracy of a
        linear classifier of the codes; and ``active``, the active units, as a share.
    """
    x, (tested, _) = _training(split), split.examples(split.test)
    guide = objective.guide
    known, codes = posterior_means(guide, x), posterior_means(guide, tested)
    spread = _spread(guide, tested)
    covariance = codes.T.cov() + torch.diag(spread)
    other = codes[torch.randperm(len(codes))]
    halves = decoded(objective.model, (0.5 * (codes + other))[:PAIRS], x)
    probs = classifier(split)(torch.bernoulli(halves))
    found = leakage(guide, split)
    return {
        "divergence": gaussian_divergence(codes.mean(0), covariance),
        "radius": float(codes.square().mean().sqrt()),
        "hole": float(nearest(torch.randn(SAMPLES, codes.shape[1]), known).mean()),
        "held": float(nearest(codes, known).mean()),
        "sure": float((probs.max(1).values > SURE).double().mean()),
        "leakage": -1.0 if found is None else found,
        "active": active_units(guide, tested) / codes.shape[1],
    }


def _spread(guide: Any, x: Tensor) -> Tensor:
    """The mean variance of q(z | x) in each dimension, (J,); zero for a point mass."""
    return guide.encoder(x).variance.mean(0)


def gaussian_divergence(mean: Tensor, covariance: Tensor) -> float:
    """KL[N(mean, covariance) || N(0, I)] in nats."""
    terms = covariance.trace() + mean.square().sum() - len(mean) - covariance.logdet()
    return 0.5 * float(terms)


def _figure(objective: Objective, split: Split) -> dict[str, Any]:
    """What the figures show: codes with classes, samples, and images between two digits."""
    tested, y = split.examples(split.test)
    model = objective.model
    codes = posterior_means(objective.guide, tested)
    known = posterior_means(objective.guide, _training(split))
    z = torch.randn(30, codes.shape[1])
    scale = known.T.cov() + 1e-6 * torch.eye(known.shape[1])
    fitted = known.mean(0) + z @ torch.linalg.cholesky(scale).T
    ends = torch.linspace(0, 1, STEPS)[:, None, None]
    between = ((1 - ends) * codes[:6] + ends * codes[6:12]).flatten(0, 1)
    return {
        "codes": codes.tolist(), "classes": y.argmax(-1).tolist(),
        "prior": decoded(model, z, tested).tolist(),
        "fitted": decoded(model, fitted, tested).tolist(),
        "between": decoded(model, between, tested).tolist(),
    }


def _rows(results: Mapping[tuple[str, int], Sequence[Any]], real: Sequence[Any]) -> list[Row]:
    scores = {
        "sure": f"share that a classifier is sure of (> {SURE}), %",
        "distance": "distance to the nearest training image",
        "coverage": "distance of test images to the nearest sample",
        "classes": "classes that they are spread over",
    }
    rows = [
        Row(f"real test images: {text}", [_percent(name, each[name]) for each in real])
        for name, text in scores.items()
    ]
    for (way, dims), runs in results.items():
        who = f"{way}, {dims} dimensions"
        for source in ("prior", "fitted") if way == "AE" else ("prior",):
            of = f"{who}, z from {'N(0, I)' if source == 'prior' else 'a fitted Gaussian'}"
            rows += [
                Row(f"{of}: {text}",
                    [_percent(name, run["generation"][source][name]) for run in runs])
                for name, text in scores.items()
            ]
        after = " of its decoder, with an encoder fitted afterwards" if way == "AE" else ""
        rows += [
            Row(f"{who}: log p(x | code), nats", _of(runs, "density", "reconstruction")),
            Row(f"{who}: ELBO{after}, nats", _of(runs, "density", "elbo")),
            Row(f"{who}: importance-weighted bound{after}, nats", _of(runs, "density", "iwae")),
            Row(f"{who}: KL of the Gaussian of all codes from N(0, I), nats",
                _of(runs, "space", "divergence")),
            Row(f"{who}: root mean square of a code's coordinates", _of(runs, "space", "radius")),
            Row(f"{who}: distance of z ~ N(0, I) to the nearest mean code of a training image, in"
                " that of a test image's mean code",
                [run["space"]["hole"] / run["space"]["held"] for run in runs]),
            Row(f"{who}: halves between two digits that the classifier is sure of, %",
                [100 * value for value in _of(runs, "space", "sure")]),
            Row(f"{who}: accuracy of a linear classifier of the codes, %",
                [100 * value for value in _of(runs, "space", "leakage")]),
        ]
    return rows


def _percent(name: str, value: float) -> float:
    return 100 * value if name == "sure" else value


def _of(runs: Sequence[Any], part: str, name: str) -> list[float]:
    return [run[part][name] for run in runs]
