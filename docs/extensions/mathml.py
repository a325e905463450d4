"""Formulas as MathML, which browsers draw by themselves: no script, and no network."""

from __future__ import annotations

import re
from typing import Any, Literal

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

NAME = re.compile(r"(<mi>(?:log|exp|sin|cos|tanh|max|min|arg max|arg min)</mi>)")


def mathml(node: nodes.Node, display: Literal["inline", "block"]) -> str:
    """A formula in TeX as MathML, with a thin space behind the names of functions."""
    return NAME.sub(r'\1<mspace width="0.17em"/>', convert(node.astext(), display=display))


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
