"""Which run a run is: a hash of everything that decides its numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from cim.sim.flood.case import Case

__all__ = ["case_fingerprint", "fingerprint_of"]


def case_fingerprint(case: Case, forcing: tuple[Any, Any, Any]) -> str:
    """Return a hash of rain, roughness, infiltration, boundaries, sources, structures and first water."""
    digest = hashlib.blake2b(digest_size=16)
    _feed(digest, [case.dx, case.roughness, case.rain_to, case.infiltration, case.edges, case.sources, forcing, case.depth])
    if case.rain is not None:
        _feed(digest, case.rain.breaks)
        for number in range(len(case.rain.breaks) - 1):
            _feed(digest, case.rain.rate(number))
    return f"blake2b:{digest.hexdigest()}"


def fingerprint_of(value: Any) -> str:
    """Return a hash of any value made of arrays, shapes, series, dataclasses, lists and mappings."""
    digest = hashlib.blake2b(digest_size=16)
    _feed(digest, value)
    return f"blake2b:{digest.hexdigest()}"


def _feed(digest: Any, value: Any) -> None:
    """Add a value to a hash: arrays by their bytes, dataclasses by their fields, plain values by their words."""
    value = _opened(value)
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif is_dataclass(value) and not isinstance(value, type):
        digest.update(type(value).__name__.encode())
        for one in fields(value):
            _feed(digest, getattr(value, one.name))
    elif isinstance(value, list | tuple):
        digest.update(f"[{len(value)}".encode())
        for one in value:
            _feed(digest, one)
    else:
        digest.update(f"{value!r};".encode())


def _opened(value: Any) -> Any:
    """Return all that is in a shape, a field, a series or a mapping: their words show only a part of it, and two runs would be one."""
    import shapely

    if isinstance(value, shapely.Geometry):
        return shapely.to_wkb(value)
    if hasattr(value, "dims") and hasattr(value, "coords"):
        return [np.asarray(value.values), [[str(name), np.asarray(one.values)] for name, one in value.coords.items()]]
    if hasattr(value, "index") and hasattr(value, "to_numpy"):
        return [value.to_numpy(), list(value.index)]
    if isinstance(value, Mapping):
        return list(value.items())
    return value.tolist() if isinstance(value, np.ndarray) and value.dtype == object else value
