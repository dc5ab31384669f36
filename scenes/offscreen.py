"""Ask whether this machine can draw before VTK is asked: without a renderer VTK ends the process instead of raising an error."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from typing import TYPE_CHECKING

from cim.errors import DisplayError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["PACKAGES", "load_pyvista", "probe"]

PACKAGES = "libegl1 libgl1-mesa-dri"
"""Debian packages that draw without a display, in software."""

_EGL_PLATFORM_SURFACELESS = 0x31DD


def _has_egl() -> bool:
    """Say whether EGL opens a display that needs no screen."""
    try:
        egl = ctypes.CDLL("libEGL.so.1")
        get_display = egl.eglGetPlatformDisplay
        initialize = egl.eglInitialize
        terminate = egl.eglTerminate
    except (OSError, AttributeError):
        return False
    get_display.restype = ctypes.c_void_p
    get_display.argtypes = (ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p)
    initialize.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    terminate.argtypes = (ctypes.c_void_p,)
    display = get_display(_EGL_PLATFORM_SURFACELESS, None, None)
    if not display or not initialize(display, None, None):
        return False
    terminate(display)
    return True


def _has_osmesa() -> bool:
    for name in ("libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so"):
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False


@cache
def probe() -> str:
    """Return the class of VTK window that works here without a screen.

    Raises
    ------
    DisplayError
        If there is neither EGL nor OSMesa; the message names the packages to install.
    """
    if not sys.platform.startswith("linux"):
        return "native"
    if _has_egl():
        return "vtkEGLRenderWindow"
    if _has_osmesa():
        return "vtkOSOpenGLRenderWindow"
    msg = f"this machine can draw no picture: neither EGL nor OSMesa was found; run: sudo apt-get install {PACKAGES}"
    raise DisplayError(msg)


def load_pyvista(*, window: bool = False) -> ModuleType:
    """Return pyvista, set up for pictures without a screen (or for a window when `window` and there is a display).

    Raises
    ------
    DisplayError
        If this machine cannot draw.
    MissingExtraError
        If pyvista is not installed.
    """
    from cim.plugins import load_extra

    if not (window and os.environ.get("DISPLAY")):
        kind = probe()
        if kind != "native":
            os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", kind)
    return load_extra("pyvista", "scenes")
