"""cim.scenes."""

from __future__ import annotations

if __name__ != "cim.scenes":
    msg = "this folder is imported as cim.scenes"
    raise ImportError(msg)
