"""Numbers as Python and JSON have them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def in_python(value: Any) -> Any:
    """A value with Python's numbers, truths and texts in place of NumPy's, in sequences too.

    Those of NumPy stand for the same, but files that are read back safely do not hold them.
    """
    import numpy as np  # here, for the command line starts without it

    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (list, tuple):
        return type(value)(map(in_python, value))
    return value


def finite(data: Any) -> Any:
    """Plain data as JSON has it: a number that is not finite becomes None, which is null there."""
    if isinstance(data, Mapping):
        return {str(name): finite(value) for name, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
