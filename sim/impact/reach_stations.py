"""Stations that reach is counted from: ids, points, or a word for what they are used for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import ObjectNotFoundError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Ints = NDArray[np.int64]

__all__ = ["WORDS", "Stations", "read_stations"]

_ROWS = """
fire
    fire_station firestation fire brandweer brandweerkazerne 消防站 消防队 消防救援站 特勤消防站 普通消防站 消防
hospital
    hospital ziekenhuis 医院 综合医院 急救中心 急救站 人民医院
police
    police police_station politie 派出所 公安局 警察局
school
    school primary_school secondary_school 学校 小学 中学
shelter
    emergency_shelter evacuation_shelter assembly_point 避难场所 应急避难场所 紧急避难场所 固定避难场所 中心避难场所 避难所 防灾公园
"""


def _words() -> dict[str, str]:
    """Return the kind of each word: a line that begins at the margin names the kind of those below it."""
    found, kind = {}, ""
    for line in _ROWS.strip().splitlines():
        kind = kind if line.startswith(" ") else line
        found.update(dict.fromkeys(line.split(), kind))
    return found


WORDS: dict[str, str] = _words()
"""Kind by the word of a source, lower case: words in use in OpenStreetMap, the Dutch register and Chinese surveys. ``amenity=shelter`` of
OpenStreetMap, a roof at a bus stop, is no shelter."""
_ATTRIBUTES = ("function", "usage", "class")
_SKIPPED = frozenset({"CityFurniture", "Road", "Track", "Railway"})


@dataclass(frozen=True)
class Stations:
    """Stations of one or several services, one row each."""

    ids: NDArray[np.object_]
    """Id of the object; ``point 1`` … for places without one."""
    service: Ints
    """Row in `names`."""
    names: tuple[str, ...]
    shapes: NDArray[np.object_]
    keys: Ints
    """Key of the object, -1 for a point."""
    notes: tuple[str, ...]

    @property
    def objects(self) -> NDArray[np.object_]:
        """Ids of objects, None for points."""
        found = self.ids.copy()
        found[self.keys < 0] = None
        return found

    def __len__(self) -> int:
        """Return the number of stations."""
        return len(self.ids)


def read_stations(city: City, stations: Any, *, what: str = "reach") -> Stations:
    """Return the stations that are meant.

    Parameters
    ----------
    stations
        A word such as ``"fire"``, ``"hospital"``, ``"医院"`` (`WORDS`, else a value of function, usage or class), ids of objects, points
        ``(x, y)``; several of them; or a mapping from the name of a service to any of these. Each word is a service of its own, ids and
        points together are the service ``"stations"``.

    Raises
    ------
    UsageError
        If one is not found, a service is empty or there is none; all faults in one message.
    """
    services = _services(stations)
    faults: list[str] = []
    notes: list[str] = []
    parts = []
    for number, (name, given) in enumerate(services.items()):
        keys, points = _one_service(city, name, given, faults, notes)
        parts.append((number, keys, points))
        if not len(keys) and not points and not faults:
            faults.append(f"the service {name!r} has no station; give ids, points (x, y) or a word such as 'fire' or 'hospital'")
    if not services:
        faults.append("no stations; give ids, points (x, y) or a word such as 'fire' or 'hospital'")
    if faults:
        msg = f"{what}: {len(faults)} fault{'s' if len(faults) > 1 else ''}:\n  " + "\n  ".join(faults)
        raise UsageError(msg)
    return _joined(city, tuple(services), parts, notes)


def _services(stations: Any) -> dict[str, list[Any]]:
    """Return what was given by the name of its service."""
    if isinstance(stations, Mapping):
        return {str(name): _listed(one) for name, one in stations.items()}
    made: dict[str, list[Any]] = {}
    for one in _listed(stations):
        known = isinstance(one, str) and one.strip().lower() in WORDS
        made.setdefault(WORDS[one.strip().lower()] if known else "stations", []).append(one)
    return made


def _listed(given: Any) -> list[Any]:
    """Return one or several stations as a list; two numbers are one point."""
    if isinstance(given, str) or _is_point(given):
        return [given]
    if isinstance(given, Sequence) or hasattr(given, "tolist"):
        return list(given)
    msg = f"stations={given!r}; expected ids, points (x, y), words such as 'fire', or a mapping from the name of a service to these"
    raise UsageError(msg)


def _is_point(given: Any) -> bool:
    try:
        return len(given) == 2 and all(isinstance(one, int | float | np.number) and np.isfinite(one) for one in given)
    except TypeError:
        return False


def _one_service(city: City, name: str, given: list[Any], faults: list[str], notes: list[str]) -> tuple[Ints, list[tuple[float, float]]]:
    """Return keys and points of one service; faults and notes are added to."""
    keys: list[int] = []
    points: list[tuple[float, float]] = []
    for one in given:
        if _is_point(one):
            points.append((float(one[0]), float(one[1])))
        elif not isinstance(one, str):
            faults.append(f"station {one!r} of {name!r}; expected an id, a point (x, y) or a word")
        else:
            found = _by_id(city, one)
            keys += found if found is not None else _by_word(city, one, faults, notes)
    return np.array(list(dict.fromkeys(keys)), np.int64), points


def _by_id(city: City, name: str) -> list[int] | None:
    try:
        return [int(city.key_of([name])[0])]
    except ObjectNotFoundError:
        return None


def _by_word(city: City, word: str, faults: list[str], notes: list[str]) -> list[int]:
    """Return the objects that a word means, in the order of their keys."""
    kind = WORDS.get(word.strip().lower())
    wanted = {one for one, of in WORDS.items() if of == kind} if kind else {word.strip().lower()}
    keys: set[int] = set()
    for type_ in city.types():
        if type_ in _SKIPPED or type_ not in city.attributes:
            continue
        names = city.attributes.schema(type_).names
        own = city.keys(type_)
        for name in _ATTRIBUTES:
            if name in names:
                keys |= set(own[_means(city.column(type_, name, own).to_pylist(), wanted)].tolist())
    if not keys:
        looked = "no object has this id, and none says it in " + ", ".join(_ATTRIBUTES)
        faults.append(f"station {word!r}: {looked}; give ids or points (x, y)")
        return []
    kept, dropped = _without_doubles(city, np.array(sorted(keys), np.int64))
    ids = city.ids(kept)
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    notes.append(f"{word}: {len(ids)} stations by their function, usage or class ({', '.join(ids[:5])}{more})")
    if dropped:
        notes.append(f"{word}: {dropped} areas, points and parts that stand for a building already found are left out")
    return [int(one) for one in kept]


def _means(words: list[Any], wanted: set[str]) -> NDArray[np.bool_]:
    """Return which words are wanted ones; ``amenity=hospital`` is read as its value."""
    said = {word: word.strip().lower() for word in set(words) if isinstance(word, str)}
    read = {word: bool({text, text.rpartition("=")[2]} & wanted) for word, text in said.items()}
    return np.array([read.get(word, False) for word in words], bool)


def _without_doubles(city: City, keys: Ints) -> tuple[Ints, int]:
    """Return stations without areas, points and parts that touch a building found as well: the building stands for all of them."""
    import shapely

    houses = np.isin(keys, city.keys("Building"))
    shapes = city.footprints(keys)
    if houses.all() or not houses.any():
        return keys, 0
    tree = shapely.STRtree(shapes[houses])
    rest = np.flatnonzero(~houses & ~shapely.is_missing(shapes))
    hit = rest[np.unique(tree.query(shapes[rest], predicate="intersects")[0])]
    return np.delete(keys, hit), len(hit)


def _joined(city: City, names: tuple[str, ...], parts: list[tuple[int, Ints, list[tuple[float, float]]]], notes: list[str]) -> Stations:
    import shapely

    ids: list[str] = []
    service, shapes, keys = [], [], []
    number = 0
    for of, own, points in parts:
        ids += list(city.ids(own)) + [f"point {number + k + 1}" for k in range(len(points))]
        number += len(points)
        service += [of] * (len(own) + len(points))
        shapes += [city.footprints(own), shapely.points(np.array(points, float).reshape(-1, 2))]
        keys += [own, np.full(len(points), -1, np.int64)]
    place, key = np.concatenate(shapes), np.concatenate(keys).astype(np.int64)
    return Stations(np.array(ids, object), np.array(service, np.int64), names, place, key, tuple(notes))
