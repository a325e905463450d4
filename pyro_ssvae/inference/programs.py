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
def buffers_kept(*modules: nn.Module) -> Iterator[None]:
    """Put buffers, such as the statistics of batch normalisation, back at the end.

    Within, they may be changed in place, or replaced by other tensors.
    """
    places = [
        (part._buffers, name, buffer, buffer.data_ptr(), buffer.detach().clone())
        for module in modules for part in module.modules()
        for name, buffer in part._buffers.items() if buffer is not None
    ]
    try:
        yield
    finally:
        with torch.no_grad():
            for owner, name, buffer, place, value in places:
                owner[name] = buffer
                if buffer.data_ptr() != place:  # what `.data` was set to is not its own
                    buffer.data = value
                buffer.copy_(value)


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
