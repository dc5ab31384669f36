"""What is no geometry: texts, measures, dates, addresses, references and generic attributes of a feature."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from cim.loaders.citygml.tags import HREF, Element, local_name, uom_of

__all__ = ["LENGTHS", "address_of", "generic_values", "leaves", "moment", "reference_of", "text_of"]

LENGTHS = frozenset({
    "measuredHeight", "averageHeight", "height", "trunkDiameter", "crownDiameter", "rootBallDiameter", "maxRootBallDiameter",
})  # fmt: skip
"""Properties that are lengths, in metres where the file names no unit."""
_PLACES = {
    "CountryName": "country", "Country": "country", "LocalityName": "locality", "Locality": "locality", "ThoroughfareName": "street",
    "Thoroughfare": "street", "ThoroughfareNumber": "number", "PremiseNumber": "number", "Premises": "number", "Premise": "number",
    "PostalCodeNumber": "postcode", "PostalCode": "postcode", "PostCode": "postcode", "AdministrativeAreaName": "area",
    "AdministrativeArea": "area", "DependentLocalityName": "district", "DependentLocality": "district",
}  # fmt: skip
_DEPTH = 12


def text_of(element: Element) -> str:
    """Return the text of an element without the white space around it."""
    return (element.text or "").strip()


def moment(text: str) -> datetime | None:
    """Return a date or time as UTC (midnight, and UTC where no zone is given); None for what is neither.

    Examples
    --------
    >>> moment("2019-05-01T12:00:00+08:00"), moment("someday")
    (datetime.datetime(2019, 5, 1, 4, 0, tzinfo=datetime.timezone.utc), None)
    """
    plain = re.sub(r"^(\d{4}-\d{2}-\d{2})(?:Z|[+-]\d{2}:\d{2})$", r"\1", text.strip())
    try:
        found = datetime.fromisoformat(plain)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def leaves(element: Element, path: str = "", depth: int = 0) -> Iterator[tuple[str, str, str | None]]:
    """Yield every text below an element: its path of names, the text, its unit; links as text too."""
    here = f"{path}/{local_name(element)}" if path else local_name(element)
    href = element.get(HREF)
    if href is not None:
        yield here, href, None
    text = text_of(element)
    if text:
        yield here, text, element.get("uom")
    if depth < _DEPTH:
        for child in element:
            yield from leaves(child, here, depth + 1)


def generic_values(element: Element, within: str = "") -> Iterator[tuple[str, str, str | None]]:
    """Yield name, value and unit of a generic attribute, those of a set with the name of the set before theirs.

    Of CityGML 1.0 and 2.0 (``<stringAttribute name=…><value>``) and 3.0 (``<StringAttribute><name>…<value>``).
    """
    stated = element.get("name") or next((text_of(child) for child in element if local_name(child) == "name"), "")
    name = f"{within}/{stated}" if within else stated
    for child in element:
        inner = local_name(child)
        if inner == "value":
            unit = child.get("uom")
            yield name, text_of(child), uom_of(unit) if unit else None
        elif inner.endswith("Attribute") and not len(child.findall("{*}value")) and len(child):
            for wrapped in child:
                yield from generic_values(wrapped, name)
        elif inner.endswith(("Attribute", "AttributeSet")):
            yield from generic_values(child, name)


def address_of(element: Element) -> dict[str, str]:
    """Return country, area, locality, district, street, number and postcode of an xAL address (2.0 or 3), as far as it names them."""
    found: dict[str, str] = {}
    for leaf in element.iter():
        text = text_of(leaf)
        if not text or len(leaf):
            continue
        place, node = None, leaf
        for _ in range(4):
            place = _PLACES.get(local_name(node))
            parent = node.getparent()
            if place is not None or parent is None or parent is element:
                break
            node = parent
        if place == "street" and local_name(leaf) in ("Number", "Identifier"):
            place = "number"
        if place is not None:
            found[place] = f"{found[place]} {text}" if place in found else text
    return found


def address_line(parts: dict[str, str]) -> str:
    """Return an address as one line.

    Examples
    --------
    >>> address_line({"street": "Am Markt", "number": "3", "postcode": "85049", "locality": "Ingolstadt"})
    'Am Markt 3, 85049 Ingolstadt'
    """
    groups = (("street", "number"), ("district",), ("postcode", "locality"), ("area",), ("country",))
    lines = (" ".join(parts[name] for name in group if name in parts) for group in groups)
    return ", ".join(line for line in lines if line)


def reference_of(element: Element) -> tuple[str, str]:
    """Return the register and the name or address of an external reference; empty texts where it states none."""
    texts = {path.rsplit("/", 1)[-1]: text for path, text, _ in leaves(element)}
    return texts.get("informationSystem", "external"), texts.get("name") or texts.get("uri") or texts.get("targetResource") or ""
