"""What if: a change is a value, written in code or in a scenario file, that applied to a city gives a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cim.errors import UsageError

if TYPE_CHECKING:
    from cim.model import City
    from cim.scenario.steps import AddBuilding, RaiseBuilding, RemoveBuilding

    AnyStep = RaiseBuilding | RemoveBuilding | AddBuilding

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
        steps = [{"do": step.do, **step.model_dump(exclude={"do"}, exclude_none=True, exclude_defaults=True)} for step in self.steps]
        return {"name": self.name, "change": steps}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Change:
        """Return the change that `to_dict` wrote.

        Raises
        ------
        UsageError
            If a step is not known or lacks something.
        """
        return cls(str(values.get("name", "")), tuple(_read_step(step) for step in values.get("change", ())))


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
