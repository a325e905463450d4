"""Pairs on images with few labels, as several studies of Jurasinski (2019) train them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pyro_ssvae.data import Split
from pyro_ssvae.evaluation.evaluate import predictions
from pyro_ssvae.experiments.pairs import pair
from pyro_ssvae.experiments.setting import loaded
from pyro_ssvae.inference import query
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.reproduce.draws import counted
from pyro_ssvae.reproduce.findings import Claim, on_data
from pyro_ssvae.reproduce.work import Work
from pyro_ssvae.targets.metrics import accuracy
from pyro_ssvae.training.fit import fit

DATA = ("digits", "mnist")  # the small ones first: they tell the direction cheaply
LABELS = {"digits": 50, "mnist": 100}
NAMES = {"digits": "digits, 50 labels", "mnist": "MNIST, 100 labels"}
EPOCHS = 500  # of MNIST, as in section 5.1
QUICK = 20  # times as many epochs of the digits as of MNIST, whose epoch has 40 times the updates
MOST = 200  # epochs of the digits


def epochs(work: Work) -> dict[str, int]:
    """The number of epochs on each data set."""
    quick = QUICK * work.on("digits").epochs(EPOCHS)
    return {"mnist": work.on("mnist").epochs(EPOCHS), "digits": min(MOST, quick)}


def draws(work: Work, full: int) -> dict[str, range]:
    """The seeds of the draws on each data set, of which there are ``full`` at full scale."""
    return {name: work.on(name).draws(full) for name in DATA}


def said(work: Work, full: int) -> str:
    """The setting of a study on these data, in a sentence.

    Args:
        work: The place to work in.
        full: The number of draws at full scale.
    """
    on = "; ".join(
        f"{NAMES[name]}, {counted(epochs(work)[name], 'epoch')},"
        f" {counted(len(seeds), 'draw')} of labels and weights"
        for name, seeds in draws(work, full).items()
    )
    return f"{on}."


def results(
    work: Work, function: Callable[..., dict[str, Any]], full: int,
    further: Sequence[Mapping[str, Any]] = ({},),
) -> list[dict[str, Any]]:
    """What a function finds on both data sets, for every draw: its arguments and its result.

    Args:
        work: The place to work in.
        function: A function of ``data``, ``seed`` and ``epochs``, as :meth:`Work.each` takes it.
        full: The number of draws at full scale.
        further: The further arguments of each call.
    """
    on = epochs(work)
    items = [
        {"data": data, "seed": seed, "epochs": on[data], **each}
        for data, seeds in draws(work, full).items() for seed in seeds for each in further
    ]
    return [item | found for item, found in zip(items, work.each(function, items))]


def on_each(claims_on: Callable[[str], Iterable[Claim]]) -> list[Claim]:
    """The claims on both data sets, which a function makes of the name of one."""
    return [claim for data in DATA for claim in on_data(data, claims_on(data))]


def split_of(data: str, seed: int) -> Split:
    """A draw of labels."""
    return loaded(data, None).split(LABELS[data], seed=seed)


def trained(
    name: str, split: Split, epochs: int, *,
    begin: Callable[[Objective], None] = lambda objective: None, **options: Any,
) -> Objective:
    """A pair after training, with the seed of the split for weights, batches and noise.

    Args:
        name: The name of the pair.
        split: The data.
        epochs: The number of epochs.
        begin: A function that changes the weights before.
        options: The values of options.
    """
    torch.manual_seed(split.seed)
    objective, how = pair(name).on(split, **options)
    begin(objective)
    for _ in fit(objective, split, seed=split.seed, epochs=epochs, **how):
        pass
    return objective


def test_accuracy(objective: Objective, split: Split) -> float:
    """The accuracy of the guide's classifier on the test part."""
    x, y = split.part("test")
    with evaluating(objective):
        return accuracy(predictions(objective.guide, split.target, x), y)


def first_of_each_class(split: Split) -> Tensor:
    """A test image of every class, in their order."""
    x, y = split.part("test")
    assert isinstance(x, Tensor)
    return x[y.argmax(0)]  # the first that is 1


def analogies(objective: Objective, x: Tensor) -> list[Tensor]:
    """The images of x's z with every class in turn; z is the posterior mean given the likeliest."""
    model, guide = objective.model, objective.guide
    with evaluating(objective):
        probs = guide.classify(x).probs
        classes = probs.shape[-1]
        z = query.posterior_mean(guide, x, F.one_hot(probs.argmax(-1), classes).to(x))
        labels = torch.eye(classes).unsqueeze(1).expand(-1, len(x), -1)
        return [query.likelihood(model, x, y=y, z=z).mean for y in labels]


def plain(x: Tensor) -> list[list[list[float]]]:
    """Grey images (n, 1, H, W) as plain data, in hundredths."""
    found: list[list[list[float]]] = (100 * x[:, 0]).round().int().tolist()
    return found
