"""The noise of an epoch, which its seed and its number give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from pyro_ssvae.system.randomness import gpus, seeded

Noise = dict[str, Tensor]  # states of generators by name


def noise_seed(seed: int, epoch: int) -> int:
    """The seed of the noise in an epoch of a training with this seed."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


@contextmanager
def torch_noise(
    module: nn.Module, seed: int, state: Mapping[str, Tensor]
) -> Iterator[Callable[[], Noise]]:
    """Within, torch's own generators give noise; afterwards they are as they were.

    Args:
        module: The module on whose device the noise is drawn.
        seed: The seed of the noise.
        state: The state of the noise to go on from; an empty one stands for the beginning.

    Yields:
        A function that gives the state of the noise.
    """
    devices = gpus([module])
    with seeded(seed, devices):
        if "cpu" in state:
            torch.set_rng_state(state["cpu"].cpu())
        for device in devices if "cuda" in state else ():
            torch.cuda.set_rng_state(state["cuda"].cpu(), device)
        yield lambda: {"cpu": torch.get_rng_state()} | {
            "cuda": torch.cuda.get_rng_state(device) for device in devices
        }
