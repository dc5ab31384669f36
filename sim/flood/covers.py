"""What covers each cell: Manning's n and Green-Ampt parameters from the classes of the city, by a table that a user may replace.

The table ``covers.json`` names its sources. Objects are drawn by the order of their classes, so that a road lies over the plot around
it and a roof over both; a cell belongs to the cover its centre lies in.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from cim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.coverages import Raster
    from cim.sim.flood.infiltration import GreenAmpt

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Cover", "CoverTable", "CoveredGround", "Rule", "Soil", "cover_cells", "cover_table", "green_ampt"]

_SHOWN = 5
"""Values that a note names."""


@dataclass(frozen=True)
class Cover:
    """One kind of ground."""

    name: str
    en: str
    zh: str
    roughness: float
    """Manning's n [s/m^(1/3)]."""
    pervious: float
    """Share of the area that lets water in, 0 to 1."""
    source: str
    """Where n comes from: a key of the sources of the table."""


@dataclass(frozen=True)
class Soil:
    """One soil, after Rawls et al. (1983)."""

    conductivity: float
    """[mm/h]"""
    suction: float
    """At the wetting front [mm]."""
    porosity: float
    """Effective: what dry soil can take up per volume."""


@dataclass(frozen=True)
class Rule:
    """Which objects have a cover."""

    type: str
    cover: str
    attributes: tuple[str, ...] = ()
    equals: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()

    def fits(self, values: Mapping[str, str]) -> bool:
        """Say whether an object with these attributes, in lower case, has the cover; a rule without attributes fits every object."""
        if not self.attributes:
            return True
        said = [values[name] for name in self.attributes if values.get(name)]
        return any(
            text in self.equals or any(text.startswith(one) for one in self.starts) or any(one in text for one in self.contains)
            for text in said
        )


@dataclass(frozen=True)
class CoverTable:
    """Everything the table says."""

    covers: Mapping[str, Cover]
    rules: tuple[Rule, ...]
    order: tuple[str, ...]
    """Classes of objects; later ones are drawn over earlier ones."""
    default: str
    """Cover of what no rule fits."""
    soils: Mapping[str, Soil]
    soil: str
    """Soil under everything, unless told otherwise."""
    initial_saturation: float
    """Share of the effective porosity that is full before the storm."""


@dataclass(frozen=True)
class CoveredGround:
    """The cover of each cell."""

    code: NDArray[np.int16]
    """Shape (ny, nx): place in `names`."""
    names: tuple[str, ...]
    table: CoverTable
    notes: tuple[str, ...]

    @property
    def roughness(self) -> Floats:
        """Manning's n [s/m^(1/3)], shape (ny, nx)."""
        return np.array([self.table.covers[name].roughness for name in self.names])[self.code]

    @property
    def pervious(self) -> Floats:
        """Share of the area that lets water in, shape (ny, nx)."""
        return np.array([self.table.covers[name].pervious for name in self.names])[self.code]


# ---------------------------------------------------------------- the table


def cover_table(source: str | Path | Mapping[str, Any] | None = None) -> CoverTable:
    """Return the table of covers.

    Parameters
    ----------
    source
        A JSON file, or its content, of the form of ``covers.json``; the table of the toolkit when left out.

    Raises
    ------
    UsageError
        With every fault of the table in one message.
    """
    if source is None:
        return _own_table()
    if isinstance(source, str | Path):
        try:
            source = json.loads(Path(source).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            msg = f"the table of covers {str(source)!r} cannot be read ({error}); give a JSON file of the form of covers.json"
            raise UsageError(msg) from error
    if not isinstance(source, dict):
        msg = f"the table of covers is a {type(source).__name__}; expected an object of the form of covers.json"
        raise UsageError(msg)
    return _parsed(source)


@cache
def _own_table() -> CoverTable:
    return _parsed(json.loads(Path(__file__).with_name("covers.json").read_text(encoding="utf-8")))


def _parsed(content: Mapping[str, Any]) -> CoverTable:
    own = content if {"soils", "soil"} <= content.keys() else {**_shipped("soils", "soil", "initial_saturation"), **content}
    missing = [name for name in ("covers", "rules", "order", "default") if name not in own]
    if missing:
        msg = f"the table of covers lacks {', '.join(missing)}"
        raise UsageError(msg)
    faults = _table_faults(own)
    if faults:
        msg = f"table of covers: {len(faults)} faults:\n  " + "\n  ".join(faults)
        raise UsageError(msg)
    covers = {
        name: Cover(
            name, one.get("en", name), one.get("zh", name), float(one["n"]), float(one.get("pervious", 0.0)), str(one.get("source", "user"))
        )
        for name, one in own["covers"].items()
    }
    rules = tuple(_rule(one) for one in own["rules"])
    soils = {name: Soil(float(one["conductivity"]), float(one["suction"]), float(one["porosity"])) for name, one in own["soils"].items()}
    return CoverTable(
        covers, rules, tuple(own["order"]), own["default"], soils, own["soil"], float(own.get("initial_saturation", 0.5)),
    )  # fmt: skip


def _shipped(*names: str) -> dict[str, Any]:
    content = json.loads(Path(__file__).with_name("covers.json").read_text(encoding="utf-8"))
    return {name: content[name] for name in names}


def _rule(one: Mapping[str, Any]) -> Rule:
    words = {name: tuple(str(text).lower() for text in one.get(name, ())) for name in ("equals", "starts", "contains")}
    return Rule(one["class"], one["cover"], tuple(one.get("attributes", ())), **words)


def _table_faults(own: Mapping[str, Any]) -> list[str]:
    faults = [
        f"cover {name!r} has n {one.get('n')!r}; expected a number above 0 and at most 1 s/m^(1/3)"
        for name, one in own["covers"].items()
        if not (_number(one.get("n")) and 0 < one["n"] <= 1)
    ]
    faults += [
        f"cover {name!r} has the pervious share {one['pervious']!r}; expected a number from 0 to 1"
        for name, one in own["covers"].items()
        if not (_number(one.get("pervious", 0.0)) and 0 <= one.get("pervious", 0.0) <= 1)
    ]
    used = [(f"rule {place + 1}", one.get("cover")) for place, one in enumerate(own["rules"])] + [("default", own["default"])]
    faults += [f"{where} names the cover {name!r}, which the table does not have" for where, name in used if name not in own["covers"]]
    faults += [
        f"rule {place + 1} has the class {one.get('class')!r}, which is not in order"
        for place, one in enumerate(own["rules"])
        if one.get("class") not in own["order"]
    ]
    if own["soil"] not in own["soils"]:
        faults.append(f"soil is {own['soil']!r}; expected one of {', '.join(own['soils'])}")
    if not (_number(own.get("initial_saturation", 0.5)) and 0 <= own.get("initial_saturation", 0.5) <= 1):
        faults.append(f"initial_saturation is {own['initial_saturation']!r}; expected a number from 0 to 1")
    faults += [
        f"soil {name!r} has {key} {one.get(key)!r}; expected a number of 0 or more"
        for name, one in own["soils"].items()
        for key in ("conductivity", "suction", "porosity")
        if not (_number(one.get(key)) and one[key] >= 0)
    ]
    return faults


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


# ---------------------------------------------------------------- the cells


def cover_cells(city: City, raster: Raster, table: CoverTable, roofs: NDArray[np.bool_] | None = None) -> CoveredGround:
    """Return the cover of each cell of a raster.

    Parameters
    ----------
    raster
        Its grid is used, not its values.
    roofs : shape (ny, nx)
        Cells of buildings, where they are known already.
    """
    names = tuple(table.covers)
    code = np.full(raster.shape, names.index(table.default), np.int16)
    drawn = np.zeros(raster.shape, bool)
    strange: Counter[str] = Counter()
    lines = 0
    for type in table.order:
        if type == "Building" and roofs is not None:
            cover = next((rule.cover for rule in table.rules if rule.type == type), table.default)
            code[roofs], drawn[roofs] = names.index(cover), True
            continue
        shapes, index, unknown, flat = _objects(city, type, table, names, raster)
        strange.update(unknown)
        lines += flat
        _draw(code, drawn, shapes, index, raster)
    return CoveredGround(code, names, table, _notes(table, drawn, strange, lines))


def _objects(city: City, type: str, table: CoverTable, names: tuple[str, ...], raster: Raster) -> tuple[Any, Ints, Counter[str], int]:
    """Return polygons of a class inside the raster with their covers, what no rule fits, and how many objects have a line only."""
    import shapely

    empty = np.empty(0, object), np.empty(0, np.int64), Counter[str](), 0
    if type not in city.types():
        return empty
    keys = city.keys(type, bbox=raster.bounds)
    if not len(keys):
        return empty
    shapes = city.footprints(keys)
    kinds = shapely.get_type_id(shapes)
    area = np.isin(kinds, (3, 6))
    keys, lines = keys[area], int(np.isin(kinds, (1, 5)).sum())
    values = _values(city, type, keys, table)
    found = {one: _cover(type, dict(one), table) for one in set(values)}
    covers = [found[one] for one in values]
    asked = _silent(city, type, table)
    strange = Counter(_shown(type, one, asked) for one, cover in zip(values, covers, strict=True) if cover is None)
    index = np.array([names.index(cover or table.default) for cover in covers], np.int64)
    return shapes[area], index, strange, lines


def _wanted(type: str, table: CoverTable) -> list[str]:
    """Return the attributes that rules of a class ask for."""
    return list(dict.fromkeys(name for rule in table.rules if rule.type == type for name in rule.attributes))


def _values(city: City, type: str, keys: Ints, table: CoverTable) -> list[tuple[tuple[str, str], ...]]:
    """Return for each object the attributes that rules ask for, as text in lower case."""
    held = city.attributes.schema(type).names if type in city.attributes else []
    columns = []
    for name in (one for one in _wanted(type, table) if one in held):
        text = pc.utf8_lower(pc.fill_null(pc.cast(city.column(type, name, keys), "string"), ""))
        columns.append([(name, one.strip()) for one in text.to_pylist()])
    return list(zip(*columns, strict=True)) if columns else [()] * len(keys)


def _silent(city: City, type: str, table: CoverTable) -> str:
    """Return what is said of an object of a class none of whose attributes a rule asks for."""
    wanted = _wanted(type, table)
    held = city.attributes.schema(type).names if type in city.attributes else []
    others = [name for name in held if name not in {*wanted, "object"}]
    shown = ", ".join(others[:_SHOWN]) + (", …" if len(others) > _SHOWN else "")
    has = f"; its class has {shown}, which no rule asks for" if others else ""
    return f"nothing in {', '.join(wanted) or 'any attribute'}{has}"


def _cover(type: str, values: Mapping[str, str], table: CoverTable) -> str | None:
    return next((rule.cover for rule in table.rules if rule.type == type and rule.fits(values)), None)


def _shown(type: str, values: tuple[tuple[str, str], ...], silent: str) -> str:
    said = ", ".join(f"{name}={value}, which no rule knows" for name, value in values if value)
    return f"{type} ({said or silent})"


def _draw(code: NDArray[np.int16], drawn: NDArray[np.bool_], shapes: Any, index: Ints, raster: Raster) -> None:
    """Put the covers of polygons on the cells whose centre they hold; later polygons win."""
    from rasterio.features import rasterize
    from rasterio.transform import Affine

    if not len(shapes):
        return
    transform = Affine(raster.dx, 0.0, raster.x_min, 0.0, -raster.dy, raster.y_max)
    pairs = [(shape, int(one) + 1) for shape, one in zip(shapes, index, strict=True)]
    done = rasterize(pairs, out_shape=raster.shape, transform=transform, fill=0, dtype="int16")
    code[done > 0] = done[done > 0] - 1
    drawn |= done > 0


def _notes(table: CoverTable, drawn: NDArray[np.bool_], strange: Counter[str], lines: int) -> tuple[str, ...]:
    default = table.covers[table.default]
    said = []
    bare = int((~drawn).sum())
    if bare:
        said.append(
            f"{bare} cells ({bare / drawn.size:.1%}) lie in no object with a cover: taken as {default.en} (n = {default.roughness:g}), "
            "assumed"
        )
    if strange:
        shown = "; ".join(f"{count} × {name}" for name, count in strange.most_common(_SHOWN))
        more = "" if len(strange) <= _SHOWN else f"; and {len(strange) - _SHOWN} more kinds"
        said.append(
            f"{strange.total()} objects of unknown cover ({shown}{more}): taken as {default.en} (n = {default.roughness:g}), assumed"
        )
    if lines:
        said.append(f"{lines} objects are lines without an area: they change no roughness")
    return tuple(said)


# ---------------------------------------------------------------- infiltration


def green_ampt(ground: CoveredGround, soil: str | None = None) -> tuple[GreenAmpt, str]:
    """Return the infiltration law of covered ground, and in words what it assumes.

    Parameters
    ----------
    soil
        Name in the table; that of the table when left out.

    Raises
    ------
    UsageError
        If the table has no such soil.

    Notes
    -----
    Of a cell of which the share p lets water in, the pervious part alone takes up water, F/p of it per area where the cell as a whole
    took F. Its capacity p K (1 + s d p / F) is that of a soil with the conductivity p K and the deficit p d (suction s): both are scaled.
    """
    from cim.sim.flood.infiltration import GreenAmpt

    table = ground.table if soil is None else replace(ground.table, soil=soil)
    if table.soil not in table.soils:
        msg = f"soil is {table.soil!r}; expected one of {', '.join(table.soils)}"
        raise UsageError(msg)
    one = table.soils[table.soil]
    deficit = one.porosity * (1.0 - table.initial_saturation)
    share = ground.pervious
    told = "assumed" if soil is None else "stated"
    note = (
        f"infiltration after Green and Ampt: soil {table.soil} ({told}) under every pervious surface, {one.conductivity:g} mm/h, suction "
        f"{one.suction:g} mm; {table.initial_saturation:.0%} of its pores full at the start (assumed); "
        f"{float(share.mean()):.1%} of the area lets water in"
    )
    return GreenAmpt(conductivity=share * one.conductivity, suction=one.suction, deficit=share * deficit), note
