"""What the attributes of roads say, in any of the usual fields: class, lanes, speed limit, direction, level, bridge and tunnel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.model.numeric import number_column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Texts = NDArray[np.object_]

__all__ = ["NOT_FOR_CARS", "RoadFacts", "class_of", "read_facts"]

NOT_FOR_CARS = frozenset(
    {"footway", "cycleway", "pedestrian", "bridleway", "steps", "path", "parking", "railway", "runway", "busway", "track"}
)
"""Classes that are no carriageway for cars."""
_RANKS = ("motorway", "trunk", "primary", "secondary", "tertiary")
_CLASSES = NOT_FOR_CARS.union(
    _RANKS, (f"{name}_link" for name in _RANKS), ("unclassified", "road", "residential", "living_street", "service")
)
_WORDS = (
    ("人行", "footway"), ("步行", "pedestrian"), ("非机动", "cycleway"), ("自行车", "cycleway"), ("停车", "parking"),
    ("匝道", "primary_link"),
    ("高速", "motorway"), ("快速", "trunk"), ("国道", "trunk"), ("主干", "primary"), ("省道", "primary"), ("次干", "secondary"),
    ("县道", "secondary"), ("支路", "tertiary"), ("乡道", "tertiary"), ("村道", "unclassified"), ("内部", "service"),
    ("街坊", "residential"), ("小区", "residential"), ("居住", "residential"),
    ("voetpad op trap", "steps"), ("voetpad", "footway"), ("voetgangersgebied", "pedestrian"), ("fietspad", "cycleway"),
    ("ruiterpad", "bridleway"), ("parkeervlak", "parking"), ("ov-baan", "busway"), ("spoorbaan", "railway"), ("vliegverkeer", "runway"),
    ("woonerf", "living_street"), ("inrit", "service"), ("autosnelweg", "motorway"), ("autoweg", "trunk"), ("regionale weg", "secondary"),
    ("lokale weg", "residential"), ("overweg", "unclassified"),
    ("footpath", "footway"), ("sidewalk", "footway"), ("cyclepath", "cycleway"), ("bicycle", "cycleway"), ("foot", "footway"),
    ("parking", "parking"), ("expressway", "trunk"), ("freeway", "motorway"), ("motorway", "motorway"), ("arterial", "primary"),
    ("collector", "tertiary"), ("track", "track"), ("driving", "unclassified"), ("local", "residential"),
)  # fmt: skip
"""Words of Chinese (CJJ 37, classes of highways), Dutch (IMGeo, functie wegdeel) and English sources; the first that occurs counts."""
_CLASS_FIELDS = ("road_class", "function", "class", "fclass", "highway", "usage", "kind")
_LEVEL_FIELDS = ("layer", "relatievehoogteligging", "relative_height", "z_level", "层级")
_BRIDGE = ("bridge", "桥", "viaduct")
_TUNNEL = ("tunnel", "隧", "underfart", "underpass", "下穿")
_NO = frozenset(["", "no", "none", "false", "f", "0", "n", "否", "nan"])
_FASTEST = 45.0
"""[m/s]; 162 km/h is no speed limit."""
_ROUND = 20.0
"""[m/s]; limits in m/s that are read from km/h are no round numbers, but for 10 (36 km/h) and 15 (54 km/h), which nobody posts."""


@dataclass(frozen=True)
class RoadFacts:
    """What roads say of themselves, one row each."""

    road_class: Texts
    """A class of OpenStreetMap, "" where nothing says it."""
    said: Texts
    """The words that no class was found for, "" without."""
    lanes: Floats
    """Of both directions; not a number where nothing says it, as in all that follow."""
    speed: Floats
    """Limit [m/s]."""
    width: Floats
    """[m]"""
    direction: Texts
    """``"forward"``, ``"backward"``, ``"both"``; "" where nothing says it."""
    storey: Floats
    """The level that is stated; else 1 of a bridge, -1 of a tunnel, 0."""
    bridge: Bools
    tunnel: Bools
    in_kmh: int
    """Limits that were taken for km/h."""
    true_or_false: int
    """Directions T and F that were taken for yes and no, where no road has B: they may mean against and along the line."""


def class_of(said: str) -> str:
    """Return the class that a word of a source means, "" where none.

    Examples
    --------
    >>> class_of("主干路"), class_of("rijbaan lokale weg"), class_of("track_grade1"), class_of("5")
    ('primary', 'residential', 'track', '')
    """
    word = said.strip().lower()
    return word if word in _CLASSES else next((name for part, name in _WORDS if part in word), "")


def read_facts(city: City, type: str, keys: Ints) -> RoadFacts:
    """Return what objects of one class say.

    Parameters
    ----------
    keys : shape (n,)
        Keys of objects of the class.
    """
    fields = {name.lower(): name for name in (city.attributes.schema(type).names if type in city.attributes else [])}
    names = [fields[one] for one in _CLASS_FIELDS if one in fields]
    texts = [_texts(city, type, name, keys) for name in names]
    found, said = np.full(len(keys), "", object), np.full(len(keys), "", object)
    bridge, tunnel = (_flag(city, type, fields, words, keys) for words in (_BRIDGE, _TUNNEL))
    for column in texts:
        known = {word: class_of(word) for word in dict.fromkeys(column.tolist())}
        guess = np.array([known[word] for word in column.tolist()], object)
        found = np.where(found == "", guess, found)
        said = np.where((said == "") & (guess == ""), column, said)
        tunnel |= _mention(column, _TUNNEL)
        bridge |= _mention(column, _BRIDGE)
    level = np.full(len(keys), np.nan)
    for name in [fields[one] for one in _LEVEL_FIELDS if one in fields]:
        level = np.where(np.isnan(level), _numeric(city, type, name, keys), level)
    storey = np.where(np.isnan(level), np.where(bridge, 1.0, np.where(tunnel, -1.0, 0.0)), level)
    speed, in_kmh = _speed(city, type, keys)
    direction, true_or_false = _direction(city, type, fields, keys)
    lanes = number_column(city, type, "lanes", keys)
    width = number_column(city, type, "width", keys)
    return RoadFacts(
        found, np.where(found == "", said, ""), np.where(lanes > 0, lanes, np.nan), speed, np.where(width > 0, width, np.nan),
        direction, storey, bridge, tunnel, in_kmh, true_or_false,
    )  # fmt: skip


def _texts(city: City, type: str, name: str, keys: Ints) -> Texts:
    values = city.column(type, name, keys).to_pylist() if len(keys) else []
    return np.array(["" if one is None else str(one).strip() for one in values], object)


def _numeric(city: City, type: str, name: str, keys: Ints) -> Floats:
    def number(text: str) -> float:
        try:
            return float(text)
        except ValueError:
            return float("nan")

    return np.array([number(one) for one in _texts(city, type, name, keys).tolist()], float)


def _mention(column: Texts, words: tuple[str, ...]) -> Bools:
    told = {one: any(word in one.lower() for word in words) for one in dict.fromkeys(column.tolist())}
    return np.array([told[one] for one in column.tolist()], bool)


def _flag(city: City, type: str, fields: dict[str, str], words: tuple[str, ...], keys: Ints) -> Bools:
    """Return where a field named like one of the words says something but no."""
    found = np.zeros(len(keys), bool)
    named = [fields[one] for one in fields if any(one in (word, f"is_{word}") or (not word.isascii() and word in one) for word in words)]
    for name in named:
        found |= ~np.isin(np.array([one.lower() for one in _texts(city, type, name, keys).tolist()], str), sorted(_NO))
    return found


def _speed(city: City, type: str, keys: Ints) -> tuple[Floats, int]:
    """Return speed limits [m/s], and how many were taken for km/h although the field counts in m/s or in nothing.

    Fields such as ``maxspeed`` hold km/h and seldom say so: limits that are all whole multiples of five up to 20 or more, or beyond any
    limit in m/s, are.
    """
    speed = number_column(city, type, "speed_limit", keys)
    stated = speed[speed > 0]
    if not len(stated):
        return np.full(len(keys), np.nan), 0
    speed = np.where(speed > 0, speed, np.nan)
    round_ones = bool((stated % 5 == 0).all()) and stated.max() >= _ROUND
    kmh = city.unit(type, "speed_limit") != "m/s" or stated.max() > _FASTEST or round_ones
    return (speed / 3.6, len(stated)) if kmh else (speed, 0)


def _direction(city: City, type: str, fields: dict[str, str], keys: Ints) -> tuple[Texts, int]:
    """Return the direction of traffic against the line: yes/no, -1, or F/T/B (along, against, both; as in extracts of OpenStreetMap).

    Where no road has B, T and F are true and false; how many there are is returned, too.
    """
    found = np.full(len(keys), "", object)
    name = next((fields[one] for one in ("one_way", "oneway", "dir_travel", "direction") if one in fields), None)
    if name is None or not len(keys):
        return found, 0
    words = np.array([one.lower() for one in _texts(city, type, name, keys).tolist()], object)
    letters = {"f": "forward", "t": "backward", "b": "both"} if "b" in set(words.tolist()) else {}
    plain = {"true": "forward", "yes": "forward", "1": "forward", "是": "forward", "-1": "backward", "reverse": "backward", "false": "both",
             "no": "both", "0": "both", "否": "both", "ft": "forward", "tf": "backward", "forward": "forward", "backward": "backward",
             "both": "both", "t": "forward", "f": "both", "y": "forward", "n": "both", "单向": "forward", "双向": "both"}  # fmt: skip
    known: dict[Any, str] = {**plain, **letters}
    guessed = 0 if letters else int(np.isin(words.astype(str), ("t", "f")).sum())
    return np.array([known.get(one, "") for one in words.tolist()], object), guessed
