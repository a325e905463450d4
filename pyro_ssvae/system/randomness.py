"""Torch's random numbers from a seed, for a while, on the devices that are concerned alone."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import device, nn


def gpus(modules: Iterable[nn.Module]) -> list[device]:
    """The GPUs that the parameters of modules are on."""
    return list({p.device for module in modules for p in module.parameters() if p.is_cuda})


def seed(number: int, devices: Iterable[device]) -> None:
    """Seed torch's generator of the CPU, and those of some GPUs.

    On these devices it gives the numbers that torch.manual_seed gives, which seeds all GPUs.
    """
    import torch

    torch.default_generator.manual_seed(number)
    for each in devices:
        with torch.cuda.device(each):
            torch.cuda.manual_seed(number)


def other_noise() -> dict[str, object]:
    """The states of generators that are not torch's, which training neither seeds nor saves."""
    import numpy as np

    of_numpy = [
        part.tobytes() if isinstance(part, np.ndarray) else part for part in np.random.get_state()
    ]
    return {"numpy's random state": of_numpy, "Python's random state": random.getstate()}


@contextmanager
def other_noise_kept() -> Iterator[None]:
    """Put the states of NumPy's and Python's generators back at the end."""
    import numpy as np

    of_numpy, of_python = np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        np.random.set_state(of_numpy)
        random.setstate(of_python)


@contextmanager
def seeded(number: int, devices: Iterable[device]) -> Iterator[None]:
    """Within, torch draws what a seed gives on the CPU and on some GPUs; then it is as it was.

    Args:
        number: The seed.
        devices: The devices that are concerned. The CPU always is.
    """
    import torch

    cards = [each for each in devices if each.type == "cuda"]
    with torch.random.fork_rng(devices=cards):
        seed(number, cards)
        yield
