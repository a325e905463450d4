"""Spaces at which no line ends: within 89.4 ± 2.2, 90 %, eq. 7, p(x | y, z) and (N, C, H, W)."""

from __future__ import annotations

import re

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

TOGETHER = re.compile(
    r"(\d+(?:\.\d+)? ± \d+(?:\.\d+)?(?: %)?|\d[\d.,]* (?:%|ms|s|GB|MB|nats)(?!\w)"
    r"|(?:eqs?\.|figure|section|table|appendix) [\dA-Z]\b"
    r"|\b[pqEIN]\([^()\n]{1,24}\)|\([A-Z\d][\w*]*(?:, [A-Z\d][\w*]*)+\))"
)
MINUS = re.compile(r"(?<![\w-])-(?=log\b)")
AS_IT_IS = (
    nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw, nodes.comment,
    addnodes.desc_sig_element,
)


def hold_together(app: Sphinx, page: nodes.document) -> None:
    """Let no line of a page end in the midst of a number or of a probability."""
    for text in list(page.findall(nodes.Text)):
        if isinstance(text.parent, AS_IT_IS):
            continue
        parts: list[nodes.Node] = []
        for index, part in enumerate(TOGETHER.split(MINUS.sub("\N{MINUS SIGN}", text))):
            held = index % 2 and " " in part
            parts.append(nodes.inline("", part, classes=["held"]) if held else nodes.Text(part))
        text.parent.replace(text, parts)


def setup(app: Sphinx) -> dict[str, bool]:
    """Do so on every page."""
    app.connect("doctree-read", hold_together)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
