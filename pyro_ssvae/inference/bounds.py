"""Evidence lower bounds as means over a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any, Literal

import torch
from torch import Tensor

from pyro_ssvae.inference.elbo import SiteTerm, TraceEnumKL_ELBO, check_weighable
from pyro_ssvae.inference.programs import private_params
from pyro_ssvae.inference.terms import Scalar
from pyro_ssvae.labels import Restricted

KL = Literal["analytic", "sampled"]


def elbo_terms(
    model: Callable[..., Any],
    guide: Callable[..., Any],
    x: Tensor,
    y: Tensor | None = None,
    *,
    kl: KL = "analytic",
    possible: Tensor | None = None,
    share: float = 1.0,
) -> dict[str, SiteTerm]:
    """The terms of the mean ELBO of x (N, ...), given one-hot labels y (N, K) or without.

    With ``possible`` (N, K), 1 where an example may be of a class, the bound is one on
    log p(x, y in the set). With ``share`` the terms are that share of the mean. Discrete sites
    marked for enumeration are summed over exactly, the others sampled once. ``kl`` as in
    :class:`Objective`.

    Example:
        >>> import torch
        >>> from pyro_ssvae import guides, models
        >>> from pyro_ssvae.inference.bounds import elbo_terms
        >>> model = models.M2(6, 3, z_dim=2, hidden=(8,))
        >>> terms = elbo_terms(model, guides.M2(model, hidden=(8,)), torch.rand(5, 6))
        >>> {name: term.analytic for name, term in sorted(terms.items())}
        {'x': False, 'y': True, 'z': True}
    """
    elbo = TraceEnumKL_ELBO(max_plate_nesting=1, analytic=kl == "analytic")
    if possible is not None:
        model = Restricted(possible, guide=False)(model)
        guide = Restricted(possible, guide=True)(guide)
    with private_params():
        terms = elbo.terms(model, guide, x, y)
    means = {name: replace(term, value=term.value / len(x)) for name, term in terms.items()}
    if share == 1:
        return means
    return {name: replace(term, value=share * term.value) for name, term in means.items()}


def weighted(terms: Mapping[str, SiteTerm], beta: Scalar) -> Tensor:
    """The sum of an ELBO's terms, KL divergences of continuous sites weighed by beta.

    Raises:
        InputError: If beta is not 1, and such a site has no term of its own.
    """
    if not isinstance(beta, Tensor) and beta != 1:
        check_weighable(terms)
    return reduce(add, (
        beta * term.value if term.latent and not term.discrete else term.value
        for term in terms.values()
    ))


def negative_elbo(
    model: Callable[..., Any],
    guide: Callable[..., Any],
    x: Tensor,
    y: Tensor | None = None,
    *,
    kl: KL = "analytic",
) -> Tensor:
    """Minus the mean ELBO of x (N, ...), given one-hot labels y (N, K) or without: a scalar."""
    terms = elbo_terms(model, guide, x, y, kl=kl)
    return -torch.stack([term.value for term in terms.values()]).sum()
