"""Which kind of CIM data an object is, and how detailed: the project's code list and the seven levels, derived for whole columns.

The codes are this project's own, never an official code table; every level is stored with the scheme that it follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from cim.errors import ObjectNotFoundError, UsageError
from cim.model.classes import Language, LazyMapping, check_language, get, read_json

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

__all__ = ["CODES", "LEVELS", "LEVEL_SCHEME", "CimCode", "CimLevel", "children", "code_for", "dataset_code", "label", "level_for", "path"]

LEVEL_SCHEME = "CIM1-7 (project mapping, unverified)"
"""Scheme of every level derived here: names after CJJ/T 315-2022 as remembered, levels of detail mapped by this project."""

_UNREADABLE = 6  # a level of detail that is given but says nothing
_BANDS = 7  # no geometry, LoD 0, 1, 2, 3, 4 and more, unreadable


@dataclass(frozen=True)
class CimCode:
    """One entry of the code list."""

    code: str
    """Two digits per step of the tree."""
    zh: str
    """Chinese name."""
    en: str
    """English name."""
    classes: tuple[str, ...]
    """Classes of objects that carry it, our names."""
    ifc: tuple[str, ...]
    """IFC 4.3 classes that carry it; ``IfcGeographicElement.TERRAIN`` names a predefined type."""
    level: str | None
    """CIM level that its data usually have."""
    geometry: tuple[str, ...]
    """Kinds of geometry it comes in."""
    origin: str
    """Where the name comes from: seen, remembered or proposed (explained in the file)."""
    note: str
    """Remark, or empty."""


@dataclass(frozen=True)
class CimLevel:
    """One of the seven levels of detail of a city information model."""

    level: str
    """CIM1 to CIM7."""
    zh: str
    """Chinese name."""
    en: str
    """English name."""
    meaning: str
    """What makes an object this level here."""


@cache
def _content() -> dict[str, Any]:
    return read_json("classification.json")


@cache
def _codes() -> dict[str, CimCode]:
    return {
        code: CimCode(
            code=code,
            zh=row["zh"],
            en=row["en"],
            classes=tuple(row.get("classes", ())),
            ifc=tuple(row.get("ifc", ())),
            level=row.get("level"),
            geometry=tuple(row.get("geometry", ())),
            origin=row["origin"],
            note=row.get("note", ""),
        )
        for code, row in _content()["codes"].items()
    }


@cache
def _levels() -> dict[str, CimLevel]:
    return {row["level"]: CimLevel(row["level"], row["zh"], row["en"], row["here"]) for row in _content()["levels"]}


CODES: Mapping[str, CimCode] = LazyMapping(_codes)
"""The code list, parents before children."""
LEVELS: Mapping[str, CimLevel] = LazyMapping(_levels)
"""The seven levels, coarse to fine."""


def _entry(code: str) -> CimCode:
    found = _codes().get(code)
    if found is None:
        known = [code[:end] for end in range(len(code), 0, -1) if code[:end] in _codes()]
        hint = f"nearest known code {known[0]}" if known else f"the code list begins with {', '.join(children())}"
        msg = f"no CIM class has the code {code!r}; {hint}"
        raise ObjectNotFoundError(msg)
    return found


def label(code: str, language: Language = "en") -> str:
    """Return the name of a code.

    Raises
    ------
    ObjectNotFoundError
        If there is no such code.
    UsageError
        If the language is neither ``en`` nor ``zh``.

    Examples
    --------
    >>> label("01040401"), label("01040401", "zh")
    ('storey', '分层')
    """
    check_language(language)
    found = _entry(code)
    return found.zh if language == "zh" else found.en


def children(code: str = "") -> tuple[str, ...]:
    """Return the codes one step below `code`, in order; the top of the tree without one.

    Raises
    ------
    ObjectNotFoundError
        If there is no such code.

    Examples
    --------
    >>> children("010404")
    ('01040401', '01040402', '01040403', '01040404')
    """
    if code:
        _entry(code)
    return tuple(other for other in _codes() if len(other) == len(code) + 2 and other.startswith(code))


def path(code: str) -> tuple[str, ...]:
    """Return the codes from the top of the tree down to `code`.

    Raises
    ------
    ObjectNotFoundError
        If there is no such code.

    Examples
    --------
    >>> path("010404")
    ('01', '0104', '010404')
    """
    _entry(code)
    return tuple(code[:end] for end in range(2, len(code) + 1, 2))


def dataset_code(kind: str) -> str:
    """Return the code of a whole data set, which no class of objects tells: dem, dtm, dsm, orthophoto, oblique mesh, point cloud, map, bim.

    Raises
    ------
    UsageError
        If the kind is none of these.

    Examples
    --------
    >>> dataset_code("dsm")
    '010402'
    """
    known: dict[str, str] = _content()["datasets"]
    if kind not in known:
        msg = f"data set kind {kind!r} has no CIM code, expected one of {', '.join(known)}; choose one or state the code"
        raise UsageError(msg)
    return known[kind]


def code_for(types: pa.Array | pa.ChunkedArray, lods: pa.Array | pa.ChunkedArray | None = None) -> pa.Array:
    """Return the code of each object by its class and its finest level of detail.

    Parameters
    ----------
    types : shape (n,)
        Class names (ours, CityGML or CityJSON).
    lods : shape (n,), optional
        Finest level of detail, text ("2.2", "LoD2") or number; null where there is no geometry beyond the footprint.

    Returns
    -------
    shape (n,)
        Codes; null where the class alone does not decide (groups, generic surfaces, extensions).

    Raises
    ------
    UsageError
        If the lengths differ.

    Examples
    --------
    >>> import pyarrow as pa
    >>> code_for(pa.array(["Building", "Building"]), pa.array(["1.2", "2.2"])).to_pylist()
    ['010403', '010404']
    """
    return _look_up(_text(types), _bands(lods, len(types)), _codes_by_band)


def level_for(
    types: pa.Array | pa.ChunkedArray,
    max_lods: pa.Array | pa.ChunkedArray | None = None,
    *,
    has_rooms: pa.Array | pa.ChunkedArray | None = None,
    codes: pa.Array | pa.ChunkedArray | None = None,
) -> pa.Array:
    """Return the CIM level of each object; store it together with `LEVEL_SCHEME`.

    Parameters
    ----------
    types : shape (n,)
        Class names (ours, CityGML or CityJSON).
    max_lods : shape (n,), optional
        Finest level of detail, text or number; null where there is no geometry beyond the footprint.
    has_rooms : shape (n,), optional
        True where a building, bridge or tunnel has storeys, units or rooms of its own: that makes it CIM5.
    codes : shape (n,), optional
        Codes, where known: those of storeys, elements and parts raise the level to theirs (the only way to CIM7).

    Returns
    -------
    shape (n,)
        ``CIM1`` to ``CIM7``; null for what has no place (sensors' series, versions) or an unreadable level of detail.

    Raises
    ------
    UsageError
        If the lengths differ.

    Notes
    -----
    No geometry or LoD0 is CIM1, LoD1 CIM2, LoD2 CIM3, LoD3 CIM4, LoD4 of CityGML 2.0 CIM5; rooms and storeys are CIM5,
    constructive elements CIM6 and their parts CIM7 at any level of detail.

    Examples
    --------
    >>> import pyarrow as pa
    >>> level_for(pa.array(["Building", "Road", "BuildingStorey"]), pa.array(["2.2", None, "1"])).to_pylist()
    ['CIM3', 'CIM1', 'CIM5']
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    names = _text(types)
    levels = _look_up(names, _bands(max_lods, len(names)), _levels_by_band)
    if has_rooms is not None:
        rooms = _flat(has_rooms, len(names), "has_rooms").cast(pa.bool_())
        levels = _raise(levels, pc.if_else(rooms, _look_up(names, None, _level_with_rooms), None))
    if codes is not None:
        levels = _raise(levels, _look_up(_flat(codes, len(names), "codes").cast(pa.string()), None, _inner_level))
    return levels


def _raise(levels: pa.Array, least: pa.Array) -> pa.Array:
    """Return the finer of two levels (their names sort as the levels do); null is below all."""
    import pyarrow.compute as pc

    return pc.max_element_wise(levels, least)


def _level_with_rooms(name: str) -> list[str | None]:
    return ["CIM5" if get(name).name in _content()["hosts_of_rooms"] else None]


def _inner_level(code: str) -> list[str | None]:
    """Return the level of a code inside a construction (CIM5 and finer), which an object of that code has at least."""
    found = _codes().get(code)
    return [found.level if found is not None and found.level is not None and found.level >= "CIM5" else None]


@cache
def _rules() -> dict[str, dict[int, str]]:
    """Return code by (class, least LoD)."""
    return {name: {int(lod): code for lod, code in rule["from_lod"].items()} for rule in _content()["rules"] for name in rule["classes"]}


@cache
def _fixed_levels() -> dict[str, str | None]:
    return {name: None if level == "none" else level for level, names in _content()["fixed_levels"].items() for name in names}


def _codes_by_band(name: str) -> list[str | None]:
    """Return the code of one class for each band; no geometry and an unreadable LoD count as LoD0."""
    steps = _rules().get(get(name).name, {})
    reached = [max((least for least in steps if least <= lod), default=None) for lod in (0, 0, 1, 2, 3, 4, 0)]
    return [None if least is None else steps[least] for least in reached]


def _levels_by_band(name: str) -> list[str | None]:
    ours = get(name).name
    if ours in _fixed_levels():
        return [_fixed_levels()[ours]] * _BANDS
    return ["CIM1", "CIM1", "CIM2", "CIM3", "CIM4", "CIM5", None]


def _look_up(names: pa.Array, bands: pa.Array | None, answers: Callable[[str], list[str | None]]) -> pa.Array:
    """Return for each row one of the answers that its name gives, asked once per distinct name."""
    import pyarrow as pa
    import pyarrow.compute as pc

    coded = names.dictionary_encode()
    rows = [answers(name) for name in coded.dictionary.to_pylist()]
    flat = pa.array([value for row in rows for value in row], pa.string())
    width = len(rows[0]) if rows else 1
    place = pc.multiply(coded.indices.cast(pa.int64()), width)
    return flat.take(place if bands is None else pc.add(place, bands))


def _bands(lods: pa.Array | pa.ChunkedArray | None, count: int) -> pa.Array:
    """Return 0 for no geometry, else 1 + LoD up to 5, or 6 for what cannot be read."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if lods is None:
        return pa.repeat(pa.scalar(0, pa.int64()), count)
    coded = _flat(lods, count, "lods").cast(pa.string()).dictionary_encode()
    digits = pc.struct_field(pc.extract_regex(coded.dictionary, r"^\s*(?:[Ll][Oo][Dd])?\s*(?P<lod>[0-9])(?:[.][0-9]*)?\s*$"), "lod")
    band = pc.add(pc.min_element_wise(digits.cast(pa.int64()), 4, skip_nulls=False), 1)
    return pc.fill_null(pc.fill_null(band, _UNREADABLE).take(coded.indices), 0)


def _text(types: pa.Array | pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa

    return _flat(types, len(types), "types").cast(pa.string())


def _flat(array: pa.Array | pa.ChunkedArray, count: int, name: str) -> pa.Array:
    """Return one array of `count` rows.

    Raises
    ------
    UsageError
        If it has another length.
    """
    import pyarrow as pa

    if len(array) != count:
        msg = f"{name} has {len(array)} rows but types has {count}; give one value per object"
        raise UsageError(msg)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
