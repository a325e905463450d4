"""Lecture on VAEs (He, COMP 5212, 2026), slides "The Posterior Collapse Issue" and "closer to EM".

The lecture says that after training q(z | x) = p(z) is often found, especially in applications to
text; that a weight 0 < lambda < 1 on the KL divergence is used against it, which is no lower bound
of log p(x) any more; and that training closer to EM, with many updates of the guide for each of the
model (He et al. 2019, arXiv 1901.05534, algorithm 1), is the alternative. It publishes no number.

As He et al. do for their synthetic data, sequences are drawn from a random recurrent network with a
cause of two dimensions: 10 tokens of a vocabulary of 20, the cause near one of four corners. The
VAE has a decoder of its own, :class:`pyro_ssvae.reproduce.sequences.Autoregressive`: a recurrent
network with a state of 32 that reads the tokens before; its guide is the library's. Beside it, the
library's ``vae``, whose tokens are independent given z, and the autoregressive one without z: its
decoder is given zeros. All are trained plainly; the autoregressive one also with lambda = 0.3, with
a warm-up over half of the epochs, and aggressively. It is trained plainly once more, for up to as
many gradient steps as the aggressive training took: so many overfit 2,000 sequences, so that it is
stopped early, and has the weights of the epoch with the best ELBO on validation data. The network
that draws the sequences says how high log p(x) can be.

Full scale: 2,000 sequences, 5 seeds, each of the data too, 20 epochs of batches of 200, Adam 5e-3;
aggressive training ends when the mutual information on validation data has not risen for 3 epochs,
where He et al. wait for 5. Their code (jxhe/vae-lagging-encoder) draws 20,000 sequences of 10
tokens of a vocabulary of 1,000, and decodes with an LSTM of 50 units with dropout, in batches of
16, by SGD for 50 epochs.
"""

from __future__ import annotations

import time
from collections import Counter
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
from pyro_ssvae.reproduce.draws import above, alike, all_of, below, greater, in_words, paired
from pyro_ssvae.reproduce.findings import Claim, Findings, Picture, Row
from pyro_ssvae.reproduce.sequences import (
    LENGTH,
    TRAINED,
    VOCABULARY,
    Autoregressive,
    Prior,
    drawn,
    truth,
)
from pyro_ssvae.reproduce.work import Work
from pyro_ssvae.training.aggressive import AggressiveInference
from pyro_ssvae.training.fit import fit
from pyro_ssvae.training.optimizers import adam
from pyro_ssvae.training.stopping import EarlyStopping

SEEDS, EPOCHS, LR, BATCH, PATIENCE, WEIGHED = 5, 20, 5e-3, 200, 3, 200
STALE = 20  # epochs without a better ELBO on validation data that end the longer training
HIDDEN, STATE, DIMENSIONS, LABELS = (64,), 32, 2, 8
COLLAPSED = 0.1  # nats of mutual information of x and z below which z says nothing of x
CLOSE, ROOM = 0.1, 1.0  # nats of a bound that count as nothing, and as much
SOURCE = "lecture 13, the posterior collapse issue"
AFTER = "ours, after lecture 13, closer to EM, and He et al. (2019)"
PLAIN, LONGER = "autoregressive", "autoregressive, longer"
WAYS: Mapping[str, Mapping[str, Any]] = {
    "independent tokens": {"decoder": "independent"},
    PLAIN: {},
    "without z": {"decoder": "blind"},
    "lambda = 0.3": {"beta": 0.3},
    "warm-up": {"warmup": True},
    "aggressive": {"aggressive": True},
    LONGER: {"stopped": True},
}
SCORES = {
    "elbo": "ELBO, nats", "iwae": f"importance-weighted bound of {WEIGHED} samples, nats",
    "kl_z": "KL[q(z | x) || p(z)], nats",
    "mutual_information": "mutual information of x and z, nats",
    "active_units": f"active units of {DIMENSIONS}", "steps": "gradient steps",
    "seconds": "seconds of the processor",
}

Results = Mapping[str, Sequence[Any]]  # the runs of each way to train


def reproduce(work: Work) -> Findings:
    """Run it, at the scale of the work."""
    epochs, seeds = work.epochs(EPOCHS), work.draws(SEEDS)
    equal = {
        way: work.each(trained, [{"way": way, "seed": seed, "epochs": epochs} for seed in seeds])
        for way in WAYS if way != LONGER
    }
    results = equal | {LONGER: work.each(trained, [
        {"way": LONGER, "seed": seed, "epochs": _as_long(epochs, run, plain)}
        for seed, run, plain in zip(seeds, equal["aggressive"], equal[PLAIN])
    ])}
    true = work.each(truth, [{"seed": seed} for seed in seeds])
    return Findings(
        title="Posterior collapse: the KL weight, a warm-up, and training closer to EM",
        setting=(
            f"sequences of {LENGTH} tokens of {VOCABULARY} drawn from a recurrent network with a"
            f" cause of two dimensions, {len(seeds)} seeds, {epochs} epochs of batches of {BATCH};"
            " the scores are of test data"
        ),
        rows=[
            *(Row(f"{way}: {text}", _of(runs, name))
              for way, runs in results.items() for name, text in SCORES.items()),
            Row("network that draws the sequences: log p(x), nats", _of(true, "log_prob")),
            Row("network that draws the sequences: mutual information of x and the corner, nats",
                _of(true, "information")),
        ],
        claims=[
            *of_collapse(results, _of(true, "log_prob")), *of_weights(results),
            *of_aggressive(results, epochs),
        ],
        pictures=[
            Picture("training", collapse_plots.training(equal, COLLAPSED),
                    "Mutual information of x and z and the ELBO on validation data, epoch by epoch,"
                    f" of every way to train for {epochs} epochs: the mean, and each seed."),
            Picture("ends", collapse_plots.ends(results),
                    "The importance-weighted bound on test data against the mutual information at"
                    " the end of training, a point for each seed."),
        ],
    )


def trained(way: str, seed: int, epochs: int) -> dict[str, Any]:
    """Train one of :data:`WAYS` on the sequences of a seed.

    Returns:
        The scores of the test part, the training's gradient steps, of the guide alone or of the
        model too, and its seconds of the processor, the number of epochs that were aggressive, and
        the ELBO and the mutual information on validation data by epoch.
    """
    split = drawn(seed).split(LABELS, seed=seed)
    torch.manual_seed(seed)
    objective = built(WAYS[way], epochs)
    inference = AggressiveInference(PATIENCE) if WAYS[way].get("aggressive") else None
    stopping = EarlyStopping(STALE, "elbo") if WAYS[way].get("stopped") else None
    optimizer, steps = adam(objective, LR), Counter[str]()
    optimizer.register_step_post_hook(lambda *_: steps.update(["steps"]))
    history, aggressive, seconds, begun = [], 0, 0.0, time.thread_time()
    for _ in fit(objective, split, epochs=epochs, optimizer=optimizer, seed=seed, batch_labelled=1,
                 batch_unlabelled=BATCH, capture="off", aggressive=inference, stopping=stopping):
        seconds += time.thread_time() - begun
        aggressive += inference is not None and inference.active
        history.append(_validated(objective, split))
        begun = time.thread_time()
    return {
        **_tested(objective, split), "steps": steps.total(), "seconds": seconds,
        "aggressive": aggressive, "history": history,
    }


def built(way: Mapping[str, Any], epochs: int) -> Objective:
    """The objective of one of :data:`WAYS`."""
    if way.get("decoder") == "independent":
        likelihood = Categorical(VOCABULARY)
        model: Any = VAE(LENGTH, z_dim=DIMENSIONS, hidden=HIDDEN, likelihood=likelihood)
    else:
        blind = way.get("decoder") == "blind"
        model = Autoregressive(LENGTH, z_dim=DIMENSIONS, state=STATE, blind=blind)
    guide = Prior(DIMENSIONS) if way.get("decoder") == "blind" else Guide(model, hidden=HIDDEN)
    return Objective(model, guide, labelled=0.0, beta=way.get("beta", 1.0),
                     warmup=epochs / 2 if way.get("warmup") else 0.0)


def _tested(objective: Objective, split: Split) -> dict[str, Any]:
    """The scores of the test part."""
    x, _ = split.examples(split.test)
    with evaluating(objective):
        model, guide = objective.model, objective.guide
        parts = elbo_parts(model, guide, x)
        return {
            "elbo": parts["elbo"], "kl_z": parts["kl_z"],
            "iwae": iwae(model, guide, x, samples=WEIGHED),
            "mutual_information": mutual_information(guide, x),
            "active_units": active_units(guide, x),
        }


def _validated(objective: Objective, split: Split) -> list[float | None]:
    """The ELBO and the mutual information on validation data."""
    x, _ = split.part("validation")
    with evaluating(objective):
        parts = elbo_parts(objective.model, objective.guide, x)
        return [parts["elbo"], mutual_information(objective.guide, x)]


def of_collapse(results: Results, true: Sequence[float]) -> list[Claim]:
    """Whether z falls out of use, and what that costs; ``true`` is log p(x), seed by seed."""
    nats, bound = _scores(results, "mutual_information"), _scores(results, "iwae")
    using, free = ("lambda = 0.3", "warm-up"), "independent tokens"
    return [
        Claim("With an autoregressive decoder of tokens, z and x become independent: their mutual"
              f" information is below {COLLAPSED:g} nats. With independent tokens it is above.",
              SOURCE, all_of([below(nats[PLAIN], COLLAPSED), above(nats[free], COLLAPSED)]),
              f"mutual information, nats: {_means(nats, *nats)}"),
        Claim("The collapsed model is one without latent variables: its importance-weighted bound"
              " and that of the same decoder trained without z differ by less than"
              f" {CLOSE:g} nats.", "ours", alike(bound[PLAIN], bound["without z"], CLOSE),
              _differences(bound, (PLAIN, "without z"))),
        Claim("To keep z in use, by lambda = 0.3 or a warm-up, gains no likelihood: after as many"
              f" epochs either importance-weighted bound is less than {CLOSE:g} nats above the"
              " collapsed model's.",
              "ours", all_of(greater(bound[PLAIN], bound[way], -CLOSE) for way in using),
              _differences(bound, *((way, PLAIN) for way in using))),
        Claim("None of these trainings finds the model that drew the sequences: its log p(x) is"
              f" more than {ROOM:g} nat above the importance-weighted bound of each.", "ours",
              all_of(greater(true, values, ROOM) for values in bound.values()),
              f"log p(x) {fmean(true):.3f}; bounds, nats: {_means(bound, *bound)}"),
    ]


def of_weights(results: Results) -> list[Claim]:
    """What a weight of the KL divergence does, kept or raised to 1."""
    nats, bound = _scores(results, "mutual_information"), _scores(results, "iwae")
    return [
        Claim("A weight 0 < lambda < 1 keeps z in use: with 0.3 the mutual information is above"
              f" {COLLAPSED:g} nats, and above that of plain training.", SOURCE,
              _in_use(nats, "lambda = 0.3"), _differences(nats, ("lambda = 0.3", PLAIN))),
        Claim("Such a weight breaks maximum likelihood: with 0.3 the importance-weighted bound is"
              " below that of plain training.", SOURCE,
              greater(bound[PLAIN], bound["lambda = 0.3"]),
              _differences(bound, ("lambda = 0.3", PLAIN))),
        Claim("A warm-up of the weight keeps z in use to the end: the mutual information is above"
              f" {COLLAPSED:g} nats, and above that of plain training.", "ours",
              _in_use(nats, "warm-up"), _differences(nats, ("warm-up", PLAIN))),
    ]


def of_aggressive(results: Results, epochs: int) -> list[Claim]:
    """What training closer to EM does, beside plain training of either budget."""
    nats, bound = _scores(results, "mutual_information"), _scores(results, "iwae")
    more = {name: fmean(_of(results["aggressive"], name)) / fmean(_of(results[PLAIN], name))
            for name in ("steps", "seconds")}
    here = (
        f"Here: {TRAINED:,} sequences of a vocabulary of {VOCABULARY}, a GRU without dropout, Adam,"
        f" {epochs} epochs and a patience of {PATIENCE}. In He et al.: 20,000 of 1,000, an LSTM"
        " with dropout, SGD, 50 and 5."
    )
    return [
        Claim("Training closer to EM keeps z in use: the mutual information is above"
              f" {COLLAPSED:g} nats, and above that of plain training. {here}", AFTER,
              _in_use(nats, "aggressive"),
              f"{_differences(nats, ('aggressive', PLAIN))}; aggressive for"
              f" {fmean(_of(results['aggressive'], 'aggressive')):.1f} epochs"),
        Claim("Training closer to EM has the better importance-weighted bound after as many epochs"
              f" as plain training, of more gradient steps. {here}", AFTER,
              greater(bound["aggressive"], bound[PLAIN]),
              f"{_differences(bound, ('aggressive', PLAIN))}, for {more['steps']:.1f} times the"
              f" gradient steps and {more['seconds']:.1f} times the processor's time"),
        Claim("Training closer to EM has the better importance-weighted bound than plain training"
              f" of up to as many gradient steps, stopped early on validation data. {here}", AFTER,
              greater(bound["aggressive"], bound[LONGER]),
              f"{_differences(bound, ('aggressive', LONGER))}, after"
              f" {fmean(_of(results['aggressive'], 'steps')):,.0f} and"
              f" {fmean(_of(results[LONGER], 'steps')):,.0f} gradient steps"),
    ]


def _in_use(nats: Mapping[str, Sequence[float]], way: str) -> bool | None:
    return all_of([above(nats[way], COLLAPSED), greater(nats[way], nats[PLAIN])])


def _as_long(epochs: int, run: Mapping[str, Any], plain: Mapping[str, Any]) -> int:
    """The epochs of plain training that have the gradient steps of a run, to the nearest."""
    return max(1, round(epochs * run["steps"] / plain["steps"]))


def _of(runs: Sequence[Any], name: str) -> list[float]:
    return [run[name] for run in runs]


def _scores(results: Results, name: str) -> dict[str, list[float]]:
    return {way: _of(runs, name) for way, runs in results.items()}


def _means(values: Mapping[str, Sequence[float]], *ways: str) -> str:
    return ", ".join(f"{way} {fmean(values[way]):.3f}" for way in ways)


def _differences(values: Mapping[str, Sequence[float]], *pairs: tuple[str, str]) -> str:
    """The mean and the mean difference of each pair of ways in words, with its interval."""
    texts = []
    for pair in pairs:
        less = in_words(paired(*(values[way] for way in pair)), "+.3f")
        texts.append(f"{_means(values, *pair)}, difference {less}")
    return f"nats: {'; '.join(texts)}"
