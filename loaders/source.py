"""The catalogue entry of a file: what it is called, how large it is, and its fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cim.loaders.protocol import ReadOptions
    from cim.model import City, SourceRecord

__all__ = ["beside", "fingerprint", "remembered", "source_record"]

_COMPANIONS = frozenset({".dbf", ".shx", ".prj", ".cpg", ".bin", ".mtl", ".tfw", ".jgw", ".pgw", ".wld", ".vrt", ".aux", ".xml"})
"""Suffixes of files that say part of what the file of the same name says."""


def fingerprint(path: Path, companions: Iterable[Path] = ()) -> tuple[str, int]:
    """Return the SHA-256 of a file, and the bytes of it and its companions; a folder has the fingerprint of its files in order."""
    digest, size = hashlib.sha256(), 0
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file() and not one.is_symlink())
    for file in files:
        if path.is_dir():
            digest.update(str(file.relative_to(path)).encode() + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
                size += len(block)
    return digest.hexdigest(), size + sum(one.stat().st_size for one in companions)


def plain_name(path: Path) -> str:
    """Return the name of a file without the suffixes of its format.

    Examples
    --------
    >>> plain_name(Path("delft_v2.0.city.json")), plain_name(Path("b.shp.zip")), plain_name(Path("roads.gpkg"))
    ('delft_v2.0', 'b', 'roads')
    """
    for suffix in (".city.json", ".city.jsonl", ".shp.zip", ".osm.pbf", ".osm.gz", ".osm.bz2"):
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def source_record(
    path: Path,
    *,
    reader: str,
    format: str,
    mapping: Mapping[str, Any] | None = None,
    companions: Iterable[Path] = (),
    shown: str | None = None,
    **fields: Any,
) -> SourceRecord:
    """Return the catalogue entry of a source.

    Parameters
    ----------
    path
        The file or folder.
    mapping
        Field mapping that was used.
    companions
        Other files that belong to it (their size is added).
    shown
        Path to record, where it differs (a member of an archive).
    **fields
        Further fields of `cim.model.SourceRecord`: layer, declared_crs, used_crs, encoding, records_in, rejected, repaired...
    """
    from cim.model import SourceRecord

    sha256, size = fingerprint(path, companions)
    text = json.dumps(mapping, ensure_ascii=False, default=str) if mapping else None
    return SourceRecord(
        name=plain_name(path), path=shown or str(path), sha256=sha256, bytes=size, reader=reader, format=format, mapping=text, **fields
    )


def beside(path: Path) -> dict[str, str]:
    """Return the SHA-256 of the companions beside a file, by name: what a fingerprint of the file alone does not cover."""
    if not path.is_file() or not path.parent.is_dir():
        return {}
    mine = (one for one in path.parent.iterdir() if one.stem.lower() == path.stem.lower() and one.suffix.lower() in _COMPANIONS)
    return {one.name: fingerprint(one)[0] for one in sorted(mine) if one.is_file() and not one.is_symlink() and one != path}


def remembered(city: City, path: Path, options: ReadOptions, reader: str | None = None) -> City:
    """Return a city with what it was read with among its facts, source by source, so that an update reads it in the same way."""
    given = {
        "path": str(path), "crs": options.crs, "layer": options.layer, "mapping": dict(options.mapping), "encoding": options.encoding,
        "options": dict(options.extra), "reader": reader, "companions": beside(path),
    }  # fmt: skip
    if any(shown != str(path) for shown in city.tables["sources"]["path"].to_pylist()):  # a member of an archive
        given["sha256"] = fingerprint(path)[0]
    said = {name: value for name, value in given.items() if value not in (None, {})}
    text = json.dumps(said, default=str)
    readings = {str(key): json.loads(text) for key in city.tables["sources"]["key"].to_pylist()}
    return replace(city, extra={**city.extra, "sources": readings}) if readings else city
