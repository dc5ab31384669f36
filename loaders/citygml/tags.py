"""Names of CityGML: which module an element belongs to, which of our classes it is, how lengths and links are written."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from lxml import etree

from cim.model.classes import CLASSES, from_cityjson

__all__ = ["ADE", "GML", "HREF", "Element", "Tag", "class_of", "gml_id", "is_feature", "is_surface", "local_name", "split", "uom_of"]

Element = etree._Element  # noqa: SLF001  # lxml has no public name for it, only for the function that makes one
HREF = "{http://www.w3.org/1999/xlink}href"
GML, ADE = "gml", "ade"
_GML = re.compile(r"http://www\.opengis\.net/gml(?:/\d\.\d)?")
_CITY = re.compile(r"http://www\.opengis\.net/citygml/(?:profiles/base/)?(?:([a-z]+)/)?(\d\.\d)")
_ADDRESS = re.compile(r"urn:oasis:names:tc:ciq:(?:xsdschema:xAL:2\.0|xal:3)")
_ALONE = frozenset({"dynamizer", "versioning", "pointcloud", "appearance"})
"""Modules whose classes are no objects of the model."""
_EXTRA = {"TransportationComplex": "+TransportationComplex"}
"""Classes of CityGML 2.0 without a counterpart in 3.0."""
_EPSG_UNITS = {"9001": "m", "9002": "ft", "9003": "US survey foot", "[ft_i]": "ft", "[ft_us]": "US survey foot"}
"""Units by their EPSG and UCUM codes."""


class Tag(NamedTuple):
    """An element name."""

    module: str
    """``gml``, ``xal``, ``core``, ``building``… or ``ade`` for every other namespace."""
    local: str
    namespace: str


@cache
def split(tag: str) -> Tag:
    """Return module, local name and namespace of a name as lxml writes it.

    Examples
    --------
    >>> split("{http://www.opengis.net/citygml/building/2.0}Room")[:2]
    ('building', 'Room')
    """
    namespace, _, local = tag[1:].rpartition("}") if tag.startswith("{") else ("", "", tag)
    if _GML.fullmatch(namespace):
        return Tag(GML, local, namespace)
    city = _CITY.fullmatch(namespace)
    if city:
        return Tag(city[1] or "core", local, namespace)
    return Tag("xal" if _ADDRESS.fullmatch(namespace) else ADE, local, namespace)


@cache
def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def local_name(element: Element) -> str:
    """Return the name of an element without its namespace."""
    return _local(element.tag)


def gml_id(element: Element) -> str | None:
    """Return ``gml:id`` in the namespace of GML 3.1 or 3.2, or the ``fid`` of GML 2."""
    if not element.attrib:
        return None
    found = element.get("{http://www.opengis.net/gml}id") or element.get("{http://www.opengis.net/gml/3.2}id") or element.get("fid")
    return None if found is None else str(found)


@cache
def _known() -> frozenset[str]:
    return frozenset(CLASSES) | {alias for item in CLASSES.values() for alias in item.aliases if not alias.startswith("+")}


@cache
def is_feature(tag: Tag) -> bool:
    """Return whether an element is an object of the city or a surface of one."""
    if tag.module in (GML, ADE, "xal") or tag.module in _ALONE or tag.local == "Address":
        return False
    return tag.local in _EXTRA or tag.local == "GenericCityObject" or tag.local in _known()


@cache
def class_of(tag: Tag) -> str:
    """Return our name of a class; one of an extension gets a plus sign.

    Examples
    --------
    >>> class_of(split("{http://www.opengis.net/citygml/building/2.0}IntBuildingInstallation"))
    'BuildingInstallation'
    """
    if tag.module == ADE:
        return f"+{tag.local}"
    return _EXTRA.get(tag.local) or from_cityjson("+GenericCityObject" if tag.local == "GenericCityObject" else tag.local)


@cache
def is_surface(tag: Tag) -> bool:
    """Return whether an element is a semantic surface or an opening."""
    if not is_feature(tag):
        return False
    found = CLASSES.get(class_of(tag))
    return found is not None and found.semantic


@cache
def uom_of(text: str) -> str:
    """Return a unit of measure without the ways GML wraps it.

    Examples
    --------
    >>> uom_of("urn:adv:uom:m"), uom_of("#m"), uom_of("urn:ogc:def:uom:EPSG::9001")
    ('m', 'm', 'm')
    """
    plain = re.split(r"[:#/]", text.strip())[-1] if re.match(r"(?:urn:|https?:|#)", text.strip()) else text.strip()
    return _EPSG_UNITS.get(plain, plain)
