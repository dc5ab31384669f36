"""What may leave the house: objects up to a data grade 数据分级, and no count of persons that is small or follows from what is left."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.loaders.export_values import own_grades, without_values
from cim.model.schema import one_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.loss import Losses

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Mask = NDArray[np.bool_]

__all__ = ["GRADES", "UNGRADED", "graded", "is_person_count", "suppressed"]

GRADES: Mapping[str, int] = {
    "public": 0, "公开": 0, "open": 0, "general": 1, "一般": 1, "一般数据": 1, "internal": 1, "内部": 1,
    "restricted": 2, "重要": 2, "重要数据": 2,
    "confidential": 2, "秘密": 2, "secret": 3, "机密": 3, "core": 4, "核心": 4, "核心数据": 4, "top secret": 4, "绝密": 4,
}  # fmt: skip
"""Rank of the grades by name; numbers (1, "2级") count as they stand. A grade of another name, or none, ranks above all."""
_HIGHEST = 1_000
UNGRADED = "objects without a known grade, which count as the highest"
"""What the report calls them."""
_PERSONS = re.compile(
    r"population|resident|inhabitant|person|persoon|people|employee|worker|student|patient|pupil|occupant|headcount|einwohner|bewohner"
    r"|人口|人数|居民|从业人员|学生|inwoner|werknemer",
    re.IGNORECASE,
)
_PER = re.compile(r"densit|(?<![a-z])(?:per|share|ratio|percent|percentage)(?![a-z])|率|密度|人均", re.IGNORECASE)
"""What is no count: whole words, for "administration" holds a ratio and "shared" a share."""
_NUMBER = r"^\s*\"?\s*[-+]?\d+(?:\.\d*)?\s*\"?\s*$"
"""A number, also one that a claim or a property holds as text."""


def rank(grade: str | None) -> int:
    """Return how high a grade is; one that is missing or unknown is the highest.

    Examples
    --------
    >>> rank("公开"), rank("2级"), rank("Secret"), rank(None), rank("blue")
    (0, 2, 3, 1000, 1000)
    """
    text = (grade or "").strip().lower()
    number = re.fullmatch(r"(\d{1,2})\s*级?", text)
    return int(number[1]) if number else GRADES.get(text, _HIGHEST)


def graded(city: City, grade: str, losses: Losses) -> City:
    """Return the city with only what may be shown at a grade; what is left out is counted.

    An object has its own grade, else that of its source, and never a lower one than the whole it is part of. What sources above the
    grade, or without one, say of the objects that are left goes too, see `cim.loaders.export_values`.

    Raises
    ------
    UsageError
        If the grade asked for is not known.
    """
    wanted = rank(grade)
    if wanted == _HIGHEST:
        msg = f"grade {grade!r} is not known; give a number, or one of {', '.join(GRADES)}"
        raise UsageError(msg)
    objects = city.tables.scan("objects", ["key", "parent", "grade", "source"])
    sources = city.tables["sources"]
    of_source = dict(zip(sources["key"].to_pylist(), sources["grade"].to_pylist(), strict=True))
    inherited = pa.array([of_source.get(key) for key in objects["source"].to_pylist()], pa.string())
    stated = one_array(objects["grade"])
    height = np.where(own_grades(city), _ranks(stated), np.maximum(_ranks(inherited), np.where(pc.is_valid(stated), _ranks(stated), 0)))
    keys = np.asarray(objects["key"].to_numpy(), np.int64)
    for _ in range(len(keys)):  # as many rounds as the hierarchy is deep
        above = _row(keys, objects["parent"])
        raised = np.where(above >= 0, np.maximum(height, height[above]), height)
        if (raised == height).all():
            break
        height = raised
    hidden = height > wanted
    unknown = int((height[hidden] == _HIGHEST).sum())
    losses.add(f"objects above the grade {grade}", int(hidden.sum()) - unknown)
    losses.add(UNGRADED, unknown)
    shown = _without_their_issues(city, keys[hidden]).subset(keys[~hidden]) if hidden.any() else city
    return without_values(shown, [key for key, name in of_source.items() if rank(name) > wanted], losses)


def _ranks(grades: pa.Array) -> Ints:
    """Return the rank of each grade, shape (n,)."""
    coded = grades.dictionary_encode()
    ranks = np.array([*(rank(text) for text in coded.dictionary.to_pylist()), _HIGHEST])
    return np.asarray(ranks[np.asarray(coded.indices.fill_null(len(coded.dictionary)).to_numpy(zero_copy_only=False), np.int64)])


def _without_their_issues(city: City, hidden: Ints) -> City:
    """Return the city without issues that name hidden objects; those of the whole city stay."""
    issues = city.tables["issues"]
    return city.replace_tables(issues=issues.filter(pc.invert(pc.is_in(issues["object"], pa.array(hidden)))))


def _row(keys: Ints, column: pa.ChunkedArray) -> Ints:
    wanted = np.asarray(column.fill_null(-1).to_numpy(), np.int64)
    place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    return np.where((wanted >= 0) & (keys[place] == wanted if len(keys) else False), place, -1)


def is_person_count(name: str, kind: pa.DataType) -> bool:
    """Return whether an attribute counts persons: by its name, and because it holds numbers.

    Examples
    --------
    >>> (
    ...     is_person_count("population", pa.int64()),
    ...     is_person_count("population_density", pa.float64()),
    ...     is_person_count("常住人口", pa.int64()),
    ... )
    (True, False, True)
    """
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return bool(number and _PERSONS.search(name) and not _PER.search(name))


def suppressed(city: City, k: int, losses: Losses) -> City:
    """Return the city without counts of persons below `k`, and without the totals that would reveal one.

    A total is the value of a whole over its parts, or an attribute that is the sum of others in every row. A hidden count may not follow
    from one equation, and hidden counts that do follow together must be `k` at least. Zeros are hidden like other small counts.

    Raises
    ------
    UsageError
        If `k` is below 0.
    """
    if k < 0:
        msg = f"k is {k}, expected 0 or more persons"
        raise UsageError(msg)
    names = {
        type_: [field.name for field in city.attributes.schema(type_) if is_person_count(field.name, field.type)]
        for type_ in city.attributes
    }
    columns = sorted({name for found in names.values() for name in found})
    if k == 0:
        return city
    city = _without_small_words(city, k, losses)
    if not columns:
        return city
    objects = city.tables.scan("objects", ["key", "parent"])
    keys = np.asarray(objects["key"].to_numpy(), np.int64)
    values = np.full((len(keys), len(columns)), np.nan)
    for type_, found in names.items():
        table = city.attributes.scan(type_, ["object", *found])
        rows = np.searchsorted(keys, np.asarray(table["object"].to_numpy(), np.int64))
        for name in found:
            values[rows, columns.index(name)] = np.array(table[name].cast(pa.float64()).to_numpy(), float)
    small = np.isfinite(values) & (values < k)
    if not small.any():
        return city
    hidden = _protect(values, small, _equations(values, _row(keys, objects["parent"])), k)
    losses.add(f"counts of persons below {k}", int(small.sum()))
    losses.add("totals and other counts that would reveal one of them", int((hidden & ~small).sum()))
    return _emptied(city, keys, columns, hidden)


def _counts(names: pa.ChunkedArray, values: pa.ChunkedArray, k: int) -> pa.ChunkedArray:
    """Say which rows of names and texts are a count of persons below `k`."""
    said = pc.fill_null(pc.match_substring_regex(values, _NUMBER), fill_value=False)
    plain = pc.if_else(said, pc.utf8_trim(values, characters=' "'), pa.scalar("inf"))
    about = pa.array([bool(_PERSONS.search(name or "") and not _PER.search(name or "")) for name in names.unique().to_pylist()], pa.bool_())
    return pc.and_(about.take(pc.index_in(names, names.unique())), pc.less(pc.cast(plain, pa.float64()), k))


def _without_small_words(city: City, k: int, losses: Losses) -> City:
    """Return the city without small counts of persons where they stand as text: columns, properties, claims, and issues that quote one."""
    attributes, removed = {}, 0
    for type_ in city.attributes:
        table = city.attributes[type_]
        for field in table.schema:
            if pa.types.is_string(field.type) and _PERSONS.search(field.name):
                gone = _counts(pa.chunked_array([pa.array([field.name] * len(table), pa.string())]), table[field.name], k)
                removed += pc.sum(gone).as_py() or 0
                kept = pc.if_else(gone, pa.scalar(None, field.type), table[field.name])
                table = table.set_column(table.column_names.index(field.name), field, kept)
        attributes[type_] = table
    tables = {}
    for name, column in (("properties", "name"), ("claims", "attribute")):
        gone = _counts(city.tables[name][column], city.tables[name]["value"], k)
        removed += pc.sum(gone).as_py() or 0
        tables[name] = city.tables[name].filter(pc.invert(gone))
    issues = city.tables["issues"]
    quoting = pc.and_(pc.equal(issues["code"], "conflict"), pc.match_substring_regex(issues["message"], _PERSONS.pattern, ignore_case=True))
    losses.add(f"counts of persons below {k} in texts, properties and claims", removed)
    losses.add("conflicts about counts of persons, which quote them", pc.sum(quoting).as_py() or 0)
    return city.replace_tables(attributes=attributes, issues=issues.filter(pc.invert(pc.fill_null(quoting, False))), **tables)


def _equations(values: Reals, above: Ints) -> list[Ints]:
    """Return which cells make a total and its parts: flat indices, the total first."""
    columns = values.shape[1]
    known = np.isfinite(values)
    found = []
    for column in range(columns):
        has = known[:, column]
        child = np.flatnonzero(has & (above >= 0) & has[above])
        order = child[np.argsort(above[child], kind="stable")]
        families = np.split(order, np.flatnonzero(np.diff(above[order])) + 1)
        found += [np.concatenate([[above[part[0]]], part]) * columns + column for part in families if len(part)]
    for total, parts in _sums(values, known):
        complete = np.flatnonzero(known[:, [total, *parts]].all(axis=1))
        found += list(complete[:, None] * columns + np.array([total, *parts]))
    return found


def _sums(values: Reals, known: Mask) -> Iterable[tuple[int, tuple[int, ...]]]:
    """Return columns that are the sum of two or of all others, wherever all are known."""
    every = range(values.shape[1])
    for total in every:
        others = [column for column in every if column != total]
        for parts in {*combinations(others, 2), tuple(others)}:
            complete = known[:, [total, *parts]].all(axis=1)
            if len(parts) > 1 and complete.any() and np.allclose(values[complete][:, parts].sum(axis=1), values[complete, total]):
                yield total, parts


def _protect(values: Reals, small: Mask, equations: list[Ints], k: int) -> Mask:
    """Return which cells to hide, until no equation gives a hidden one away."""
    value, hidden = values.reshape(-1), small.reshape(-1).copy()
    of_cell: dict[int, list[int]] = {}
    for number, cells in enumerate(equations):
        for cell in cells.tolist():
            of_cell.setdefault(cell, []).append(number)
    waiting = [number for cell in np.flatnonzero(hidden).tolist() for number in of_cell.get(cell, [])]
    while waiting:  # only equations that hold a hidden cell come here
        cells = equations[waiting.pop()]
        gone = hidden[cells]
        lone = int(gone.sum()) == 1
        rest = float(value[cells[0]] - value[cells[1:]][~gone[1:]].sum())
        if not (lone or (gone[1:].any() and not gone[0] and rest < k)):
            continue
        seen = np.flatnonzero(~gone)
        if not len(seen):
            continue
        next_cell = int(cells[0]) if not gone[0] else int(cells[seen[np.argmax(value[cells[seen]])]])
        hidden[next_cell] = True
        waiting += of_cell[next_cell]
    return hidden.reshape(values.shape)


def _emptied(city: City, keys: Ints, columns: list[str], hidden: Mask) -> City:
    """Return the city with the hidden cells empty, in attributes, claims and properties alike."""
    attributes = {}
    for type_ in city.attributes:
        table = city.attributes[type_]
        rows = np.searchsorted(keys, np.asarray(table["object"].to_numpy(), np.int64))
        for number, name in enumerate(columns):
            if name in table.column_names and hidden[rows, number].any():
                at, field = table.column_names.index(name), table.schema.field(name)
                table = table.set_column(at, field, pc.if_else(pa.array(hidden[rows, number]), pa.scalar(None, field.type), table[name]))
        attributes[type_] = table
    claims, properties = city.tables["claims"], city.tables["properties"]
    for number, name in enumerate(columns):
        claims = claims.filter(
            pc.invert(pc.and_(pc.equal(claims["attribute"], name), pc.is_in(claims["object"], pa.array(keys[hidden[:, number]]))))
        )
    touched = pa.array(keys[hidden.any(axis=1)])
    about_persons = pc.match_substring_regex(properties["name"], _PERSONS.pattern, ignore_case=True)
    properties = properties.filter(pc.invert(pc.and_(about_persons, pc.is_in(properties["object"], touched))))
    return city.replace_tables(attributes=attributes, claims=claims, properties=properties)
