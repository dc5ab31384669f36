"""What if: a change is a value, written in code or in a scenario file, that applied to a city gives a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cim.errors import UsageError

if TYPE_CHECKING:
    from cim.model import City
    from cim.scenario.steps import AnyStep

__all__ = ["Change"]


@dataclass(frozen=True)
class Change:
    """Named steps, in order; each verb returns a longer change and leaves this one as it was.

    Examples
    --------
    >>> option = Change("option A").raise_building("b12", by=6.0).remove_building("b7")
    >>> len(option), option.to_dict()["change"][0]
    (2, {'do': 'raise_building', 'id': 'b12', 'by': 6.0})
    >>> Change.from_dict(option.to_dict()) == option
    True
    """

    name: str
    """Stands in the claims that the change makes: ``"change: option A"``."""
    steps: tuple[AnyStep, ...] = ()

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self.steps)

    def __bool__(self) -> bool:
        """Return True: a change is one even without steps."""
        return True

    def raise_building(self, id: str, *, by: float | None = None, to: float | None = None, storeys: float | None = None) -> Change:
        """Make a building higher (or lower) by some metres, or to a height above ground [m].

        Roof elevation, height and geometry move. Storeys stay as they are, which is marked, unless they are given.
        """
        return self._and({"do": "raise_building", "id": id, "by": by, "to": to, "storeys": storeys})

    def remove_building(self, id: str) -> Change:
        """Take a building away, with its parts, storeys and rooms."""
        return self._and({"do": "remove_building", "id": id})

    def add_building(
        self,
        id: str,
        footprint: Any,
        height: float,
        *,
        storeys: float | None = None,
        z_ground: float | None = None,
        name: str | None = None,
    ) -> Change:
        """Put up a new building as a block.

        Parameters
        ----------
        footprint
            Polygon as shapely geometry, WKT or points [[x, y], …], in the coordinate system of the city.
        height
            Height above ground [m].
        z_ground
            Elevation of its ground [m]; left out: unknown, and no block is drawn.
        """
        return self._and(
            {
                "do": "add_building",
                "id": id,
                "footprint": footprint,
                "height": height,
                "storeys": storeys,
                "z_ground": z_ground,
                "name": name,
            }
        )

    def move_building(
        self, id: str, *, dx: float | None = None, dy: float | None = None, to: tuple[float, float] | None = None, dz: float | None = None
    ) -> Change:
        """Move a building with its parts by metres east and north, or the middle of its footprint to a point.

        Its elevations follow the terrain of the city, where there is one; how much is marked. `dz` [m] says it instead.
        """
        return self._and({"do": "move_building", "id": id, "dx": dx, "dy": dy, "to": to, "dz": dz})

    def close_road(
        self,
        id: str,
        *,
        between: tuple[str, str] | None = None,
        direction: str = "both",
        start: str | datetime | None = None,
        until: str | datetime | None = None,
        classes: Sequence[str] | None = None,
    ) -> Change:
        """Close a road, in the attribute ``closed`` and on its links.

        Parameters
        ----------
        between
            Two nodes of the network: only the link of the road between them.
        direction
            ``"both"``, ``"forward"`` (as its line is drawn) or ``"backward"``.
        start, until
            Instants, UTC; without zone: in that of the city. Left out: from the beginning, for good.
        classes
            Vehicle classes of `cim.scenario.network.VEHICLE_CLASSES`; all when left out.
        """
        return self._and(
            {"do": "close_road", "id": id, "between": between, "direction": direction, "start": start, "until": until, "classes": classes}
        )

    def add_road(
        self,
        id: str,
        line: Any,
        *,
        lanes: int,
        speed_limit: float,
        width: float | None = None,
        oneway: bool = False,
        network: str = "road",
        snap: float = 1.0,
        road_class: str | None = None,
        name: str | None = None,
    ) -> Change:
        """Build a new road and join it to the network where it comes near nodes and roads.

        Parameters
        ----------
        line
            Line as shapely geometry, WKT or points [[x, y], …], in the coordinate system of the city.
        lanes
            Of both directions together.
        speed_limit
            Highest speed allowed [m/s].
        width
            Across all lanes [m].
        snap
            Vertices this near to a node, and ends this near to a road, join it [m].
        """
        step = {"do": "add_road", "id": id, "line": line, "lanes": lanes, "speed_limit": speed_limit, "width": width, "oneway": oneway,
                "network": network, "snap": snap, "road_class": road_class, "name": name}  # fmt: skip
        return self._and(step)

    def remove_road(self, id: str) -> Change:
        """Take a road away, with its sections and links."""
        return self._and({"do": "remove_road", "id": id})

    def derive_road_links(
        self,
        *,
        snap: float = 1.0,
        cross: str = "split",
        road_class: str = "unclassified",
        lane_width: float = 3.25,
        island: float = 30.0,
        also: Sequence[str] = (),
        again: bool = False,
    ) -> Change:
        """Make the links of the road network from roads that are lines or areas; see `cim.model.road_links.derive_road_links`.

        Parameters
        ----------
        snap
            Ends of lines this near to each other, or to a line, meet [m].
        cross
            ``"split"``: lines that cross without a common vertex on one level are joined; ``"pass"``: they pass over each other.
        road_class
            Of roads that state none.
        lane_width
            Width of road area that makes one lane [m].
        island
            Smaller holes of road areas are driven over [m²].
        also
            Ids of roads that cars use although their function says otherwise.
        again
            Links that were derived before are taken away first; links that a source states never are.
        """
        return self._and({"do": "derive_road_links", "snap": snap, "cross": cross, "road_class": road_class, "lane_width": lane_width,
                          "island": island, "also": list(also), "again": again})  # fmt: skip

    def change_terrain(
        self,
        id: str,
        area: Any,
        *,
        by: float | None = None,
        to: float | None = None,
        slope: float | None = None,
        only: str | None = None,
        name: str | None = None,
    ) -> Change:
        """Raise or lower the ground in an area by some metres, or bring it to an elevation.

        Parameters
        ----------
        id
            Of the edit, which is an object of its own; rasters stay as they are, and `cim.sim.terrain.read_terrain` puts it on.
        area
            Polygon as shapely geometry, WKT or points [[x, y], …].
        by, to
            Metres to add; or elevation [m] in the height system of the city.
        slope
            Rise over run of the sides, which lie outside the area; vertical when left out.
        only
            ``"fill"``: ground is only raised; ``"cut"``: only lowered.
        """
        return self._and({"do": "change_terrain", "id": id, "area": area, "by": by, "to": to, "slope": slope, "only": only, "name": name})

    def change_land_use(self, id: str, to: str, *, area: Any = None, code: str | None = None) -> Change:
        """Give a plot another land use; with an area, cut it out of the plots there as a new one with this id."""
        return self._and({"do": "change_land_use", "id": id, "to": to, "area": area, "code": code})

    def change_pipe(
        self,
        id: str,
        *,
        diameter: float | None = None,
        upstream_invert: float | None = None,
        downstream_invert: float | None = None,
        slope: float | None = None,
        roughness: float | None = None,
    ) -> Change:
        """Change a pipe: inner diameter [m], inverts [m] or the slope from its first point, Manning's n [s/m^(1/3)]."""
        step = {"do": "change_pipe", "id": id, "diameter": diameter, "upstream_invert": upstream_invert,
                "downstream_invert": downstream_invert, "slope": slope, "roughness": roughness}  # fmt: skip
        return self._and(step)

    def remove_pipe(self, id: str) -> Change:
        """Take a pipe away, with its link; its nodes stay."""
        return self._and({"do": "remove_pipe", "id": id})

    def _and(self, step: Mapping[str, Any]) -> Change:
        return Change(self.name, (*self.steps, _read_step({name: value for name, value in step.items() if value is not None})))

    def apply(self, city: City) -> City:
        """Return the city after all steps; the given one stays as it was.

        Raises
        ------
        ObjectNotFoundError
            If a step names an object that is not there; the message names near ids.
        UsageError
            If a step makes no sense for its object.
        """
        city = _anchored(city)
        for step in self.steps:
            city = step.apply(city, f"change: {self.name}")
        return city

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as a scenario file holds them."""
        return {"name": self.name, "change": [_plain(step) for step in self.steps]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Change:
        """Return the change that `to_dict` wrote.

        Raises
        ------
        UsageError
            If a step is not known or lacks something.
        """
        return cls(str(values.get("name", "")), tuple(_read_step(step) for step in values.get("change", ())))


def _plain(step: AnyStep) -> dict[str, Any]:
    """Return a step as plain values; tuples as lists, as JSON and TOML give them back."""
    values = step.model_dump(exclude={"do"}, exclude_none=True, exclude_defaults=True)
    return {"do": step.do, **{name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}}


def _anchored(city: City) -> City:
    """Return the city with its rasters and point clouds named by full paths: a changed city lies in no folder any more."""
    coverages = city.tables["coverages"]
    if city.path is None or not coverages.num_rows:
        return city
    from pathlib import Path

    import pyarrow as pa

    base = Path(city.path).resolve()
    paths = pa.array([str(base / path) for path in coverages["path"].to_pylist()])
    place = coverages.column_names.index("path")
    return city.replace_tables(coverages=coverages.set_column(place, coverages.schema.field("path"), paths))


def _read_step(step: Mapping[str, Any]) -> AnyStep:
    from pydantic import TypeAdapter, ValidationError

    from cim.scenario.steps import AnyStep as Steps

    adapter: TypeAdapter[AnyStep] = TypeAdapter(Steps)
    try:
        return adapter.validate_python(dict(step))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, one['loc'][1:])) or 'step'}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors()
        )
        msg = f"step {step.get('do')!r} for {step.get('id')!r}: {faults}"
        raise UsageError(msg) from error
