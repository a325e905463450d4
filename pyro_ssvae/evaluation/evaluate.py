"""How good a trained pair is: as a classifier, as a bound, and in what its latent space holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import repeat
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from pyro_ssvae.contract import fits_classifier, predictor
from pyro_ssvae.data import PARTS, Part, Split
from pyro_ssvae.data.asked import check_split
from pyro_ssvae.data.view import taken
from pyro_ssvae.errors import InputError, one_of
from pyro_ssvae.evaluation import chunks
from pyro_ssvae.evaluation.importance import CLASS_SAMPLES, IWAE_SAMPLES, class_posteriors, iwae
from pyro_ssvae.evaluation.probes import active_units, leakage, mutual_information
from pyro_ssvae.inference import query
from pyro_ssvae.inference.bounds import elbo_terms
from pyro_ssvae.inference.programs import evaluating, evaluation_mode, private_params
from pyro_ssvae.system.progress import Progress
from pyro_ssvae.targets import Target
from pyro_ssvae.targets.metrics import accuracy

CHUNK = 250  # examples evaluated at a time
STEP = 500  # examples between two signs of progress
CLASSIFIED = 2_500  # examples at most that the generative classifiers classify

Measures = Literal["all", "few"]


def evaluate(
    model: nn.Module,
    guide: nn.Module,
    split: Split,
    part: str = "test",
    *,
    measures: Measures = "all",
    progress: bool = False,
) -> dict[str, float | None]:
    """The measures of this module, on one part of a split.

    Args:
        model: The model.
        guide: Its guide.
        split: The data.
        part: The name of one of :data:`pyro_ssvae.data.PARTS`.
        measures: ``"all"``, or ``"few"``, which a pass or two over the examples give: without
            those of many samples or of a classifier that is trained, which are ``iwae``,
            ``accuracy_elbo``, ``accuracy_reconstruction``, ``mutual_information`` and ``leakage``.
        progress: Whether to show on standard error how far it is.

    Returns:
        By name: ``accuracy``, ``nll``, ``brier``, ``ece`` of the guide's classifier (see
        :mod:`pyro_ssvae.targets.metrics`), or what else the target scores, of several labels
        (:mod:`pyro_ssvae.targets.ranking`) and of a real number
        (:mod:`pyro_ssvae.targets.normals`); ``accuracy_elbo`` and ``accuracy_reconstruction`` of
        the generative ones (:func:`pyro_ssvae.evaluation.importance.class_posteriors`) with
        ``class_samples`` samples, on up to :data:`CLASSIFIED` random examples, of which an accuracy
        of 90 % has a standard error of 0.6 points and one of 50 % of 1 point; then in nats per
        example ``elbo`` of the images alone, which is ``reconstruction`` minus ``kl_z``, ``kl_y``
        and those of further latent sites, ``iwae`` with ``iwae_samples`` samples, and
        ``mutual_information`` of x and z; the number of ``active_units`` of z; and ``leakage``, an
        accuracy (all three in :mod:`pyro_ssvae.evaluation.probes`). None stands for what was not
        asked for, and for what the pair or the data do not have: a classifier, a model of x, a
        reconstruction that depends on y, a latent z, a y that the guide infers, one label an
        example and two classes of it, a bound on log p(x) (see :func:`has_bound`).

    Raises:
        InputError: if the part is empty, or there are no such measures.

    Example:
        >>> from pyro_ssvae import data, evaluate, pair
        >>> split = data.load("digits").split(labels=50, seed=0)
        >>> objective, how = pair("supervised").on(split, hidden=(16,))
        >>> scores = evaluate(objective.model, objective.guide, split)
        >>> [name for name, value in scores.items() if value is not None]
        ['accuracy', 'nll', 'brier', 'ece']
    """
    check_split(split)
    one_of("part", part, PARTS)
    one_of("measures", measures, get_args(Measures))
    every = measures == "all"
    x, y = split.part(part)
    if len(x) == 0:
        raise InputError(f"expected a {part} part with examples to evaluate on, got none")
    result: dict[str, float | None] = dict.fromkeys((
        "accuracy", "nll", "brier", "ece", "accuracy_elbo", "accuracy_reconstruction",
        "class_samples", "elbo", "reconstruction", "kl_z", "kl_y", "iwae", "iwae_samples",
        "mutual_information", "active_units", "leakage",
    ))
    with evaluating(model, guide):
        fit_classifier(guide, split)
        has = query.sites(model, x[:1], y[:1])
        target = split.target
        bound, classes = has_bound(model, guide, x), {"x", "y"} <= has and target.exclusive
        steps = bound * _steps(len(x)) + classes * _steps(min(len(x), CLASSIFIED))
        with Progress(f"evaluating on {part}", every * steps + 3, "steps", show=progress) as bar:
            if predictor(guide) is not None:
                result |= target.scores(predictions(guide, target, x), y)
            if "x" in has:
                result |= elbo_parts(model, guide, x)
            bar.advance()
            if not bound:
                points = query.point_masses(guide, x[:1])
                result |= dict.fromkeys(["elbo", *(f"kl_{name}" for name in points)])
            elif every:
                result |= {"iwae": _iwae(model, guide, x, bar), "iwae_samples": IWAE_SAMPLES}
            if classes and every:
                chosen = query.some(len(x), CLASSIFIED).to(x.device)
                result |= _generative_accuracies(
                    model, guide, taken(x, chosen), y[chosen], bar
                )
                result["class_samples"] = CLASS_SAMPLES
            if "z" in has:
                result["active_units"] = active_units(guide, x)
            if "z" in has and every:
                result["mutual_information"] = mutual_information(guide, x)
            bar.advance()
            if "z" in has and target.exclusive and every:
                result["leakage"] = leakage(guide, split, part)
            bar.advance()
    return result


def _steps(examples: int) -> int:
    return -(-examples // STEP)


def _iwae(model: nn.Module, guide: nn.Module, x: Part, bar: Progress) -> float:
    total = 0.0
    for rows in x.split(STEP):
        total += iwae(model, guide, rows) * len(rows)
        bar.advance()
    return total / len(x)


def _generative_accuracies(
    model: nn.Module, guide: nn.Module, x: Part, y: Tensor, bar: Progress
) -> dict[str, float]:
    probs: dict[str, list[Tensor]] = {}
    for rows in x.split(STEP):
        for name, of_rows in class_posteriors(model, guide, rows, y.shape[-1]).items():
            probs.setdefault(name, []).append(of_rows)
        bar.advance()
    return {f"accuracy_{name}": accuracy(torch.cat(parts), y) for name, parts in probs.items()}


def has_bound(model: Callable[..., Any], guide: Callable[..., Any], x: Part) -> bool:
    """Whether the pair's ELBO bounds log p(x), x (N, ...): it has a model of x and no point mass.

    The entropy of a point mass is minus infinity: what is optimised leaves it out.
    """
    return "x" in query.sites(model, x[:1]) and not query.point_masses(guide, x[:1])


def fit_classifier(guide: Any, split: Split) -> None:
    """Fit the classifier of a guide that has one apart from its weights, as M1, to the labels."""
    if fits_classifier(guide):
        with evaluating(cast(nn.Module, guide)):
            guide.fit_classifier(*split.part("labelled"), sizes=split.target.sizes)


def predictions(guide: Any, target: Target, x: Part) -> Tensor:
    """What q(y | x) says of each of x (N, ...), as the target has it, (N, P): probabilities.

    Raises:
        InputError: If the guide predicts nothing.
    """
    predict = predictor(guide)
    if predict is None:
        raise InputError(f"{type(guide).__name__}'s guide predicts no y")
    with private_params():
        parts = x.split(chunks.size(x, CHUNK))
        return torch.cat([target.predicted(predict(part)) for part in parts])


def elbo(
    model: Callable[..., Any], guide: Callable[..., Any], x: Part, y: Tensor | None = None
) -> float:
    """The mean ELBO of x (N, ...), with one-hot labels y (N, K) or without, in nats per example."""
    return elbo_parts(model, guide, x, y)["elbo"]


def elbo_parts(
    model: Callable[..., Any], guide: Callable[..., Any], x: Part, y: Tensor | None = None
) -> dict[str, float]:
    """The mean ELBO and the parts it is the sum of, in nats per example.

    Returns:
        ``elbo``, ``reconstruction``, and ``kl_NAME`` for every other site: the KL divergence of
        one that is inferred, -log p(y) for a y that is given. Of a further site that is observed
        ``nll_NAME`` is minus its log-probability. A site that is summed out in the model, such as
        the y of a mixture, is part of the reconstruction.
    """
    totals: dict[str, list[float]] = {}
    size = chunks.size(x, CHUNK)
    labels = repeat(None) if y is None else y.split(size)
    given = set()  # further sites that are observed
    with evaluation_mode(model, guide), torch.no_grad():
        for rows, own in zip(x.split(size), labels):
            for name, term in elbo_terms(model, guide, rows, own).items():
                totals.setdefault(name, []).append(term.value.item() * len(rows) / len(x))
                if name != "y" and not (term.latent or term.mixed):
                    given.add(name)
    parts = {name: math.fsum(values) for name, values in totals.items()}
    image = [name for name in parts if "x" in name.split("+")]
    result = {
        "elbo": math.fsum(parts.values()), "reconstruction": math.fsum(map(parts.pop, image)),
    }
    return result | {
        f"{'nll' if name in given else 'kl'}_{name}": 0.0 - total for name, total in parts.items()
    }
