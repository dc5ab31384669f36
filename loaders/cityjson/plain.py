"""Foreign JSON values as text again: numbers and characters that JSON or 64 bit cannot hold become what they can be."""

from __future__ import annotations

import math
from typing import Any

import orjson

__all__ = ["cleaned", "json_text", "lod_text"]


def json_text(value: Any) -> str:
    """Return a parsed value as JSON text; numbers that are not finite become null, integers beyond 64 bit text.

    Examples
    --------
    >>> json_text({"a": [1, 1 << 70, float("nan")]})
    '{"a":[1,"1180591620717411303424",null]}'
    """
    try:
        return orjson.dumps(value).decode()
    except (TypeError, ValueError):
        return orjson.dumps(cleaned(value)).decode()


def cleaned(value: Any) -> Any:
    """Return a parsed value with nothing in it that JSON of 64 bit cannot hold."""
    if isinstance(value, dict):
        return {str(cleaned(name)): cleaned(one) for name, one in value.items()}
    if isinstance(value, list):
        return [cleaned(one) for one in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return str(value)
    return value


def lod_text(value: Any) -> str:
    """Return a level of detail as text: 1.0 counted levels in numbers (2, 2.2), later versions as text."""
    if isinstance(value, bool) or value is None:
        return ""
    return f"{value:g}" if isinstance(value, int | float) else str(value)[:20]
