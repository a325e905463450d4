"""Options, as signatures declare them, and their values: plain data, in layers."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pyro_ssvae.errors import InputError
from pyro_ssvae.system import words
from pyro_ssvae.system.numbers import in_python

SIZES = ("x_shape", "y_dim", "y_dims")  # which the data give
PLAIN = (str, int, float, type(None))


@dataclass(frozen=True)
class Option:
    """A keyword of a pair.

    Attributes:
        name: Its name.
        type: Its type, as annotated.
        default: Its default value.
        owner: What it belongs to: ``"model"``, ``"guide"``, ``"objective"`` or ``"training"``.
        meaning: Its description, or those of all that take it.
    """

    name: str
    type: Any
    default: Any
    owner: str
    meaning: str = ""

    @property
    def textual(self) -> bool:
        """Whether text can give a value; others are for Python alone."""
        return readable(self.type)


def keywords(function: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """The types and defaults of the arguments that have a default, by name."""
    try:
        parameters = inspect.signature(function, eval_str=True).parameters.values()
    except Exception as error:  # an annotation is code
        raise InputError(
            f"{function.__name__}: expected annotations that can be read, got"
            f" {type(error).__name__}: {error}"
        ) from None
    return {
        p.name: (type(p.default) if p.annotation is p.empty else p.annotation, p.default)
        for p in parameters if p.default is not p.empty and p.name not in SIZES
    }


def plain(value: Any) -> bool:
    """Whether a value is a number, a text, None, or a sequence of these."""
    parts = value if isinstance(value, (list, tuple)) else [value]
    return all(isinstance(part, PLAIN) for part in parts)


def readable(kind: Any) -> bool:
    """Whether text can give a value of a type: of several types, of one of them."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any(readable(arg) for arg in args)
    if words.spoken(kind):
        return True
    if origin is tuple:
        return args[0] in (int, float)
    return origin is Literal or kind in (bool, int, float, str)


def choices(kind: Any) -> tuple[str, ...]:
    """The texts that give a value of a type, where they are few; none of other types."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return args
    if origin not in (Union, types.UnionType):
        return ()
    parts = [choices(arg) for arg in args if readable(arg)]
    if type(None) in args:
        parts.append(("none",))
    return sum(parts, ()) if all(parts) else ()


def layered(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all layers by name, each as the last layer that has it says.

    A value for all that take an option, such as ``hidden``, also takes the place of those for one
    of them, such as ``guide.hidden``, in the layers before.
    """
    result: dict[str, Any] = {}
    for layer in layers:
        result = {
            name: value for name, value in result.items()
            if "." not in name or name.partition(".")[2] not in layer
        }
        result |= layer
    return result


def as_declared(value: Any, kind: Any, name: str = "value") -> Any:
    """A value as its type has it: 2 is 2.0 where that is a float, 2.0 is 2 where it is an int.

    A list is a tuple, and a number that stands alone a tuple of one, where the type is a tuple.
    Numbers of NumPy become Python's, for checkpoints that are read safely hold no others.
    What a text can say is a text, see :mod:`pyro_ssvae.system.words`.
    """
    value = in_python(value)
    if says := words.kinds_of(kind):
        if isinstance(value, str):
            value = words.heard(value, says, name)
        return words.said(value) if isinstance(value, tuple(says)) else value
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        wanted = [arg for arg in args if arg is not type(None)]
        return as_declared(value, wanted[0]) if len(wanted) == 1 and value is not None else value
    if origin is tuple and args[0] in (int, float) and type(value) in (int, float):
        value = (value,)
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(as_declared(part, args[0]) for part in value)
    if kind is int and type(value) is float and value.is_integer():
        return int(value)
    if kind is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    return value


def fits(value: Any, kind: Any) -> bool:
    """Whether a value, as :func:`as_declared` gives it, is of a type.

    What no text can give is left to the program that takes it, and so are the words of a Literal.
    """
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any(fits(value, arg) for arg in args)
    if kind is type(None):
        return value is None
    if not readable(kind):
        return True
    if origin is tuple:
        return isinstance(value, tuple) and all(fits(part, args[0]) for part in value)
    if kind in (int, float):
        return isinstance(value, (int, kind)) and not isinstance(value, bool)
    return isinstance(value, bool if kind is bool else str)


def checked(value: Any, kind: Any, name: str) -> Any:
    """A value as its type has it.

    Raises:
        InputError: If it is of another type.
    """
    result = as_declared(value, kind, name)
    if not fits(result, kind):
        raise InputError(f"expected {name} as {_wanted(kind)}, got {value!r:.60}")
    return result


def _wanted(kind: Any) -> str:
    """The values of a type in words."""
    if says := words.kinds_of(kind):
        return f"a text such as {says[0].word}"
    args = get_args(kind)
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join("None" if arg is type(None) else _wanted(arg) for arg in args)
    if get_origin(kind) is tuple:
        return "whole numbers such as (256, 128)" if args[0] is int else "numbers such as (0.5, 1)"
    named = {int: "a whole number", float: "a number", bool: "True or False"}
    return named.get(kind, "a text")
