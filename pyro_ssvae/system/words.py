"""Values that a text can say: a word, and what belongs to it behind a colon, ``normal:0.1``.

Such a value is a frozen dataclass with a ``word``, a text that is its own. Its fields are numbers
or None, but for those of the metadata ``{"spoken": False}``.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any, Union, get_args, get_origin, get_type_hints

from pyro_ssvae.errors import InputError, unknown


def spoken(kind: Any) -> bool:
    """Whether a type is one whose values a text can say."""
    return isinstance(kind, type) and hasattr(kind, "word")


def kinds_of(annotation: Any) -> list[Any]:
    """The types of an annotation whose values a text can say."""
    union = get_origin(annotation) in (Union, types.UnionType)
    return [kind for kind in (get_args(annotation) if union else (annotation,)) if spoken(kind)]


def said(value: Any) -> str:
    """The text that says a value; what is as it would be anyway is left out of its end."""
    named = [field for field in fields(value) if field.metadata.get("spoken", True)]
    while named and getattr(value, named[-1].name) == named[-1].default:
        named.pop()
    hints = get_type_hints(type(value))
    numbers = [_said(getattr(value, field.name), hints[field.name]) for field in named]
    return ":".join([value.word, ",".join(numbers)]) if numbers else str(value.word)


def heard(text: str, kinds: Sequence[Any], what: str = "value") -> Any:
    """The value that a text says.

    Args:
        text: The text.
        kinds: The types that it may be of.
        what: The name of what it is a value of, for messages.

    Raises:
        InputError: If it says none of these kinds.
    """
    word, colon, rest = text.partition(":")
    known = {kind.word: kind for kind in kinds}
    if word not in known:
        raise unknown(what, word, known)
    kind = known[word]
    told = [field for field in fields(kind) if field.metadata.get("spoken", True)]
    named = [field.name for field in told]
    least = sum(field.default is MISSING for field in told)
    parts = rest.split(",") if colon else []
    if not least <= len(parts) <= len(named):
        raise InputError(
            f"expected {word} with {', '.join(named) or 'nothing'} behind a colon, got {text!r}"
        )
    hints = get_type_hints(kind)
    return kind(**{
        name: _number(part.strip(), hints[name], text) for name, part in zip(named, parts)
    })


def _said(number: Any, kind: Any) -> str:
    if number is None:
        return "none"
    return repr(float(number) if float in (get_args(kind) or (kind,)) else number)


def _number(part: str, kind: Any, text: str) -> float | int | None:
    allowed = get_args(kind) or (kind,)
    if type(None) in allowed and part == "none":
        return None
    try:
        return float(part) if float in allowed else int(part)
    except ValueError:
        wanted = "a number" if float in allowed else "a whole number"
        raise InputError(f"{text}: expected {wanted}, got {part!r}") from None
