"""What a module of one's own holds, by its place, ``"mypackage.module:mine"``, and its classes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from importlib import import_module
from traceback import walk_tb
from typing import Any, TypeVar

from pyro_ssvae.errors import InputError, unknown

T = TypeVar("T")


def is_place(name: str) -> bool:
    """Whether a name is of the form MODULE:ATTRIBUTE."""
    module, colon, attribute = name.partition(":")
    return bool(colon) and all(part.isidentifier() for part in (*module.split("."), attribute))


def place_of(value: Any) -> str:
    """The place of a class or function, from which :func:`called` gives it again.

    Raises:
        InputError: If it has none: it was made within a function, or in the program itself.
    """
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    place = f"{module}:{name}"
    if module == "__main__" or not is_place(place):
        raise InputError(
            f"expected a class or function of a module that can be imported, got {value!r:.60};"
            " put it into a file of its own, and import it from there"
        )
    return place


def called(place: str) -> Callable[..., Any]:
    """The class or function at a place.

    Raises:
        InputError: As :func:`imported`.
    """
    return imported(place, Callable, "network")  # type: ignore[arg-type]


def imported(place: str, kind: type[T], what: str) -> T:
    """What is at a place. This imports the module that the place names, and nothing else.

    Args:
        place: The place.
        kind: The class that it is to be of.
        what: The name of what is expected there, for messages.

    Raises:
        InputError: If it is not there, or of another class, or the module cannot be imported.
    """
    if not is_place(place):
        raise InputError(
            f"expected the place of a {what} as MODULE:ATTRIBUTE, such as mypackage.module:mine,"
            f" got {place!r}"
        )
    module, _, attribute = place.partition(":")
    try:
        content = vars(import_module(module))
    except (Exception, SystemExit) as error:  # the module's code can raise anything
        raise InputError(
            f"{place}: expected a module that can be imported, got {_reason(error, module)}"
        ) from None
    value = content.get(attribute)
    if not isinstance(value, kind):
        fitting = [name for name, other in content.items() if isinstance(other, kind)]
        if attribute not in content and fitting:
            raise unknown(f"{what} of {module}", attribute, fitting)
        came = type(value).__name__ if attribute in content else "nothing"
        if what == "pair" and inspect.isclass(value):
            raise InputError(
                f"{place}: expected a pair, got a class of that name; make one: mine ="
                f" pyro_ssvae.pair({attribute}, YourGuide), and name {module}:mine"
            )
        raise InputError(f"{place}: expected a {what}, got {came} of that name")
    return value


def _reason(error: BaseException, module: str) -> str:
    """Why a module cannot be imported, in a line: what is not there, or where its code is wrong."""
    reason = (f"{type(error).__name__}: {error}".splitlines() or [""])[0]
    if isinstance(error, ModuleNotFoundError):
        return f"{reason}; install its package, or name the folder that it is in by PYTHONPATH"
    if isinstance(error, SyntaxError):
        return f"{reason}; see {error.filename}, line {error.lineno}"
    package = module.partition(".")[0]
    lines = [
        f"; see {frame.f_code.co_filename}, line {line}"
        for frame, line in walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] == package
    ]
    return reason + (lines[-1] if lines else "")


def checked_class(program: Any, given: Collection[str]) -> type[Any]:
    """A class that can be built from what is given and the values of options.

    Raises:
        InputError: If it is no class, or has another argument without a default.
    """
    if not inspect.isclass(program):
        raise InputError(f"expected the classes of a model and a guide, got {program!r:.60}")
    for name, parameter in inspect.signature(program).parameters.items():
        variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if parameter.default is parameter.empty and not variadic and name not in given:
            raise InputError(
                f"{program.__name__}: expected no arguments without a default but"
                f" {', '.join(given)}, got {name}; give it a default"
            )
    return program
