"""The code of pairs of one's own: a run says which it was trained with."""

from __future__ import annotations

import hashlib
import inspect
from typing import Any


def fingerprint(*programs: Any) -> str:
    """The SHA-256 sum of what programs of one's own are written in; ``""`` for the library's.

    That is the module of each, of a script the class or function alone. Where it cannot be read it
    is ``""`` too.
    """
    own = [each for each in programs if not each.__module__.startswith("pyro_ssvae.")]
    try:
        texts = [inspect.getsource(_place(each)) for each in own]
    except (OSError, TypeError):
        return ""
    return hashlib.sha256("".join(texts).encode()).hexdigest() if own else ""


def changed(name: str, old: str, new: str) -> str | None:
    """What to say of a run whose pair has other code by now, by the fingerprints; else None."""
    if not (old and new) or old == new:
        return None
    return f"the code of {name} has changed since the run began"


def _place(program: Any) -> Any:
    module = inspect.getmodule(program)
    return program if module is None or module.__name__ == "__main__" else module
