"""What kinds of things a city holds: the feature classes of CityGML 3.0 under our names, bilingual, with their CityJSON names.

A type outside the list (an extension such as ``+NoiseBuilding``) is allowed everywhere and kept as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, TypeVar

from cim.errors import UsageError

__all__ = ["CLASSES", "EXTENSION", "CityClass", "Language", "from_cityjson", "get", "label", "to_cityjson"]

EXTENSION = "Extension"  # the module of every type that CityGML 3.0 does not have

Kind = Literal["feature", "thematic surface", "space"]
Language = Literal["en", "zh"]
Item = TypeVar("Item")


@dataclass(frozen=True)
class CityClass:
    """One feature class."""

    name: str
    """Our name: what stands in ``objects.type`` or ``surfaces.type``."""
    citygml: str
    """Its name in CityGML 3.0 (``Storey`` for our BuildingStorey)."""
    module: str
    """CityGML 3.0 module, or `EXTENSION`."""
    kind: Kind
    """By descent in CityGML 3.0: a space, a thematic surface, or any other feature."""
    parents: tuple[str, ...]
    """Classes that may contain it, in CityGML 3.0 or as CityJSON and IFC nest it; empty for what stands by itself. Groups hold anything."""
    label_en: str
    """English label."""
    label_zh: str
    """Chinese label."""
    cityjson: str
    """CityJSON 2.0 name that is written for it."""
    cityjson_object: str
    """CityJSON 2.0 name of the city object that is written when it is an object by itself, not a surface of one."""
    aliases: tuple[str, ...]
    """Every other name that is read as this class: CityGML 2.0 and 3.0, CityJSON 1.0 to 2.0."""
    semantic: bool
    """True if it may be the type of a surface."""


class LazyMapping(Mapping[str, Item]):
    """A read-only mapping that is filled when it is first looked into."""

    def __init__(self, load: Callable[[], Mapping[str, Item]]) -> None:
        self._load = load

    def __getitem__(self, key: str) -> Item:
        return self._load()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())


def read_json(name: str) -> dict[str, Any]:
    """Return a JSON file that lies beside this module."""
    content: dict[str, Any] = json.loads(files("cim.model").joinpath(name).read_text(encoding="utf-8"))
    return content


def _city_class(row: Mapping[str, Any]) -> CityClass:
    name, written = row["name"], row["cityjson"]
    surface_only = row.get("semantic", False) and "cityjson_object" not in row
    names = [row.get("citygml", name), *row.get("also", [])] + ([] if row.get("lossy") else [written])
    return CityClass(
        name=name,
        citygml=row.get("citygml", name),
        module=row["module"],
        kind=row["kind"],
        parents=tuple(row["parents"]),
        label_en=row["en"],
        label_zh=row["zh"],
        cityjson=written,
        cityjson_object=row.get("cityjson_object", "GenericCityObject" if surface_only else written),
        aliases=tuple(alias for alias in dict.fromkeys(names) if alias != name),
        semantic=row.get("semantic", False),
    )


@cache
def _classes() -> dict[str, CityClass]:
    return {row["name"]: _city_class(row) for row in read_json("classes.json")["classes"]}


@cache
def _aliases() -> dict[str, str]:
    """Return our name by every other name; our own names come first, then the class listed first."""
    found: dict[str, str] = {name: name for name in _classes()}
    for item in _classes().values():
        for alias in item.aliases:
            found.setdefault(alias, item.name)
    return found


CLASSES: Mapping[str, CityClass] = LazyMapping(_classes)
"""Every class by our name; read from the list when first used."""


def get(name: str) -> CityClass:
    """Return the class of a name: ours, CityGML 2.0 or 3.0, CityJSON; any other name gives a class of module `EXTENSION`.

    Raises
    ------
    UsageError
        If the name is empty.

    Examples
    --------
    >>> get("Storey").name, get("TransportSquare").name, get("+NoiseBuilding").module
    ('BuildingStorey', 'Square', 'Extension')
    """
    known = _aliases().get(name)
    if known is not None:
        return _classes()[known]
    bare = name.removeprefix("+")
    if not bare.strip():
        msg = f"a class name is {name!r}, expected text such as Building or +MyExtension; name the class"
        raise UsageError(msg)
    written = f"+{bare}"
    return CityClass(name, bare, EXTENSION, "feature", (), bare, bare, written, written, (), semantic=True)


def label(name: str, language: Language = "en") -> str:
    """Return what people call the class.

    Raises
    ------
    UsageError
        If the language is neither ``en`` nor ``zh``.

    Examples
    --------
    >>> label("BuildingStorey"), label("BuildingStorey", "zh")
    ('storey', '楼层')
    """
    check_language(language)
    item = get(name)
    return item.label_zh if language == "zh" else item.label_en


def check_language(language: str) -> None:
    """Raise `UsageError` for a language that has no labels."""
    if language not in {"en", "zh"}:
        msg = f"language is {language!r}, expected 'en' or 'zh'; choose one of the two"
        raise UsageError(msg)


def from_cityjson(name: str) -> str:
    """Return our name of a CityJSON city object or semantic surface (versions 1.0 to 2.0); an unknown name as it is.

    Examples
    --------
    >>> from_cityjson("GenericCityObject"), from_cityjson("+NoiseBuilding")
    ('GenericOccupiedSpace', '+NoiseBuilding')
    """
    return get(name).name


def to_cityjson(name: str, *, as_object: bool = False) -> tuple[str, bool]:
    """Return the CityJSON 2.0 name of a class, and whether something is lost by it.

    Parameters
    ----------
    name
        Class name; an extension keeps its name, with the ``+`` that CityJSON asks for.
    as_object
        True gives a name that CityJSON allows for a city object, also for doors, windows and surfaces,
        which CityJSON otherwise knows only as the semantics of a surface.

    Returns
    -------
    tuple
        The name, and True if `from_cityjson` does not lead back from it.

    Examples
    --------
    >>> to_cityjson("Square"), to_cityjson("Track"), to_cityjson("Door"), to_cityjson("Door", as_object=True)
    (('TransportSquare', False), ('Road', True), ('Door', False), ('BuildingConstructiveElement', True))
    """
    item = get(name)
    written = item.cityjson_object if as_object else item.cityjson
    return written, from_cityjson(written) != (name if item.module == EXTENSION else item.name)
