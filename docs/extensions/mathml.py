"""Formulas as MathML, which browsers draw by themselves: no script, and no network."""

from __future__ import annotations

import re
from typing import Any, Literal

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

NAME = re.compile(
    r"(</m(?:i|n|sub|sup|subsup)>|&#x00029;</mo>)?"
    r"(<mi>(?:log|exp|sin|cos|tanh|max|min|arg max|arg min)</mi>)"
)
SPACE = '<mspace width="0.17em"/>'


def mathml(node: nodes.Node, display: Literal["inline", "block"]) -> str:
    """A formula in TeX as MathML, with thin spaces around the names of functions, as TeX has them.

    The converter knows split and not aligned, sets a tag close to its formula, and takes the tilde
    of a distribution for a letter.
    """
    tex = node.astext().replace("{aligned}", "{split}").replace(r"\tag{", r"\qquad\tag{")
    drawn = convert(tex, display=display).replace("<mi>&#x0007E;</mi>", "<mo>&#x0223C;</mo>")
    return NAME.sub(lambda m: f"{m[1]}{SPACE}{m[2]}{SPACE}" if m[1] else f"{m[2]}{SPACE}", drawn)


def inline(self: Any, node: nodes.math) -> None:
    """A formula within a line."""
    self.body.append(mathml(node, "inline"))
    raise nodes.SkipNode


def display(self: Any, node: nodes.math_block) -> None:
    """A formula on lines of its own."""
    self.body.append(f'<div class="math">{mathml(node, "block")}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Offer it as a renderer of formulas."""
    app.add_html_math_renderer("mathml", (inline, None), (display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
