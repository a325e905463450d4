"""Lecture on VAEs (He, COMP 5212, 2026), slides "The Posterior Collapse Issue" and "closer to EM".

The lecture says that after training q(z | x) = p(z) is often found, especially in applications to
text; that a weight 0 < lambda < 1 on the KL divergence is used against it, which is no lower bound
of log p(x) any more; and that training closer to EM, with many updates of the guide for each of the
model (He et al. 2019, arXiv 1901.05534, algorithm 1), is the alternative. It publishes no number.

As He et al. do for their synthetic data, sequences are drawn from a random recurrent network with a
cause of two dimensions: 10 tokens of a vocabulary of 20, the cause near one of four corners. The
VAE has a decoder of its own, :class:`pyro_ssvae.reproduce.sequences.Autoregressive`: a recurrent
network with a state of 32 that reads the tokens before; its guide is the library's. Beside it, the
library's ``vae``, whose tokens are independent given z. All are trained plainly; the autoregressive
one also with lambda = 0.3, with a warm-up over half of the epochs, and aggressively.

Full scale: 2,000 sequences, 3 seeds, each of the data too, 20 epochs of batches of 200, Adam 5e-3;
aggressive training ends when the mutual information on validation data has not risen for 3 epochs,
where He et al. wait for 5. Their code (jxhe/vae-lagging-encoder) draws 20,000 sequences of 10
tokens of a vocabulary of 1,000, and decodes with an LSTM of 50 units with dropout, in batches of
16.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import torch

from pyro_ssvae.data import Split
from pyro_ssvae.evaluation.evaluate import elbo_parts
from pyro_ssvae.evaluation.importance import iwae
from pyro_ssvae.evaluation.probes import active_units, mutual_information
from pyro_ssvae.guides import VAE as Guide
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.models import VAE
from pyro_ssvae.nn import Categorical
from pyro_ssvae.reproduce import collapse_plots
from pyro_ssvae.reproduce.findings import Claim, Findings, Picture, Row
from pyro_ssvae.reproduce.sequences import LENGTH, VOCABULARY, Autoregressive, drawn
from pyro_ssvae.reproduce.work import Work
from pyro_ssvae.training.aggressive import AggressiveInference
from pyro_ssvae.training.fit import fit

SEEDS, EPOCHS, LR, BATCH, PATIENCE, WEIGHED = 3, 20, 5e-3, 200, 3, 200
HIDDEN, STATE, DIMENSIONS, LABELS = (64,), 32, 2, 8
COLLAPSED = 0.1  # nats of mutual information of x and z below which z says nothing of x
SOURCE = "lecture 13, the posterior collapse issue"
WAYS: Mapping[str, Mapping[str, Any]] = {
    "independent tokens": {"decoder": "independent"},
    "autoregressive": {},
    "lambda = 0.3": {"beta": 0.3},
    "warm-up": {"warmup": True},
    "aggressive": {"aggressive": True},
}
SCORES = {
    "elbo": "ELBO, nats", "iwae": f"importance-weighted bound of {WEIGHED} samples, nats",
    "kl_z": "KL[q(z | x) || p(z)], nats",
    "mutual_information": "mutual information of x and z, nats",
    "active_units": f"active units of {DIMENSIONS}", "seconds": "seconds of the processor",
}


def reproduce(work: Work) -> Findings:
    """Run it, at the scale of the work."""
    epochs, seeds = work.epochs(EPOCHS), work.draws(SEEDS)
    results = {
        way: work.each(trained, [{"way": way, "seed": seed, "epochs": epochs} for seed in seeds])
        for way in WAYS
    }
    return Findings(
        title="Posterior collapse: the KL weight, a warm-up, and training closer to EM",
        setting=(
            f"sequences of {LENGTH} tokens of {VOCABULARY} drawn from a recurrent network with a"
            f" cause of two dimensions, {len(seeds)} seeds, {epochs} epochs of batches of {BATCH};"
            " the scores are of test data"
        ),
        rows=[
            Row(f"{way}: {text}", [run[name] for run in runs])
            for way, runs in results.items() for name, text in SCORES.items()
        ],
        claims=_claims(results),
        pictures=[
            Picture("training", collapse_plots.training(results, COLLAPSED),
                    "Mutual information of x and z and the ELBO on validation data, epoch by epoch,"
                    " of every way to train: the mean over seeds, and each seed."),
            Picture("ends", collapse_plots.ends(results),
                    "The importance-weighted bound on test data against the mutual information at"
                    " the end of training, a point for each seed."),
        ],
    )


def trained(way: str, seed: int, epochs: int) -> dict[str, Any]:
    """Train one of :data:`WAYS` on the sequences of a seed.

    Returns:
        The scores of the test part, the processor's seconds of the training, the number of epochs
        that were aggressive, and the ELBO and the mutual information on validation data by epoch.
    """
    split = drawn(seed).split(LABELS, seed=seed)
    torch.manual_seed(seed)
    objective = built(WAYS[way], epochs)
    inference = AggressiveInference(PATIENCE) if WAYS[way].get("aggressive") else None
    history, begun, aggressive = [], time.thread_time(), 0
    seconds = 0.0
    for epoch in fit(objective, split, epochs=epochs, lr=LR, seed=seed, batch_labelled=1,
                     batch_unlabelled=BATCH, capture="off", aggressive=inference):
        seconds += time.thread_time() - begun
        aggressive += inference is not None and inference.active
        history.append([_elbo(objective, split), _information(objective, split, "validation")])
        begun = time.thread_time()
    x, _ = split.examples(split.test)
    with evaluating(objective):
        model, guide = objective.model, objective.guide
        parts = elbo_parts(model, guide, x)
        return {
            **{name: parts[name] for name in ("elbo", "kl_z")},
            "iwae": iwae(model, guide, x, samples=WEIGHED),
            "mutual_information": mutual_information(guide, x),
            "active_units": active_units(guide, x),
            "seconds": seconds, "aggressive": aggressive, "history": history,
        }


def built(way: Mapping[str, Any], epochs: int) -> Objective:
    """The objective of one of :data:`WAYS`."""
    if way.get("decoder") == "independent":
        likelihood = Categorical(VOCABULARY)
        model: Any = VAE(LENGTH, z_dim=DIMENSIONS, hidden=HIDDEN, likelihood=likelihood)
    else:
        model = Autoregressive(LENGTH, z_dim=DIMENSIONS, state=STATE)
    return Objective(
        model, Guide(model, hidden=HIDDEN), labelled=0.0, beta=way.get("beta", 1.0),
        warmup=epochs / 2 if way.get("warmup") else 0.0,
    )


def _elbo(objective: Objective, split: Split) -> float:
    x, _ = split.part("validation")
    with evaluating(objective):
        return float(elbo_parts(objective.model, objective.guide, x)["elbo"])


def _information(objective: Objective, split: Split, part: str) -> float:
    x, _ = split.part(part)
    with evaluating(objective):
        nats = mutual_information(objective.guide, x)
    assert nats is not None  # the guide has a density
    return nats


def _claims(results: Mapping[str, Sequence[Any]]) -> list[Claim]:
    nats = {way: [run["mutual_information"] for run in runs] for way, runs in results.items()}
    bound = {way: [run["iwae"] for run in runs] for way, runs in results.items()}
    plain = "autoregressive"
    text = ", ".join(f"{way} {fmean(values):.3f}" for way, values in nats.items())
    return [
        Claim("With an autoregressive decoder of tokens, z and x become independent, and with one"
              " that is not they do not.", SOURCE,
              max(nats[plain]) < COLLAPSED < min(nats["independent tokens"]),
              f"mutual information of x and z, nats: {text}"),
        Claim("The collapsed model is one without latent variables, and no worse for it.", "ours",
              fmean(bound[plain]) > fmean(bound["independent tokens"]),
              f"importance-weighted bound, nats: {_means(bound, plain, 'independent tokens')}"),
        Claim("A weight 0 < lambda < 1 keeps z in use.", SOURCE,
              min(nats["lambda = 0.3"]) > max(COLLAPSED, *nats[plain]),
              f"mutual information, nats: {_means(nats, 'lambda = 0.3', plain)}"),
        Claim("Such a weight breaks maximum likelihood.", SOURCE,
              all(a < b for a, b in zip(bound["lambda = 0.3"], bound[plain])),
              f"importance-weighted bound, nats: {_means(bound, 'lambda = 0.3', plain)}"),
        Claim("A warm-up of the weight keeps z in use to the end.", "ours",
              min(nats["warm-up"]) > COLLAPSED,
              f"mutual information, nats: {_means(nats, 'warm-up', plain)}"),
        Claim("Training closer to EM keeps z in use.", "lecture 13, closer to EM; He et al. (2019)",
              min(nats["aggressive"]) > max(COLLAPSED, *nats[plain]),
              f"mutual information, nats: {_means(nats, 'aggressive', plain)}; aggressive for"
              f" {fmean(run['aggressive'] for run in results['aggressive']):.1f} epochs"),
        Claim("Training closer to EM has the better likelihood.", "He et al. (2019)",
              all(a > b for a, b in zip(bound["aggressive"], bound[plain])),
              f"importance-weighted bound, nats: {_means(bound, 'aggressive', plain)}, at"
              f" {_ratio(results, plain):.0f} times the processor's time"),
    ]


def _means(values: Mapping[str, Sequence[float]], *ways: str) -> str:
    return ", ".join(f"{way} {fmean(values[way]):.3f}" for way in ways)


def _ratio(results: Mapping[str, Sequence[Any]], plain: str) -> float:
    mean = {way: fmean(run["seconds"] for run in results[way]) for way in ("aggressive", plain)}
    return mean["aggressive"] / mean[plain]
