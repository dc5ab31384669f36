"""What the attributes of roads say, in any of the usual fields: class, lanes, speed limit, direction, level, bridge and tunnel."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cim.model.numeric import number_column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Texts = NDArray[np.object_]

__all__ = ["NOT_FOR_CARS", "WAY_WORDS", "RoadFacts", "class_of", "read_facts"]

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
_CLASS_FIELDS = (
    "road_class", "function", "class", "fclass", "highway", "usage", "kind", "道路等级", "道路等", "等级", "道路级别", "级别", "道路类型",
    "道路类", "技术等级", "行政等级", "道路性质", "类型", "类别",
)  # fmt: skip
"""The first that says it counts; 道路等 and 道路类 are what a shapefile in UTF-8 leaves of longer names."""
_LEVEL_FIELDS = ("layer", "relatievehoogteligging", "relative_height", "z_level", "层级")
_WAY_FIELDS = (
    "one_way", "oneway", "dir_travel", "单行", "单行线", "单向", "单双向", "direction", "通行方向", "行驶方向", "交通方向", "车行方向",
    "方向",
)  # fmt: skip
_FLAG, _ONE_WAY = "yes", "one way"
_WAYS = {
    **dict.fromkeys(("true", "yes", "y", "1"), _FLAG),
    **dict.fromkeys(("是", "单行", "单向", "单行线", "单行道", "单行路", "单向通行"), _ONE_WAY),
    **dict.fromkeys(("ft", "forward", "正向", "顺向", "正方向", "顺方向"), "forward"),
    **dict.fromkeys(("-1", "reverse", "tf", "backward", "反向", "逆向", "反方向", "逆方向"), "backward"),
    **dict.fromkeys(("false", "no", "0", "both", "b", "否", "非单行", "双行", "双向", "双行线", "双向通行"), "both"),
}
"""Directions by word. Both kinds of one way are along the line unless another field tells; "yes" is by the rules of OpenStreetMap, the
Chinese words do not say which, and are told."""
WAY_WORDS = "yes/no, 1/0/-1 without other codes, FT/TF, F/T/B, forward/backward/both, 正向/反向/双向, 单行/双行"
"""What is understood, for messages."""
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
    one_way: int
    """One-way roads that do not say in which direction, taken for along the line."""
    other_ways: Counter[str]
    """Words of direction that are not understood."""


class _Ways(NamedTuple):
    """The last fields of `RoadFacts` that are of directions."""

    direction: Texts
    true_or_false: int
    one_way: int
    other: Counter[str]


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
    ways = _direction(city, type, fields, keys)
    lanes = number_column(city, type, "lanes", keys)
    width = number_column(city, type, "width", keys)
    return RoadFacts(
        found, np.where(found == "", said, ""), np.where(lanes > 0, lanes, np.nan), speed, np.where(width > 0, width, np.nan),
        ways.direction, storey, bridge, tunnel, in_kmh, ways.true_or_false, ways.one_way, ways.other,
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


def _direction(city: City, type: str, fields: dict[str, str], keys: Ints) -> _Ways:
    """Return the direction of traffic against the line, from the first field that says it; whether it is one way may stand in another."""
    found, other = np.full(len(keys), "", object), np.full(len(keys), "", object)
    guessed = 0
    for name in [fields[one] for one in _WAY_FIELDS if one in fields]:
        texts = _texts(city, type, name, keys)
        said, many = _ways(texts)
        guessed += many
        other = np.where((other == "") & (said == ""), texts, other)
        flag = np.isin(found.astype(str), (_FLAG, _ONE_WAY)) & np.isin(said.astype(str), ("forward", "backward"))
        found = np.where((found == "") | flag, said, found)
    unknown = Counter(one for one in other[found == ""].tolist() if one)
    along = found == _ONE_WAY
    return _Ways(np.where(along | (found == _FLAG), "forward", found), guessed, int(along.sum()), unknown)


def _ways(texts: Texts) -> tuple[Texts, int]:
    """Return what the words of one field mean, "" where that is not known, and how many T and F are taken for true and false.

    F, T and N are along, against and closed where B (both) occurs, too, as in extracts of OpenStreetMap; without it they are false, true
    and no. Codes beyond 0 and 1 mean what only a code list tells, and so do 0 and 1 beside them.
    """
    words = np.array([one.lower().removesuffix(".0") for one in texts.tolist()], object)
    there = set(words.tolist())
    letters = "b" in there
    known = {**_WAYS, "f": "forward", "t": "backward"} if letters else {**_WAYS, "t": _FLAG, "f": "both", "n": "both"}
    if any(one.isdecimal() and one not in ("0", "1") for one in there):
        known = {word: way for word, way in known.items() if not word.isdecimal()}
    guessed = 0 if letters else int(np.isin(words.astype(str), ("t", "f")).sum())
    return np.array([known.get(one, "") for one in words.tolist()], object), guessed
