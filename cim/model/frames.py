"""How a city looks in a notebook: GeoDataFrames with English or Chinese titles, issue tables, short HTML."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.model.schema import SCHEMAS
from cim.model.tables import among

if TYPE_CHECKING:
    from collections.abc import Sequence

    import geopandas
    import pandas

    from cim.model.city import City
    from cim.model.objects import CityObject

__all__ = ["city_html", "issue_frame", "object_frame", "object_html"]

_SHOWN = ("type", "name", "parent", "z_ground", "z_roof", "cim_code", "cim_level", "valid_from", "valid_to", "grade")


def object_frame(
    city: City, type: str, columns: Sequence[str] | None, *, where: Any, bbox: Any, labels: Literal["en", "zh"] | None
) -> geopandas.GeoDataFrame:
    """Return the objects of one class as a GeoDataFrame; see `City.table`."""
    import geopandas
    import pandas as pd
    import shapely

    if labels not in {None, "en", "zh"}:
        msg = f"labels={labels!r}; give 'en', 'zh' or leave it out"
        raise UsageError(msg)
    selected = None if where is None and bbox is None else city.keys(type, where=where, bbox=bbox)
    city.require_type(type)
    have = [name for name in city.attributes.schema(type).names if name != "object"]
    wanted = [*_SHOWN, *have] if columns is None else list(columns)
    city.require_columns(type, frozenset(wanted))
    core = [name for name in wanted if name in SCHEMAS["objects"].names]
    filter_ = pc.field("type") == type
    if selected is not None:
        filter_ &= among("key", selected)
    objects = city.tables.scan("objects", list(dict.fromkeys(["key", "id", "footprint", *core])), filter_)
    frame = objects.select(core).to_pandas()
    mine = [name for name in wanted if name in have]
    if mine:
        chosen = None if selected is None else among("object", selected)
        frame = pd.concat([frame, city.attributes.scan(type, mine, chosen).to_pandas()], axis=1)
    if "parent" in frame:
        frame["parent"] = _parent_ids(city, objects["parent"])
    units = {name: city.unit(type, name) for name in wanted}
    titles = {name: _title(city, type, name, labels) for name in wanted} if labels else {}
    if labels and "type" in frame:
        from cim.model.classes import label

        frame["type"] = label(type, labels)
    frame = frame[wanted].rename(columns=titles)
    frame.index = pd.Index(objects["id"].to_pylist(), name="id")
    shapes = shapely.from_wkb(np.asarray(objects["footprint"].to_pylist() or [], object))
    result = geopandas.GeoDataFrame(frame, geometry=shapes, crs=city.crs.horizontal)
    result.attrs["units"] = {**units, **{title: units[name] for name, title in titles.items()}}
    return result


def _parent_ids(city: City, parents: pa.ChunkedArray) -> list[str | None]:
    if parents.null_count == len(parents):
        return [None] * len(parents)
    all_ = city.tables.scan("objects", ["key", "id"])
    found: list[str | None] = all_["id"].take(pc.index_in(parents.combine_chunks(), all_["key"].combine_chunks())).to_pylist()
    return found


def _title(city: City, type: str, name: str, language: Literal["en", "zh"]) -> str:
    """Return the title of a column in a language, with its unit: what the source says, else the nomenclature, else the name."""
    from cim.standard_names import STANDARD_NAMES

    schema = city.attributes.schema(type)
    metadata = (schema.field(name).metadata or {}) if name in schema.names else {}
    said = metadata.get(f"label_{language}".encode(), b"").decode()
    standard = STANDARD_NAMES.get(name)
    title = said or (getattr(standard, f"label_{language}") if standard else "") or name
    unit = city.unit(type, name)
    return f"{title} [{unit}]" if unit else title


def issue_frame(city: City) -> pandas.DataFrame:
    """Return the issues with object ids and source names in place of keys."""
    frame: pandas.DataFrame = city.tables["issues"].to_pandas()
    objects = city.tables.scan("objects", ["key", "id"])
    frame["object"] = frame["object"].map(dict(zip(objects["key"].to_pylist(), objects["id"].to_pylist(), strict=True)))
    sources = city.tables["sources"]
    frame["source"] = frame["source"].map(dict(zip(sources["key"].to_pylist(), sources["name"].to_pylist(), strict=True)))
    return frame


def city_html(city: City) -> str:
    """Return a small table: counts by class, place, units and how many issues."""
    from cim.model.classes import label

    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(label(name, 'zh'))}</td><td style='text-align:right'>{count:,}</td></tr>"
        for name, count in city.types().items()
    )
    west, south, east, north = city.bounds
    extent = f"{west:,.1f} to {east:,.1f} m east, {south:,.1f} to {north:,.1f} m north" if np.isfinite(west) else "no place known"
    if np.isfinite(west) and not city.crs.is_projected:
        extent = f"{west:.5f}° to {east:.5f}° east, {south:.5f}° to {north:.5f}° north"
    issues = city.tables.rows("issues")
    return (
        f"<div><b>{html.escape(city.name or 'City')}</b> - {len(city):,} objects<br>"
        f"{html.escape(city.crs.to_string())} {html.escape(city.crs.name)}<br>"
        f"{extent}<br>{city.tables.rows('sources')} sources, {issues:,} issues"
        f"<table><tr><th>class</th><th>类别</th><th>objects</th></tr>{rows}</table></div>"
    )


def object_html(view: CityObject) -> str:
    """Return one object as a table of attributes with units."""
    core = {
        name: value
        for name, value in view.core.items()
        if value is not None and name not in {"bbox", "source", "id", "type", "level_scheme"}
    }
    rows = [(name, value, view.city.unit(view.type, name)) for name, value in {**core, **view.attributes}.items() if value is not None]
    body = "".join(
        f"<tr><td>{html.escape(str(name))}</td><td>{html.escape(str(value))} {html.escape(unit)}</td></tr>" for name, value, unit in rows
    )
    return f"<div><b>{html.escape(view.id)}</b> {html.escape(view.type)}<table>{body}</table></div>"
