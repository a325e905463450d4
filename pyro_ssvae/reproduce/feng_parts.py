"""What the study of Feng's factored pair computes, part by part, each from plain arguments."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Literal

import torch
from pyro import distributions as dist
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from torch import Tensor
from torch.distributions import kl_divergence

from pyro_ssvae import fit, pair
from pyro_ssvae.data import Dataset, Split, elpv
from pyro_ssvae.data.root import data_root
from pyro_ssvae.evaluation.probes import mutual_information
from pyro_ssvae.evaluation.references import fit_label
from pyro_ssvae.experiments.setting import loaded
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.reproduce import canvases
from pyro_ssvae.reproduce.canvases import DIGITS, Canvases

LABELLED, UNLABELLED, TESTED = 200, 4_000, 2_000  # canvases
UNCERTAIN, WRONG = 0.5, 0.5  # the share of uncertain labels, and of wrong ones among them
LARGE = 2_000  # training rows of a large table that are used
BATCH = 32  # labelled rows of a table in an update, and unlabelled ones
PENALTIES = (0.1, 1.0, 10.0)
LABELS_ALONE = "factored, labelled rows alone"


def cost(*, labels: int, how: str) -> dict[str, Any]:
    """What an update costs with so many labels, see :func:`canvases.cost`."""
    return canvases.cost(labels, how)


def quality(*, labels: int, how: str, seed: int, epochs: int, root: str | None = None
            ) -> dict[str, Any]:
    """How well digits are read that stand side by side, with 200 labelled canvases.

    ``how`` is the way to infer unknown labels, or ``"logistic"`` for a regression a label.
    """
    labelled, unlabelled, test = _drawn(labels, seed, root)
    y = labelled.encoded
    if how == "logistic":
        return canvases.logistic(labelled, y, test)
    objective = canvases.trained(labelled, y, unlabelled, how, epochs=epochs, seed=seed)
    return canvases.accuracy(objective, test)


def uncertain(*, policy: str, how: str, seed: int, epochs: int, root: str | None = None
              ) -> dict[str, Any]:
    """Two digits a canvas, of whose labels half are uncertain, and half of these are wrong.

    Args:
        policy: ``"unknown"`` leaves uncertain labels out one by one, ``"believed"`` takes them as
            they are told, ``"rows left out"`` leaves out all of a canvas that has one.
        how: The way to infer unknown labels, as for :func:`quality`.
        seed: The seed of all.
        epochs: The number of epochs.
        root: The folder of data files.
    """
    labelled, unlabelled, test = _drawn(2, seed, root)
    generator = torch.Generator().manual_seed(seed + 1)
    doubtful = torch.rand(labelled.y.shape, generator=generator) < UNCERTAIN
    wrong = doubtful & (torch.rand(labelled.y.shape, generator=generator) < WRONG)
    other = (labelled.y + torch.randint(1, DIGITS, labelled.y.shape, generator=generator)) % DIGITS
    told = Canvases(labelled.x, torch.where(wrong, other, labelled.y))
    y = told.encoded
    if policy == "unknown":
        y = y.masked_fill(doubtful.repeat_interleave(DIGITS, 1), torch.nan)
    elif policy == "rows left out":
        certain = ~doubtful.any(1)
        told, y = Canvases(told.x[certain], told.y[certain]), y[certain]
    if how == "logistic":
        return canvases.logistic(told, y, test)
    objective = canvases.trained(told, y, unlabelled, how, epochs=epochs, seed=seed)
    return canvases.accuracy(objective, test)


def information(
    *, capacity: float | None, seed: int, epochs: int, root: str | None = None
) -> dict[str, Any]:
    """Both sides of eq. 14 on single digits, with a z in the plane.

    Returns:
        ``kl``, the mean KL divergence of q(z | x) from p(z); ``information``, I(x; z), which cannot
        exceed ``most``, log n of n images; ``rest``, their difference; and ``marginal``,
        KL[q(z) || p(z)] by samples of q(z).
    """
    labelled, unlabelled, test = _drawn(1, seed, root)
    options: dict[str, Any] = {} if capacity is None else {"capacity_z": capacity, "gamma_z": 10.0}
    objective = canvases.trained(
        labelled, labelled.encoded, unlabelled, "relaxed", epochs=epochs, seed=seed, z_dim=2,
        **options,
    )
    torch.manual_seed(seed)
    with torch.no_grad(), evaluating(objective):
        q = objective.guide.encoder(test.x)
        shared = mutual_information(objective.guide, test.x)
        normal = dist.Normal(0.0, 1.0).expand(q.mean.shape).to_event(1)
        mean = float(kl_divergence(q, normal).mean())
        marginal = marginal_kl(q.mean, q.stddev)
    assert shared is not None  # q(z | x) is a normal
    return {
        "kl": mean, "information": shared, "rest": mean - shared, "marginal": marginal,
        "most": math.log(len(test.x)),
    }


def marginal_kl(mean: Tensor, deviation: Tensor, draws: int = 4) -> float:
    """KL[q(z) || N(0, I)] of the mixture q(z) of normals, (n, J) each, by samples of each."""
    each, total = dist.Normal(mean, deviation).to_event(1), 0.0
    for _ in range(draws):
        z = each.sample()
        log_q = torch.cat([
            each.log_prob(rows[:, None]).logsumexp(1) - math.log(len(mean)) for rows in z.split(250)
        ])
        log_p = dist.Normal(0.0, 1.0).log_prob(z).sum(-1)
        total += float((log_q - log_p).mean()) / draws
    return total


def several(
    *, data: str, how: str, share: float, missing: float, seed: int, epochs: int,
    root: str | None = None,
) -> dict[str, Any]:
    """The scores of a table with several labels, of whose rows a share is labelled.

    Args:
        data: The data set.
        how: ``"factored"``; :data:`LABELS_ALONE` for the same networks, batches and updates with no
            weight on unlabelled rows; or ``"logistic"`` for a regression a label, its penalty
            chosen on validation data.
        share: The share of the training rows that are labelled.
        missing: The probability with which each of their labels is hidden.
        seed: The seed of the split, the weights, the batches and the noise.
        epochs: The number of epochs of as many updates as all training rows would give, so that
            fewer unlabelled rows are no fewer updates.
        root: The folder of data files.
    """
    dataset = loaded(data, root)
    rows = min(LARGE, len(dataset.y) - len(dataset.test) - dataset.validation)
    labels = round(share * rows)
    split = dataset.split(labels, seed=seed, missing=missing, unlabelled=rows - labels)
    x, y = split.part("test")
    assert isinstance(x, Tensor)
    if how == "logistic":
        return scores(split, _logistic(split, x), y)
    torch.manual_seed(seed)
    weights = {"unlabelled": 0.0} if how == LABELS_ALONE else {}
    objective, options = pair("factored").on(split, **weights)
    passes = math.ceil(epochs * rows / len(split.unlabelled))
    for _ in fit(
        objective, split, epochs=passes, batch_labelled=BATCH, batch_unlabelled=BATCH, seed=seed,
        **options,
    ):
        pass
    with torch.no_grad(), evaluating(objective.guide):
        return scores(split, objective.guide.classify(x).probs, y)


def scores(split: Split, probs: Tensor, y: Tensor) -> dict[str, float]:
    """Hamming and ranking loss, mAP, both F1s of presence, and macro AUROC; blocks (N, 2 L)."""
    every = split.target.scores(probs, y)
    truth, told = y[:, 1::2].int().numpy(), (probs[:, 1::2] > 0.5).int().numpy()
    return {
        "hamming": 1 - every["accuracy"], "ranking": every["ranking_loss"],
        "map": every["mean_average_precision"],
        "macro_f1": float(f1_score(truth, told, average="macro", zero_division=0)),
        "micro_f1": float(f1_score(truth, told, average="micro", zero_division=0)),
        "auroc": every["macro_auroc"],
    }


def cells(
    *, policy: Literal["unknown", "nearest"], labels: int, seed: int, epochs: int,
    root: str | None = None,
) -> dict[str, Any]:
    """Solar cells: scores on certain ones, with uncertain ones unknown or of the nearest class."""
    split = _cells(policy, root).split(labels, seed=seed)
    torch.manual_seed(seed)
    objective, options = pair("factored").on(split)
    for _ in fit(objective, split, epochs=epochs, seed=seed, **options):
        pass
    x, y = split.part("test")
    with torch.no_grad(), evaluating(objective.guide):
        every = split.target.scores(objective.guide.classify(x).probs, y)
    return {"accuracy": every["accuracy"], "nll": every["nll"]}


@lru_cache(maxsize=1)
def _cells(policy: Literal["unknown", "nearest"], root: str | None) -> Dataset:
    return elpv.load("elpv", data_root(root), uncertain=policy)


def _logistic(split: Split, x: Tensor) -> Tensor:
    """The blocks (N, 2 L) of a logistic regression for each label."""
    features, y = split.part("labelled")
    held, truth = split.part("validation")
    assert isinstance(features, Tensor) and isinstance(held, Tensor)
    fitted = {penalty: [
        fit_label(LogisticRegression(C=penalty, max_iter=500), features[known].numpy(),
                  block[known].argmax(1).numpy(), 2)
        for block in y.split(2, 1) for known in [~block.isnan().any(1)]
    ] for penalty in PENALTIES}
    best = max(PENALTIES, key=lambda penalty: split.target.validation(
        _blocks(fitted[penalty], held), truth
    )["accuracy"])
    return _blocks(fitted[best], x)


def _blocks(classifiers: list[Any], x: Tensor) -> Tensor:
    blocks = []
    for classifier in classifiers:
        probs = torch.zeros(len(x), 2)
        predicted = torch.from_numpy(classifier.predict_proba(x.numpy())).float()
        probs[:, torch.as_tensor(classifier.classes_).long()] = predicted
        blocks.append(probs)
    return torch.cat(blocks, 1)


def _drawn(labels: int, seed: int, root: str | None) -> tuple[Canvases, Canvases, Canvases]:
    parts = canvases.mnist(root)
    return (
        canvases.draw(parts["training"], labels, LABELLED, seed),
        canvases.draw(parts["training"], labels, UNLABELLED, seed + 1_000),
        canvases.draw(parts["test"], labels, TESTED, seed + 2_000),
    )
