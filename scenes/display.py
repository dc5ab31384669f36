"""Showing a scene: inside a notebook as its page, in a script as a window."""

from __future__ import annotations

import html
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cim.errors import DisplayError

if TYPE_CHECKING:
    from cim.scenes.scene import Scene

__all__ = ["LARGEST_INLINE", "Frame", "in_notebook", "inline", "show", "window"]

LARGEST_INLINE = 5_000_000
"""Bytes of a page that a notebook keeps without being asked; a larger one is shown by ``.show()`` only."""
_PACKED = 10  # a page is hardly ever smaller than its arrays by more than this


@dataclass(frozen=True)
class Frame:
    """A page in a frame of its own inside a notebook; nothing is served and nothing is fetched."""

    document: str
    """The whole HTML document."""
    height: int = 640
    """Of the frame [pixel]."""

    def _repr_html_(self) -> str:
        inside = html.escape(self.document, quote=True)
        look = f'width="100%" height="{self.height}" style="border:0" title="3D scene" allow="fullscreen"'
        return f'<div><iframe srcdoc="{inside}" {look}></iframe></div>'

    def __repr__(self) -> str:
        """Return what a terminal shows."""
        return f"<3D scene, {len(self.document) / 1e6:.1f} MB; shown in a notebook>"


def in_notebook() -> bool:
    """Say whether a notebook kernel runs this code."""
    ipython = sys.modules.get("IPython")  # a kernel has loaded it; nobody else needs it
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})


def inline(scene: Scene) -> str:
    """Return what a notebook shows for a scene as the value of a cell: its page, or a summary where the page is large.

    A notebook saves what its cells show, so a page of tens of megabytes must be asked for.
    """
    from cim.scenes.page import page

    raw = sum(layer.points.nbytes + layer.triangles.nbytes for layer in scene.layers)
    document = page(scene) if raw <= _PACKED * LARGEST_INLINE else None
    if document is not None and len(document) <= LARGEST_INLINE:
        return Frame(document)._repr_html_()
    size = f"about {raw / 1e6:,.0f} MB of geometry" if document is None else f"{len(document) / 1e6:,.1f} MB"
    rows = "".join(f"<li>{html.escape(layer.label(scene.language))}: {len(layer):,}</li>" for layer in scene.layers)
    how = "<code>.show()</code> shows it here, <code>.html('scene.html')</code> writes it to a file"
    return f"<div><b>{html.escape(scene.title or 'CIM')}</b><ul>{rows}</ul><p>The page of this scene is large ({size}): {how}.</p></div>"


def show(scene: Scene, *, height: int = 640) -> Frame | None:
    """Show a scene: return a frame with its page in a notebook, else open a window and wait until it is closed.

    Raises
    ------
    DisplayError
        If there is neither a notebook nor a display; the message says what to do instead.
    """
    if in_notebook():
        from cim.scenes.page import page

        return Frame(page(scene), height)
    if os.name == "posix" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and os.uname().sysname != "Darwin":
        msg = (
            "there is neither a notebook nor a display here; "
            "write a file instead: scene.html('scene.html') or scene.screenshot('scene.png')"
        )
        raise DisplayError(msg)
    window(scene)
    return None


def window(scene: Scene, *, size: tuple[int, int] = (1280, 800)) -> None:
    """Open a window with the scene and wait until it is closed."""
    from cim.scenes.layer import drawing_order
    from cim.scenes.stage import SKY_COLOURS, add_layer, apply_camera, plotter

    stage: Any = plotter(size, off_screen=False)
    stage.set_background(SKY_COLOURS[0], top=SKY_COLOURS[1])
    for layer, _ in drawing_order(scene.layers):
        add_layer(stage, layer)
    apply_camera(stage, scene.camera(size), scene)
    stage.show(title=scene.title or "CIM")
