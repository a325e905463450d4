"""Jurasinski (2019), sections 3.2 and 5.2, figure 5: weights of a VAE make M2 fail.

A VAE is trained without labels. Pairs that begin with its encoder and decoder, their other weights
drawn as usual, are then trained on few labels: M2 with several alphas, the thesis's model ("ours")
and its simplified one. Beside them stand M2 from the beginning, and the classifier alone.

Full scale is 500 epochs on MNIST with 100 labels for the VAE and as many for every pair, and five
draws. The thesis does not say its small alpha, nor its high one: 0.1 and 100 here, and 1, with
lambda = 0.5 and 0.001 from its table 1. p(x | y, z) is Bernoulli, for its normal likelihood's
sigma^2 on MNIST is not published. The last weights are taken; the thesis takes those that are best
by 10,000 validation labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from statistics import fmean
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from pyro_ssvae.inference import query
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.report.drawing import PLAIN, show
from pyro_ssvae.reproduce import images
from pyro_ssvae.reproduce.draws import difference, greater
from pyro_ssvae.reproduce.findings import Claim, Findings, Picture, Row
from pyro_ssvae.reproduce.work import Work

DATA_SETS = images.DATA
DRAWS = 5
SHOWN = 10  # images, one of every class
# What is trained: the pair, whether it begins with the VAE, its options, published mean and spread.
ARMS: dict[str, tuple[str, bool, dict[str, Any], float | None, float | None, str]] = {
    "classifier alone": ("supervised", False, {}, 74.74, 1.16, "section 5.2, 500 epochs"),
    "M2, alpha = 0.1": ("m2", False, {"alpha": 0.1}, 91.4, 2.2, "table 1, 500 epochs"),
    "M2, alpha = 0.1, pretrained": ("m2", True, {"alpha": 0.1}, None, None, ""),
    "M2, alpha = 1, pretrained": ("m2", True, {"alpha": 1.0}, None, None, ""),
    "M2, alpha = 100, pretrained": ("m2", True, {"alpha": 100.0}, None, None, ""),
    "ours, lambda = 0.5, pretrained": ("latentclassifier", True, {"labelled": 0.5}, None, None, ""),
    "simplified, lambda = 0.001, pretrained": (
        "latentclassifier", True, {"labelled": 0.001, "simplified": True}, 81.6, 1.2,
        "section 5.2, lambda not said",
    ),
}
ALONE, SCRATCH, PICTURED = "classifier alone", "M2, alpha = 0.1", "M2, alpha = 0.1, pretrained"
HIGH, OURS = "M2, alpha = 100, pretrained", "ours, lambda = 0.5, pretrained"
SIMPLIFIED = "simplified, lambda = 0.001, pretrained"
WORSE = 1.0  # point of accuracy, from which on a classifier has deteriorated


def reproduce(work: Work) -> Findings:
    """Run the study."""
    results = images.results(work, outcome, DRAWS, [{"arm": arm} for arm in ARMS])
    return Findings(
        "M2 and the thesis's models from the weights of a VAE",
        images.said(work, DRAWS) + " The VAE has as many epochs.",
        rows(results), claims(results), pictures(results),
    )


def outcome(data: str, seed: int, arm: str, epochs: int) -> dict[str, Any]:
    """The accuracy of what is trained, and images for the figure."""
    name, pretrained, options, *_ = ARMS[arm]
    split = images.split_of(data, seed)
    vae = vae_of(data, seed, epochs) if pretrained else None
    objective = images.trained(
        name, split, epochs, **options, **{} if vae is None else {"begin": beginning(vae)},
    )
    result: dict[str, Any] = {"accuracy": images.test_accuracy(objective, split)}
    if arm == PICTURED and vae is not None:
        x = images.first_of_each_class(split)
        result |= {
            "x": images.plain(x), "vae": images.plain(reconstructions(vae, x)),
            "analogies": [images.plain(row) for row in images.analogies(objective, x)],
            "predicted": predicted(objective, split.part("test")[0]),
        }
    return result


@lru_cache(maxsize=1)
def vae_of(data: str, seed: int, epochs: int) -> Objective:
    """A VAE of the unlabelled images."""
    return images.trained("vae", images.split_of(data, seed), epochs)


def beginning(vae: Objective) -> Any:
    """A function that gives a pair the weights of a VAE, where it has the same."""
    def begin(objective: Objective) -> None:
        borrow(objective.model.decoder, vae.model.decoder)
        borrow(objective.guide.encoder, vae.guide.encoder)

    return begin


def borrow(network: nn.Module, lender: nn.Module) -> None:
    """Give a network the weights of another, which has no further input such as y."""
    own, lent = network.state_dict(), lender.state_dict()
    network.load_state_dict({**own, **lent})


def reconstructions(vae: Objective, x: Tensor) -> Tensor:
    """A VAE's mean images of x at the posterior mean of z."""
    with evaluating(vae):
        z = query.posterior_mean(vae.guide, x)
        mean: Tensor = query.likelihood(vae.model, x, z=z).mean
    return mean


def predicted(objective: Objective, x: Any) -> list[float]:
    """The share of images that are said to be of each class."""
    with evaluating(objective):
        probs = torch.cat([objective.guide.classify(rows).probs for rows in x.split(1000)])
    shares: list[float] = F.one_hot(probs.argmax(-1), probs.shape[-1]).double().mean(0).tolist()
    return shares


def rows(results: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The accuracy of everything trained."""
    return [
        Row(f"{images.NAMES[data]}, {arm}: test accuracy, %", of(results, data, arm),
            *(published if data == "mnist" else ()))
        for data in images.DATA for arm, (_, _, _, *published) in ARMS.items()
    ]


def claims(results: Sequence[Mapping[str, Any]]) -> list[Claim]:
    """What the thesis says of pretraining, on each data set."""
    return images.on_each(lambda data: claims_on(
        images.NAMES[data], {arm: of(results, data, arm) for arm in ARMS}
    ))


def claims_on(name: str, found: Mapping[str, Sequence[float]]) -> list[Claim]:
    """What the thesis says of pretraining, on one data set.

    Args:
        name: The name of the data.
        found: The accuracies of all draws, of everything trained.
    """
    alone, small, high = found[ALONE], found[PICTURED], found[HIGH]
    ours, simplified = found[OURS], found[SIMPLIFIED]
    return [
        Claim(
            f"On {name}, M2 from a VAE's weights is worse than the classifier alone, with a small"
            " discriminative loss, alpha = 0.1.", "section 3.2, figure 5", greater(alone, small),
            _against(found, PICTURED, ALONE),
        ),
        Claim(
            f"On {name}, pretraining is what makes M2 worse: with alpha = 0.1 it is better without"
            " it.", "section 3.2", greater(found[SCRATCH], small),
            _against(found, PICTURED, SCRATCH),
        ),
        Claim(
            f"On {name}, with alpha high enough, 100, pretraining does not make the classifier"
            f" worse than alone by {WORSE:g} point or more.",
            "section 3.2", greater(high, alone, by=-WORSE), _against(found, HIGH, ALONE),
        ),
        Claim(
            f"On {name}, the thesis's model from a VAE's weights, with lambda = 0.5, does not beat"
            f" the classifier alone: by less than {WORSE:g} point, if at all.",
            "section 5.2", greater(alone, ours, by=-WORSE),
            _against(found, OURS, ALONE),
        ),
        Claim(
            f"On {name}, its simplified model does, with lambda = 0.001.", "section 5.2",
            greater(simplified, alone), _against(found, SIMPLIFIED, ALONE),
        ),
    ]


def _against(found: Mapping[str, Sequence[float]], one: str, other: str) -> str:
    """Two means, and the points by which the first is above the second."""
    return (
        f"{fmean(found[one]):.1f} % ({one}) against {fmean(found[other]):.1f} % ({other}):"
        f" {difference(found[one], found[other])}"
    )


def of(results: Sequence[Mapping[str, Any]], data: str, arm: str) -> list[float]:
    """The accuracies of all draws in percent."""
    return [100 * r["accuracy"] for r in results if (r["data"], r["arm"]) == (data, arm)]


def pictures(results: Sequence[Mapping[str, Any]]) -> list[Picture]:
    """Figure 5, of the first draw of each data set."""
    found = []
    for data in images.DATA:
        result = next(r for r in results if r["data"] == data and "vae" in r)
        most = max(result["predicted"])
        found.append(Picture(
            f"reconstructions-{data}", panels(result),
            f"{images.NAMES[data]}. Test images; their reconstructions by the VAE; then M2's images"
            " of their z with every label from 0 to 9, after training from the VAE's weights with"
            f" alpha = 0.1. Its classifier calls {most:.0%} of the test images"
            f" {result['predicted'].index(most)}.",
        ))
    return found


def panels(result: Mapping[str, Any]) -> Figure:
    """A row of images for x, for the VAE, and for every label."""
    stacks = {"x": result["x"], "VAE": result["vae"]} | {
        f"y = {k}": stack for k, stack in enumerate(result["analogies"])
    }
    figure = Figure(figsize=(6.4, 7.2), layout="constrained")
    for row, (axes, (title, stack)) in enumerate(zip(figure.subplots(len(stacks), 1),
                                                     stacks.items())):
        tiles = F.pad(torch.tensor(stack[:SHOWN]) / 100, (1, 1, 1, 1))
        show(axes, torch.cat(list(tiles), -1).unsqueeze(0))
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_ylabel(title, rotation=0, ha="right", va="center",
                        color="black" if row else PLAIN)
    return figure
