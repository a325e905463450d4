"""Ways to run Pyro programs: with parameters of their own, in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyro
import torch
from torch import nn

from pyro_ssvae.system.randomness import gpus, seeded


@contextmanager
def private_params() -> Iterator[None]:
    """Run Pyro programs whose parameters belong to their modules, not to the global store.

    Two models with equal parameter names, or two models one after the other, would otherwise
    meet in the store, and all but the first would be left untrained without an error.
    """
    with pyro.get_param_store().scope():
        yield


@contextmanager
def evaluation_mode(*programs: Any) -> Iterator[None]:
    """Put programs that are modules into evaluation mode, and back into their modes at the end."""
    modules = [m for program in programs if isinstance(program, nn.Module)
               for m in program.modules()]
    modes = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, mode in zip(modules, modes):
            module.training = mode


@contextmanager
def evaluating(*modules: nn.Module, seed: int = 0) -> Iterator[None]:
    """Evaluation mode: no gradients, no validation by Pyro, noise of its own from ``seed``.

    The modules' modes and the global random state are put back at the end.
    """
    with (
        seeded(seed, gpus(modules)),
        torch.no_grad(),
        pyro.validation_enabled(False),
        evaluation_mode(*modules),
    ):
        yield
