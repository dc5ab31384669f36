"""Appearances while they stream by: materials, textures and the ids they are put on."""

from __future__ import annotations

from typing import Any

from cim.loaders.citygml.draft import Draft
from cim.loaders.citygml.tags import HREF, Element, local_name
from cim.loaders.citygml.values import text_of

__all__ = ["read_appearance"]

_COLOURS = {"diffuseColor": "diffuse", "emissiveColor": "emissive", "specularColor": "specular"}
_NUMBERS = {"ambientIntensity": "ambient", "shininess": "shininess", "transparency": "transparency"}
_TEXTURES = ("ParameterizedTexture", "GeoreferencedTexture")


def read_appearance(element: Element, draft: Draft) -> None:
    """Take over one Appearance element."""
    theme = next((text_of(child) for child in element if local_name(child) == "theme"), "")
    for child in element:
        name = local_name(child)
        if name in ("surfaceDataMember", "surfaceData"):
            if child.get(HREF):
                draft.tell("lost", "surface data shared by a link between themes is not followed")
            for data in child:
                _surface_data(data, theme, draft)


def _surface_data(data: Element, theme: str, draft: Draft) -> None:
    name = local_name(data)
    back = next((text_of(child) for child in data if local_name(child) == "isFront"), "true") in ("false", "0")
    if name == "X3DMaterial":
        _material(data, theme, draft, back=back)
    elif name == "ParameterizedTexture":
        _texture(data, theme, draft, back=back)
    elif name == "GeoreferencedTexture":
        draft.appearances.textures.append(_image(data, name))
        draft.tell("unsupported", "georeferenced textures are named but not put on surfaces")
    else:
        draft.tell("unsupported", f"surface data {name!r} is not known and left out")


def _material(data: Element, theme: str, draft: Draft, *, back: bool) -> None:
    found: dict[str, Any] = {}
    targets = []
    for child in data:
        name, text = local_name(child), text_of(child)
        try:
            if name in _COLOURS:
                found[_COLOURS[name]] = _three(text)
            elif name in _NUMBERS:
                found[_NUMBERS[name]] = float(text)
        except ValueError:
            draft.tell("rejected", f"a material whose {name} is no number: the value is left out")
        if name == "isSmooth":
            found["smooth"] = text in ("true", "1")
        elif name == "name":
            found["name"] = text
        elif name == "target":
            targets.append(_id(text or child.get(HREF) or ""))
    if back:
        draft.tell("lost", "materials of the back side of surfaces are not held", "info", max(len(targets), 1))
        return
    draft.appearances.materials.append(found)
    place = len(draft.appearances.materials) - 1
    draft.appearances.surfaces += [(theme, target, place) for target in targets]


def _three(text: str) -> list[float]:
    values = [float(word) for word in text.split()]
    if len(values) != 3:
        msg = f"{len(values)} numbers, expected three"
        raise ValueError(msg)
    return values


def _image(data: Element, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {"image": "", "kind": name}
    for child in data:
        inner, text = local_name(child), text_of(child)
        if inner == "imageURI":
            found["image"] = text
        elif inner == "wrapMode":
            found["wrap"] = text
        elif inner == "textureType":
            found["type"] = text
        elif inner == "borderColor":
            found["border"] = text
    return found


def _texture(data: Element, theme: str, draft: Draft, *, back: bool) -> None:
    targets = [child for child in data if local_name(child) in ("target", "textureParameterization")]
    draft.appearances.textures.append(_image(data, "ParameterizedTexture"))
    place = len(draft.appearances.textures) - 1
    if back:
        draft.tell("lost", "textures of the back side of surfaces are not held", "info", max(len(targets), 1))
        return
    for target in targets:
        lists = target.findall(".//{*}TexCoordList")
        if not lists:
            draft.tell("unsupported", "textures put on by a matrix or a link (no TexCoordList) are left out")
        for one in lists:
            _coordinates(one, theme, place, draft)


def _coordinates(one: Element, theme: str, place: int, draft: Draft) -> None:
    """Take over texture coordinates; the ring stands beside them (CityGML 2.0) or in an element of its own (3.0)."""
    given = [child for child in one if local_name(child) == "textureCoordinates"]
    listed = [_id(text_of(child)) for child in one if local_name(child) == "ring"]
    for number, child in enumerate(given):
        ring = child.get("ring")
        id = _id(ring) if ring is not None else (listed[number] if number < len(listed) else "")
        draft.appearances.rings.append((theme, id, place, child.text or ""))


def _id(text: str) -> str:
    return text.strip().removeprefix("#")
