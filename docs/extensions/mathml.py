"""Formulas as MathML, which browsers draw by themselves: no script, and no network."""

from __future__ import annotations

import re
from typing import Any, Literal

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

# A word in upright letters, each a variable of its own, and what may be set too close to a word.
LETTERS = re.compile(r'<mrow>((?:<mi mathvariant="normal">\w</mi>){2,})</mrow>')
WORD = r"<mi>\w[\w ]+</mi>"
THIN = '<mspace width="0.17em"/>'

# What TeX draws in another way: "~" and "‖" have space around them, "/" has none, a minus sign that
# begins something is no difference, and what is minimised over stands below.
SIGNS = {
    "<mi>&#x0007E;</mi>": "<mo>&#x0223C;</mo>",
    "<mi>&#x02016;</mi>": '<mo stretchy="false" lspace="0.22em" rspace="0.22em">&#x02016;</mo>',
    "<mo>&#x0002F;</mo>": '<mo lspace="0.06em" rspace="0.06em">&#x0002F;</mo>',
    r"((?:[\[(]|&#x00028;|&#x0003D;|&#x0002C;)</mo>)<mo>&#x02212;</mo>":
        r'\1<mo form="prefix">&#x02212;</mo>',
    r"<msub><mo>(min|max)</mo><mrow>(.*?)</mrow></msub>":
        r"<munder><mi>\1</mi><mrow>\2</mrow></munder>",
}


def mathml(node: nodes.Node, display: Literal["inline", "block"]) -> str:
    """A formula in TeX as MathML, with the spaces that TeX would set.

    The converter knows split and not aligned, and sets a tag close to its formula.
    """
    tex = node.astext().replace("{aligned}", "{split}").replace(r"\tag{", r"\qquad\tag{")
    formula = LETTERS.sub(
        lambda word: f"<mi>{re.sub('<[^>]*>', '', word[1])}</mi>", convert(tex, display=display)
    )
    for sign, drawn in SIGNS.items():
        formula = re.sub(sign, drawn, formula)
    formula = re.sub(rf"(</m(?:i|n|su[bp])>|&#x00029;</mo>)({WORD})", rf"\1{THIN}\2", formula)
    return re.sub(rf"({WORD})(?=<m(?:i|n|su))", rf"\1{THIN}", formula)


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
