"""The sites of a pair's programs, as the contract asks for them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from pyro import poutine
from torch import Tensor
from torch.distributions import constraints

from pyro_ssvae.contract import fits_classifier, predictor
from pyro_ssvae.errors import InputError
from pyro_ssvae.inference.divergences import base
from pyro_ssvae.inference.programs import private_params

PLATE = 'with pyro.plate("data", len(x)):'
MISMATCH = re.compile(r"Shape mismatch inside plate\('(.*)'\) at site (\S+) dim (-?\d+), (.*)")

Site = Mapping[str, Any]
Sites = Mapping[str, Site]


@contextmanager
def running(what: str, hint: str) -> Iterator[None]:
    """Turn what a program raises into one line that says what was run, and what to do."""
    try:
        yield
    except Exception as error:
        said, shapes, _ = str(error).partition("Trace Shapes:")  # which Pyro adds
        text = " ".join(said.split())
        if isinstance(error, InputError):
            raise InputError(f"{what}: {text}" if shapes else text) from error
        if found := MISMATCH.search(text):
            _, name, dim, sizes = found.groups()
            text = f"site {name!r} has sizes {sizes} at dim {dim} of its batch shape"
            hint = f"one example's dimensions are event dimensions, .to_event(1); or: {hint}"
        raise InputError(f"{what}: got {type(error).__name__}: {text:.300}; {hint}") from error


def check_sites(model: Any, guide: Any, x: Tensor, y: Tensor) -> None:
    """Check the sites of both programs, with y given and without.

    Raises:
        InputError: At the first site that is wrong, which is named.
    """
    for given in (None, y):  # what the model draws shows its shapes
        how = "y given" if given is not None else "y unknown"
        of_model = _traced("model", model, x, given, how)
        _check_model(of_model, guide, x, y, given)
        trace = _trace("guide", guide, x, given, how)
        of_guide = _sample_sites(trace)
        _check_rows("guide", of_guide, x)
        _check_together(of_model, of_guide, given)
        replayed = _traced("model", poutine.replay(model, trace=trace), x, given, how)
        for what, sites in (("guide", of_guide), ("model", replayed)):
            for name, site in sites.items():
                _check_log_prob(what, name, site, x)


def _trace(what: str, program: Any, x: Tensor, y: Tensor | None, how: str) -> poutine.Trace:
    with private_params(), running(f"the {what} with {how}", f"it is called as {what}(x, y=None)"):
        return poutine.trace(program).get_trace(x, y)


def _traced(what: str, program: Any, x: Tensor, y: Tensor | None, how: str) -> Sites:
    return _sample_sites(_trace(what, program, x, y, how))


def _sample_sites(trace: poutine.Trace) -> Sites:
    return {
        name: site for name, site in trace.nodes.items()
        if site["type"] == "sample" and not poutine.util.site_is_subsample(site)
    }


def _check_rows(what: str, sites: Sites, x: Tensor) -> None:
    """Check that sites are independent rows of one plate."""
    rows = len(x)
    for name, site in sites.items():
        plates = site["cond_indep_stack"]
        shape = tuple(site["fn"].batch_shape)
        if not plates:
            raise _wrong(what, name, f"in a plate, got none; sample it within `{PLATE}`")
        if len(plates) > 1:
            names = ", ".join(repr(plate.name) for plate in plates)
            raise _wrong(what, name, f"in one plate, that of the examples, got {names}; what an"
                         " example has several of is an event dimension, .to_event(1)")
        (plate,) = plates
        if plate.dim != -1:
            raise _wrong(what, name, f"in a plate at dim -1, got {plate.name!r} at {plate.dim};"
                         f" write `{PLATE}`")
        if plate.size != rows:
            raise _wrong(what, name, f"in a plate of the {rows} examples, got {plate.name!r} of"
                         f" {plate.size}; write `{PLATE}`")
        if plate.full_size not in (None, rows):
            raise _wrong(what, name, f"in a plate of the {rows} examples, got {plate.name!r}, a"
                         f" minibatch of {plate.full_size:,}, which multiplies the bound; write"
                         f" `{PLATE}`")
        if shape != (rows,):
            raise _wrong(what, name, f"with batch shape ({rows},), got {shape}; one example's"
                         " dimensions are event dimensions, .to_event(1)")


def _check_model(sites: Sites, guide: Any, x: Tensor, y: Tensor, given: Tensor | None) -> None:
    listed = ", ".join(map(repr, sites)) or "none"
    if "x" not in sites and set(sites) != {"y"}:
        raise InputError(
            "the model: expected a site 'x' of the examples, pyro.sample(\"x\", ..., obs=x), got"
            f" the sites {listed}"
        )
    if "y" not in sites and predictor(guide) is not None and not fits_classifier(guide):
        raise InputError(
            "the model: expected a site 'y' of the labels that the guide predicts,"
            f" pyro.sample(\"y\", ..., obs=y), got the sites {listed}"
        )
    _check_rows("model", sites, x)
    for name, value in (("x", x), ("y", y)):
        if name in sites and sites[name]["fn"].event_shape != value.shape[1:]:
            raise _wrong("model", name, f"with event shape {tuple(value.shape[1:])}, that of an"
                         f" example's {name}, got {tuple(sites[name]['fn'].event_shape)}")
    if "x" in sites and not _observes(sites["x"], x):
        raise _wrong("model", "x", "observed to be x, got "
                     f"{'another value' if sites['x']['is_observed'] else 'a latent one'}; pass"
                     " obs=x")
    if "x" in sites and not _within(fn := sites["x"]["fn"], x):
        raise _wrong("model", "x", f"whose support holds x, got {type(base(fn)).__name__} and x"
                     f" from {x.min():.4g} to {x.max():.4g}; rescale x, or choose another one")
    if "y" in sites and given is None and sites["y"]["is_observed"]:
        raise _wrong("model", "y", "latent where y is None, got an observed one; pass obs=y as it"
                     " comes")
    if "y" in sites and given is not None and sites["y"]["is_observed"]:
        if not _observes(sites["y"], given):
            raise _wrong("model", "y", "observed to be y, got another value; pass obs=y")


def _observes(site: Site, value: Tensor) -> bool:
    return site["is_observed"] and torch.equal(
        torch.nan_to_num(site["value"]), torch.nan_to_num(value)
    )


def _check_together(of_model: Sites, of_guide: Sites, given: Tensor | None) -> None:
    """Check that the guide samples what is latent in the model, and nothing else."""
    for name, site in of_guide.items():
        if site["is_observed"]:
            raise _wrong("guide", name, "sampled, got an observed one; a guide observes nothing")
        if name not in of_model:
            raise _wrong("guide", name, f"that the model has too, whose sites are"
                         f" {', '.join(map(repr, of_model))}; sample it in both, by one name")
        if of_model[name]["is_observed"]:
            hint = "; sample it in the guide `if y is None` alone" if name == "y" else ""
            raise _wrong("guide", name, f"that is latent in the model, where it is observed{hint}")
        shapes = [tuple(sites[name]["fn"].event_shape) for sites in (of_model, of_guide)]
        if shapes[0] != shapes[1]:
            raise _wrong("guide", name, f"with event shape {shapes[0]}, that of the model, got"
                         f" {shapes[1]}")
    _check_held(of_model, of_guide, given)
    for name, site in of_model.items():
        if name in of_guide or site["is_observed"]:
            continue
        discrete = site["fn"].has_enumerate_support
        if not (discrete and site["infer"].get("enumerate")):
            also = (", or sum it out in the model by infer={\"enumerate\": \"parallel\"}"
                    if discrete else "")
            where = " where y is None" if name == "y" else ""
            raise _wrong("model", name, f"that the guide samples too{where}, for it is latent, got"
                         f" none; sample it in the guide{also}")
    if given is None and "y" in of_guide:
        _warn_of_samples(of_guide["y"])


def _check_held(of_model: Sites, of_guide: Sites, given: Tensor | None) -> None:
    """Check that a y that is given and not observed is held by the guide, as several labels are."""
    if given is None or "y" not in of_model or of_model["y"]["is_observed"]:
        return
    known = ~given.isnan()
    held = "y" in of_guide and torch.allclose(
        of_guide["y"]["value"][known].to(given), given[known], atol=1e-4
    )
    if not held:
        raise _wrong("model", "y", "observed where y is given, got a latent one; pass obs=y")


def _warn_of_samples(site: Site) -> None:
    fn, how = site["fn"], site["infer"].get("enumerate")
    if fn.has_enumerate_support and how is None and not fn.has_rsample:
        warnings.warn(
            "site 'y' of the guide is discrete, and sampled: its gradients have a high variance;"
            " pass infer={\"enumerate\": \"parallel\"} to sum over it",
            stacklevel=5,
        )


def _check_log_prob(what: str, name: str, site: Site, x: Tensor) -> None:
    fn, value = site["fn"], site["value"]
    with running(f"log_prob of site {name!r} of the {what}", "check its distribution"):
        log_prob = fn.log_prob(value)
    if log_prob.shape != (len(x),):
        raise _wrong(what, name, f"with a log_prob of shape ({len(x)},), got"
                     f" {tuple(log_prob.shape)}")
    if isinstance(site["mask"], Tensor):
        log_prob = torch.where(site["mask"], log_prob, 0.0)
    if log_prob.isfinite().all():
        return
    row = int((~log_prob.isfinite()).nonzero()[0])
    raise _wrong(what, name, f"with a finite log_prob, got {log_prob[row].item()} for example"
                 f" {row}; look for log(0), 0 / 0 and scales of 0")


def _within(fn: Any, value: Tensor) -> bool:
    support = fn.support
    if isinstance(support, constraints.Constraint):
        try:
            return bool(support.check(value).all())
        except NotImplementedError:
            pass
    return True


def _wrong(what: str, name: str, wanted: str) -> InputError:
    return InputError(f"site {name!r} of the {what}: expected one {wanted}")
