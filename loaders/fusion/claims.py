"""What sources say about one object: claims of both sides of a merge, and where they differ beyond tolerance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.combine import converted
from cim.model.schema import SCHEMAS, make_table, one_array
from cim.standard_names import STANDARD_NAMES

if TYPE_CHECKING:
    from cim.loaders.fusion.pairs import Ints, Pairs
    from cim.model import City

    Filled = dict[tuple[str, str], list[tuple[Ints, pa.Array, pa.Field]]]

__all__ = ["CORE", "claims_of", "conflicts", "dated", "disagree", "json_column", "values_of"]

TOLERANCE = {"m": 0.5, "m²": 1.0}
"""Numbers of this unit that differ by no more agree: half a metre is what roof edges and percentiles leave open."""
CORE = ("name", "z_ground", "z_roof", "valid_from", "valid_to", "grade")
"""Columns of `objects` that sources make claims about."""


def claims_of(both: City, pairs: Pairs) -> tuple[list[pa.Table], Filled]:
    """Return the claims of both sides, and the values that fill gaps of the leading side, by class and column."""
    claims: list[pa.Table] = []
    filled: Filled = {}
    sources = both.tables["objects"]["source"]
    claimed, spoken = _claimed(both.tables["claims"].filter(pc.field("chosen"))), _claimed(both.tables["claims"])
    nobody = np.empty(0, np.int64)
    for type, other, where in _by_classes(both, pairs):
        left, right = pairs.left[where], pairs.right[where]
        kind, score = pairs.kind[where], pairs.score[where]
        said_by = sources.take(pa.array(both.row_of_key(right)))
        led_by = sources.take(pa.array(both.row_of_key(left)))
        said_on, led_on = _dates(both, right), _dates(both, left)
        for name, field in _columns(both, other):
            theirs = _values(both, other, name, right)
            known = np.asarray(pc.is_valid(theirs).to_numpy(zero_copy_only=False))
            if not known.any():
                continue
            theirs, ours, unit = _same_terms(both, type, name, field, theirs, left)
            have = np.asarray(pc.is_valid(ours).to_numpy(zero_copy_only=False))
            take = known & ~have & (kind == "same")
            if take.any():
                filled.setdefault((type, name), []).append((left[take], theirs.filter(pa.array(take)), field))
            speak = np.flatnonzero(known & ~np.isin(right, spoken.get(name, nobody)))  # a record with claims has spoken already
            method = np.where(
                kind[speak] == "same",
                "read",
                np.where(kind[speak] == "part", "read from a record of a part", "read from a record of a larger whole"),
            )
            claims.append(
                _claim_rows(
                    left[speak],
                    name,
                    theirs.take(pa.array(speak)),
                    unit,
                    said_by.take(pa.array(speak)),
                    method,
                    score[speak],
                    take[speak],
                    said_on.take(pa.array(speak)),
                )
            )
            disputed = np.flatnonzero(known & have & ~np.isin(left, claimed.get(name, nobody)))
            _, first = np.unique(left[disputed], return_index=True)
            disputed = disputed[first]
            claims.append(
                _claim_rows(
                    left[disputed],
                    name,
                    ours.take(pa.array(disputed)),
                    unit,
                    led_by.take(pa.array(disputed)),
                    "read",
                    None,
                    True,
                    led_on.take(pa.array(disputed)),
                )
            )
    return claims, filled


def _claimed(claims: pa.Table) -> dict[str, Ints]:
    """Return the objects that claims are about, by attribute."""
    names = claims["attribute"].to_numpy(zero_copy_only=False) if claims.num_rows else np.empty(0, object)
    owners = np.asarray(claims["object"].to_numpy(), np.int64)
    return {name: owners[names == name] for name in dict.fromkeys(names.tolist())}


def _by_classes(both: City, pairs: Pairs) -> list[tuple[str, str, Ints]]:
    """Return (class of the left, class of the right, rows of `pairs`)."""
    types = both.tables["objects"]["type"]
    left = types.take(pa.array(both.row_of_key(pairs.left))).to_numpy(zero_copy_only=False)
    right = types.take(pa.array(both.row_of_key(pairs.right))).to_numpy(zero_copy_only=False)
    combos = dict.fromkeys(zip(left.tolist(), right.tolist(), strict=True))
    return [(a, b, np.flatnonzero((left == a) & (right == b))) for a, b in combos]


def _columns(both: City, type: str) -> list[tuple[str, pa.Field]]:
    schema = both.attributes.schema(type)
    core = [(name, SCHEMAS["objects"].field(name)) for name in CORE]
    return core + [(field.name, field) for field in schema if field.name != "object"]


def _values(both: City, type: str, name: str, keys: Ints) -> pa.Array:
    """Return a core or attribute column for keys, null where the class has no such column."""
    if name in CORE:
        column = both.tables["objects"][name].take(pa.array(both.row_of_key(keys)))
    elif name in both.attributes.schema(type).names:
        table = both.attributes[type]
        column = table[name].take(pa.array(np.searchsorted(np.asarray(table["object"].to_numpy()), keys)))
    else:
        return pa.nulls(len(keys))
    return one_array(column)


def _same_terms(both: City, type: str, name: str, field: pa.Field, theirs: pa.Array, left: Ints) -> tuple[pa.Array, pa.Array, str]:
    """Return both sides in one type and unit, and the unit; a column the leading class lacks is null there."""
    unit = (field.metadata or {}).get(b"unit", b"").decode()
    ours = _values(both, type, name, left)
    if pa.types.is_null(ours.type):
        return theirs, ours.cast(theirs.type), unit
    mine = both.unit(type, name)
    if unit and mine and unit != mine:  # columns of one class were brought to one unit already
        theirs = pa.array(converted(theirs, name, unit, mine), pa.float64(), from_pandas=True)
        unit = mine
    theirs, ours = (
        side.cast(pa.int8()) if pa.types.is_boolean(side.type) and side.type != other.type else side
        for side, other in ((theirs, ours), (ours, theirs))
    )
    if theirs.type != ours.type:
        number = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (theirs.type, ours.type))
        common = pa.float64() if number else pa.string()
        theirs, ours = theirs.cast(common), ours.cast(common)
    return theirs, ours, mine or unit


def _dates(both: City, keys: Ints) -> pa.ChunkedArray:
    """Return when the records of objects began to hold: what is said in them is of that day; null where another source said so."""
    begun = both.core_rows(["valid_from"], keys)["valid_from"]
    borrowed = both.tables["claims"].filter((pc.field("attribute") == "valid_from") & pc.field("chosen"))
    lent = pc.is_in(pa.array(keys), borrowed["object"].combine_chunks())
    return pc.if_else(lent, pa.scalar(None, begun.type), begun)


def dated(city: City) -> City:
    """Return the city with the claims its own source makes dated by the period of their object, where they have no date."""
    claims = city.tables["claims"]
    if not claims.num_rows or city.tables["objects"]["valid_from"].null_count == len(city):
        return city
    rows = city.core_rows(["valid_from", "source"], np.asarray(claims["object"].to_numpy(), np.int64))
    own = pc.fill_null(pc.equal(rows["source"], claims["source"]), fill_value=False)
    given = pc.if_else(own, rows["valid_from"], pa.scalar(None, rows["valid_from"].type))
    at = claims.column_names.index("time")
    return city.replace_tables(claims=claims.set_column(at, SCHEMAS["claims"].field("time"), pc.coalesce(claims["time"], given)))


def _claim_rows(
    owners: Ints, name: str, values: pa.Array, unit: str, source: Any, method: Any, confidence: Any, chosen: Any, time: Any
) -> pa.Table:
    return make_table(
        "claims",
        {"object": owners, "attribute": name, "value": json_column(values), "unit": unit, "source": source, "method": method,
         "confidence": confidence, "chosen": chosen, "time": time},
        len(owners),
    )  # fmt: skip


def json_column(values: pa.Array) -> pa.Array:
    """Return values as JSON text; each distinct value is written once."""
    if pa.types.is_nested(values.type):
        return pa.array(
            [None if value is None else json.dumps(value, ensure_ascii=False, default=str) for value in values.to_pylist()], pa.string()
        )
    coded = values.dictionary_encode()
    texts = [None if value is None else json.dumps(value, ensure_ascii=False, default=str) for value in coded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(coded.indices)


def values_of(texts: pa.ChunkedArray) -> pa.Array:
    """Return what JSON texts say; each distinct text is read once."""
    coded = one_array(texts).dictionary_encode()
    values = [None if text is None else json.loads(text) for text in coded.dictionary.to_pylist()]
    if len({type(value) for value in values if value is not None} - {int, float}) > 1 or any(
        isinstance(value, list | dict) for value in values
    ):
        values = [None if value is None else str(value) for value in values]  # sources that say it in different ways
    return pa.array(values).take(coded.indices)


def disagree(first: pa.Array, second: pa.Array, unit: str) -> np.ndarray:
    """Say where two columns differ beyond tolerance; a missing value disagrees with nothing, shape (n,)."""
    both = np.asarray(pc.and_(pc.is_valid(first), pc.is_valid(second)).to_numpy(zero_copy_only=False))
    if pa.types.is_integer(first.type) or pa.types.is_floating(first.type):
        a, b = (np.asarray(side.to_numpy(zero_copy_only=False), float) for side in (first, second))
        allowed = TOLERANCE.get(unit, 0.0) + 1e-9 * np.fmax(np.abs(a), np.abs(b))
        return np.asarray(both & (np.abs(a - b) > allowed))
    if pa.types.is_string(first.type):
        first, second = (_plain_text(side) for side in (first, second))
    return np.asarray(both & np.asarray(pc.fill_null(pc.not_equal(first, second), False).to_numpy(zero_copy_only=False)))


def _plain_text(texts: pa.Array) -> pa.Array:
    """Return texts without case and outer blanks, the words for yes and no as the digits other sources write."""
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(texts))
    flags = pc.index_in(lower, pa.array(["false", "true"]))
    return pc.coalesce(pa.array(["0", "1"]).take(flags), lower)


def conflicts(claims: pa.Table, known: pa.Table) -> list[dict[str, Any]]:
    """Return one issue per object and attribute whose claims differ beyond tolerance, and one summary per attribute.

    Parameters
    ----------
    claims
        Rows of the table of that name.
    known
        Issues so far: what they name as a conflict is not named again.
    """
    chosen = claims.filter(pc.field("chosen"))
    others = claims.filter(~pc.field("chosen"))
    if not others.num_rows or not chosen.num_rows:
        return []
    told = known.filter((pc.field("code") == "conflict") & pc.field("object").is_valid() & pc.field("record").is_valid())
    told = told.select(["object", "record"]).rename_columns(["object", "attribute"]).group_by(["object", "attribute"]).aggregate([])
    joined = others.join(chosen, ["object", "attribute"], join_type="inner", right_suffix="_chosen", use_threads=False)
    joined = joined.join(told, ["object", "attribute"], join_type="left anti", use_threads=False)
    joined = joined.sort_by([("attribute", "ascending"), ("object", "ascending")])
    rows: list[dict[str, Any]] = []
    for name in sorted(set(joined["attribute"].to_pylist())):
        rows += _conflicts_of(name, joined.filter(pc.field("attribute") == name))
    return rows


def _conflicts_of(name: str, joined: pa.Table) -> list[dict[str, Any]]:
    unit = joined["unit"][0].as_py() or ""
    first, second = values_of(joined["value_chosen"]), values_of(joined["value"])
    if first.type != second.type:
        first, second = (
            side.cast(pa.float64() if not pa.types.is_string(first.type) and not pa.types.is_string(second.type) else pa.string())
            for side in (first, second)
        )
    differ = np.flatnonzero(disagree(first, second, unit))
    if not len(differ):
        return []
    label = STANDARD_NAMES[name].label_zh if name in STANDARD_NAMES else name
    a, b = first.take(pa.array(differ)).to_pylist(), second.take(pa.array(differ)).to_pylist()
    owners = joined["object"].take(pa.array(differ)).to_pylist()
    rows: list[dict[str, Any]] = [
        {
            "code": "conflict",
            "object": owner,
            "record": name,
            "message": f"{name} {label}: {_show(x)} {unit} is chosen, another source says {_show(y)} {unit}".replace("  ", " "),
        }
        for owner, x, y in zip(owners, a, b, strict=True)
    ]
    if pa.types.is_floating(first.type) and len(differ) > 2:
        gap = np.asarray(b, float) - np.asarray(a, float)
        middle = (
            f"{name}: {len(differ)} of {joined.num_rows} objects disagree; the other source is {np.median(gap):+.2f} {unit} off (median)"
        )
        rows.append({"code": "conflict", "record": name, "message": middle})
    return rows


def _show(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
