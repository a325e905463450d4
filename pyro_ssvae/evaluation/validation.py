"""What a training is told of its pair after every epoch, and of its data before the first."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from pyro_ssvae.contract import predictor
from pyro_ssvae.data import Split
from pyro_ssvae.errors import InputError, NonFiniteLossError
from pyro_ssvae.evaluation.evaluate import elbo, fit_classifier, has_bound, predictions
from pyro_ssvae.inference import query
from pyro_ssvae.inference.check import pointing_to_check
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.inference.programs import evaluating

CHECKED = 1_000  # examples whose values are checked at a time


def validate(objective: Objective, split: Split, part: str = "validation") -> dict[str, float]:
    """How well the guide predicts, such as accuracy and NLL, and the ELBO, on a part of the split.

    Raises:
        NonFiniteLossError: if one of them is NaN or infinite: the last update lost the weights.
    """
    x, y = split.part(part)
    model, guide = objective.model, objective.guide
    result: dict[str, float] = {}
    with evaluating(objective):
        fit_classifier(guide, split)
        if predictor(guide) is not None:
            result |= split.target.validation(predictions(guide, split.target, x), y)
            _check_finite(result, part)
        if has_bound(model, guide, x):
            result["elbo"] = elbo(model, guide, x)
    _check_finite(result, part)
    return result


def check_support(objective: Objective, split: Split) -> None:
    """Raise :class:`InputError` unless every x lies in the support of the model's likelihood."""
    x, y = split.examples(split.labelled[:1])
    with evaluating(objective), pointing_to_check():
        fn = query.site(objective.model, "x", x, y)
    if fn is None:
        return
    values = split.dataset.x
    if not isinstance(values, Tensor):  # rows have pixels 0..255, divided by 255
        levels = torch.arange(256, device=x.device) / 255
        values = levels.to(x.dtype).view(-1, *[1] * (x.dim() - 1)).expand(-1, *x.shape[1:])
    if not all(bool(fn.support.check(rows).all()) for rows in values.split(CHECKED)):
        advice = "rescale x, or use likelihood=nn.Normal(1.0), as text normal:1.0"
        if getattr(fn.support, "is_discrete", False) and 0 <= values.min() <= values.max() <= 1:
            advice = "for x between 0 and 1 there is pyro_ssvae.nn.GreyBernoulli"
        raise InputError(
            f"{split.dataset.name}: expected x within {_plain(fn.support)} under the model's"
            f" likelihood, got values from {values.min():.4g} to {values.max():.4g}; {advice}"
        )


def _check_finite(scores: dict[str, float], part: str) -> None:
    for name, value in scores.items():
        if not math.isfinite(value):
            raise NonFiniteLossError(
                f"the {part} {name} is {value}: a smaller learning rate may help"
            )


def _plain(support: Any) -> str:
    base = getattr(support, "base_constraint", support)
    bounds = getattr(base, "lower_bound", None), getattr(base, "upper_bound", None)
    return str(base) if None in bounds else f"[{bounds[0]}, {bounds[1]}]"
