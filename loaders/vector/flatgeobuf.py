"""FlatGeobuf files, read through GDAL after the counts of the head are checked against the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cim.errors import CorruptFileError
from cim.loaders.vector.frame import Layer
from cim.loaders.vector.ogr import read_ogr

if TYPE_CHECKING:
    from cim.loaders.protocol import ReadOptions

__all__ = ["read_flatgeobuf"]

HEAD_LIMIT = 10 << 20
"""Largest header the format's own readers accept [byte]."""


def read_flatgeobuf(path: Path, options: ReadOptions) -> Layer:
    """Return the one layer of a FlatGeobuf file.

    Raises
    ------
    CorruptFileError
        If the header runs out of the file, or GDAL cannot read it.
    """
    with path.open("rb") as file:
        start = file.read(12)
    size = int.from_bytes(start[8:12], "little")
    if len(start) < 12 or size > HEAD_LIMIT or 12 + size > path.stat().st_size:
        raise CorruptFileError(path, f"its header claims {size:,} bytes, more than the file or the format holds", "copy it again")
    staged = Path.cwd() / "layer.fgb"
    staged.unlink(missing_ok=True)
    staged.symlink_to(path)
    return read_ogr(staged, options, format="FlatGeobuf", name=path.stem, shown=path)
