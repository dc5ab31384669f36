"""Places that an authoring tool writes when nobody has told it where the project stands."""

from __future__ import annotations

__all__ = ["default_place"]

_NEAR = 5e-4  # degrees: the tools write their defaults with four decimals
_DEFAULTS = (
    (42.3587, -71.0567, "Boston, the default site of Revit"),
    (42.3584, -71.0597, "Boston, the default site of Revit"),
    (51.5002, -0.1262, "London, a city of a tool's place list"),
    (41.8744, -87.6394, "Chicago, a city of a tool's place list (taken as a default by assumption)"),
    (0.0, 0.0, "0 N 0 E, where nothing stands"),
)


def default_place(latitude: float, longitude: float) -> str | None:
    """Return what the place is known as when it is a tool's default, else None.

    Examples
    --------
    >>> default_place(42.35866, -71.05673)
    'Boston, the default site of Revit'
    >>> default_place(52.0118, 4.3664) is None
    True
    """
    for north, east, name in _DEFAULTS:
        if abs(latitude - north) < _NEAR and abs(longitude - east) < _NEAR:
            return name
    return None
