"""What a reader is: the protocol behind the one door, the options it gets, and what it may tell without reading.

Writing a reader
----------------
A reader is an object (a module-level instance, by habit called ``READER``) registered under the entry-point group
``cim.readers``. The door sniffs the first bytes of a file, asks every reader `recognises(head, path)` in the order
of `priority`, and runs `read` of the first that says yes. Unless the reader says ``isolated = False``, `read` and
`describe` run in a short-lived worker process (see `cim.loaders.worker`): memory, processor time, file size and
core dumps are limited, the network is cut where the system allows it, the current folder is an own temporary one
that vanishes afterwards, and the GDAL, CPL and PROJ guard variables were set before any library was imported. On Linux
the kernel lets it read nothing but the folder of the input and the installed libraries. So a reader

- opens only `path` and its companions beside it, read-only, and writes nothing but to the current folder;
- checks declared sizes against ``options.limits`` (``limits.check("records", n, path)``) before it allocates;
- raises `cim.errors.InputError` or one of its children for a file that cannot be used (path, reason, remedy), and
  calls ``builder.add_issue`` for everything that is guessed, repaired, rejected or lost: one bad record of N keeps N-1;
- returns a City in the CRS of the source. ``options.crs`` was given by the user: it wins over a missing CRS, and over
  a declared one with an issue of code ``crs``. A file without CRS and without ``options.crs`` is a `CRSError` whose
  remedy names ``crs=``.

After `read` the door runs the gate (`cim.loaders.gate`) that is common to all: finite numbers, CRS plausible, units,
sentinels, unique ids, parent cycles, index ranges. A reader need not repeat those checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from cim.loaders.limits import Limits

if TYPE_CHECKING:
    from cim.model import City

__all__ = ["Description", "LayerInfo", "ReadOptions", "Reader", "Sniff"]


_LIMITS = Limits()


@dataclass(frozen=True)
class ReadOptions:
    """What the caller of `read` asked for; plain values only, since it crosses a process border as JSON."""

    crs: str | None = None
    """CRS to use when the source names none, or instead of the one it names."""
    layer: str | None = None
    """Read only this layer; all spatial layers without it."""
    mapping: Mapping[str, Any] = field(default_factory=dict)
    """Which source field is which attribute: ``{"class": "Building", "id": "gml_id", "name": "名称", "attributes":
    {"height": {"field": "H", "unit": "m"}}}``; a key may also hold one such mapping per layer under ``"layers"``."""
    allow_remote: tuple[str, ...] = ()
    """Hosts that this read may connect to; none by default."""
    limits: Limits = _LIMITS
    """How much the file may cost."""
    encoding: str | None = None
    """Encoding of the text, when the source states none or a wrong one."""
    name: str | None = None
    """Name of the city; the file stem without it."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Options of a single reader, by name; every reader ignores those it does not know."""

    def to_json(self) -> dict[str, Any]:
        """Return the options as plain JSON values."""
        return {
            **{f.name: getattr(self, f.name) for f in fields(self)},
            "limits": self.limits.to_json(),
            "allow_remote": list(self.allow_remote),
            "mapping": dict(self.mapping),
            "extra": dict(self.extra),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ReadOptions:
        """Return the options that `to_json` wrote."""
        changed = {"limits": Limits.from_json(values["limits"]), "allow_remote": tuple(values["allow_remote"])}
        return cls(**{**values, **changed})


@dataclass(frozen=True)
class LayerInfo:
    """One layer of a source, as far as it can be told cheaply."""

    name: str
    """Name of the layer; the file stem where the format has none."""
    count: int | None = None
    """Records, points or cells; None when only reading would tell."""
    kind: str = ""
    """Geometry type, or what the layer is ("raster", "points", "mesh")."""
    crs: str | None = None
    """Declared CRS, such as "EPSG:4547"; None when the source names none."""
    bounds: tuple[float, float, float, float] | None = None
    """xmin, ymin, xmax, ymax in `crs`."""
    fields: tuple[tuple[str, str], ...] = ()
    """Name and type of every attribute."""
    guess: str = ""
    """Class the reader would take, such as "Building"; empty when it has no opinion."""


@dataclass(frozen=True)
class Description:
    """What `describe` tells about a source: the material of `cim new build`."""

    format: str
    """Name of the format, such as "Shapefile"."""
    layers: tuple[LayerInfo, ...] = ()
    """Its layers, in file order."""
    encoding: str = ""
    """Encoding of the text, as found."""
    suspicions: tuple[str, ...] = ()
    """What looks wrong, one sentence each; `read` would report or refuse it."""
    mapping: Mapping[str, Any] = field(default_factory=dict)
    """A draft of the field mapping that `read` would use."""
    whole: bool = False
    """Whether the layers are only a listing and the file is read as one, such as a city model."""
    without_crs: str = ""
    """What reading does when no coordinate system is stated or given, where it can go on; empty where one has to be given."""

    @property
    def own_layers(self) -> tuple[LayerInfo, ...]:
        """The layers that are read by themselves; the first stands for all where the file is read as one."""
        return self.layers[:1] if self.whole else self.layers

    def to_json(self) -> dict[str, Any]:
        """Return the description as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Description:
        """Return the description that `to_json` wrote."""
        layers = tuple(_layer(layer) for layer in values["layers"])
        return cls(
            values["format"], layers, values["encoding"], tuple(values["suspicions"]), dict(values["mapping"]), whole=values["whole"],
            without_crs=values["without_crs"],
        )  # fmt: skip


def _layer(values: Mapping[str, Any]) -> LayerInfo:
    bounds = values["bounds"]
    columns = tuple((str(name), str(kind)) for name, kind in values["fields"])
    return LayerInfo(**{**values, "bounds": None if bounds is None else tuple(bounds), "fields": columns})


@runtime_checkable
class Sniff(Protocol):
    """The part of a reader that the door asks first."""

    name: str

    def recognises(self, head: bytes, path: Path) -> bool:
        """Return whether this reader takes the file.

        Parameters
        ----------
        head
            The first 64 KiB of the file; empty for a folder. Judge by these bytes, never by the suffix alone.
        path
            The file or folder, to look for companions (`.dbf` beside `.shp`) or at a folder's members.
        """
        ...


class Reader(Sniff, Protocol):
    """A reader of one format or family of formats.

    Optional attributes, looked up by name: ``isolated`` (default True: `read` runs in a worker process), ``priority``
    (default 50: lower is asked first; take 90 for a format that is recognised by a weak sign), ``imports`` (modules to load before
    the worker gives up its rights), ``large`` (a size [byte] and modules worth loading for a file of that size or more). A file that
    `read` makes with `cim.loaders.parcel.work_file` and names in `coverages` or `textures` is carried home.
    """

    def read(self, path: Path, options: ReadOptions) -> City:
        """Return the city that the source holds, in the CRS of the source.

        Raises
        ------
        InputError
            If the file cannot be used.
        """
        ...

    def describe(self, path: Path, options: ReadOptions) -> Description:
        """Return what can be told without reading it all: CRS, encoding, counts, fields, suspicions."""
        ...
