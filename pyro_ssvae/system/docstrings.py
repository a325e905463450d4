"""What docstrings in Google's style say, as plain text for the command line."""

from __future__ import annotations

import inspect
import re
from typing import Any


def paragraph(documented: Any, number: int) -> str:
    """A paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(documented) or "").split("\n\n")[number].split())


def arguments(documented: Any) -> dict[str, str]:
    """The descriptions of the arguments by name, each on one line and without markup.

    A class is described by itself, and by its bases where it says nothing.
    """
    result: dict[str, str] = {}
    described = inspect.getmro(documented) if inspect.isclass(documented) else (documented,)
    for base in reversed(described):
        result |= _described(inspect.cleandoc(base.__doc__ or ""))
    return result


def _described(text: str) -> dict[str, str]:
    section = re.search(r"^Args:\n((?: +.*\n?|\n(?= ))*)", text, re.MULTILINE)
    entries = re.findall(
        r"^ {4}(\w+(?:, \w+)*): (.*(?:\n {8}.*)*)", section[1] if section else "", re.MULTILINE
    )
    return {name: _plain(about) for names, about in entries for name in names.split(", ")}


def _plain(text: str) -> str:
    text = re.sub(r'``"?(.*?)"?``', r"\1", " ".join(text.split()))
    return re.sub(r":\w+:`~?(.*?)`", r"\1", text)
