"""The material library of a Wavefront OBJ file: colours, transparency, and the image of the diffuse colour."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cim.loaders.mesh.mesh import Material, Sampler

if TYPE_CHECKING:
    from cim.loaders.mesh.files import Companions

__all__ = ["materials_of", "texture_name"]

_SHININESS = 1000.0
"""Largest specular exponent of the format."""
_COLOURS = {"Kd": "diffuse", "Ks": "specular", "Ke": "emissive"}
# Options of a texture statement and how many values follow each.
_OPTIONS = {
    "-blendu": 1, "-blendv": 1, "-boost": 1, "-cc": 1, "-clamp": 1, "-imfchan": 1, "-mm": 2, "-o": 3, "-s": 3, "-t": 3, "-texres": 1,
    "-bm": 1, "-type": 1,
}  # fmt: skip


def materials_of(text: str, companions: Companions) -> dict[str, Material]:
    r"""Return the materials of a library by name.

    Numbers that are none are left out; a material without a name has the empty one.

    Examples
    --------
    >>> from pathlib import Path
    >>> from cim.loaders.mesh.files import Companions
    >>> materials_of("newmtl red\nKd 1 0 0\nd 0.25\n", Companions(Path("a.obj"), Path()))["red"].transparency
    0.75
    """
    found: dict[str, Material] = {}
    current = Material("")
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if word == "newmtl":
            current = found.get(rest, Material(rest))
        elif word in {"map_Kd", "map_kd"}:
            name, clamped = texture_name(rest)
            sampler = Sampler("clamp") if clamped else Sampler()
            current = replace(current, image=companions.image(name) if name else None, sampler=sampler)
        else:
            current = _coloured(current, word, rest)
        if word:
            found[current.name or ""] = current
    return found


def _coloured(material: Material, word: str, rest: str) -> Material:
    values = _numbers(rest)
    if not values:
        return material
    colour = (values[0], values[1], values[2]) if len(values) >= 3 else (values[0],) * 3
    clear = {"d": 1.0 - values[0], "Tr": values[0]}
    if word in _COLOURS:
        changed: dict[str, Any] = {_COLOURS[word]: colour}
        return replace(material, **changed)
    if word in clear:
        return replace(material, transparency=min(max(clear[word], 0.0), 1.0))
    if word == "Ka":
        return replace(material, ambient=sum(colour) / 3)
    return replace(material, shininess=min(max(values[0] / _SHININESS, 0.0), 1.0)) if word == "Ns" else material


def _numbers(text: str) -> list[float]:
    """Return the numbers at the start of a text, within 0 to 1 for all but exponents; at most three."""
    values: list[float] = []
    for token in text.split()[:3]:
        try:
            value = float(token)
        except ValueError:
            break
        if not math.isfinite(value):
            break
        values.append(value)
    return values


def texture_name(text: str) -> tuple[str, bool]:
    """Return the file that a texture statement names, blanks in it included, and whether it says ``-clamp on``.

    Examples
    --------
    >>> texture_name("-s 1 1 1 -clamp on my facade.jpg")
    ('my facade.jpg', True)
    """
    words, clamped = text.split(), False
    while words and words[0].lower() in _OPTIONS:
        option = words.pop(0).lower()
        clamped |= option == "-clamp" and bool(words) and words[0].lower() == "on"
        many = _OPTIONS[option]
        while words and many and (option not in {"-o", "-s", "-t"} or _is_number(words[0])):
            words.pop(0)
            many -= 1
    return (text[text.index(words[0]) :] if len(words) > 1 and words[0] in text else " ".join(words)), clamped


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
