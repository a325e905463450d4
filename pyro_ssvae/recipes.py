"""Options that suit the data sets known by name: here, for to name them must not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PLANE = {"hidden": (50, 50), "z_dim": 1, "likelihood": "normal"}
# Features in [0, 1] that are no pixels.
_FEATURES = {"likelihood": "normal", "sigma": 0.1, "hidden": (128,), "z_dim": 16, "lr": 3e-3}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "digits": {"hidden": (128,), "z_dim": 16, "lr": 3e-3},
    "mnist": {"hidden": (500,), "z_dim": 50},
    "moons": _PLANE,
    "circles": _PLANE,
    "yeast": _FEATURES,
    "scene": _FEATURES,
    "emotions": _FEATURES,
}
