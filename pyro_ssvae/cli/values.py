"""Options as text, ``NAME=VALUE``: read as their types ask, and shown as they are read."""

from __future__ import annotations

import csv
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin

from pyro_ssvae.errors import InputError, one_of, unknown
from pyro_ssvae.experiments.options import choices, readable
from pyro_ssvae.system import words

if TYPE_CHECKING:
    from pyro_ssvae.experiments.options import Option
    from pyro_ssvae.experiments.pairs import Pair

Value = TypeVar("Value", int, float)


def of_pair(settings: Iterable[str], known: Mapping[str, Option]) -> dict[str, Any]:
    """Settings of one pair, ``NAME=VALUE``, as values by name.

    Args:
        settings: The settings.
        known: The options by name.

    Raises:
        InputError: If a setting has no such form, an unknown name, a value of another type, or
            comes twice.
    """
    values: dict[str, Any] = {}
    for name, text in map(_split, settings):
        if name in values:
            raise InputError(f"expected one value of {name}, got it twice; compare takes several")
        values[name] = _read(name, text, known)
    return values


def of_comparison(settings: Iterable[str], pairs: Sequence[Pair]) -> dict[str, Any]:
    """Settings of several pairs, as :func:`pyro_ssvae.experiments.compare.compare` takes options.

    Args:
        settings: The settings: ``NAME=VALUE`` goes to every pair that takes it, and
            ``PAIR.NAME=VALUE`` to one. A name that comes several times has several values, and
            so has ``NAME=VALUE,VALUE`` where a value has no comma of its own.
        pairs: The pairs.

    Raises:
        InputError: As :func:`of_pair`, or if a setting is for a pair that is none of these.
    """
    from pyro_ssvae.experiments.pairs import taken

    known, by_name = taken(pairs), {pair.name: pair for pair in pairs}
    found: dict[str, dict[str, list[Any]]] = {"": {}}
    for name, text in map(_split, settings):
        first, option = _first(name)
        if first in by_name:
            own = _several(option, text, by_name[first].known, f"option of {first}")
            found.setdefault(first, {}).setdefault(option, []).extend(own)
        elif not first or first in _parts(known):
            found[""].setdefault(name, []).extend(_several(name, text, known))
        else:
            raise unknown("model of this comparison", first, [*by_name, *_parts(known)])
    of_each: dict[str, Any] = {
        first: {name: v if len(v) > 1 else v[0] for name, v in options.items()}
        for first, options in found.items()
    }
    return of_each.pop("") | of_each


def seeds(text: str) -> int | list[int]:
    """The number of seeds, or several of them separated by commas, ``0,3,5``.

    Raises:
        InputError: If the text is neither.
    """
    try:
        numbers = [int(part) for part in text.split(",") if part]
    except ValueError:
        numbers = []
    if not numbers:
        raise InputError(f"expected a number of seeds, or seeds such as 0,3,5, got {text!r}")
    return numbers if "," in text else numbers[0]


def by_data(
    option: str, text: str, read: Callable[[str], Value]
) -> tuple[Value | None, dict[str, Value]]:
    """A number, and those of single data sets: ``0.1``, ``mnist=0.1`` or ``1,mnist=0.1``.

    Args:
        option: The option that it is the value of, as it is called in errors.
        text: The text; ``""`` holds no number.
        read: A function that reads a number, and raises a ``ValueError`` at anything else.

    Returns:
        The number, if there is one, and the numbers by the names of the data sets.

    Raises:
        InputError: If the text is none of these, or says a number twice.
    """
    parts = [part.rpartition("=") for part in text.split(",") if text]
    try:
        found = {name: read(number) for name, _, number in parts}
    except ValueError:
        found = {}
    if len(found) != len(parts) or any(equals and not name for name, equals, _ in parts):
        raise InputError(
            f"expected {option} as a number, or as one for a data set such as mnist=1 after a"
            f" comma, got {text!r}"
        )
    return found.pop("", None), found


def names(text: str) -> list[str]:
    """Names with commas between them; one that holds a comma stands in double quotes.

    Raises:
        InputError: If there are several lines.
    """
    try:
        return next(csv.reader([text], skipinitialspace=True), [])
    except csv.Error:
        raise InputError(f"expected names with commas between them, in a line, got {text!r:.60}"
                         ) from None


def several_labels(text: str | None) -> list[Any]:
    """The texts of several numbers of labels, ``50,100,all``, each for :func:`labels`."""
    return [text] if text is None or "=" in text else text.split(",")


def labels(text: str) -> int | dict[str, int] | Literal["all"]:
    """Numbers of labels: ``50``, ``all``, or a number for each class, ``cat=5,dog=20``.

    Raises:
        InputError: If the text is none of these.
    """
    if text == "all":
        return "all"
    parts = names(text)
    try:
        if "=" not in text:
            return int(text)
        pairs = [part.rpartition("=") for part in parts]
        result = {name: int(number) for name, _, number in pairs}
    except ValueError:
        result = {}
    if "" in result or len(result) != len(parts):
        raise InputError(
            "expected a number of examples, all, or a number for each class such as cat=5,dog=20,"
            f" got {text!r}"
        )
    return result


def shown(value: Any) -> str:
    """A value of an option as :func:`of_pair` reads it."""
    if isinstance(value, tuple):
        return ",".join(map(shown, value))
    if words.spoken(type(value)):
        return words.said(value)
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _split(setting: str) -> tuple[str, str]:
    name, equals, text = setting.partition("=")
    if not equals:
        raise InputError(f"expected an option as NAME=VALUE, got {setting!r}")
    return name, text


def _first(name: str) -> tuple[str, str]:
    """The pair, or the part of one, that a name begins with, and the rest of the name."""
    place, colon, rest = name.rpartition(":")  # the place of a pair has dots of its own
    first, dot, option = rest.partition(".")
    return (place + colon + first, option) if dot else ("", name)


def _parts(known: Mapping[str, Option]) -> set[str]:
    """What options can be set for alone: ``guide`` of ``guide.hidden``."""
    return {name.partition(".")[0] for name in known if "." in name}


def _read(name: str, text: str, known: Mapping[str, Option], what: str = "option") -> Any:
    if name not in known:
        raise unknown(what, name, [key for key, option in known.items() if option.textual])
    kind = known[name].type
    if says := words.kinds_of(kind):
        return words.said(words.heard(text, says, name))
    if texts := choices(kind):
        one_of(name, text, texts)
    try:
        return _value(text, kind)
    except ValueError:
        raise InputError(f"option {name}: expected {_wanted(kind)}, got {text!r}") from None


def _several(
    name: str, text: str, known: Mapping[str, Option], what: str = "option"
) -> list[Any]:
    """The values that a text has, of which one may have commas of its own."""
    texts = [text]
    if name in known and not _sequence(known[name].type):
        texts = text.split(",")
    return [_read(name, each, known, what) for each in texts]


def _sequence(kind: Any) -> bool:
    """Whether text of this type has commas."""
    return get_origin(kind) is tuple or any(map(_sequence, get_args(kind)))


def _wanted(kind: Any) -> str:
    """What :func:`_value` reads as this type, in words."""
    args = get_args(kind)
    if type(None) in args:
        return f"{_wanted(next(arg for arg in args if arg is not type(None)))}, or none"
    if get_origin(kind) is tuple:
        numbers, example = (
            ("whole numbers", "256,128") if args[0] is int else ("numbers", "0.5,0.5")
        )
        return f"{numbers} separated by commas, such as {example}"
    named = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return named.get(kind, "a value that only Python can give")


def _value(text: str, kind: Any) -> Any:
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return text
    if origin in (Union, types.UnionType):
        if text.lower() == "none" and type(None) in args:
            return None
        return _value(text, next(arg for arg in args if readable(arg)))
    if origin is tuple:
        return tuple(_value(part, args[0]) for part in text.split(",") if part)
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    if kind not in (int, float, str):
        raise ValueError(text)
    return kind(text)
