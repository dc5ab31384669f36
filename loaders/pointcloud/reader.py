"""The point cloud reader: a LAS or LAZ file becomes one PointCloud object whose coverage is the file itself, when it is clean."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CorruptFileError, CRSError
from cim.loaders.georeference import Chosen, Said, choose_crs
from cim.loaders.parcel import work_file
from cim.loaders.pointcloud.chunks import PIECE, Plan, plan_of
from cim.loaders.pointcloud.header import LasHeader, read_header
from cim.loaders.pointcloud.projection import Projection, declared_projection
from cim.loaders.pointcloud.scan import Scan, scan, treatment, write_laz
from cim.loaders.protocol import Description, LayerInfo, ReadOptions

if TYPE_CHECKING:
    from cim.model import City

__all__ = ["READER", "PointCloudReader"]

_REMEDY = "get or export the file again"


class PointCloudReader:
    """Reads LAS and LAZ 1.0 to 1.4."""

    name = "pointcloud"
    priority = 40
    imports = ("lazrs", "laspy")

    def recognises(self, head: bytes, path: Path) -> bool:
        """Return whether the file begins with the mark of LAS."""
        del path
        return head[:4] == b"LASF"

    def read(self, path: Path, options: ReadOptions) -> City:
        """Return a city of one PointCloud; see `cim.loaders.protocol.Reader`."""
        return _read(path, options)

    def describe(self, path: Path, options: ReadOptions) -> Description:
        """Return what the header says."""
        return _describe(path, options)


READER = PointCloudReader()


# ---------------------------------------------------------------- reading


@dataclass(frozen=True)
class _Cloud:
    """Everything the city says about one cloud."""

    header: LasHeader
    plan: Plan
    projection: Projection
    chosen: Chosen
    scan: Scan
    z_factor: float
    file: Path
    """What the coverage points to."""
    said: tuple[Said, ...]

    @property
    def box(self) -> tuple[float, ...] | None:
        """xmin, ymin, zmin, xmax, ymax, zmax with heights in metres; None without points."""
        if not self.scan.count:
            return None
        low, high = self.scan.low.tolist(), self.scan.high.tolist()
        return (*low[:2], low[2] * self.z_factor, *high[:2], high[2] * self.z_factor)


def _read(path: Path, options: ReadOptions) -> City:
    from cim.loaders.terrain.values import metric

    header = read_header(path)
    options.limits.check("cells", header.count if not header.compressed else 0, path)
    projection = declared_projection(header)
    chosen = choose_crs(projection.crs, projection.bad, options, path)
    plan = plan_of(header)
    options.limits.check("cells", plan.total, path)
    found = scan(header, plan)
    strays = treatment(found, header)
    if strays != "keep":
        found = scan(header, plan, strays=strays)
    if plan.total and not found.count:
        why = found.faults[0] if found.faults else "all lie outside its header box"
        reason = f"none of its {plan.total:,} points can be read ({why}): it is corrupt"
        raise CorruptFileError(path, reason, _REMEDY)
    factor, said = _height_unit(chosen, projection)
    everything = (
        *header.said,
        *plan.said,
        *projection.said,
        *chosen.said,
        *said,
        *_met(found, header, strays),
        *_doubts(found, chosen, path),
    )
    clean = plan.total == header.declared and not (found.faults or found.rejected)
    file = path
    if not clean:
        file = work_file(path, ".laz")
        write_laz(header, plan, strays, file)
    cloud = _Cloud(header, plan, projection, replace(chosen, crs=metric(chosen.crs)), found, factor, file, everything)
    return _city(cloud, path, options)


def _height_unit(chosen: Chosen, projection: Projection) -> tuple[float, tuple[Said, ...]]:
    """Return metres per unit of height, and what has to be reported about it."""
    factor = chosen.crs.vertical_unit_factor if chosen.crs.vertical is not None else projection.z_unit or 1.0
    said: tuple[Said, ...] = ()
    if chosen.crs.vertical is not None and projection.z_unit is not None and abs(projection.z_unit - factor) > 1e-9:
        text = f"its heights are in units of {projection.z_unit:.10g} m, its height system counts in {factor:.10g} m; the latter is used"
        said = (("conflict", "warning", text),)
    if factor != 1.0:
        said += (("repaired", "warning", f"its heights are in units of {factor:.10g} m (feet, probably); they are turned into metres"),)
    return factor, said


def _doubts(found: Scan, chosen: Chosen, path: Path) -> tuple[Said, ...]:
    """Return what is doubtful about the place; what cannot be raises."""
    from cim.loaders.gate import doubts

    if not found.count:
        return ()
    bounds = tuple(float(v) for v in (*found.low[:2], *found.high[:2]))
    return tuple(("crs", "warning", text) for text in doubts(bounds, chosen.crs, str(path)))  # type: ignore[arg-type]


def _met(found: Scan, header: LasHeader, strays: str) -> tuple[Said, ...]:
    """Return what was met among the points."""
    said: list[Said] = []
    if found.faults:
        shown = "; ".join(found.faults[:5]) + (f"; and {len(found.faults) - 5} more chunks" if len(found.faults) > 5 else "")
        said.append(("rejected", "error", f"{found.faulty} points in corrupt LAZ chunks are lost: {shown}"))
    if found.rejected:
        how = "in compressed chunks that go wrong there" if strays == "tails" else "one by one"
        said.append(
            ("rejected", "error", f"{found.rejected} points far outside the header's bounding box are corrupt and were left out ({how})")
        )
    if found.outside > found.far or (found.far and strays == "keep"):
        box = f"{_box(header.low)} to {_box(header.high)}"
        said.append(
            ("repaired", "warning", f"{found.outside} points lie outside the header's bounding box {box}; the bounds were recomputed")
        )
    declared = np.array(header.by_return[: 5 if header.point_format < 6 else 15])
    if declared.any() and not found.rejected and not found.faults and np.any(found.returns[1 : 1 + len(declared)] != declared):
        said.append(("conflict", "info", "the numbers of points by return in its header do not meet its points"))
    if found.withheld:
        said.append(
            ("assumed", "info", f"{found.withheld} points are marked as withheld (deleted); they are left out when points are read")
        )
    if not found.count:
        said.append(("empty", "warning", "it holds no points"))
    return tuple(said)


def _box(corner: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.10g}" for value in corner) + ")"


# ---------------------------------------------------------------- the city


def _city(cloud: _Cloud, path: Path, options: ReadOptions) -> City:
    import shapely

    from cim.loaders.source import source_record
    from cim.model import CityBuilder

    crs, found, header = cloud.chosen.crs, cloud.scan, cloud.header
    declared = cloud.chosen.declared
    builder = CityBuilder(crs, name=options.name or path.stem)
    version = f"{'LAZ' if header.compressed else 'LAS'} {header.version[0]}.{header.version[1]}"
    record = source_record(
        path,
        reader="pointcloud",
        format=version,
        declared_crs=None if declared is None else declared.to_string(),
        used_crs=crs.to_string(),
        declared_vertical=_vertical_name(declared),
        used_vertical=_vertical_name(crs),
        records_in=1,
        rejected=0,
        shown=options.extra.get("_shown"),
    )
    source = builder.add_source(record)
    box = cloud.box
    shape = None if box is None else _rectangle(box)
    key = builder.add_objects(
        "PointCloud",
        [path.stem],
        footprints=np.array([shape], object),
        names=[options.name or path.stem],
        cim_codes=["010303"],
        source=source,
    )
    builder.add_coverage(
        int(key[0]),
        kind="points",
        path=str(cloud.file),
        format="LAZ" if cloud.file.suffix == ".laz" or header.compressed else "LAS",
        box=box,
        crs=crs.to_string(),
        unit="m",
        vertical=_vertical_name(crs) or "unknown",
        count=found.count,
        source=source,
        meta=json.dumps(_meta(cloud, shapely.area(shape) if shape else 0.0)),
    )
    for code, severity, message in cloud.said:
        first = message.split(" ", 1)[0]
        builder.add_issue(
            code,
            f"{path.name}: {message}",
            severity=severity,
            object=int(key[0]),
            source=source,
            count=int(first) if first.isdigit() else 1,
        )
    return builder.build()


def _rectangle(box: tuple[float, ...]) -> Any:
    """Return the footprint: the box of the points, widened to a millimetre where they stand in line."""
    import shapely

    xmin, ymin, _, xmax, ymax, _ = box
    return shapely.box(xmin, ymin, max(xmax, xmin + 1e-3), max(ymax, ymin + 1e-3))


def _meta(cloud: _Cloud, area: float) -> dict[str, Any]:
    header, found = cloud.header, cloud.scan
    chunk = int(cloud.plan.counts.max(initial=0)) if cloud.plan.laszip is not None else PIECE
    present = np.flatnonzero(found.classes)
    return {
        "classes": {str(one): int(found.classes[one]) for one in present.tolist()},
        "returns": [int(v) for v in found.returns[1:]],
        "point_format": header.point_format,
        "scale": list(header.scale),
        "withheld": found.withheld,
        "stored": found.count,
        "chunk": min(chunk, PIECE) or 1,
        "z_factor": cloud.z_factor,
        "density": found.count / area if area else None,
    }


def _vertical_name(crs: Any) -> str | None:
    return None if crs is None or crs.vertical is None else str(crs.vertical.name)


def _describe(path: Path, options: ReadOptions) -> Description:
    header = read_header(path)
    projection = declared_projection(header)
    suspicions = [text for _, severity, text in (*header.said, *projection.said) if severity != "info"]
    crs: str | None = None
    try:
        crs = choose_crs(projection.crs, projection.bad, options, path).crs.to_string()
    except CRSError as error:
        suspicions.append(error.reason)
    box = (*header.low[:2], *header.high[:2])
    bounds = box if np.isfinite(box).all() else None
    fields = (("z", "m"), ("classification", "uint8"))
    layer = LayerInfo(path.stem, header.count, "points", crs, bounds, fields, "PointCloud")
    version = f"{'LAZ' if header.compressed else 'LAS'} {header.version[0]}.{header.version[1]}"
    return Description(version, (layer,), suspicions=tuple(suspicions))
