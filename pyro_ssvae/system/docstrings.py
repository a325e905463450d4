"""What docstrings in Google's style say, as plain text for the command line."""

from __future__ import annotations

import inspect
import re
from typing import Any

FOREIGN = ("builtins", "pyro", "torch")  # packages whose docstrings are of no pair


def paragraph(documented: Any, number: int) -> str:
    """A paragraph of a docstring, on one line; nothing where there is no such paragraph.

    A class that says nothing is described by its bases, but not by torch's or Pyro's.
    """
    described = inspect.getmro(documented) if inspect.isclass(documented) else (documented,)
    own = [each for each in described if each.__module__.split(".")[0] not in FOREIGN]
    text = next((each.__doc__ for each in own if each.__doc__), "")
    paragraphs = inspect.cleandoc(text or "").split("\n\n")
    return " ".join(paragraphs[number].split()) if number < len(paragraphs) else ""


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
