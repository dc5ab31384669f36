"""A reader of one's own: plots of land 地块 from a small text format, behind the same door as every other file.

    #PARCELS 1
    #CRS EPSG:4549
    P01;居住用地;1.2;24;500000 3460000,500100 3460000,500100 3460100,500000 3460100

One plot a line: id; land use; FAR limit; height limit [m]; corners, east and north. An empty field is a missing value.
The package that holds this file names it in its pyproject.toml, and `cim.loaders.read` finds it:

    [project.entry-points."cim.readers"]
    parcels = "parcel_reader:READER"
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import shapely

from cim.errors import CorruptFileError, CRSError
from cim.loaders import Description, LayerInfo, ReadOptions
from cim.model import City, CityBuilder, Column, SourceRecord

MAGIC = b"#PARCELS 1"


@dataclass
class Plots:
    """The lines of a file, as columns."""

    crs: str | None
    ids: list[str] = field(default_factory=list)
    uses: list[str | None] = field(default_factory=list)
    far: list[float | None] = field(default_factory=list)
    height: list[float | None] = field(default_factory=list)
    shapes: list[shapely.Polygon] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)
    """Lines that cannot be used, and why."""


class ParcelReader:
    """Reads plots with their planning limits."""

    name = "parcels"

    def recognises(self, head: bytes, path: Path) -> bool:
        """Return whether the first bytes are ours; the name of the file proves nothing."""
        del path
        return head.startswith(MAGIC)

    def read(self, path: Path, options: ReadOptions) -> City:
        """Return the plots as objects of class LandUse."""
        plots = parse(path, options)
        crs = options.crs or plots.crs
        if crs is None:
            raise CRSError(path, "names no coordinate reference system (CRS)", "give crs='EPSG:...'")
        builder = CityBuilder(crs, name=options.name or path.stem)
        source = builder.add_source(
            SourceRecord(name=path.stem, path=str(path), reader=self.name, format="parcels 1", declared_crs=plots.crs, used_crs=crs,
                         encoding="utf-8", records_in=len(plots.ids) + len(plots.faults), rejected=len(plots.faults))
        )  # fmt: skip
        keys = builder.add_objects("LandUse", plots.ids, footprints=plots.shapes, source=source)
        builder.add_attributes(keys, "LandUse", {
            "land_use": Column(plots.uses, source_field="2"), "far_limit": Column(plots.far, source_field="3"),
            "height_limit": Column(plots.height, unit="m", source_field="4"),
        })  # fmt: skip
        for line, reason in plots.faults:
            builder.add_issue("rejected", f"{line}: {reason}", source=source, record=line)
        if options.crs and plots.crs and options.crs != plots.crs:
            builder.add_issue("crs", f"the file declares {plots.crs}, {options.crs} was given and is used", source=source)
        return builder.build()

    def describe(self, path: Path, options: ReadOptions) -> Description:
        """Return what `cim new build` shows about the file."""
        plots = parse(path, options)
        columns = (("land_use", "string"), ("far_limit", "double"), ("height_limit", "double"))
        box = tuple(float(value) for value in shapely.total_bounds(plots.shapes)) if plots.shapes else None
        layer = LayerInfo(path.stem, len(plots.ids), "Polygon", plots.crs, box, columns, guess="LandUse")
        return Description("parcels 1", (layer,), "utf-8", tuple(f"{line}: {reason}" for line, reason in plots.faults))


def parse(path: Path, options: ReadOptions) -> Plots:
    """Return the plots of a file; a bad line is noted and the others are kept."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise CorruptFileError(path, f"is not UTF-8 ({error.reason} at byte {error.start})", "write it as UTF-8") from error
    options.limits.check("records", len(lines), path)
    stated = [line.removeprefix("#CRS ").strip() for line in lines if line.startswith("#CRS ")]
    plots = Plots(stated[0] if stated else None)
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            try:
                add_line(plots, line)
            except ValueError as error:
                plots.faults.append((f"line {number}", str(error)))
    return plots


def add_line(plots: Plots, line: str) -> None:
    """Add one plot; nothing of it is added when a part is wrong."""
    id, use, far, height, corners = line.split(";")
    points = np.array([[float(number) for number in corner.split()] for corner in corners.split(",")])
    if points.shape[1] != 2 or len(points) < 3 or not np.isfinite(points).all():
        msg = "expected at least 3 corners of two finite numbers each"
        raise ValueError(msg)
    shape = shapely.Polygon(points)
    if not shape.is_valid or not shape.area > 0:
        msg = f"the corners are no polygon ({shapely.is_valid_reason(shape)})"
        raise ValueError(msg)
    limits = [float(text) if text.strip() else None for text in (far, height)]
    plots.ids.append(id)
    plots.uses.append(use or None)
    plots.far.append(limits[0])
    plots.height.append(limits[1])
    plots.shapes.append(shape)


READER = ParcelReader()
