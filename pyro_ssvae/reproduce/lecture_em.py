"""Lecture on VAEs (He, COMP 5212, 2026), slides before "VAE": mixtures, EM, elimination.

The lecture draws the Gaussian mixture (y unseen) and Gaussian discriminant analysis (y seen) as one
graphical model, has EM maximise the likelihood with p(z | x) from its E-step, and sums a chain out
variable by variable. It gives no data and no number. Three things are done here.

1. A mixture of three Gaussians in the plane, with 0 to all labels known: EM in closed form beside
   stochastic variational inference, which is Adam on the bound that Pyro's enumeration gives of the
   pair ``gaussianmixture``, with all examples in each update and with random batches of 100. All
   begin at the true means moved by N(0, 0.5^2), unit covariances and equal weights.
2. The E-step by Pyro: what ``TraceEnum_ELBO.compute_marginals`` says of y.
3. The chain x_1 -> ... -> x_n of k values each: log P(x_n) with ``infer={"enumerate": "parallel"}``
   under ``pyro.markov``, against the table of all k^(n-1) values, in value and in counted
   operations.

Full scale: 1,000 examples, 2,000 for testing, 5 draws, five shares of labels; k to 256, n to 32.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from pyro.infer import TraceEnum_ELBO
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pyro_ssvae.inference.programs import private_params
from pyro_ssvae.reproduce import em_findings, mixture_plots
from pyro_ssvae.reproduce.chains import cost
from pyro_ssvae.reproduce.em_findings import NEAR
from pyro_ssvae.reproduce.findings import Findings, Picture
from pyro_ssvae.reproduce.mixtures import (
    Mixture,
    Seen,
    by_gradients,
    e_step,
    likelihood,
    maximised,
    program,
    read,
)
from pyro_ssvae.reproduce.work import Work

DRAWS, EXAMPLES, TESTED = 5, 1_000, 2_000
SHARES = (0.0, 0.05, 0.2, 0.5, 1.0)
MOST = 2_000  # updates, at most, on all examples
LR, BATCH, BATCHES = 0.1, 100, 200
VALUES, VARIABLES = (16, 32, 64, 128, 256), (4, 6, 8, 10, 12, 14, 16, 20, 24, 32)
SMALL = ((2, 3), (2, 8), (3, 6), (4, 5), (5, 8))  # k and n of which the table of all values is made
AT_N, AT_K, LONG = 8, 64, 16  # a length, a number of values, and the length of a long chain


def truth() -> Mixture:
    """The mixture that the examples are drawn from: three ellipses that overlap."""
    means = torch.tensor([[0.0, 2.0], [-1.8, -1.0], [1.8, -1.0]], dtype=torch.double)
    scales = torch.tensor([[1.4, 0.5], [1.2, 0.7], [1.5, 0.4]], dtype=torch.double)
    angle = torch.tensor([0.3, 1.2, 2.2], dtype=torch.double)
    cosine, sine = angle.cos(), angle.sin()
    turned = torch.stack([cosine, -sine, sine, cosine], -1).view(3, 2, 2)
    covariances = turned @ torch.diag_embed(scales**2) @ turned.mT
    return Mixture(torch.tensor([0.5, 0.3, 0.2], dtype=torch.double), means, covariances)


def reproduce(work: Work) -> Findings:
    """Run it, at the scale of the work."""
    draws = work.draws(DRAWS)
    results = {
        share: work.each(inferred, [{"draw": draw, "share": share} for draw in draws])
        for share in SHARES
    }
    small = work.each(checked, [{"k": k, "n": n} for k, n in SMALL])
    by_k = _costs(work, [(k, AT_N) for k in VALUES])
    by_n = _costs(work, [(AT_K, n) for n in VARIABLES])
    long = _costs(work, [(k, LONG) for k in VALUES])
    return Findings(
        title="EM beside SVI on a mixture with some labels, and elimination on a chain",
        setting=(
            f"three Gaussians in the plane, {EXAMPLES:,} examples, {len(draws)} draws; Adam at"
            f" {LR}, all examples in an update until {NEAR:g} nats from EM's optimum, or"
            f" {BATCHES} batches of {BATCH} with a rate that falls to 0; chains of up to"
            f" {max(VARIABLES)} variables of up to {max(VALUES)} values"
        ),
        rows=[*em_findings.mixture_rows(results), *em_findings.chain_rows(by_k, long, small)],
        claims=[
            *em_findings.mixture_claims(results),
            *em_findings.chain_claims(by_k, by_n, long, small),
        ],
        pictures=[
            Picture("inference", mixture_plots.inference(
                        {share: runs[0] for share, runs in results.items()}),
                    "Nats from EM's optimum against iterations and against the processor's"
                    " seconds, by share of labels: EM, Adam on all examples, Adam on batches."),
            Picture("shares", mixture_plots.shares(results),
                    "Iterations, test accuracy and distance of the means from the truth, against"
                    " the share of labels."),
            Picture("chain", mixture_plots.chain(by_k, by_n, small, AT_N, AT_K),
                    "Operations of eliminating a chain against k and against n, with the fitted"
                    " lines, beside those of the table of all values."),
        ],
    )


def inferred(draw: int, share: float) -> dict[str, Any]:
    """Both inferences of a draw with a share of labels, from the same start.

    Returns:
        ``em``, ``svi`` and ``batches`` with the log-likelihood's distance from EM's optimum by
        iteration, ``gaps``, and the processor's ``seconds`` so far; the largest difference of two
        parameters of the optima, ``parameters``; that of EM's responsibilities and Pyro's
        marginals, ``e_step``; the nats by which EM's worst iteration falls, ``fall``, and Adam's on
        batches, ``fall_batches``; the test accuracy and the distance of the means from the truth.
    """
    torch.manual_seed(draw)
    true = truth()
    x, y = true.sample(EXAMPLES)
    test, classes = true.sample(TESTED)
    seen = Seen(x, y, torch.rand(EXAMPLES) < share)
    identity = torch.eye(2).double().expand(3, 2, 2).clone()
    moved = true.means + 0.5 * torch.randn(3, 2).double()
    start = Mixture(torch.full((3,), 1 / 3).double(), moved, identity)
    best, values, seconds = maximised(start, seen)
    svi, found = _descent(start, seen, values[-1])
    batches, _ = _descent(start, seen, values[-1], BATCH, draw)
    order = _matched(best.log_joint(test).argmax(1), classes)
    named = order[best.log_joint(test).argmax(1)]
    return {
        "em": {"gaps": [values[-1] - value for value in values], "seconds": seconds},
        "svi": svi, "batches": batches,
        "parameters": max(float((a - b).abs().max()) for a, b in zip(best, found)),
        "e_step": _e_step_apart(best, seen),
        "fall": max(before - after for before, after in pairwise(values)),
        "fall_batches": max(after - before for before, after in pairwise(batches["gaps"])),
        "accuracy": float((named == classes).double().mean()),
        "distance": float((best.means - true.means[order]).norm(dim=1).mean()),
    }


def checked(k: int, n: int) -> dict[str, Any]:
    """What a short chain costs and gives by elimination and by the table of all values."""
    return {"k": k, "n": n, "eliminated": cost(k, n, "eliminated"), "joint": cost(k, n, "jointly")}


def eliminated(k: int, n: int) -> dict[str, Any]:
    """What a chain costs by elimination."""
    return {"k": k, "n": n, **cost(k, n, "eliminated")}


def _costs(work: Work, sizes: Sequence[tuple[int, int]]) -> list[Any]:
    return work.each(eliminated, [{"k": k, "n": n} for k, n in sizes])


def _descent(
    start: Mixture, seen: Seen, best: float, batch: int | None = None, seed: int = 0
) -> tuple[dict[str, Any], Mixture]:
    """Adam on all examples until it is near the optimum, or on batches with a falling rate."""
    gaps, clock = [best - likelihood(start, seen)], [0.0]
    steps = by_gradients(start, seen, LR, MOST if batch is None else BATCHES, batch, seed)
    for objective, seconds in steps:
        found = read(objective)
        gaps.append(best - likelihood(found, seen))
        clock.append(seconds)
        if batch is None and abs(gaps[-1]) < NEAR:
            break
    return {"gaps": gaps, "seconds": clock}, found


def _e_step_apart(mixture: Mixture, seen: Seen) -> float:
    """How far Pyro's marginals of y are from EM's responsibilities where y is unknown."""
    unknown = seen.x[~seen.known]
    if not len(unknown):
        return 0.0
    objective = program(mixture)
    with private_params():
        elbo = TraceEnum_ELBO(max_plate_nesting=1)
        marginals = elbo.compute_marginals(objective.model, objective.guide, unknown)
    found = marginals["y"].probs.detach()
    return float((found - e_step(mixture, seen)[~seen.known]).abs().max())


def _matched(components: Tensor, classes: Tensor) -> Tensor:
    """The class of each component: those that agree most often."""
    table = torch.zeros(3, 3)
    table.index_put_((components, classes), torch.ones(len(classes)), accumulate=True)
    return torch.as_tensor(linear_sum_assignment(-table.numpy())[1])
