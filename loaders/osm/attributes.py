"""Tags to typed columns: which tag is which attribute of which class, in which unit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cim.loaders.osm.values import Parsed, count, direction_of, length, parsed, speed, year

if TYPE_CHECKING:
    from cim.model import Column

    Tags = Mapping[str, str]

__all__ = ["Columns", "address_of", "columns_of"]


@dataclass(frozen=True)
class _Field:
    name: str
    tags: tuple[str, ...]
    """The first that is there is taken."""
    parse: Callable[[str], Parsed] | None = None
    unit: str = ""
    en: str = ""
    zh: str = ""
    least: float = -1e9


@dataclass
class Columns:
    """Attribute columns of one class, and what was not as it should be."""

    columns: dict[str, Column] = field(default_factory=dict)
    bad: dict[str, Counter[str]] = field(default_factory=dict)
    """Tag -> texts that are no value of its kind; those values are missing."""
    mended: dict[str, Counter[str]] = field(default_factory=dict)
    """Tag -> texts read in spite of their form."""


def _gauge(text: str) -> Parsed:
    return length(f"{text} mm") if text.isdecimal() else Parsed(None)


_NAMES = (_Field("name_zh", ("name:zh", "name:zh-Hans"), en="Name in Chinese", zh="中文名称"),
          _Field("name_en", ("name:en",), en="Name in English", zh="英文名称"))  # fmt: skip
_BUILDING = (
    _Field("height", ("height", "building:height"), length, "m", least=0.0),
    _Field("min_height", ("min_height",), length, "m", "Height of its underside above the ground", "底部离地高度"),
    _Field("storeys_above_ground", ("building:levels",), count, least=0.0),
    _Field("storeys_below_ground", ("building:levels:underground",), count, least=0.0),
    _Field("min_storey", ("building:min_level",), count, "", "Storeys left out below", "底部架空层数"),
    _Field("roof_height", ("roof:height",), length, "m", "Height of the roof alone", "屋顶高度", least=0.0),
    _Field("roof_storeys", ("roof:levels",), count, "", "Storeys in the roof", "屋顶层数", least=0.0),
    _Field("roof_type", ("roof:shape",)), _Field("material", ("building:material",)),
    _Field("year_of_construction", ("start_date",), year),
)  # fmt: skip
_WAY = (
    _Field("lanes", ("lanes",), count, least=0.0),
    _Field("lanes_forward", ("lanes:forward",), count, "", "Lanes forward", "正向车道数", least=0.0),
    _Field("lanes_backward", ("lanes:backward",), count, "", "Lanes backward", "反向车道数", least=0.0),
    _Field("speed_limit", ("maxspeed",), speed, "m/s"), _Field("width", ("width",), length, "m", least=0.0),
    _Field("layer", ("layer",), count, "", "Layer", "层次"), _Field("bridge", ("bridge",), en="Bridge", zh="桥"),
    _Field("tunnel", ("tunnel",), en="Tunnel", zh="隧道"), _Field("surface", ("surface",)),
    _Field("access", ("access",), en="Access", zh="通行权"),
    _Field("turn_lanes", ("turn:lanes",), en="Turns by lane", zh="车道转向"),
    _Field("reference", ("ref",), en="Road number", zh="道路编号"),
)  # fmt: skip
_FIELDS: dict[str, tuple[_Field, ...]] = {
    "Building": _BUILDING, "BuildingPart": _BUILDING,
    "Road": (_Field("road_class", ("highway",)), *_WAY), "Track": (_Field("road_class", ("highway",)), *_WAY),
    "Square": (_Field("surface", ("surface",)), _Field("access", ("access",), en="Access", zh="通行权")),
    "Railway": (*_WAY, _Field("electrified", ("electrified",), en="Electrified", zh="电气化"),
                _Field("gauge", ("gauge",), _gauge, "m", "Gauge", "轨距", least=0.0)),
    "LandUse": (_Field("land_use", ("landuse",)),),
    "PlantCover": (_Field("height", ("height",), length, "m", least=0.0), _Field("leaf_type", ("leaf_type",), en="Leaf type", zh="叶型")),
    "SolitaryVegetationObject": (
        _Field("height", ("height",), length, "m", least=0.0),
        _Field("species", ("species", "taxon", "genus")),
        _Field("crown_diameter", ("diameter_crown",), length, "m", least=0.0),
        _Field("leaf_type", ("leaf_type",), en="Leaf type", zh="叶型")),
    "WaterBody": (_Field("width", ("width",), length, "m", least=0.0), _Field("tunnel", ("tunnel",), en="Tunnel", zh="隧道"),
                  _Field("layer", ("layer",), count, "", "Layer", "层次")),
    "Bridge": (_Field("layer", ("layer",), count, "", "Layer", "层次"),),
    "OtherConstruction": (_Field("height", ("height",), length, "m", least=0.0),
                          _Field("width", ("width",), length, "m", least=0.0), _Field("material", ("material",))),
    "CityFurniture": (_Field("height", ("height",), length, "m", least=0.0), _Field("material", ("material",))),
}  # fmt: skip
_WHOLE = {count, year}


def columns_of(type_: str, keys: Sequence[str], tags: Sequence[Tags]) -> Columns:
    """Return the attribute columns of objects of one class.

    Parameters
    ----------
    keys
        The key of each object that told its class, such as "amenity".
    tags
        Tags of each object.
    """
    from cim.model import Column

    out = Columns()
    kinds = [f"{key}={one[key]}" for key, one in zip(keys, tags, strict=True)]
    out.columns["class"] = Column(kinds, source_field="/".join(sorted(set(keys))), label_en="Class", label_zh="类别")
    if type_ in ("Building", "BuildingPart"):
        kinds_of = [one[key] if one[key] != "yes" else None for key, one in zip(keys, tags, strict=True)]
        _keep(out, "function", kinds_of, _Field("function", tuple(sorted(set(keys)))))
    addresses = [address_of(one) for one in tags]
    _keep(out, "address", addresses, _Field("address", ("addr:*",)))
    for one in (*_FIELDS.get(type_, ()), *_NAMES):
        _add(out, one, tags)
    if type_ in ("Road", "Track", "Railway"):
        _one_way(out, tags)
    return out


def _add(out: Columns, one: _Field, tags: Sequence[Tags]) -> None:
    texts = [next((own[tag] for tag in one.tags if tag in own), None) for own in tags]
    if not any(text is not None for text in texts):
        return
    if one.parse is None:
        _keep(out, one.name, texts, one)
        return
    parse, least = one.parse, one.least

    def within(text: str) -> Parsed:
        found = parse(text)
        return Parsed(None) if found.value is not None and found.value < least else found

    done = parsed(texts, within)
    tag = one.tags[0]
    if done.bad:
        out.bad[tag] = done.bad
    if done.mended:
        out.mended[tag] = done.mended
    values: list[float | int | None] = list(done.values)
    if parse in _WHOLE and all(value is None or value == int(value) for value in values):
        values = [None if value is None else int(value) for value in values]
    _keep(out, one.name, values, one)


def _keep(out: Columns, name: str, values: Sequence[object], one: _Field) -> None:
    from cim.model import Column
    from cim.standard_names import STANDARD_NAMES

    if all(value is None for value in values):
        return
    standard = STANDARD_NAMES.get(name)
    en, zh = (standard.label_en, standard.label_zh) if standard is not None else (one.en, one.zh)
    out.columns[name] = Column(values, unit=one.unit, source_field=one.tags[0], label_en=en, label_zh=zh)


def _one_way(out: Columns, tags: Sequence[Tags]) -> None:
    """Add whether the way is one-way, where a tag says so."""
    said = [direction_of(one.get("oneway"), implied=False) if "oneway" in one else None for one in tags]
    flags = [None if one is None or not one[1] else one[0] != "both" for one in said]
    _keep(out, "one_way", flags, _Field("one_way", ("oneway",)))
    bad = Counter(own["oneway"] for own, one in zip(tags, said, strict=True) if one is not None and not one[1])
    if bad:
        out.bad["oneway"] = bad


def address_of(tags: Tags) -> str | None:
    """Return the address of an object, None where its tags hold no house number or full address.

    Examples
    --------
    >>> address_of({"addr:street": "Mannerheimintie", "addr:housenumber": "5", "addr:postcode": "00100", "addr:city": "Helsinki"})
    'Mannerheimintie 5, 00100 Helsinki'
    >>> address_of({"addr:city": "成都市", "addr:street": "天府大道", "addr:housenumber": "1号"})
    '成都市天府大道1号'
    """
    if "addr:full" in tags:
        return tags["addr:full"]
    number = tags.get("addr:housenumber")
    street = tags.get("addr:street") or tags.get("addr:place")
    if number is None or street is None:
        return None
    if any("\u4e00" <= letter <= "\u9fff" for letter in street):
        above = (tags.get(f"addr:{level}", "") for level in ("province", "city", "district"))
        return "".join((*above, street, number))
    town = " ".join(tags[key] for key in ("addr:postcode", "addr:city") if key in tags)
    return f"{street} {number}, {town}" if town else f"{street} {number}"
