"""What a run is trained on: the device, and the versions of the libraries."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pyro
import torch

import pyro_ssvae
from pyro_ssvae.errors import InputError
from pyro_ssvae.system import processes


def choose_device(name: str) -> torch.device:
    """The device of this name; ``"auto"`` is the GPU where there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        processes.check_devices(torch.cuda.device_count())
    try:
        device = torch.device(name)
        torch.zeros((), device=device).item()
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InputError(
            f"expected a device that torch can use here, such as auto, cpu or cuda, got {name!r}"
        ) from error
    if device.index is not None and processes.number() > 1:
        raise InputError(
            f"expected a GPU for each of {processes.number()} processes, got {name!r} for all: use"
            " --device cuda"
        )
    return device


def device_name(device: torch.device) -> str:
    """The name of a GPU, or the type of another device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def hardware() -> str:
    """The GPU, or the processor and its cores."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name} with {os.cpu_count()} cores"


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that results depend on."""
    return {
        "python": platform.python_version(), "torch": torch.__version__,
        "pyro": pyro.__version__, "pyro_ssvae": pyro_ssvae.__version__,
    }
