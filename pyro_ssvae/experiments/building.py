"""Programs built from the values of options, and what is noted where one raises."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pyro_ssvae.errors import InputError


def of_owner(owner: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values for one owner by plain names."""
    prefix = f"{owner}."
    own = {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
    return {**values, **own}


def called(function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
    """What a function gives for those of the values that it takes."""
    wanted = inspect.signature(function).parameters
    return function(**{name: value for name, value in values.items() if name in wanted})


@contextmanager
def noted(
    pair: str, values: Mapping[str, Any], kind: str, usual: Mapping[str, Any]
) -> Iterator[None]:
    """Note at what a program raises which values it was built with, and whence they are.

    Args:
        pair: The name of the pair.
        values: The values of the options of its programs.
        kind: The kind of the data.
        usual: The values that options have on this kind of data.
    """
    try:
        yield
    except InputError:  # it says itself what was wanted
        raise
    except Exception as error:
        told = ", ".join(f"{name}={value!r:.60}" for name, value in values.items())
        of_kind = [name for name in values if name in usual and usual[name] == values[name]]
        verb = "are those" if len(of_kind) > 1 else "is that"
        whence = f", of which {', '.join(of_kind)} {verb} of the kind {kind}" if of_kind else ""
        error.add_note(f"{pair} was built with {told or 'no options'}{whence}")
        raise
