"""What EM beside SVI, and the elimination of chains, say of the lecture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from pyro_ssvae.reproduce.draws import all_of, greater
from pyro_ssvae.reproduce.findings import Claim, Row

NEAR = 1e-6  # nats from the optimum at which an inference is done
APART = 0.05  # in a parameter of two optima that are one
ROUNDING, MARGINAL = 1e-12, 1e-9  # nats, and a probability, that rounding may account for
POWER, JOINT, EVEN = 0.1, 0.15, 1.5  # of an exponent either way, and of a constant from n to n
SOURCE = "lecture 13"

Results = Mapping[float, Sequence[Any]]  # the runs of each share of labels
Costs = Sequence[Any]


def iterations(gaps: Sequence[float], within: float = NEAR) -> float:
    """The iterations after which the distance stays within so many nats; NaN where it does not."""
    outside = [i for i, gap in enumerate(gaps) if abs(gap) >= within]
    after = outside[-1] + 1 if outside else 0
    return float(after) if after < len(gaps) else math.nan


def exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """The e of y = c x^e that fits best in the logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def mixture_rows(results: Results) -> list[Row]:
    """The numbers of EM and of Adam, by share of labels."""
    rows = []
    for share, runs in results.items():
        where = f"{share:.0%} labels"
        batches = len(runs[0]["batches"]["gaps"]) - 1
        rows += [
            Row(f"{where}: iterations of EM to {NEAR:g} nats",
                [iterations(run["em"]["gaps"]) for run in runs]),
            Row(f"{where}: updates of Adam to {NEAR:g} nats",
                [iterations(run["svi"]["gaps"]) for run in runs]),
            Row(f"{where}: milliseconds of EM, of the processor",
                [1e3 * _time(run["em"]) for run in runs]),
            Row(f"{where}: milliseconds of Adam, of the processor",
                [1e3 * _time(run["svi"]) for run in runs]),
            Row(f"{where}: nats from the optimum after {batches} batches",
                [run["batches"]["gaps"][-1] for run in runs]),
            Row(f"{where}: largest difference of a parameter of the two optima",
                [run["parameters"] for run in runs]),
            Row(f"{where}: test accuracy of EM, %", [100 * run["accuracy"] for run in runs]),
            Row(f"{where}: distance of the means from the truth",
                [run["distance"] for run in runs]),
        ]
    return rows


def chain_rows(by_k: Costs, long: Costs, small: Costs) -> list[Row]:
    """The cost of chains: by elimination for several k, short and long, and of the whole table."""
    last = small[-1]
    size = f"k = {last['k']}, n = {last['n']}"
    return [
        *(Row(f"chain of {costs[0]['n']}: exponent of k in the operations of elimination",
              [_slope(costs)]) for costs in (by_k, long)),
        Row(f"{size}: operations of elimination", [last["eliminated"]["operations"]]),
        Row(f"{size}: operations of the table of all values", [last["joint"]["operations"]]),
    ]


def mixture_claims(results: Results) -> list[Claim]:
    """What the lecture says of mixtures and of EM."""
    runs = [run for of_share in results.values() for run in of_share]
    parameters = max(run["parameters"] for run in runs)
    gap = max(abs(run["svi"]["gaps"][-1]) for run in runs)
    step = max(run["e_step"] for run in runs)
    fall = max(run["fall"] for run in runs)
    falls = max(run["fall_batches"] for run in runs)
    once = max(iterations(run["em"]["gaps"]) for run in results[1.0])
    counts = {share: [iterations(run["em"]["gaps"]) for run in of_share]
              for share, of_share in results.items()}
    fewer = all_of(greater(few, many) for few, many in pairwise(counts.values()))
    return [
        Claim("GMM and GDA are one graphical model: one program, y seen or not, has the optimum of"
              f" EM at every share of labels, to {NEAR:g} nats and to {APART:g} in any parameter.",
              f"{SOURCE}, GMM / GDA in PGMs", gap <= NEAR and parameters < APART,
              f"Adam on the program's bound ends {gap:.0e} nats from EM's optimum at most, and its"
              f" parameters differ by {parameters:.1e} at most"),
        Claim("With all labels the maximum is closed: one M-step is within"
              f" {NEAR:g} nats of it.", f"{SOURCE}, GDA", once <= 1,
              f"iterations of EM with all labels: {once:.0f} at most"),
        Claim("The E-step computes p(y | x), which is enumeration: the probabilities differ by less"
              f" than {MARGINAL:g}.",
              f"{SOURCE}, how to do MLE on latent variable models", step < MARGINAL,
              f"Pyro's marginals of y differ from EM's responsibilities by {step:.0e} at most"),
        Claim("EM is hill climbing: no iteration lowers the log-likelihood by"
              f" {ROUNDING:g} nats or more.", f"{SOURCE}, recap", fall < ROUNDING,
              f"the log-likelihood falls by {max(fall, 0.0):.0e} nats at most in an iteration of"
              f" EM, and by {falls:.0e} in a stochastic update"),
        Claim("The more labels, the fewer iterations of EM, from each share to the next.", "ours",
              fewer, f"iterations to {NEAR:g} nats: "
              + ", ".join(f"{share:.0%}: {np.mean(each):.1f}" for share, each in counts.items())),
    ]


def chain_claims(by_k: Costs, by_n: Costs, long: Costs, small: Costs) -> list[Claim]:
    """What the lecture says of elimination."""
    apart = max(abs(each["eliminated"]["value"] - each["joint"]["value"]) for each in small)
    values = [each["k"] ** (each["n"] - 1) for each in small]
    joint = exponent(values, [each["joint"]["operations"] for each in small])
    length = long[0]["n"]
    edges = [c["operations"] / (c["n"] - 1) / c["k"] ** 2 for c in by_n if c["n"] < length]
    return [
        Claim("Enumeration in parallel gives the exact probability of the chain's end, to less than"
              f" {ROUNDING:g} nats.", f"{SOURCE}, elimination algorithm", apart < ROUNDING,
              f"at most {apart:.0e} nats from the table of all values, on {len(small)} chains"),
        Claim("Summing out jointly costs k^n: the operations grow as the number of values in the"
              f" table, k^(n-1) with the end seen, to a power of 1 ± {JOINT:g}.",
              f"{SOURCE}, elimination algorithm", abs(joint - 1) < JOINT,
              f"operations grow as the number of the table's values to the power {joint:.2f}"),
        Claim(f"Elimination costs k^2 an edge: k to a power of 2 ± {POWER:g}, and an edge of a"
              f" short chain (n < {length}) costs less than {EVEN:g} times that of another.",
              f"{SOURCE}, elimination algorithm",
              abs(_slope(by_k) - 2) < POWER and max(edges) < EVEN * min(edges),
              f"chain of {by_k[0]['n']}: k to the power {_slope(by_k):.2f}; {min(edges):.1f} to"
              f" {max(edges):.1f} operations for each of k^2 values of an edge, n < {length}"),
        Claim(f"Pyro eliminates long chains at k^2 an edge too: k to a power of 2 ± {POWER:g}.",
              "ours", abs(_slope(long) - 2) < POWER,
              f"chain of {length}: k to the power {_slope(long):.2f}; from 15 factors on opt_einsum"
              " plans greedily, and multiplies matrices where a vector would do"),
    ]


def _slope(costs: Costs) -> float:
    """The exponent of k, for the larger half of the k."""
    upper = costs[len(costs) // 2:]
    return exponent([c["k"] for c in upper], [c["operations"] for c in upper])


def _time(way: Any) -> float:
    """The seconds until it is near the optimum; NaN where it never is."""
    last = iterations(way["gaps"])
    return math.nan if math.isnan(last) else float(way["seconds"][int(last)])
