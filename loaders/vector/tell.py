"""What `describe` says about vector layers: CRS, counts, fields, suspicions, and a draft of the field mapping."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CimError
from cim.loaders.protocol import Description, LayerInfo
from cim.loaders.vector.fields import as_mapping, plan_for
from cim.loaders.vector.frame import Layer
from cim.loaders.vector.place import placed, used_crs
from cim.loaders.vector.repair import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cim.loaders.protocol import ReadOptions

__all__ = ["tell"]


NAMES = ("Point", "LineString", "LinearRing", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon", "GeometryCollection")
"""Geometry types by the number that shapely gives them."""


def tell(layers: Sequence[Layer], path: Path, options: ReadOptions, doubts: Sequence[str] = ()) -> Description:
    """Return the description of layers that were read but not yet made a city; `doubts` are known already."""
    suspicions = list(doubts)
    infos, drafts = [], {}
    for layer in layers:
        ready = _looked_at(layer, path, options, suspicions)
        plan = plan_for(ready, path.stem, options.mapping)
        drafts[layer.name] = as_mapping(plan)
        infos.append(_info(ready, plan.type))
    mapping: dict[str, Any] = drafts[layers[0].name] if len(layers) == 1 else {"layers": drafts}
    return Description(layers[0].format, tuple(infos), layers[0].encoding, tuple(dict.fromkeys(suspicions)), mapping)


def _looked_at(layer: Layer, path: Path, options: ReadOptions, suspicions: list[str]) -> Layer:
    try:
        crs, notes = used_crs(layer, options.crs, path)
        layer = replace(layer, crs=crs.to_string())
        ready = placed(clean(layer.noted(*notes)), crs, path)
    except CimError as error:
        if not (suspicions and layer.crs is None):
            suspicions.append(str(error))
        ready = clean(layer)
    suspicions += [note.message for note in ready.notes if note.severity != "info"]
    return ready


def _info(layer: Layer, guess: str) -> LayerInfo:
    import shapely

    types = shapely.get_type_id(layer.geometry[~shapely.is_missing(layer.geometry)])
    kinds = [NAMES[one] for one in np.unique(types).tolist()]
    bounds = shapely.total_bounds(layer.geometry) if len(layer) else np.full(4, np.nan)
    box = tuple(float(value) for value in bounds) if np.isfinite(bounds).all() else None
    columns = tuple((name, str(column.type)) for name, column in layer.columns.items())
    return LayerInfo(layer.name, layer.records_in, ", ".join(kinds), layer.crs, box, columns, guess)  # type: ignore[arg-type]  # four numbers
