"""What shall be reached: buildings or other objects, with the people and the floor area in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import ObjectNotFoundError, UsageError
from cim.sim.buildings import read_buildings
from cim.sim.floor_area import floor_areas
from cim.sim.impact.parameters import ImpactParameters
from cim.sim.impact.residents import _people
from cim.sim.uses import use_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.sim.buildings import Buildings

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Targets", "read_targets"]


@dataclass(frozen=True)
class Targets:
    """Objects, one row each."""

    keys: Ints
    ids: NDArray[np.object_]
    shapes: NDArray[np.object_]
    people: Floats
    """Not a number where nobody knows, and for what is no building."""
    floor_area: Floats
    """[m²]; likewise."""
    notes: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.ids)


def read_targets(city: City, objects: str | Sequence[str], limits: ImpactParameters, *, what: str = "reach") -> Targets:
    """Return what shall be reached.

    Parameters
    ----------
    objects
        Classes of objects such as ``"Building"`` or ``"LandUse"``, and ids.

    Raises
    ------
    UsageError
        If one is neither a class nor an id, or nothing is left; all of them are named.
    """
    keys, wanted = _keys(city, [objects] if isinstance(objects, str) else list(objects), what)
    buildings = read_buildings(city)
    shapes = city.footprints(keys)
    people, area = np.full(len(keys), np.nan), np.full(len(keys), np.nan)
    notes: list[str] = []
    at = np.searchsorted(buildings.keys, keys)
    mine = at < len(buildings)
    mine[mine] = buildings.keys[at[mine]] == keys[mine]
    if mine.any():
        shapes = np.where(mine, buildings.footprints[np.minimum(at, len(buildings) - 1)], shapes)
        count, source = _residents(city, buildings, limits)
        people[mine], area[mine] = count[at[mine]], _floor_area(city, buildings)[at[mine]]
        notes += _told(people[mine], area[mine], source[at[mine]], limits)
    if not len(keys):
        msg = f"{what}: the city has no {' or '.join(wanted)} that could be reached"
        raise UsageError(msg)
    return Targets(keys, np.array(city.ids(keys), object), shapes, people, area, tuple(notes))


def _keys(city: City, wanted: list[str], what: str) -> tuple[Ints, list[str]]:
    types, found, unknown = city.types(), [np.empty(0, np.int64)], []
    for one in wanted:
        if one == "Building":
            found.append(read_buildings(city).keys)
        elif one in types:
            found.append(city.keys(one))
        else:
            try:
                found.append(city.key_of([one]))
            except ObjectNotFoundError:
                unknown.append(one)
    if unknown:
        msg = f"{what}: {len(unknown)} of the objects are neither a class of the city nor an id: {', '.join(map(repr, unknown[:5]))}"
        raise UsageError(msg)
    return np.unique(np.concatenate(found)), wanted


def _residents(city: City, buildings: Buildings, limits: ImpactParameters) -> tuple[Floats, NDArray[np.object_]]:
    count, source, _ = _people(city, buildings, use_of(city, "Building", buildings.keys, limits.uses), limits)
    return count, source


def _floor_area(city: City, buildings: Buildings) -> Floats:
    """Return the floor area of each building with its parts, not a number where one of them does not say it."""
    found = floor_areas(city, buildings, "gross_floor_area", None)
    total = found.area[: len(buildings)].copy()
    more = found.pieces.keys[len(buildings) :]
    order = np.argsort(buildings.parts.keys, kind="stable")
    part = order[np.searchsorted(buildings.parts.keys[order], more)] if len(more) else np.empty(0, np.int64)
    np.add.at(total, buildings.owner[part], found.area[len(buildings) :])
    return total


def _told(people: Floats, area: Floats, source: NDArray[np.object_], limits: ImpactParameters) -> list[str]:
    said, total = [], len(people)
    assumed = int((source == "assumed").sum())
    if assumed:
        each = ", ".join(f"{use} {value:g} m²" for use, value in limits.floor_area_per_person.items())
        said.append(f"people of {assumed:,} of {total:,} buildings are assumed from floor area ({each} per person)")
    for words, values in (("how many people are in", people), ("the floor area of", area)):
        lost = int(np.isnan(values).sum())
        if lost:
            said.append(f"nobody says {words} {lost:,} of {total:,} buildings: sums and shares are without them")
    return said
