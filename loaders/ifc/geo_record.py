"""The verdict on the place of a model, written into the city: properties of the root object, and issues."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cim.loaders.ifc.georeference import Evidence, Placement
    from cim.model import CityBuilder

__all__ = ["record", "rows_of"]

_SEVERITY = {"given": "info", "agreed": "info", "stated once": "info", "coarse": "warning"}  # others say it themselves


def rows_of(placement: Placement) -> list[tuple[str, str, str | None]]:
    """Return name, value and unit of the properties in the set "georeference"."""
    import orjson

    plain = [{name: _plain(value) for name, value in vars(one).items()} for one in placement.evidence]
    rows: list[tuple[str, str, str | None]] = [
        ("verdict", placement.verdict, None),
        ("reason", placement.reason, None),
        ("crs", placement.crs.to_string(), None),
        ("matrix", orjson.dumps(placement.matrix.tolist()).decode(), None),
        ("evidence", orjson.dumps(plain).decode(), None),
        ("rotation_known", "true" if placement.rotation_known else "false", None),
    ]
    if placement.uncertainty is not None:
        rows.append(("uncertainty", f"{placement.uncertainty:.6g}", "m"))
    return rows


def record(builder: CityBuilder, key: int, source: int | None, placement: Placement) -> None:
    """Write the verdict as properties (set "georeference") of the object `key`, and what is to be told as issues.

    One issue tells the verdict and its reason; every reading that was left out is named in one more.
    """
    rows = rows_of(placement)
    names, values, units = ([row[i] for row in rows] for i in range(3))
    builder.add_properties([key] * len(rows), "georeference", names, values, units)
    severity = _SEVERITY.get(placement.verdict)
    if severity is not None:
        builder.add_issue("crs", _sentence(placement), severity=severity, object=key, source=source)
    rejected = [one for one in placement.evidence if not one.accepted]
    if rejected and severity is not None:
        text = "; ".join(_rejected(one) for one in rejected)
        builder.add_issue("crs", f"evidence not used: {text}", severity="info", object=key, source=source, count=len(rejected))
    for code, weight, message in dict.fromkeys(placement.said):
        builder.add_issue(code, message, severity=weight, object=key, source=source)


def _sentence(placement: Placement) -> str:
    good = "" if placement.uncertainty is None else f", uncertainty {placement.uncertainty:.3g} m"
    return f"place {placement.verdict} in {placement.crs.label}{good}: {placement.reason}"


def _rejected(one: Evidence) -> str:
    return f"{one.source} ({one.reason or 'another reading fits better'})"


def _plain(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
