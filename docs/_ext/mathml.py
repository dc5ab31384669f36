"""Formulas as MathML, which browsers draw by themselves: a script from elsewhere would need a network, and the pages need none."""

from __future__ import annotations

from typing import Any

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml


def _inline(writer: Any, node: Any) -> None:
    writer.body.append(tex2mathml(node.astext(), as_block=False))
    raise SkipNode


def _block(writer: Any, node: Any) -> None:
    writer.body.append(writer.starttag(node, "div", CLASS="formula") + tex2mathml(node.astext(), as_block=True) + "</div>\n")
    raise SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer; it becomes the one in use, since no other is loaded."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True}
