"""Drafting a build file: what the files of a folder are, what looks wrong, and which field probably means what."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cim.errors import InputError, UsageError
from cim.loaders.door import describe
from cim.progress import track

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cim.loaders.protocol import Description, LayerInfo

__all__ = ["Draft", "Found", "draft"]

COMPANIONS = {
    ".dbf",
    ".shx",
    ".prj",
    ".cpg",
    ".qmd",
    ".qix",
    ".sbn",
    ".sbx",
    ".wld",
    ".tfw",
    ".jgw",
    ".pgw",
    ".aux",
    ".ovr",
    ".md",
    ".txt",
    ".mtl",
    ".toml",
}
"""Suffixes of files that belong to another one, or tell people something."""
TILES = {".b3dm", ".i3dm", ".pnts", ".cmpt", ".glb", ".gltf", ".bin", ".subtree", ".json"}
"""Suffixes of what lies under a tileset."""
MOST_FILES = 2000
"""More files than this are no folder of sources."""
WEB_MERCATOR_EDGE = 20_037_509.0
"""Half the circumference of the Earth at the equator, π · 6 378 137 m, rounded up: Web Mercator ends there, in x and in y [m]."""
_CHINESE = re.compile(r"(?i)china.?geodetic.?coordinate.?system.?2000|cgcs.?2000|xian.?1980|beijing.?1954|new.?beijing")
_IN_CHINA = ((103.0, 25.0, 117.0, 41.0), (117.0, 27.0, 122.2, 41.0))
"""West, south, east, north [deg] of boxes that lie in China as a whole."""


@dataclass(frozen=True)
class Found:
    """One file of the folder."""

    path: str
    """Relative to the folder."""
    description: Description | None
    """None when no reader can use it."""
    refused: str = ""
    """Why not."""

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per layer for the table that is shown."""
        if self.description is None:
            return [
                {
                    "file": self.path,
                    "format": "-",
                    "layer": "",
                    "kind": "",
                    "count": None,
                    "crs": "",
                    "encoding": "",
                    "class": "",
                    "suspicions": self.refused,
                }
            ]
        said = self.description
        return [
            {"file": self.path, "format": said.format, "layer": layer.name, "kind": layer.kind, "count": layer.count,
             "crs": _short_crs(layer.crs) if layer.crs else "not stated",
             "encoding": said.encoding, "class": layer.guess, "suspicions": "; ".join(said.suspicions) if number == 0 else ""}
            for number, layer in enumerate(said.layers)
        ]  # fmt: skip


@dataclass(frozen=True)
class Draft:
    """What a folder holds."""

    folder: str
    files: tuple[Found, ...]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per layer of every file."""
        return [row for file in self.files for row in file.rows()]

    def toml(self, relative_to: str | Path | None = None) -> str:
        """Return a build file to be corrected by hand: every guess is marked as one.

        Parameters
        ----------
        relative_to
            Folder that the build file will lie in: the paths of the sources are relative to it. The drafted folder without it.
        """
        home = Path(self.folder if relative_to is None else relative_to).resolve()
        prefix = _relative(Path(self.folder).resolve(), home)
        head = [
            f"# Build file drafted from {self.folder}. Lines marked 'guess' were not stated by any file: check them.",
            f"# Paths are relative to the folder of this file; they are right when it lies in {home.name or home}.",
            "# Run it with: cim build THIS_FILE -o city.cim", "",
            "[city]", f"name = {_text(Path(self.folder).resolve().name)}", *self._crs(),
            _time_zone(self.files), "",
        ]  # fmt: skip
        parts = [line for file in self.files for line in _source(file, prefix)]
        return "\n".join(
            [
                *head,
                *parts,
                "[fusion]",
                "percentile = 90.0  # of the heights inside a footprint [%]",
                'heights = ["points", "dsm", "read"]  # best first',
                "",
                *self._steps(),
            ]
        )

    def _steps(self) -> list[str]:
        """Return the steps that these files invite, commented out."""
        meshes = any(layer.kind == "mesh" for file in self.files if file.description for layer in file.description.layers)
        cut = ["# [[step]]  # cut the meshes at the footprints of the buildings", '# do = "singulate"'] if meshes else []
        floors = [
            "# [[step]]  # an object for every storey",
            '# do = "storeys"',
            "# storey_height = 3.0  # m, to estimate what no source states",
        ]
        return [*cut, *floors, ""]

    def _crs(self) -> list[str]:
        stated = [_short_crs(layer.crs) for file in self.files if file.description for layer in file.description.own_layers if layer.crs]
        counts = _votes(stated)
        if not counts:
            return ['# crs = "EPSG:…"  # no file states a coordinate system: give the projected one of the city']
        best = max(counts, key=lambda crs: (_projected(crs), counts[crs]))
        alike = (crs for crs in counts if _same_plane(crs, best))
        best = max(alike, key=lambda crs: (_knows_heights(crs), counts[crs]))  # a layer that knows its heights says more
        if not _projected(best):
            why = "Web Mercator: not for measuring" if _is_plane(best) else "degrees"
            return [f'# crs = "EPSG:…"  # the files are in {best} ({why}): give a projected system for the city{_fitting(self.files)}']
        return [f"crs = {_text(best)}  # guess: stated by {counts[best]} of {len(stated)} layers"]


def draft(folder: str | Path) -> Draft:
    """Return what the files of a folder (and its subfolders) are.

    Raises
    ------
    UsageError
        If the folder is not there, empty, or holds too many files.
    """
    place = Path(folder)
    if not place.is_dir():
        msg = f"{place} is no folder; give the folder that holds the source files"
        raise UsageError(msg)
    paths = _sources(place)
    if not paths or len(paths) > MOST_FILES:
        msg = f"{place} holds {len(paths)} files that could be sources; between 1 and {MOST_FILES} are expected"
        raise UsageError(msg)
    return Draft(str(folder), tuple(_look(place, path) for path in track(paths, label="looking at files", unit="file")))


def _sources(folder: Path) -> list[Path]:
    """Return the files that are sources of their own, and the folders that are one: nothing linked, hidden or inside a city store."""
    found: list[Path] = []
    wholes: list[Path] = []
    tilesets: list[Path] = []
    for path in sorted(folder.rglob("*"), key=lambda path: (len(path.parts), path)):
        inside = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part.endswith(".cim") for part in inside) or path.is_symlink()
        if hidden or any(whole in path.parents for whole in wholes):
            continue
        if path.is_dir():
            if (path / "metadata.xml").is_file() and (path / "Data").is_dir():  # a reconstruction: tiles under Data
                wholes.append(path)
                found.append(path)
            continue
        tile = path.suffix.lower() in TILES and path.name != "tileset.json" and (path.parent / "tileset.json").is_file()
        if tile or (path.suffix.lower() in TILES and any(top in path.parents for top in tilesets)):
            continue
        if path.name == "tileset.json":
            tilesets.append(path.parent)
        if _is_own(path):
            found.append(path)
    return sorted(found)


def _is_own(path: Path) -> bool:
    """Say whether a file is no companion of another one: by its suffix, or because one of its name lies beside it."""
    name = path.name.lower()
    if path.suffix.lower() in COMPANIONS or name.endswith((".aux.xml", ".metadata.json")) or name == "metadata.xml":
        return False
    picture = path.suffix.lower() in {".png", ".jpg", ".jpeg"}
    placed = any(path.with_suffix(suffix).is_file() for suffix in (".wld", ".jgw", ".pgw", ".jpgw", ".pngw", ".jpegw"))
    return path.is_file() and (not picture or placed)  # a picture without a place is a texture, or for people


def _look(folder: Path, path: Path) -> Found:
    name = str(path.relative_to(folder))
    try:
        return Found(name, describe(path))
    except InputError as error:
        return Found(name, None, f"{error.reason}; {error.remedy}" if error.remedy else error.reason)


def _relative(folder: Path, home: Path) -> str:
    """Return the way from one folder to another; the full path where there is none (another drive)."""
    try:
        return Path(os.path.relpath(folder, home)).as_posix()
    except ValueError:
        return folder.as_posix()


def _source(file: Found, prefix: str = ".") -> Iterable[str]:
    """Yield the lines of one file: a [[source]] per layer, or a comment that says why not."""
    if file.description is None:
        yield from (f"# {file.path}: not used: {' '.join(file.refused.split())}", "")
        return
    said = file.description
    for layer in said.own_layers:
        place = (Path(prefix) / file.path).as_posix()
        yield from ("[[source]]", f"path = {_text(place)}  # {said.format}, {_counts(said) if said.whole else _count(layer)}")
        yield from (f"#   suspicious: {' '.join(text.split())}" for text in said.suspicions)
        if len(said.layers) > 1 and not said.whole:
            yield f"layer = {_text(layer.name)}"
        if layer.crs:
            yield f"# crs = {_text(_short_crs(layer.crs))}  # as stated"
        else:
            yield f'# crs = "EPSG:…"  # without it {said.without_crs}' if said.without_crs else _FILL_IN
        if said.encoding:
            yield f"# encoding = {_text(said.encoding)}  # as found"
        yield from () if said.whole else _mapping(layer, dict(said.mapping))
        yield ""


_FILL_IN = 'crs = "EPSG:…"  # not stated by the file: fill in'


def _counts(said: Description) -> str:
    """Return what a file that is read as one holds, class by class."""
    return ", ".join(layer.name if layer.count is None else f"{layer.count:,} {layer.name}" for layer in said.layers[:20])


def _short_crs(text: str) -> str:
    """Return a coordinate system in its shortest notation; what cannot be parsed stays as it is."""
    from cim.crs import parse

    try:
        return parse(text).to_string()
    except InputError:
        return text


def _votes(stated: list[str]) -> dict[str, int]:
    """Return how many layers state each system, under the notation that most of them use; what cannot be parsed has no vote."""
    from cim.crs import CityCRS, parse

    notations: dict[CityCRS, list[str]] = {}
    for text in stated:
        try:
            notations.setdefault(parse(text), []).append(text)
        except InputError:
            continue
    return {max(texts, key=texts.count): len(texts) for texts in notations.values()}


def _count(layer: LayerInfo) -> str:
    return f"{layer.count:,} {layer.kind or 'records'}" if layer.count is not None else layer.kind or "records not counted"


def _mapping(layer: LayerInfo, mapping: dict[str, Any]) -> Iterable[str]:
    """Yield all that was guessed, as the build takes a mapping at its word and guesses nothing beside it; other fields as a comment."""
    mine = mapping.get("layers", {}).get(layer.name, mapping)
    if layer.guess:
        yield f"class = {_text(layer.guess)}  # guess"
    yield from (f"{key} = {_text(str(mine[key]))}  # guess" for key in ("id", "name", "valid_from", "valid_to") if mine.get(key))
    registers: dict[str, str | list[str]] = mine.get("identifiers", {})
    if registers:
        listed = ", ".join(f"{_key(scheme)} = {json.dumps(field, ensure_ascii=False)}" for scheme, field in registers.items())
        yield f"identifiers = {{{listed}}}  # guess"
    entries = dict(mine.get("attributes", {}))
    if entries:
        yield "[source.attributes]"
        for name, entry in entries.items():
            field = entry if isinstance(entry, str) else entry.get("field", name)
            unit = "" if isinstance(entry, str) else entry.get("unit", "")
            yield f"{_key(name)} = {{field = {_text(field)}{f', unit = {_text(unit)}' if unit else ''}}}  # guess"
    used = {entry if isinstance(entry, str) else entry.get("field") for entry in entries.values()}
    used |= {mine.get(key) for key in ("id", "name", "valid_from", "valid_to")}
    used |= {name for said in registers.values() for name in ([said] if isinstance(said, str) else said)}
    rest = [name for name, _ in layer.fields if name not in used]
    if rest:
        yield f"# other fields, kept under their own names: {', '.join(rest)}"


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isascii() and name.replace("_", "").replace("-", "").isalnum() else _text(name)


def _text(value: str) -> str:
    """Return a TOML string; JSON's escapes are TOML's."""
    return json.dumps(value, ensure_ascii=False)


def _projected(crs: str) -> bool:
    from cim.crs import is_web_mercator, parse

    found = parse(crs)
    return found.is_projected and not is_web_mercator(found)


def _same_plane(crs: str, other: str) -> bool:
    from cim.crs import parse

    return parse(crs).same_horizontal(parse(other))


def _knows_heights(crs: str) -> bool:
    from cim.crs import parse

    return parse(crs).vertical is not None


def _is_plane(crs: str) -> bool:
    from cim.crs import parse

    return parse(crs).is_projected


def _fitting(files: tuple[Found, ...]) -> str:
    """Return advice on the projected system of the place, where the layers say where it is."""
    from cim.crs import suggest_model_crs

    boxes = (
        _in_degrees(layer.bounds, layer.crs)
        for file in files
        if file.description
        for layer in file.description.layers
        if layer.bounds and layer.crs and not _projected(layer.crs)
    )
    centre = next((((west + east) / 2, (south + north) / 2) for west, south, east, north in filter(None, boxes)), None)
    names = suggest_model_crs(*centre) if centre else ()
    return f", such as {' or '.join(names)}" if names else ""


def _time_zone(files: tuple[Found, ...]) -> str:
    """Return the line of the time zone: that of China where the layers are in its systems or well inside of it."""
    for layer in (layer for file in files if file.description for layer in file.description.layers if layer.crs):
        if _CHINESE.search(_geodetic(str(layer.crs))):
            return f'time_zone = "Asia/Shanghai"  # guess: {_short_crs(str(layer.crs))} is a system of China'
        box = _in_degrees(layer.bounds, layer.crs) if layer.bounds and layer.crs else None
        if box and any(west <= box[0] and south <= box[1] and box[2] <= east and box[3] <= north for west, south, east, north in _IN_CHINA):
            return 'time_zone = "Asia/Shanghai"  # guess: the files lie in China'
    return 'time_zone = "UTC"  # guess: give the IANA name of the zone people here live by, such as Europe/Amsterdam'


def _geodetic(crs: str) -> str:
    """Return the name of the datum system that a coordinate system counts from; empty where it cannot be read."""
    from cim.crs import parse

    try:
        found = parse(crs).horizontal.geodetic_crs
    except InputError:
        return ""
    return found.name if found is not None else ""


def _in_degrees(box: tuple[float, float, float, float], crs: str) -> tuple[float, float, float, float] | None:
    """Return a box as west, south, east, north [deg]; None for one that lies nowhere on the Earth."""
    if _is_plane(crs):
        if max(map(abs, box)) > WEB_MERCATOR_EDGE:
            return None
        import pyproj
        from pyproj.exceptions import ProjError

        from cim.crs import parse

        try:
            box = pyproj.Transformer.from_crs(parse(crs).horizontal, 4326, always_xy=True).transform_bounds(*box, errcheck=True)
        except ProjError:
            return None
    west, south, east, north = box
    return box if -180.0 <= west <= east <= 180.0 and -90.0 <= south <= north <= 90.0 else None
