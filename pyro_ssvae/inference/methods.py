"""What a pair has beside its programs, as the contract asks for it."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from pyro_ssvae.contract import (
    classifies,
    fits_classifier,
    prior_of,
    regresses,
    terms_of,
    turns_of,
)
from pyro_ssvae.errors import InputError
from pyro_ssvae.inference.programs import private_params
from pyro_ssvae.inference.sites import running
from pyro_ssvae.inference.terms import Part


def check_methods(model: Any, guide: Any, x: Tensor, y: Tensor) -> None:
    """Check what a pair may have beside its programs, where it has it.

    Raises:
        InputError: At the first method or attribute that is wrong, which is named.
    """
    if classifies(guide) and regresses(guide):
        raise InputError("the guide: expected classify(x) or regress(x), got both")
    if fits_classifier(guide):
        try:
            inspect.signature(guide.fit_classifier).bind(x, y, sizes=(y.shape[1],))
        except TypeError as error:
            raise InputError(
                f"the guide: expected fit_classifier(x, y, *, sizes), got another one: {error}"
            ) from None
    elif classifies(guide):
        _check_classifier(guide, x, y)
    elif regresses(guide):
        q = _predicted(guide, "regress", x)
        for moment in ("mean", "stddev"):
            _check_shape(f"regress(x).{moment}", getattr(q, moment, None), y.shape)
        if not (q.mean.isfinite().all() and (q.stddev > 0).all()):
            raise InputError("the guide: expected regress(x) with a finite mean and stddev > 0")
    for name, part in terms_of(guide).items():
        if not isinstance(part, Part):
            raise InputError(
                f"the guide: expected terms of pyro_ssvae.Term by name, got {name!r} of"
                f" {type(part).__name__}"
            )
    for name in turns_of(guide):
        if not isinstance(getattr(guide, name, None), nn.Module):
            raise InputError(
                f"the guide: expected turns as names of its submodules, got {name!r}, which is none"
            )
    if (prior := prior_of(model)) is not None:
        with running("prior(x) of the model", "give the attribute another name if it is no p(y)"):
            labels: Any = prior(x)
            _check_shape("prior(x).probs of the model", labels.probs, y.shape[1:])
            float(prior.largest_kl)


def _check_classifier(guide: Any, x: Tensor, y: Tensor) -> None:
    q = _predicted(guide, "classify", x)
    probs = getattr(q, "probs", None)
    _check_shape("classify(x).probs", probs, y.shape)
    assert isinstance(probs, Tensor)
    total = probs.sum(-1)
    labels = y.nan_to_num().sum(-1).amax()  # several labels are blocks, each a distribution
    if not (probs >= 0).all() or not torch.allclose(total, total.round(), atol=1e-3):
        row = int((total - total.round()).abs().nan_to_num(1.0).argmax())
        raise InputError(
            "the guide: expected classify(x).probs as a distribution over the classes, got"
            f" probabilities that sum to {total[row]:.4g} for example {row}; a head such as"
            " pyro.distributions.OneHotCategorical(logits=...) normalises them"
        )
    if not y.isnan().any() and not torch.allclose(total, labels, atol=1e-3):
        raise InputError(
            f"the guide: expected classify(x) with {labels:.0f} distributions, one for each label"
            f" of y, got probabilities that sum to {total[0]:.4g}"
        )
    with running("classify(x).log_prob(y)", "it is asked for one-hot y"):
        _check_shape("classify(x).log_prob(y)", q.log_prob(y), y.shape[:1])


def _predicted(guide: Any, method: str, x: Tensor) -> Any:
    function = getattr(guide, method)
    try:
        inspect.signature(function).bind(x)
    except TypeError:
        raise InputError(
            f"the guide: expected {method}(self, x), got {method}{inspect.signature(function)}"
        ) from None
    with private_params(), running(f"{method}(x) of the guide", "it is asked for x alone"):
        return function(x)


def _check_shape(what: str, value: Any, shape: torch.Size) -> None:
    if not isinstance(value, Tensor):
        raise InputError(
            f"the guide: expected {what} of shape {tuple(shape)}, got none: return a distribution"
            " such as pyro.distributions.OneHotCategorical(logits=...), or of a real number"
            " Normal(loc, scale).to_event(1)"
        )
    if value.shape != shape:
        raise InputError(f"expected {what} of shape {tuple(shape)}, got {tuple(value.shape)}")
