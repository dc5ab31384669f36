"""The tiles of an OSGB folder and, of each, the finest files that are there.

A file of a coarse level names the finer files that replace parts of it (PagedLOD). Where all of them are there they are taken in its
place; where one is missing the coarse file stays, so that no hole opens and nothing is there twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from cim.errors import CorruptFileError, FormatError
from cim.loaders.limits import Limits
from cim.loaders.mesh.files import inside
from cim.loaders.mesh.mesh import Remark
from cim.loaders.osgb.convert import Names, names_in

__all__ = ["Tile", "root_files", "tile_of"]

_LEVEL = re.compile(r"_L(\d+)(?:_|$|\.)", re.IGNORECASE)


@dataclass(frozen=True)
class Tile:
    """One tile of a mesh: the files that make it up."""

    name: str
    files: tuple[tuple[Path, Names], ...]
    """The finest files that are there."""
    coarser: int
    """Files that finer ones replace."""
    missing: tuple[str, ...]
    """Finer files that are named and not there."""
    level: int | None
    """Highest level number in the names of the files; None where they have none."""
    said: tuple[Remark, ...] = ()


def root_files(path: Path) -> list[Path]:
    """Return the coarsest file of each tile: the file itself, or of a folder those named like their folder under ``Data``.

    Raises
    ------
    FormatError
        If the folder holds no OSGB file.
    """
    if path.is_file():
        return [path]
    top = path / "Data" if (path / "Data").is_dir() else path
    named = [one / f"{one.name}.osgb" for one in sorted(top.iterdir()) if one.is_dir() and not one.is_symlink()]
    found = [one for one in named if one.is_file()]
    found += [one for one in sorted(top.glob("*.osgb")) if one.is_file() and not _LEVEL.search(one.stem)]
    if not found:
        raise FormatError(
            path, "holds no OSGB tiles: no Data/NAME/NAME.osgb and no .osgb file", "give the folder with metadata.xml and Data"
        )
    return found


def tile_of(root: Path, limits: Limits) -> Tile:
    """Return the finest files of the tile that starts with a file.

    Raises
    ------
    CorruptFileError
        If files name each other in a circle, or the first is no OSGB file.
    """
    finest: list[tuple[Path, Names]] = []
    missing: list[str] = []
    said: list[Remark] = []
    seen = {root.resolve()}
    coarser = 0
    stack = [(root, names_in(root))]
    while stack:
        path, names = stack.pop()
        children, absent = _children(path, names)
        missing += absent
        fresh: list[tuple[Path, Names]] = []
        broken = False
        for child in children:
            if child.resolve() in seen:
                raise CorruptFileError(root, f"its level {child.name!r} is named twice: levels form a cycle (loop)", "export it again")
            seen.add(child.resolve())
            limits.check("archive_members", len(seen), root)
            try:
                fresh.append((child, names_in(child)))
            except CorruptFileError as error:
                said.append(Remark("rejected", "warning", f"level {child.name} cannot be used: it {error.reason}"))
                broken = True
        if fresh and not absent and not broken:
            coarser += 1
            stack += reversed(fresh)
        else:
            finest.append((path, names))
    levels = [int(found[1]) for path, _ in finest if (found := _LEVEL.search(path.stem))]
    return Tile(root.stem, tuple(finest), coarser, tuple(missing), max(levels, default=None), tuple(said))


def _children(path: Path, names: Names) -> tuple[list[Path], list[str]]:
    """Return the finer files that are there, and the names of those that are not."""
    there, absent = [], []
    for name in names.children:
        place = inside(path.parent, name, path)
        if place.is_file():
            there.append(place)
        else:
            absent.append(name)
    return there, absent
