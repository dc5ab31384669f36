"""cim.sim."""

from __future__ import annotations

if __name__ != "cim.sim":
    msg = "this folder is imported as cim.sim"
    raise ImportError(msg)
