"""Which sources of a city changed, and reading them again in the way they were read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import CimError, InputError, UsageError
from cim.loaders.limits import Limits
from cim.loaders.source import beside, fingerprint
from cim.model.schema import SCHEMAS

if TYPE_CHECKING:
    from cim.model import City

__all__ = ["SourceFile", "catalogue", "find_sources", "reread"]

Wanted = Sequence[str | Path] | Mapping[str, str | Path] | None


@dataclass(frozen=True)
class SourceFile:
    """One file, and the sources of the city that were read from it: its layers."""

    path: Path
    """Where it is now."""
    keys: tuple[int, ...]
    """Keys in `sources`."""
    names: tuple[str, ...]
    """Their names."""
    layers: tuple[str | None, ...]
    state: str
    """``changed``, ``unchanged`` or ``missing``."""
    reading: Mapping[str, Any]
    """What it was read with, as far as the city knows."""


def find_sources(city: City, wanted: Wanted = None) -> list[SourceFile]:
    """Return the files that the city was made of, each with what became of it.

    Parameters
    ----------
    wanted
        Names or paths of the sources to look at, all without it; a mapping says where a file lies now.

    Raises
    ------
    UsageError
        If a name is not among the sources.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in city.tables["sources"].to_pylist():
        said = _reading(city, row)
        if said.get("path"):
            groups.setdefault(str(said["path"]), []).append({**row, "reading": said})
    moved = {str(name): Path(place) for name, place in wanted.items() if str(place)} if isinstance(wanted, Mapping) else {}
    names = None if wanted is None else {str(one) for one in wanted}
    known = {name for path, rows in groups.items() for name in (path, Path(path).name, *(row["name"] for row in rows))}
    if names is not None and names - known:
        listed = ", ".join(sorted({row["name"] for rows in groups.values() for row in rows}))
        msg = f"no source {', '.join(sorted(names - known))} in the city; it has {listed or 'none that was read from a file'}"
        raise UsageError(msg)
    found = []
    for path, rows in groups.items():
        called = {path, Path(path).name, *(row["name"] for row in rows)}
        if names is None or called & names:
            place = next((moved[name] for name in moved if name in called), Path(path))
            found.append(_file(place, rows))
    return found


def _reading(city: City, row: dict[str, Any]) -> dict[str, Any]:
    """Return how a source was read: as the city remembers it, else as its catalogue entry tells."""
    said = city.extra.get("sources", {}).get(str(row["key"]))
    if isinstance(said, Mapping) and said.get("path"):
        return dict(said)
    own: dict[str, Any] = {"path": row["path"]}
    if row["used_crs"] and row["used_crs"] != row["declared_crs"]:
        own["crs"] = row["used_crs"]
    if row["encoding"] and row["format"] == "Shapefile":
        own["encoding"] = row["encoding"]
    return {**own, "reader": row["reader"], "guessed": True}


def _file(path: Path, rows: list[dict[str, Any]]) -> SourceFile:
    said = rows[0]["reading"]
    state = "missing"
    if path.exists():
        sha256, _ = fingerprint(path)
        companions = beside(path)
        same = all((said.get("sha256") or row["sha256"]) == sha256 for row in rows) and companions == said.get("companions", companions)
        state = "unchanged" if same else "changed"
    return SourceFile(
        path, tuple(row["key"] for row in rows), tuple(row["name"] for row in rows), tuple(row["layer"] for row in rows), state,
        {**said, "mapping": said.get("mapping") or _mapping(rows)},
    )  # fmt: skip


def _mapping(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the plan that the vector reader made, so that the fields mean what they meant; other readers need none."""
    plans = {row["layer"]: json.loads(row["mapping"]) for row in rows if row["reader"] == "vector" and row["mapping"]}
    return {"layers": plans} if plans else {}


def reread(file: SourceFile, limits: Limits | None = None) -> tuple[City, dict[int, int]]:
    """Return a changed file as a city, and which of its sources is which of the old ones: key there -> key in the old city.

    Raises
    ------
    InputError
        If it cannot be used, or a layer is gone.
    """
    from cim.loaders import door

    said = file.reading
    mapping = dict(said["mapping"])
    if len(file.layers) == 1 and set(mapping) == {"layers"} and not said.get("layer"):
        mapping = next(iter(mapping["layers"].values()), {})  # the layer may be called otherwise now
    try:
        city = door.read(
            file.path, said.get("crs"), layer=said.get("layer"), mapping=mapping, reader=said.get("reader"), encoding=said.get("encoding"),
            limits=limits or Limits(), **said.get("options", {}),
        )  # fmt: skip
    except InputError:
        raise
    except CimError as error:
        raise InputError(file.path, f"cannot be read as it was before: {error}", "build the city anew where the fields changed") from error
    return _corrected(city, said), _same_layers(city, file)


def _corrected(city: City, said: Mapping[str, Any]) -> City:
    if not said.get("corrected"):
        return city
    from cim.loaders.fusion import from_bd09, from_gcj02

    return {"gcj02": from_gcj02, "bd09": from_bd09}[str(said["corrected"])](city)


def _same_layers(city: City, file: SourceFile) -> dict[int, int]:
    table = city.tables["sources"]
    keys, layers = table["key"].to_pylist(), table["layer"].to_pylist()
    if len(keys) == len(file.keys) == 1:
        return {keys[0]: file.keys[0]}
    old = dict(zip(file.layers, file.keys, strict=True))
    gone = [str(layer) for layer in old if layer not in layers]
    if gone:
        there = ", ".join(map(str, layers))
        raise InputError(file.path, f"layer {', '.join(gone)} is no longer in it; it has {there}", "put it back, or build the city anew")
    return {key: old[layer] for key, layer in zip(keys, layers, strict=True) if layer in old}


def catalogue(city: City, fresh: City, key: int, source: int) -> City:
    """Return the city with the catalogue entry and the reading of a source as they are now; licence, owner and grade stay.

    Parameters
    ----------
    fresh
        The source as read again.
    key
        Of the source in `fresh`.
    source
        Of the source in `city`.
    """
    new = next(row for row in fresh.tables["sources"].to_pylist() if row["key"] == key)
    rows = city.tables["sources"].to_pylist()
    kept = ("key", "name", "licence", "owner", "grade")
    rows = [{**new, **{name: row[name] for name in kept}} if row["key"] == source else row for row in rows]
    readings = dict(city.extra.get("sources", {}))
    was, now = readings.get(str(source), {}), fresh.extra.get("sources", {}).get(str(key), {})
    stays = {name: was[name] for name in ("mapping", "corrected", "reader") if name in was}
    if "mapping" not in stays:
        now = {name: value for name, value in now.items() if name not in {"mapping", "reader"}}
    readings[str(source)] = {**now, **stays}
    table = pa.Table.from_pylist(rows, schema=SCHEMAS["sources"])
    return replace(city, tables=city.tables.replace(sources=table), extra={**city.extra, "sources": readings})


def of_source(city: City, key: int) -> City:
    """Return what one source of a city holds, alone."""
    objects = city.tables["objects"]
    mine = pc.fill_null(pc.equal(objects["source"], key), fill_value=False)
    return city.subset(np.asarray(objects.filter(mine)["key"].to_numpy(), np.int64))


def now() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)
