"""Verbs for pipes: change diameter and inverts, or take one away; the network's links say the same."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from cim.errors import UsageError
from cim.model.geometry import flatten, vertices_from
from cim.scenario.edit import Fact, add_claims, set_values
from cim.scenario.step import Step, require_metres, with_parts, without

if TYPE_CHECKING:
    from cim.model import City

__all__ = ["ChangePipe", "RemovePipe"]

_LINK_NAMES = {"diameter": "diameter_m", "upstream_invert_level": "upstream_invert_m", "downstream_invert_level": "downstream_invert_m",
               "roughness": "roughness"}  # fmt: skip
"""Attribute of a pipe, and what the JSON of its link calls it."""
_UNITS = {"diameter": "m", "upstream_invert_level": "m", "downstream_invert_level": "m", "section_height": "m", "section_width": "m"}
_ROUND = {"circular", "round", "圆形", "圆管"}


@dataclass(frozen=True)
class _Pipe:
    key: int
    type: str
    attributes: dict[str, Any]
    length: float
    """Stated, else of its line [m]; NaN where unknown."""

    def number(self, name: str) -> float:
        value = self.attributes.get(name)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")


def _pipe(city: City, id: str) -> _Pipe:
    view = city[id]
    line = view.footprint
    drawn = line is not None and line.geom_type in {"LineString", "MultiLineString"}
    linked = bool(pc.any(pc.equal(city.tables["links"]["object"], view.key)).as_py())
    attributes = dict(view.attributes)
    known = {"diameter", "upstream_invert_level", "downstream_invert_level", "invert_level", "section_shape"} & set(attributes)
    if not (drawn or linked) or not known:
        msg = f"{id!r} is a {view.type} without a line or link, or without diameter and invert levels; expected a pipe"
        raise UsageError(msg)
    stated = attributes.get("length")
    metres = city.crs.is_projected and (city.crs.is_local or city.crs.linear_unit_factor == 1.0)
    own = float(line.length) if drawn and metres else float("nan")
    return _Pipe(view.key, view.type, attributes, float(stated) if isinstance(stated, int | float) else own)


class RemovePipe(Step):
    """Take a pipe away, with its link."""

    do: Literal["remove_pipe"] = "remove_pipe"

    def apply(self, city: City, method: str) -> City:
        """Return the city without the pipe; its nodes stay."""
        _pipe(city, self.id)
        return without(city, self.id, method, with_parts(city, self.id))


class ChangePipe(Step):
    """Give a pipe another diameter, other inverts, another roughness."""

    do: Literal["change_pipe"] = "change_pipe"
    diameter: float | None = Field(default=None, gt=0, le=12, description="inner diameter [m]; DN 600 is 0.6")
    upstream_invert: float | None = Field(
        default=None, allow_inf_nan=False, description="elevation of the inside bottom at its first point [m]"
    )
    downstream_invert: float | None = Field(
        default=None, allow_inf_nan=False, description="elevation of the inside bottom at its last point [m]"
    )
    slope: float | None = Field(
        default=None, gt=-1, lt=1, description="fall over length; in place of downstream_invert: that follows from the other end"
    )
    roughness: float | None = Field(default=None, gt=0, lt=1, description="Manning's n [s/m^(1/3)]")

    @model_validator(mode="after")
    def _something(self) -> ChangePipe:
        if all(getattr(self, name) is None for name in ("diameter", "upstream_invert", "downstream_invert", "slope", "roughness")):
            msg = "give at least one of diameter, upstream_invert, downstream_invert, slope, roughness"
            raise ValueError(msg)
        if self.slope is not None and self.downstream_invert is not None:
            msg = "give either slope or downstream_invert: one follows from the other"
            raise ValueError(msg)
        return self

    def apply(self, city: City, method: str) -> City:
        """Return the city with the other pipe: attributes, links and axis follow; a drawn body, which no longer fits, goes.

        Raises
        ------
        UsageError
            If it is no pipe, a diameter is given for one that is not round, or a slope without length and upstream invert.
        """
        require_metres(city, "changing a pipe")
        pipe = _pipe(city, self.id)
        new = self._values(pipe)
        changed = city
        for name, value in new.items():
            if name in {"section_height", "section_width"} and name not in pipe.attributes:
                continue
            fact = Fact(pipe.type, name, np.array([pipe.key], np.int64), np.array([value]), _UNITS.get(name, ""))
            changed = add_claims(set_values(changed, fact), city, fact, method)
        changed = _relinked(changed, pipe.key, new)
        changed, redrawn = _redrawn(changed, pipe, new)
        changed, covered = _uncovered(changed, city, pipe, new, method)
        return changed.with_issues([
            {"object": pipe.key, "code": code, "severity": how, "message": f"{method}: {text}"}
            for code, how, text in [*redrawn, *covered, *self._doubts(city, pipe, new)]
        ])  # fmt: skip

    def _values(self, pipe: _Pipe) -> dict[str, float]:
        """Return the new value of each attribute."""
        new: dict[str, float] = {}
        if self.diameter is not None:
            shape = pipe.attributes.get("section_shape")
            if shape is not None and str(shape).lower() not in _ROUND:
                msg = f"{self.id!r} has the section {shape!r}, which has no diameter; remove it and add a round one"
                raise UsageError(msg)
            new |= {"diameter": self.diameter, "section_height": self.diameter, "section_width": self.diameter}
        if self.upstream_invert is not None:
            new["upstream_invert_level"] = self.upstream_invert
        if self.downstream_invert is not None:
            new["downstream_invert_level"] = self.downstream_invert
        if self.slope is not None:
            top = new.get("upstream_invert_level", pipe.number("upstream_invert_level"))
            if not np.isfinite(top) or not pipe.length > 0:
                lacking = "upstream invert" if pipe.length > 0 else "length"
                msg = f"{self.id!r} has no known {lacking}, so its slope cannot be set; give upstream_invert and downstream_invert"
                raise UsageError(msg)
            new["downstream_invert_level"] = top - self.slope * pipe.length
        if self.roughness is not None:
            new["roughness"] = self.roughness
        return new

    def _doubts(self, city: City, pipe: _Pipe, new: dict[str, float]) -> list[tuple[str, str, str]]:
        """Return what to look at: a pipe that rises, a row of a model file that says otherwise, a level for both ends."""
        up, down = (new.get(name, pipe.number(name)) for name in ("upstream_invert_level", "downstream_invert_level"))
        told = []
        if np.isfinite(up) and np.isfinite(down) and down > up:
            told.append(("conflict", "warning", f"{self.id!r} now rises by {down - up:.3g} m from its first point to its last"))
        if {"upstream_invert_level", "downstream_invert_level"} & set(new) and np.isfinite(pipe.number("invert_level")):
            level = pipe.number("invert_level")
            told.append(("conflict", "warning", f"{self.id!r} also states one invert_level of {level:g} m, which stays as it was"))
        rows = city.tables["properties"]
        if pc.any(pc.and_(pc.equal(rows["object"], pipe.key), pc.equal(rows["set"], "swmm"))).as_py():
            told.append(("assumed", "info", f"the row of {self.id!r} kept from the SWMM file stays as it was read"))
        return told


def _relinked(city: City, key: int, new: dict[str, float]) -> City:
    """Return the city with the links of a pipe saying the same as the pipe."""
    table = city.tables["links"]
    rows = np.flatnonzero(np.asarray(table["object"].to_numpy(), np.int64) == key)
    said = {_LINK_NAMES[name]: float(value) for name, value in new.items() if name in _LINK_NAMES}
    if not len(rows) or not said:
        return city
    texts = table["attributes"].to_pylist()
    for row in rows.tolist():
        texts[row] = json.dumps({**json.loads(texts[row] or "{}"), **said}, ensure_ascii=False)
    at = table.column_names.index("attributes")
    return city.replace_tables(links=table.set_column(at, table.schema.field("attributes"), pa.array(texts, pa.string())))


def _redrawn(city: City, pipe: _Pipe, new: dict[str, float]) -> tuple[City, list[tuple[str, str, str]]]:
    """Return the city with the axis of a pipe at its new height and without its body, and what to tell."""
    if not {"diameter", "upstream_invert_level", "downstream_invert_level"} & set(new):
        return city, []
    table = city.tables["geometries"]
    mine = np.asarray(table["object"].to_numpy(), np.int64) == pipe.key
    up, down, wide = (new.get(name, pipe.number(name)) for name in ("upstream_invert_level", "downstream_invert_level", "diameter"))
    axis = mine & np.asarray(pc.equal(table["role"], "line").to_numpy(zero_copy_only=False), bool) & bool(np.isfinite(up + down + wide))
    gone = int((mine & ~axis).sum())
    kept = table.filter(pa.array(~mine))
    lines = table.filter(pa.array(axis))
    if lines.num_rows:
        flat = flatten(lines)
        xyz = flat.vertices.copy()
        xyz[:, 2] = _along(xyz[:, :2], flat.vertex_start, up + wide / 2, down + wide / 2) - city.origin[2]
        at = lines.column_names.index("vertices")
        lines = lines.set_column(at, lines.schema.field("vertices"), vertices_from(xyz, np.diff(flat.vertex_start)))
    drawn = pa.concat_tables([kept, lines]).sort_by([("object", "ascending"), ("key", "ascending")])
    left = pa.concat_tables([drawn.select(["key"]), city.tables["templates"].select(["key"])])["key"].combine_chunks()
    others = {name: city.tables[name].filter(pc.is_in(city.tables[name]["geometry"], left)) for name in ("surfaces", "appearances")}
    changed = city.replace_tables(geometries=drawn, **others)
    return changed, [("lost", "warning", f"{gone} bodies of the pipe were dropped, they no longer fit; draw them anew")] if gone else []


def _along(xy: Any, start: Any, first: float, last: float) -> Any:
    """Return heights that run evenly from the first to the last point of each line."""
    heights = np.empty(len(xy))
    for begin, end in zip(start[:-1].tolist(), start[1:].tolist(), strict=True):  # the axis of one pipe: one line
        run = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy[begin:end], axis=0).T))])
        heights[begin:end] = first + (last - first) * (run / run[-1] if run[-1] > 0 else 0.0)
    return heights


def _uncovered(city: City, before: City, pipe: _Pipe, new: dict[str, float], method: str) -> tuple[City, list[tuple[str, str, str]]]:
    """Return the city without the cover of a pipe that was dug deeper or became wider: nobody has measured it since."""
    old = pipe.number("cover_depth")
    if not np.isfinite(old) or set(new) <= {"roughness"}:
        return city, []
    fact = Fact(pipe.type, "cover_depth", np.array([pipe.key], np.int64), np.array([np.nan]))
    changed = add_claims(set_values(city, fact), before, fact, method)
    return changed, [("lost", "warning", f"the cover_depth of {old:g} m holds no more, and the new one is not known")]
