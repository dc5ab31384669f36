"""What a page tells about each object: class, name, attributes with units, claims, verdicts; columns, so that it stays small."""

from __future__ import annotations

import json
import math
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.classes import label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.model import City
    from cim.scenes.layer import Layer
    from cim.scenes.scene import Scene

__all__ = ["layer_facts", "scene_facts"]

_CORE = ("parent", "z_ground", "z_roof", "cim_code", "cim_level", "valid_from", "valid_to", "grade")
_CORE_TITLES = {
    "parent": ("part of", "所属"),
    "z_ground": ("ground height", "地面高程"),
    "z_roof": ("roof height", "屋顶高程"),
    "cim_code": ("CIM code", "CIM 编码"),
    "cim_level": ("CIM level", "CIM 级别"),
    "valid_from": ("valid from", "有效期起"),
    "valid_to": ("valid to", "有效期止"),
    "grade": ("data grade", "数据等级"),
}


def scene_facts(scene: Scene) -> dict[str, Any]:
    """Return what the page needs to answer a click, as plain values for JSON."""
    city = scene.city
    shown = [layer for layer in scene.layers if len(layer.ids)]
    ids = set().union(*(layer.ids.tolist() for layer in shown)) if shown else set()
    return {
        "sources": _names(city),
        "layers": {layer.name: layer_facts(city, layer) for layer in shown},
        "claims": _claims(city, ids),
        "verdicts": _verdicts(scene),
    }


def _names(city: City) -> dict[str, str]:
    table = city.tables["sources"]
    return {str(key): name for key, name in zip(table["key"].to_pylist(), table["name"].to_pylist(), strict=True)}


def layer_facts(city: City, layer: Layer) -> dict[str, Any]:
    """Return ids, names, classes and attributes of the objects of one layer, by column.

    An id that is no object of the city (a cell of a check) has an id only.
    """
    row = _rows(city, layer.ids)
    objects = city.tables["objects"]
    taken = objects.select(["type", "name", "source", *_CORE]).take(pa.array(row, mask=row < 0))
    types = taken["type"].to_pylist()
    names = sorted({type for type in types if type is not None})
    code = {type: place for place, type in enumerate(names)}
    taken = taken.set_column(taken.column_names.index("parent"), "parent", _parents(city, taken["parent"]))
    return {
        "ids": layer.ids.tolist(),
        "names": taken["name"].to_pylist(),
        "type": [code.get(type) for type in types],
        "types": [{"en": label(type, "en"), "zh": label(type, "zh")} for type in names],
        "source": taken["source"].to_pylist(),
        "core": [
            {
                "name": name,
                "en": _CORE_TITLES[name][0],
                "zh": _CORE_TITLES[name][1],
                "unit": "m" if name.startswith("z_") else "",
                "values": _plain(taken[name]),
            }
            for name in _CORE
            if taken[name].null_count < len(taken)
        ],
        "told": [{"en": one.title.en, "zh": one.title.zh, "unit": one.unit, "values": _values(one.values)} for one in layer.told],
        "keys": None if layer.keys is None else layer.keys.tolist(),
        "groups": [] if layer.overlay else [_group(city, type, np.flatnonzero(np.asarray(types, object) == type), row) for type in names],
    }


def _rows(city: City, ids: NDArray[np.object_]) -> NDArray[np.int64]:
    """Return the row of `objects` of each id, -1 for what is no object of the city."""
    known = city.tables["objects"]["id"].combine_chunks()
    found = pc.index_in(pa.array(ids.tolist(), pa.string()), known)
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), np.int64)


def _parents(city: City, parents: pa.ChunkedArray) -> pa.ChunkedArray:
    objects = city.tables["objects"]
    place = pc.index_in(parents.combine_chunks(), objects["key"].combine_chunks(), skip_nulls=True)
    return objects["id"].take(place.combine_chunks() if isinstance(place, pa.ChunkedArray) else place)


def _group(city: City, type: str, members: NDArray[np.int64], row: NDArray[np.int64]) -> dict[str, Any]:
    """Return the attributes of the objects of one class; a column without any value is left out."""
    schema = city.attributes.schema(type)
    keys = city.tables["objects"]["key"].take(pa.array(row[members])).to_numpy()
    table = city.attributes[type]
    taken = table.take(pa.array(np.searchsorted(np.asarray(table["object"].to_numpy()), keys)))
    columns = []
    for field in schema:
        values = taken[field.name]
        if field.name == "object" or values.null_count == len(values):
            continue
        columns.append({"name": field.name, **_titles(field), "values": _plain(values)})
    return {"rows": members.tolist(), "columns": columns}


def _titles(field: pa.Field) -> dict[str, str]:
    from cim.standard_names import STANDARD_NAMES

    said = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    standard = STANDARD_NAMES.get(field.name)
    return {
        "en": said.get("label_en") or (standard.label_en if standard else field.name),
        "zh": said.get("label_zh") or (standard.label_zh if standard else field.name),
        "unit": said.get("unit", ""),
        "field": said.get("source_field", ""),
    }


def _plain(column: pa.ChunkedArray) -> list[Any]:
    return [_value(value) for value in column.to_pylist()]


def _values(values: Sequence[Any]) -> list[Any]:
    """Return what a result tells with as many digits as anybody reads."""
    return [float(f"{value:.6g}") if isinstance(value, float) and math.isfinite(value) else _value(value) for value in values]


def _value(value: Any) -> Any:
    """Return a value that JSON knows."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _claims(city: City, ids: set[str]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return who says what, by object id and attribute."""
    table = city.tables["claims"]
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    if not table.num_rows:
        return found
    names = city.ids(table["object"].to_numpy())
    columns = (table[name].to_pylist() for name in ("attribute", "value", "unit", "source", "method", "confidence", "chosen"))
    for id, attribute, value, unit, source, method, confidence, chosen in zip(names, *columns, strict=True):
        if id in ids:
            claim = {
                "value": _value(json.loads(value) if value else None),
                "unit": unit or "",
                "source": source,
                "method": method,
                "confidence": confidence,
                "chosen": chosen,
            }
            found.setdefault(id, {}).setdefault(attribute, []).append(claim)
    return found


def _verdicts(scene: Scene) -> list[dict[str, Any]]:
    """Return the rows of every check that was added, by object id."""
    from cim.results import Verdicts
    from cim.scenes.verdicts import TITLES, verdict_details

    found = []
    for result in scene.results:
        if not isinstance(result, Verdicts):
            continue
        rows: dict[str, list[dict[str, Any]]] = {}
        for row in verdict_details(result.table):
            rows.setdefault(row.pop("object"), []).append({name: _value(value) for name, value in row.items()})
        title = TITLES.get(result.name)
        found.append({"label": {"en": title.en, "zh": title.zh} if title else {"en": result.name, "zh": result.name}, "rows": rows})
    return found
