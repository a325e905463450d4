"""Whether a pair suits the data that it is to be built on."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyro_ssvae.contract import classifies, fits_classifier, predictor, regresses
from pyro_ssvae.data import Dataset
from pyro_ssvae.data.examples import far
from pyro_ssvae.errors import InputError, few
from pyro_ssvae.inference import query
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.nn import Mixed
from pyro_ssvae.system import words

if TYPE_CHECKING:
    from pyro_ssvae.experiments.pairs import Pair

# Options of what a classifier learns from views, and from unlabelled examples.
OF_CLASSIFIER = {"views", "pseudolabels", "confidence", "aligned", "consistency", "alignment"}
USUAL = "mixed:0.5"  # the likelihood of a data frame


def useless(guide: type[Any]) -> set[str]:
    """The options that are of no use to pairs with a guide of this class.

    ``alpha`` needs a guide that predicts y, and a real number is not smoothed. What a classifier
    learns from views and from unlabelled examples needs one that learns by gradients.
    """
    result = {"alpha"} if predictor(guide) is None else set()
    if regresses(guide):
        result.add("smoothing")
    if not classifies(guide) or fits_classifier(guide):
        result |= OF_CLASSIFIER
    return result


def by_columns(pair: Pair, dataset: Dataset) -> dict[str, Any]:
    """The values that options have because the data are a frame, and not by their kind."""
    frame = dataset.columns is not None
    return {"likelihood": USUAL} if frame and "likelihood" in pair.options else {}


def values_on(pair: Pair, dataset: Dataset, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of options as objects, a frame's likelihood with its columns.

    Raises:
        InputError: If the pair infers other labels than the data have, the likelihood is not that
            of a frame, or it is and the data are no frame.
    """
    _check_target(pair, dataset)
    objects = {
        name: words.heard(value, says)
        if isinstance(value, str) and (says := words.kinds_of(pair.known[name].type)) else value
        for name, value in values.items()
    }
    likelihood = objects.get("likelihood")
    if likelihood is None or isinstance(likelihood, Mixed) == (dataset.columns is not None):
        if isinstance(likelihood, Mixed):
            objects["likelihood"] = replace(likelihood, columns=dataset.columns)
        return objects
    if isinstance(likelihood, Mixed):
        raise InputError(
            f"{pair.name}: expected a likelihood such as bernoulli or normal:1.0 for"
            f" {dataset.name}, which is no data frame, got mixed"
        )
    raise InputError(
        f"{pair.name}: expected the likelihood {USUAL} for {dataset.name}, a data frame, got"
        f" {words.said(likelihood)}"
    )


def check_columns(pair: Pair, dataset: Dataset, model: Any) -> None:
    """Raise :class:`InputError` if the data are a frame and the model has another p(x | ...)."""
    if dataset.columns is None or "likelihood" in pair.options:
        return
    with evaluating(model):
        has = query.sites(model, torch.zeros(1, *dataset.shape))
    if "x" in has:
        raise InputError(
            f"{pair.name} has no likelihood of columns of several types, got {dataset.name}, a data"
            " frame; use a pair that has the option likelihood, such as m2"
        )


def _check_target(pair: Pair, dataset: Dataset) -> None:
    target, takes = dataset.target, inspect.signature(pair.model).parameters
    number = not target.sizes
    if number and ({"y_dim", "y_dims"} & set(takes) or classifies(pair.guide)):
        raise InputError(
            f"{pair.name} infers classes, got {dataset.name} whose labels are a real number;"
            " use regression"
        )
    if regresses(pair.guide) and not number:
        names = few(target.names)
        raise InputError(
            f"{pair.name} infers a real number, got {dataset.name} with the labels {names}; use m2,"
            " or have them read as numbers: --labels-are number on the command line, of data.load"
            ' labels_are="number", of from_arrays target="number"'
        )
    if len(target.sizes) > 1 and "y_dim" in takes:
        raise InputError(
            f"{pair.name} has one label an example, got {dataset.name} with"
            f" {len(target.sizes)} labels; use factored"
        )


def warn_of_scale(dataset: Dataset, values: Mapping[str, Any]) -> None:
    """Warn of numbers that are far from those that networks learn from, unless they are tokens."""
    tokens = str(values.get("likelihood", "")).startswith("categorical")
    if tokens or dataset.columns is not None or not isinstance(dataset.x, Tensor):
        return
    if said := far(dataset.x.cpu().numpy()):
        warnings.warn(f"{dataset.name}: {said}", stacklevel=4)
