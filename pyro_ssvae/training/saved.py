"""Checks of what is read back: files can hold anything, and torch looks at little of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

NUMBER = (int, float)


def check_types(part: str, content: Any, types: Mapping[str, Any]) -> None:
    """Raise ValueError unless a part has values by name, those of ``types`` of these types."""
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ValueError(f"{part} are no named values")
    for name, wanted in types.items():
        if not isinstance(content.get(name), wanted):
            raise ValueError(f"{part} have no usable {name}")


def check_tensor(name: str, value: Any, *, finite: bool = True) -> None:
    """Raise ValueError unless a value is a tensor that has all its numbers.

    Args:
        name: What it is called in the message.
        value: The value.
        finite: Whether the numbers have to be finite. Those of a buffer need not be: it may be a
            mask of minus infinity.
    """
    if not isinstance(value, Tensor):
        raise ValueError(f"{name} is no tensor")
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise ValueError(f"{name} has the shape {tuple(value.shape)} and fewer numbers")
    if finite and not value.isfinite().all():
        raise ValueError(f"{name} has values that are not finite")
