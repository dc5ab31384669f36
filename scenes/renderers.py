"""The ways to draw a scene, by name; a package that draws in another way registers its function here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cim.errors import UsageError
from cim.scenes.display import show
from cim.scenes.page import write_page
from cim.scenes.still import screenshot

__all__ = ["RENDERERS", "register", "renderer"]

Renderer = Callable[..., Any]

RENDERERS: dict[str, Renderer] = {"png": screenshot, "html": write_page, "show": show}
"""Functions of a scene and a place to write to, by what they make."""


def register(name: str, function: Renderer) -> None:
    """Add a renderer, or exchange one."""
    RENDERERS[name] = function


def renderer(name: str) -> Renderer:
    """Return a renderer.

    Raises
    ------
    UsageError
        If there is none of this name.

    Examples
    --------
    >>> renderer("png").__name__
    'screenshot'
    """
    if name not in RENDERERS:
        msg = f"no renderer makes {name!r}; there are {', '.join(sorted(RENDERERS))}"
        raise UsageError(msg)
    return RENDERERS[name]
