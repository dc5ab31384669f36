"""Attributes of the objects as typed columns: numbers with their unit, whole numbers, flags and texts, class by class."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.errors import UsageError
from cim.loaders.citygml.draft import Draft
from cim.loaders.cityjson.attributes import DEFINED
from cim.model import CityBuilder, Column
from cim.standard_names import STANDARD_NAMES
from cim.units import parse_unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

__all__ = ["add_attributes"]

_WHOLE = frozenset({"storeysAboveGround", "storeysBelowGround", "yearOfConstruction", "yearOfDemolition"})
_FLAGS = frozenset({"isMovable", "isStructuralElement", "isPenetrable"})
_YEAR = re.compile(r"(-?\d{1,9})(?:Z|[+-]\d{2}:\d{2})?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)


def add_attributes(builder: CityBuilder, keys: Ints, draft: Draft) -> None:
    """Give the objects their attributes; what does not fit its column stays a property, and is told."""
    by_column: dict[tuple[str, str, str], tuple[list[int], list[str]]] = {}
    for row, values in enumerate(draft.attributes):
        for name, (text, unit) in values.items():
            rows, texts = by_column.setdefault((draft.types[row], name, unit), ([], []))
            rows.append(row)
            texts.append(text)
    for (kind, name, unit), (rows, texts) in _one_quantity(by_column, draft).items():
        _add(builder, keys, draft, kind, name, unit, rows, texts)


def _one_quantity(
    by_column: dict[tuple[str, str, str], tuple[list[int], list[str]]], draft: Draft
) -> dict[tuple[str, str, str], tuple[list[int], list[str]]]:
    """Return the columns without those whose unit measures something else than most values of the same attribute."""
    most: dict[tuple[str, str], dict[str, int]] = {}
    for (kind, name, unit), (rows, _) in by_column.items():
        counts = most.setdefault((kind, name), {})
        counts[_si(unit)] = counts.get(_si(unit), 0) + len(rows)
    kept = {}
    for (kind, name, unit), (rows, texts) in by_column.items():
        counts = most[kind, name]
        if _si(unit) == max(counts, key=lambda one: counts[one]):
            kept[kind, name, unit] = (rows, texts)
            continue
        draft.tell(
            "conflict", f"{name} of {kind} in {unit or 'no unit'} where most have another kind of unit; kept as property", count=len(rows)
        )
        draft.properties += [(row, "citygml", name, text, unit or None) for row, text in zip(rows, texts, strict=True)]
    return kept


def _si(unit: str) -> str:
    try:
        return parse_unit(unit).si
    except UsageError:
        return f"? {unit}"


def _add(builder: CityBuilder, keys: Ints, draft: Draft, kind: str, name: str, unit: str, rows: list[int], texts: list[str]) -> None:
    values, good = _typed(name, unit, texts)
    if not all(good):
        bad = [place for place, fine in enumerate(good) if not fine]
        message = f"{name} of {kind} is no {'number' if name not in _FLAGS else 'truth value'}, for example {texts[bad[0]][:40]!r}"
        draft.tell("rejected", f"{message}; kept as property", count=len(bad))
        draft.properties += [(rows[place], "citygml", name, texts[place], unit or None) for place in bad]
    standard = STANDARD_NAMES.get(DEFINED.get(name, ""))
    labels = {} if standard is None else {"label_en": standard.label_en, "label_zh": standard.label_zh}
    column = Column(values, unit=unit, source_field=name, **labels)
    builder.add_attributes(keys[np.asarray(rows, np.int64)], kind, {DEFINED.get(name, name): column})


def _typed(name: str, unit: str, texts: list[str]) -> tuple[pa.Array, list[bool]]:
    """Return texts as the type their attribute has, and which of them are of that type."""
    values: list[Any]
    if unit:
        good = [_NUMBER.fullmatch(text) is not None for text in texts]
        values = [float(text) if fine else None for text, fine in zip(texts, good, strict=True)]
        return pa.array(values, pa.float64()), good
    if name in _WHOLE:
        matches = [_YEAR.fullmatch(text) for text in texts]
        return pa.array([int(match[1]) if match else None for match in matches], pa.int64()), [match is not None for match in matches]
    if name in _FLAGS:
        good = [text in ("true", "false", "1", "0") for text in texts]
        return pa.array([text in ("true", "1") if fine else None for text, fine in zip(texts, good, strict=True)], pa.bool_()), good
    return pa.array(texts, pa.string()), [True] * len(texts)
