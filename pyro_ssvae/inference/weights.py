"""The weights of a loss, by name."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping

from pyro_ssvae.errors import InputError, not_negative, unknown


class Weights(UserDict[str, float]):
    """The weights of a loss by name, each a finite number of at least 0.

    A weight can be changed at any time. Its name is one of those that there were to begin with.

    Args:
        weights: The weights to begin with.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        not_negative(**weights)
        self.data = {name: float(weight) for name, weight in weights.items()}

    def __setitem__(self, name: str, weight: float) -> None:
        if name not in self.data:
            raise unknown("weight", name, self.data)
        not_negative(**{name: weight})
        self.data[name] = float(weight)

    def __delitem__(self, name: str) -> None:
        raise InputError(f"expected weights to keep their names, got a deletion of {name}: set it"
                         " to 0")
