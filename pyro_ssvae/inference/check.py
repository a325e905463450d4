"""The contract of a pair as a function, which names the first thing that is wrong with one."""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyro
import torch
from torch import Tensor, nn

from pyro_ssvae.contract import Batch, fits_classifier, predictor, terms_of
from pyro_ssvae.errors import InputError, NonFiniteLossError
from pyro_ssvae.inference.bounds import elbo_terms
from pyro_ssvae.inference.methods import check_methods
from pyro_ssvae.inference.programs import buffers_kept, private_params
from pyro_ssvae.inference.sites import check_sites, running
from pyro_ssvae.inference.terms import Term, evaluated
from pyro_ssvae.system import randomness

SEED = 0
NOTE = (
    "pyro_ssvae.check(model, guide, x, y) tells what is wrong with a pair: x are a few examples"
    " and y their encoded labels, as split.examples(split.labelled[:8]) gives them"
)


def check(model: Any, guide: Any, x: Tensor, y: Tensor) -> None:
    """Check that a model and a guide make a pair that can be trained and evaluated.

    What is asked for is in :mod:`pyro_ssvae.contract`. The pair is run on the examples with their
    labels and without, as its bounds do. Its weights, its buffers and the random states are as they
    were in the end. A discrete label that the guide samples without enumerating it is warned of.

    Args:
        model: The model, a module whose ``forward(x, y=None)`` is a Pyro program.
        guide: Its guide, of the same signature.
        x: Two examples or more, (N, ...), as a data set has them.
        y: Their encoded labels, (N, S): one-hot vectors of a class, several of them side by side,
            or standardised numbers (N, 1).

    Raises:
        InputError: If something is wrong. The message names the site, the method or the parameter,
            and says what to do.

    Example:
        >>> import torch
        >>> from pyro_ssvae import check, guides, models
        >>> model = models.M2(4, 3, z_dim=2)
        >>> check(model, guides.M2(model), torch.rand(3, 4), torch.eye(3))
    """
    _check_programs(model, guide)
    _check_data(x, y)
    with _as_it_was(model, guide):
        check_sites(model, guide, x, y)
        check_methods(model, guide, x, y)
        _check_noise(model, guide, x)
        _check_gradients(model, guide, x, y)


@contextmanager
def pointing_to_check() -> Iterator[None]:
    """Have an error in the programs of a pair say, by a note, how to find out what is wrong."""
    try:
        yield
    except (InputError, NonFiniteLossError, OSError, MemoryError):
        raise
    except Exception as error:
        error.add_note(NOTE)
        raise


def _check_programs(model: Any, guide: Any) -> None:
    for what, program in (("model", model), ("guide", guide)):
        if not isinstance(program, nn.Module):
            came = (f"the class {program.__name__}: make one of it" if isinstance(program, type)
                    else f"{type(program).__name__}: make it a class with that method")
            raise InputError(
                f"the {what}: expected a torch.nn.Module, such as pyro.nn.PyroModule, whose"
                f" forward(self, x, y=None) is the Pyro program, got {came}"
            )
        signature = inspect.signature(program.forward)
        try:
            signature.bind(None)
            signature.bind(None, None)
        except TypeError:
            raise InputError(
                f"the {what}: expected forward(self, x, y=None), for labels may be unknown, got"
                f" forward{signature}"
            ) from None
    if not any(p.requires_grad for program in (model, guide) for p in program.parameters()):
        raise InputError(
            "expected parameters to train, got a model and a guide that have none: networks are"
            " attributes of them, lists of networks an nn.ModuleList"
        )


def _check_data(x: Any, y: Any) -> None:
    for name, value in (("x", x), ("y", y)):
        if not (isinstance(value, Tensor) and value.is_floating_point()):
            came = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise InputError(f"expected {name} as a floating point tensor, got {came}")
    if x.dim() < 2 or len(x) < 2:
        raise InputError(f"expected x of two examples or more, (N, ...), got {tuple(x.shape)}")
    if y.dim() != 2 or len(y) != len(x):
        raise InputError(
            f"expected encoded labels y of shape ({len(x)}, S), got {tuple(y.shape)}; classes are"
            " encoded by torch.nn.functional.one_hot(classes, K).to(x.dtype)"
        )


@contextmanager
def _as_it_was(model: nn.Module, guide: nn.Module) -> Iterator[None]:
    """Leave buffers and random states as they are, and Pyro's own checks aside."""
    with (
        randomness.seeded(SEED, randomness.gpus([model, guide])), randomness.other_noise_kept(),
        pyro.validation_enabled(False), buffers_kept(model, guide),
    ):
        yield


def _bound(model: Any, guide: Any, x: Tensor, y: Tensor | None) -> Tensor:
    """The mean ELBO, a scalar."""
    how = "y given" if y is not None else "y unknown"
    hint = "see the error above it" if y is not None else (
        "where y is enumerated it has the shape (K, 1, K), beside x of (N, ...): networks must"
        " broadcast over dimensions to the left, which torch.cat and view do not, and those of"
        " pyro_ssvae.nn.network do"
    )
    with running(f"the bound with {how}", hint):
        terms = elbo_terms(model, guide, x, y)
        total = torch.stack([term.value for term in terms.values()]).sum()
    for name, term in terms.items():
        if not term.value.isfinite():
            raise InputError(f"the bound with {how}: expected finite terms, got"
                             f" {term.value.item()} of site {name!r}")
    return total


def _check_noise(model: Any, guide: Any, x: Tensor) -> None:
    values, of_numpy, of_python = [], np.random.get_state(), random.getstate()
    for _ in range(2):
        randomness.seed(SEED, randomness.gpus([model, guide]))
        with buffers_kept(model, guide):
            values.append(_bound(model, guide, x, None).detach())
    if torch.initial_seed() != SEED:
        raise InputError(
            "expected programs that draw from torch's random state as it is, got one that seeds"
            " it: leave torch.manual_seed and pyro.set_rng_seed to the caller"
        )
    where = ("of an origin of its own, for two runs from one random state differ (or each changes"
             " an attribute, which is to be a buffer)")
    if any(not np.array_equal(a, b) for a, b in zip(of_numpy, np.random.get_state())):
        where = "of numpy's global random state"
    elif of_python != random.getstate():
        where = "of Python's global random state"
    elif torch.equal(*values):
        return
    raise InputError(
        f"expected noise of torch alone, which training seeds and saves, got noise {where}: draw it"
        " by pyro.sample, or by torch's functions without a generator"
    )


def _check_gradients(model: Any, guide: Any, x: Tensor, y: Tensor) -> None:
    losses = [_bound(model, guide, x, y), _bound(model, guide, x, None)]
    terms = {n: p for n, p in terms_of(guide).items() if isinstance(p, Term) and p.weight > 0}
    predict = None if fits_classifier(guide) else predictor(guide)
    with private_params(), running("the terms of the guide", "they see (model, guide, batch, 0)"):
        losses += list(evaluated(terms, model, guide, Batch(x, y, x), 0.0).values())
        if predict is not None:
            losses.append(predict(x).log_prob(y).mean())
    total = torch.stack([loss for loss in losses]).sum()
    named = {
        id(p): (what, name, p) for what, program in (("guide", guide), ("model", model))
        for name, p in program.named_parameters() if p.requires_grad
    }
    reached = {id(leaf): leaf for leaf in _leaves(total)}
    for key, leaf in reached.items():
        if key not in named:
            raise InputError(
                f"the loss depends on a parameter of shape {tuple(leaf.shape)} that neither"
                " model.parameters() nor guide.parameters() has, and would not train it: make"
                " networks attributes, lists of them an nn.ModuleList, and pyro.param an attribute"
                " of nn.Parameter or pyro.nn.PyroParam"
            )
    for key, (what, name, _) in named.items():
        if key not in reached:
            raise InputError(
                f"parameter {name!r} of the {what}: expected a gradient from a bound, the"
                " classifier or a term, got none: use it, without detach() and no_grad(), or set"
                " requires_grad=False"
            )


def _leaves(loss: Tensor) -> Iterator[Tensor]:
    """The parameters that a loss has gradients for."""
    seen, waiting = set(), [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if (leaf := getattr(node, "variable", None)) is not None:
            yield leaf
        waiting += [function for function, _ in node.next_functions]
