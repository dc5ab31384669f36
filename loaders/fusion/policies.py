"""Which of several claims is the value: by a stated policy, and again by another one, since every claim is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.loaders.fusion.claims import conflicts, values_of
from cim.model.combine import converted
from cim.model.history import instant
from cim.model.schema import SCHEMAS, make_table, one_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["Policy", "check_policy", "resolve"]

Policy = str | Mapping[str, str | Sequence[str]]
"""``"first"``, ``"newest"``, ``"most accurate"``, or one of them or source names in order per attribute (``"*"``: all others)."""
NAMED = ("first", "newest", "most accurate")
UNTOUCHED = ("valid_from", "valid_to", "grade")
"""A period belongs to a record and a grade protects it: no policy changes them."""
MEASURED = ("z_ground", "z_roof")
"""Heights of the model, which `heights` of `fuse` chooses."""
FROM_HEIGHT = "ground height plus the stated height"
"""Method of a roof height that follows from the attribute ``height``; see `cim.loaders.fusion.heights`."""


def resolve(city: City, policy: Policy, *, dates: Mapping[str, str] | None = None) -> City:
    """Return the city with the claim of each attribute chosen by a policy, and that value in its column.

    Parameters
    ----------
    policy
        ``"first"``: the source that came first in the fusion; ``"newest"``: the claim of the latest date; ``"most accurate"``: the source
        with the smallest stated accuracy; or a mapping from attribute to one of these or to source names, best first, with ``"*"`` for
        every other attribute.
    dates
        Date of sources by name (ISO 8601), for claims without one. A claim is of the date its record began to hold, else of its source's.

    Returns
    -------
    City
        All claims are there; an issue counts the values that changed. Where the policy says nothing (no date, no accuracy, none of the
        named sources) the choice stays, and an issue counts those too.

    Raises
    ------
    UsageError
        If the policy or a source is unknown, or an attribute is one that no policy chooses.
    """
    check_policy(policy)
    _check_names(city, policy, dates or {})
    city = _noted(city, policy, dates or {})
    table = city.tables["claims"]
    rows = _contested(table)
    if not len(rows):
        return city
    group, rank = _ranked(city, table, rows, policy, dates or {})
    best = _best(table, rows, group, rank)
    old = np.asarray(table["chosen"].to_numpy())
    new = old.copy()
    decided = np.isfinite(rank[best])
    known = np.isin(group, group[best[decided]])
    new[rows[known]] = False
    new[rows[best[decided]]] = True
    silent = int((~decided).sum())
    changed = rows[best[decided]][~old[rows[best[decided]]]]
    at = table.column_names.index("chosen")
    chosen = table.set_column(at, SCHEMAS["claims"].field("chosen"), pa.array(new))
    done = _written(city.replace_tables(claims=chosen), table.take(pa.array(changed)))
    return _told(done, table.take(pa.array(changed)), policy, silent)


def _noted(city: City, policy: Policy, dates: Mapping[str, str]) -> City:
    """Return the city with the policy among its facts, for later updates."""
    rules = policy if isinstance(policy, str) else {name: one if isinstance(one, str) else list(one) for name, one in policy.items()}
    said = {**city.extra.get("fusion", {}), "policy": rules, "dates": dict(dates)}
    return replace(city, extra={**city.extra, "fusion": said})


def check_policy(policy: Policy) -> None:
    """Refuse a policy that nobody knows.

    Raises
    ------
    UsageError
        Naming what is known.
    """
    parts = dict(policy) if isinstance(policy, Mapping) else {"*": policy}
    wrong = sorted(repr(one) for one in parts.values() if isinstance(one, str) and one not in NAMED)
    fixed = sorted(set(parts) & {*UNTOUCHED, *MEASURED})
    if wrong:
        msg = f"policy {', '.join(wrong)} is not known; give {', '.join(NAMED)}, or source names in a list"
        raise UsageError(msg)
    if fixed:
        remedy = "roof heights are chosen by heights=, periods and grades stay with the leading record"
        msg = f"{', '.join(fixed)} cannot be chosen by a policy; {remedy}"
        raise UsageError(msg)


def _check_names(city: City, policy: Policy, dates: Mapping[str, str]) -> None:
    known = set(city.tables["sources"]["name"].to_pylist())
    lists = [one for one in policy.values() if not isinstance(one, str)] if isinstance(policy, Mapping) else []
    unknown = sorted({name for names in lists for name in names} | set(dates))
    unknown = [name for name in unknown if name not in known]
    if unknown:
        msg = f"sources {', '.join(unknown)} are not in the city; it has {', '.join(sorted(known))}"
        raise UsageError(msg)


def _contested(table: pa.Table) -> Ints:
    """Return the rows of claims about attributes of objects that have several, one of them chosen."""
    partly = pc.starts_with(table["method"], "read from a record of")
    fixed = pc.is_in(table["attribute"], pa.array([*UNTOUCHED, *MEASURED]))
    usable = pc.and_(pc.and_(pc.invert(partly), pc.invert(fixed)), pc.is_valid(table["value"]))
    rows = np.flatnonzero(np.asarray(usable.to_numpy()))
    group = _groups(table, rows)
    chosen = np.bincount(group, np.asarray(table["chosen"].to_numpy())[rows].astype(float), minlength=1)
    return np.asarray(rows[(np.bincount(group, minlength=1)[group] > 1) & (chosen[group] > 0)])


def _groups(table: pa.Table, rows: Ints) -> Ints:
    names = one_array(table["attribute"]).dictionary_encode().indices.to_numpy()[rows]
    owner = np.asarray(table["object"].to_numpy(), np.int64)[rows]
    return np.unique(owner * (int(names.max(initial=0)) + 1) + names, return_inverse=True)[1]


def _ranked(city: City, table: pa.Table, rows: Ints, policy: Policy, dates: Mapping[str, str]) -> tuple[Ints, Reals]:
    """Return the group of each claim, and its rank in the policy of its attribute: lower is better, infinite for unknown."""
    some = table.take(pa.array(rows))
    source = np.asarray(some["source"].fill_null(-1).to_numpy(), np.int64)
    names = some["attribute"].to_numpy(zero_copy_only=False)
    rank = np.full(len(rows), np.inf)
    parts = dict(policy) if isinstance(policy, Mapping) else {"*": policy}
    for name in dict.fromkeys(names.tolist()):
        mine = np.flatnonzero(names == name)
        rule = parts.get(name, parts.get("*", "first"))
        rank[mine] = _rank(city, rule, source[mine], some["time"].take(pa.array(mine)), dates)
    return _groups(table, rows), rank


def _rank(city: City, rule: str | Sequence[str], source: Ints, time: pa.ChunkedArray, dates: Mapping[str, str]) -> Reals:
    if rule == "first":
        return np.where(source >= 0, source, np.inf).astype(float)
    sources = city.tables["sources"]
    row_of = {key: row for row, key in enumerate(sources["key"].to_pylist())}
    every, inverse = np.unique(source, return_inverse=True)
    place = np.asarray([row_of.get(key, -1) for key in every.tolist()], np.int64)[inverse]  # -1: the entry for no source, at the end
    names = [*sources["name"].to_pylist(), None]
    if rule == "newest":
        day = [instant(dates[name]).timestamp() * 1e6 if name in dates else np.nan for name in names]
        said = np.asarray(time.cast(pa.int64()).cast(pa.float64(), safe=False).to_numpy(), float)
        said = np.where(np.isfinite(said), said, np.asarray(day)[place])
        return np.where(np.isfinite(said), -said, np.inf)
    if rule == "most accurate":
        accuracy = np.append(np.asarray(sources["accuracy"].to_numpy(), float), np.nan)[place]
        return np.where(np.isfinite(accuracy), accuracy, np.inf)
    wanted = {name: float(n) for n, name in reversed(list(enumerate(rule)))}
    return np.asarray([wanted.get(name, np.inf) if name is not None else np.inf for name in names])[place]


def _best(table: pa.Table, rows: Ints, group: Ints, rank: Reals) -> Ints:
    """Return the best claim of each group; of equals the one now chosen, then that of the earlier source."""
    chosen = np.asarray(table["chosen"].to_numpy())[rows]
    source = np.asarray(table["source"].fill_null(np.iinfo(np.int64).max).to_numpy(), np.int64)[rows]
    order = np.lexsort((source, ~chosen, rank, group))
    return np.asarray(order[np.concatenate([[True], np.diff(group[order]) != 0])])


# --------------------------------------------------------------------------------------------- writing


def _written(city: City, claims: pa.Table) -> City:
    """Return the city with the values of claims in their columns."""
    types = city.core_rows(["type"], np.asarray(claims["object"].to_numpy(), np.int64))["type"].to_pylist()
    kinds = np.asarray([f"{type}\0{name}" for type, name in zip(types, claims["attribute"].to_pylist(), strict=True)], object)
    for kind in dict.fromkeys(kinds.tolist()):
        type, name = kind.split("\0")
        mine = claims.filter(pa.array(kinds == kind))
        if name == "name":
            city = _core(city, name, mine)
        elif name in city.attributes.schema(type).names:
            city = _column(city, type, name, mine)
    heights = claims.filter(pc.field("attribute") == "height")
    return _roofs(city, np.asarray(heights["object"].to_numpy(), np.int64)) if heights.num_rows else city


def _core(city: City, name: str, claims: pa.Table) -> City:
    objects = city.tables["objects"]
    column = _replaced(objects["key"], objects[name], claims["object"], values_of(claims["value"]).cast(objects[name].type))
    return city.replace_tables(objects=objects.set_column(objects.column_names.index(name), SCHEMAS["objects"].field(name), column))


def _column(city: City, type: str, name: str, claims: pa.Table) -> City:
    table = city.attributes[type]
    at = table.column_names.index(name)
    wanted = city.unit(type, name)
    values = values_of(claims["value"])
    units = np.asarray([unit or wanted for unit in claims["unit"].to_pylist()], object)
    if pa.types.is_floating(values.type) or pa.types.is_integer(values.type):
        numbers = np.asarray(values.to_numpy(zero_copy_only=False), float)
        for unit in set(units.tolist()) - {wanted}:
            some = units == unit
            numbers[some] = converted(pa.chunked_array([pa.array(numbers[some])]), name, unit, wanted) if wanted else numbers[some]
        values = pa.array(numbers, from_pandas=True) if set(units.tolist()) - {wanted} else values
    kind = table[name].type
    try:
        given = values.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        text = f"{name}: {len(values)} values are no {kind} and stay claims; the column keeps the leading source's"
        return city.with_issues([{"code": "conflict", "record": name, "count": len(values), "message": text}])
    column = _replaced(table["object"], table[name], claims["object"], given)
    return city.replace_tables(attributes={type: table.set_column(at, table.schema.field(at), column)})


def _replaced(owners: pa.ChunkedArray, column: pa.ChunkedArray, keys: pa.ChunkedArray, values: pa.Array) -> pa.ChunkedArray:
    place = pc.index_in(one_array(owners), one_array(keys))
    return pc.coalesce(values.take(place), one_array(column))


def _roofs(city: City, keys: Ints) -> City:
    """Return the city with the roofs that follow from a stated height put where the newly chosen height says, blocks with them."""
    from cim.loaders.fusion.blocks import add_blocks

    claims = city.tables["claims"]
    derived = (pc.field("attribute") == "z_roof") & pc.field("chosen") & (pc.field("method") == FROM_HEIGHT)
    mask = pc.and_(
        pc.and_(pc.equal(claims["attribute"], "z_roof"), claims["chosen"]),
        pc.and_(pc.equal(claims["method"], FROM_HEIGHT), pc.is_in(claims["object"], pa.array(keys))),
    )
    owners = np.asarray(
        claims.filter(derived).filter(pc.is_in(claims.filter(derived)["object"], pa.array(keys)))["object"].to_numpy(), np.int64
    )
    if not len(owners):
        return city
    rows = city.core_rows(["type", "z_ground"], owners)
    height = np.full(len(owners), np.nan)
    types = np.asarray(rows["type"].to_pylist(), object)
    for type in set(types.tolist()):
        mine = np.flatnonzero(types == type)
        height[mine] = np.asarray(city.column(type, "height", owners[mine]).to_numpy(), float)
    roof = np.asarray(rows["z_ground"].to_numpy(), float) + height
    objects = city.tables["objects"]
    column = _replaced(objects["key"], objects["z_roof"], pa.chunked_array([pa.array(owners)]), pa.array(roof, from_pandas=True))
    objects = objects.set_column(objects.column_names.index("z_roof"), SCHEMAS["objects"].field("z_roof"), column)
    text = claims["value"].to_numpy(zero_copy_only=False).copy()
    text[np.flatnonzero(np.asarray(mask.to_numpy()))] = [repr(float(value)) for value in roof]
    claims = claims.set_column(claims.column_names.index("value"), SCHEMAS["claims"].field("value"), pa.array(text, pa.string()))
    return add_blocks(city.replace_tables(objects=objects, claims=claims))


def _told(city: City, changed: pa.Table, policy: Policy, silent: int) -> City:
    """Return the city with the conflicts told anew where the choice changed, and the changes counted."""
    issues: list[dict[str, Any]] = []
    if silent:
        text = (
            f"the policy says nothing about {silent} disputed values (no date, no accuracy, or none of the named sources); the choice stays"
        )
        issues.append({"code": "assumed", "count": silent, "severity": "info", "message": text})
    if not changed.num_rows:
        return city.with_issues(issues)
    keys = changed.select(["object", "attribute"])
    count = pc.value_counts(one_array(changed["attribute"])).to_pylist()
    named = ", ".join(f"{one['values']} {one['counts']}" for one in count)
    rule = policy if isinstance(policy, str) else "by attribute"
    text = f"policy {rule!r} chose another claim than before for {changed.num_rows} values: {named}"
    issues.append({"code": "conflict", "count": changed.num_rows, "severity": "info", "message": text})
    table = city.tables["issues"]
    stale = table.append_column("row", pa.array(np.arange(table.num_rows))).filter(
        (pc.field("code") == "conflict") & pc.field("object").is_valid() & pc.field("record").is_valid()
    )
    stale = stale.join(keys, ["object", "record"], ["object", "attribute"], join_type="left semi", use_threads=False)
    kept = table.filter(pc.invert(pc.is_in(pa.array(np.arange(table.num_rows)), one_array(stale["row"]))))
    city = city.replace_tables(issues=kept)
    mine = city.tables["claims"].join(keys, ["object", "attribute"], join_type="left semi", use_threads=False)
    fresh = conflicts(mine.select(SCHEMAS["claims"].names), make_table("issues", {}, 0))
    first = {(row["object"], row["record"]): row for row in reversed(fresh) if "object" in row}  # one per value, as a merge tells them
    return city.with_issues([*first.values(), *issues])
