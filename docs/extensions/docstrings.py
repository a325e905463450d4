"""Docstrings as they are written here: in Google's style, in sentences, with names for short."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.napoleon import GoogleDocstring
from sphinx.util.nodes import make_refnode

# What is no markup: the star of (N, *x_shape), and the bar of |KL - C|.
PLAIN = re.compile(r"(?<=[(, ])\*(?=\w+[),])|(?<!\w)\|(?=\w)")

# An option, and what is given to it: --set m2.alpha=1,10, or --labels 50,100.
OPTION = re.compile(r"(?<![\w`-])--[a-z][\w-]*(?: [\w.]+=\w+(?:[,.]\w+)*| \d+(?:,\d+)*)?")

# Code, which is as it is, or what lies before it.
LITERAL = re.compile(r"(``.*?``)|[^`]+|`")
TILDE = re.compile(r"~(?:\w+\.)+")
STAR = re.compile(r"(?<!\*)\*(?!\*)")
COMMAND = re.compile(r"(\| (?:bash|zsh|fish): +)(.*)")


class Docstring(GoogleDocstring):
    """A docstring of which no sentence is taken for a type because of its colon."""

    def _consume_inline_attribute(self) -> tuple[str, list[str]]:
        return "", [self._lines.next(), *self._dedent(self._consume_to_end())]

    def _consume_returns_section(
        self, preprocess_types: bool = False
    ) -> list[tuple[str, str, list[str]]]:
        return [("", "", self._dedent(self._consume_to_next_section()))]


def escape(part: re.Match[str]) -> str:
    """A part of a line of which what is no markup is not read as such."""
    return part[0] if part[1] else PLAIN.sub(r"\\\g<0>", part[0])


def read(
    app: Sphinx, what: str, name: str, documented: Any, options: Any, lines: list[str]
) -> None:
    """Have Sphinx read a docstring so."""
    if what == "data":  # an alias, which has the docstring of its type
        lines.clear()
        return
    escaped = [LITERAL.sub(escape, line) for line in lines]
    fields = Docstring(escaped, app.config, app, what, name, documented, options).lines()
    lines[:] = [re.sub(r"^(:ivar \w+)_:", r"\1\\_:", line) for line in fields]  # as classes_


def by_its_end(
    app: Sphinx, env: BuildEnvironment, node: Any, content: nodes.TextElement
) -> nodes.reference | None:
    """What a name that is short, such as ``Dataset.split``, is the end of, if one thing alone."""
    if node.get("refdomain") != "py":
        return None
    domain, target = env.domains.python_domain, node["reftarget"]
    kinds = domain.objtypes_for_role(node["reftype"])
    places = {
        (entry.docname, entry.node_id) for name, entry in domain.objects.items()
        if name.endswith(f".{target}") and (kinds is None or entry.objtype in kinds)
    }
    if len(places) != 1:
        return None
    ((page, place),) = places
    return make_refnode(app.builder, node["refdoc"], page, place, content, target)


def without_arguments(
    app: Sphinx, what: str, name: str, documented: Any, options: Any, signature: str, returns: Any
) -> tuple[str, Any] | None:
    """The signature of a protocol, of which nobody makes an instance: none."""
    return ("", returns) if getattr(documented, "_is_protocol", False) else None


def leave_out(
    app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out the fields of a named tuple, which its docstring says more of than Python."""
    return True if type(member).__name__ == "_tuplegetter" else None


def shorten(app: Sphinx, page: nodes.document) -> None:
    """Write a type within a type as others are: ``Sequence[~collections.abc.Mapping]``."""
    for text in list(page.findall(nodes.Text)):
        if isinstance(text.parent, (nodes.emphasis, addnodes.literal_emphasis)):
            short = TILDE.sub("", text)
            if short != text:
                text.parent.replace(text, nodes.Text(short))


def read_help(app: Sphinx, context: Any, lines: list[str]) -> None:
    """Have Sphinx read the help of commands: ``*.png`` is no markup, ``--set`` and a line to copy
    such as ``bash: echo ...`` are code."""
    lines[:] = [
        line if line.lstrip().startswith("..") else
        COMMAND.sub(r"\1``\2``", line) if COMMAND.match(line) else
        OPTION.sub(r"``\g<0>``", STAR.sub(r"\\*", line))
        for line in lines
    ]


def setup(app: Sphinx) -> dict[str, bool]:
    """Read docstrings so, and look up names so."""
    app.connect("autodoc-process-docstring", read)
    app.connect("autodoc-process-signature", without_arguments)
    app.connect("autodoc-skip-member", leave_out)
    app.connect("doctree-read", shorten)
    app.connect("missing-reference", by_its_end)
    app.connect("sphinx-click-process-description", read_help)
    app.connect("sphinx-click-process-options", read_help)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
