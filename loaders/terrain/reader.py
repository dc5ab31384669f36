"""The terrain reader: a GeoTIFF or ESRI ASCII grid becomes one ReliefFeature whose coverage is a clean file in the workspace.

Images and land cover come in here too and are handed on to `cim.loaders.terrain.image`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cim.errors import CorruptFileError, CRSError, FormatError, UsageError
from cim.loaders.georeference import Chosen, Said, choose_crs
from cim.loaders.parcel import work_file
from cim.loaders.protocol import Description, LayerInfo, ReadOptions
from cim.loaders.terrain.checks import check_cell_size, turned
from cim.loaders.terrain.grid import Grid, is_ascii_grid, known_unit, open_grid
from cim.loaders.terrain.image import describe_image, read_image, takes
from cim.loaders.terrain.normalise import NODATA, Layout, layout, write_clean
from cim.loaders.terrain.picture import is_picture
from cim.loaders.terrain.tiff import is_tiff
from cim.loaders.terrain.values import HIGHEST, LOWEST, MANY_KINDS, Rules, Tally, metric, unit_factor

if TYPE_CHECKING:
    from cim.model import City

__all__ = ["READER", "TerrainReader"]

_KINDS = {"terrain": "010401", "surface": "010402", "height_above_ground": "010402"}
_WORDS = {
    "terrain": "terrain",
    "dtm": "terrain",
    "dem": "terrain",
    "dgm": "terrain",
    "ground": "terrain",
    "dhm": "terrain",
    "高程": "terrain",
    "地形": "terrain",
    "surface": "surface",
    "dsm": "surface",
    "dom": "surface",
    "地表": "surface",
    "ndsm": "height_above_ground",
    "chm": "height_above_ground",
}
_NAMED = re.compile(r"(?<![a-z])(ndsm|chm|dsm|dom|surface|dtm|dem|dgm|dhm|terrain|ground)(?![a-z])|(地表|高程|地形)")
_MOSTLY_ABSURD = 0.5


class TerrainReader:
    """Reads elevations, images and land cover.

    Options: ``surface`` ("terrain", "surface", or "land_cover" with ``legend={value: name}``), ``unit`` of elevations, ``band`` (from
    1) that holds them, ``bands`` of an image ("rgb", "rgbn", "nrg").
    """

    name = "terrain"
    priority = 40
    imports = ("rasterio",)

    def recognises(self, head: bytes, path: Path) -> bool:
        """Return whether the first bytes are of a TIFF file, an ESRI ASCII grid, or a PNG or JPEG image."""
        del path
        return is_tiff(head) or is_ascii_grid(head) or is_picture(head)

    def read(self, path: Path, options: ReadOptions) -> City:
        """Return a city of one ReliefFeature; see `cim.loaders.protocol.Reader`."""
        return read_image(path, options) if takes(path, options) else _read(path, options)

    def describe(self, path: Path, options: ReadOptions) -> Description:
        """Return size, CRS, extent and unit without reading cells."""
        return describe_image(path, options) if takes(path, options) else _describe(path, options)


READER = TerrainReader()


# ---------------------------------------------------------------- reading


@dataclass(frozen=True)
class _Cleaned:
    """Everything the city says about one raster."""

    grid: Grid
    chosen: Chosen
    plan: Layout
    rules: Rules
    tally: Tally
    box: tuple[float, ...] | None
    target: Path
    said: tuple[Said, ...]


def _read(path: Path, options: ReadOptions) -> City:
    done = _clean(path, options)
    try:
        return _city(done, path, options)
    except Exception:
        done.target.unlink(missing_ok=True)
        raise


def _clean(path: Path, options: ReadOptions) -> _Cleaned:
    """Check the raster and write its clean copy into the workspace."""
    from cim.loaders.gate import doubts as doubts_of

    band = options.extra.get("band")
    with open_grid(path, options.limits, None if band is None else int(band)) as grid:
        chosen = choose_crs(grid.crs, grid.bad_crs, options, path)
        plan = layout(grid)
        options.limits.check("cells", plan.shape[0] * plan.shape[1], path)
        doubts = [("crs", "warning", text) for text in doubts_of(plan.bounds, chosen.crs, str(path))]
        check_cell_size(plan, chosen, path)
        rules, said = _rules(grid, chosen, options, path)
        crs = metric(chosen.crs)
        target = work_file(path, ".tif")
        try:
            tally, box = write_clean(grid, plan, rules, crs, target, path)
            _check_values(tally, rules, grid, path)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    everything = (*chosen.said, *doubts, *grid.doubts, *said, *turned(plan, grid.transform), *_met(tally))
    return _Cleaned(grid, replace(chosen, crs=crs), plan, rules, tally, box, target, everything)


def _rules(grid: Grid, chosen: Chosen, options: ReadOptions, path: Path) -> tuple[Rules, tuple[Said, ...]]:
    """Return how raw values become metres, and what has to be reported about it."""
    given = options.extra.get("unit")
    if given is not None and unit_factor(str(given)) is None:
        msg = f"unit={given!r} is no length known here; give m, cm, mm, ft or us-ft"
        raise UsageError(msg)
    told = known_unit(None if given else grid.unit, path)
    by_crs = chosen.crs.vertical_unit_factor
    said: list[Said] = []
    if given is not None:
        factor, name = float(unit_factor(str(given)) or 1.0), str(given)
    elif told is not None:
        factor, name = told, str(grid.unit)
        if chosen.crs.vertical is not None and abs(told - by_crs) > 1e-9 * by_crs:
            said.append(
                (
                    "conflict",
                    "warning",
                    f"its unit is {grid.unit!r}, but its height system counts in units of {by_crs:g} m; the unit is used",
                )
            )
    else:
        factor, name = by_crs, "the unit of its height system"
    if factor != 1.0:
        said.append(("repaired", "warning", f"its values are in {name} (unit of {factor:.10g} m); they were turned into metres"))
    return replace(grid.rules, factor=factor, jump=_jump(grid, chosen)), tuple(said)


def _jump(grid: Grid, chosen: Chosen) -> float:
    """Return the difference between neighbours [m] above which something is wrong: a kilometre on cells of metres."""
    a, b, _, d, e, _ = grid.transform
    metres = chosen.crs.linear_unit_factor if chosen.crs.is_projected else 111_320.0
    return 1000.0 + 5.0 * metres * max(abs(a), abs(b), abs(d), abs(e))


def _check_values(tally: Tally, rules: Rules, grid: Grid, path: Path) -> None:
    if grid.compressed and len(tally.kinds) >= MANY_KINDS:
        shown = ", ".join(f"{value:g}" for value in sorted(tally.kinds)[:MANY_KINDS])
        reason = f"its compressed cells decode to values that no elevation can have ({shown}...): it is corrupt"
        raise CorruptFileError(path, reason, 'get or export the file again; if it is whole, state the unit: read(..., unit="cm")')
    if tally.absurd > _MOSTLY_ABSURD * (tally.absurd + tally.known):
        reason = (
            f"{tally.absurd:,} of {tally.absurd + tally.known:,} values ({tally.absurd_low:g} to {tally.absurd_high:g} m with a unit of "
            f"{rules.factor:g} m) are no elevations ({LOWEST:g} to {HIGHEST:g} m): it is corrupt, in another unit, or no terrain"
        )
        raise FormatError(path, reason, 'if it is whole, state the unit: read(..., unit="cm")')


def _met(tally: Tally) -> tuple[Said, ...]:
    """Return what was met among the cells; the count stands at the head of each message."""
    said: list[Said] = []
    for value, count in sorted(tally.sentinels.items()):
        said.append(("guessed", "warning", f"{count} cells hold {value:g}, which is no elevation: taken as undeclared nodata"))
    if tally.not_finite:
        said.append(("repaired", "warning", f"{tally.not_finite} cells are not finite (NaN or Inf): taken as nodata"))
    if tally.absurd:
        text = f"{tally.absurd} cells hold {tally.absurd_low:g} to {tally.absurd_high:g} m, out of the range of elevations: taken as nodata"
        said.append(("rejected", "warning", text))
    if tally.jumps:
        text = f"{tally.jumps} pairs of neighbouring cells differ by more than a kilometre: an undeclared nodata value, or damage"
        said.append(("invalid", "warning", text))
    if tally.absent:
        said.append(
            ("lost", "warning", f"{tally.absent} cells are left out of the file (sparse blocks) or hidden by its mask: taken as nodata")
        )
    if not tally.known:
        said.append(("empty", "warning", "no cell has a value"))
    return tuple(said)


# ---------------------------------------------------------------- the city


def _surface(path: Path, options: ReadOptions) -> tuple[str, Said | None]:
    """Return what the elevations are of, and how that is known."""
    given = options.extra.get("surface")
    if given is not None:
        if str(given).lower() not in _WORDS and given not in _KINDS:
            msg = f"surface={given!r} is not known; give one of {', '.join((*_KINDS, 'land_cover'))}"
            raise UsageError(msg)
        return (str(given) if given in _KINDS else _WORDS[str(given).lower()]), None
    found = _NAMED.search(path.stem.lower())
    if found is not None:
        kind = _WORDS[found.group(0)]
        return kind, ("guessed", "info", f"taken as {kind.replace('_', ' ')} model, by {found.group(0)!r} in its name")
    return "terrain", ("assumed", "info", 'taken as terrain model (bare ground); say surface="dsm" if it holds roofs and trees')


def _city(done: _Cleaned, path: Path, options: ReadOptions) -> City:
    import shapely

    from cim.loaders.source import source_record
    from cim.model import CityBuilder, Column

    surface, how = _surface(path, options)
    crs, plan, tally = done.chosen.crs, done.plan, done.tally
    builder = CityBuilder(crs, name=options.name or path.stem)
    declared = done.chosen.declared
    record = source_record(
        path,
        reader="terrain",
        format=done.grid.format,
        declared_crs=None if declared is None else declared.to_string(),
        used_crs=crs.to_string(),
        declared_vertical=_vertical_name(declared),
        used_vertical=_vertical_name(crs),
        records_in=1,
        repaired=_count(done.said, "repaired"),
        rejected=0,
        shown=options.extra.get("_shown"),
    )
    source = builder.add_source(record)
    box = done.box or plan.bounds
    key = builder.add_objects(
        "ReliefFeature",
        [path.stem],
        footprints=[shapely.box(*box)],
        names=[options.name or path.stem],
        cim_codes=[_KINDS[surface]],
        source=source,
    )
    known = bool(tally.known)
    builder.add_attributes(
        key,
        "ReliefFeature",
        {
            "cell_size": Column([max(plan.dx, plan.dy) if crs.is_projected else None], unit="m" if crs.is_projected else ""),
            "lowest": Column([tally.low if known else None], unit="m"),
            "highest": Column([tally.high if known else None], unit="m"),
        },
    )
    count = plan.shape[0] * plan.shape[1]
    builder.add_coverage(
        int(key[0]),
        kind="raster",
        path=str(done.target),
        format="GeoTIFF",
        box=_solid_box(box, tally),
        crs=crs.to_string(),
        nodata=NODATA,
        unit="m",
        vertical=_vertical_name(crs) or "unknown",
        count=tally.written,
        source=source,
        meta=json.dumps(
            {
                "dx": plan.dx,
                "dy": plan.dy,
                "nx": plan.shape[1],
                "ny": plan.shape[0],
                "x_min": plan.x_min,
                "y_max": plan.y_max,
                "share": tally.written / count,
                "surface": surface,
                "source_unit_m": done.rules.factor,
            }
        ),
    )
    for code, severity, message in (*done.said, *([how] if how else [])):
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


def _solid_box(box: tuple[float, ...], tally: Tally) -> Any:
    """Return xmin, ymin, zmin, xmax, ymax, zmax; heights None when no cell is known."""
    low, high = (tally.low, tally.high) if tally.known else (None, None)
    return (*box[:2], low, *box[2:], high)


def _vertical_name(crs: Any) -> str | None:
    return None if crs is None or crs.vertical is None else str(crs.vertical.name)


def _count(said: tuple[Said, ...], code: str) -> int:
    return int(any(one[0] == code for one in said))


def _describe(path: Path, options: ReadOptions) -> Description:
    with open_grid(path, options.limits, options.extra.get("band")) as grid:
        plan = layout(grid)
        surface, _ = _surface(path, options)
        suspicions = [text for _, _, text in (*grid.doubts, *turned(plan, grid.transform))]
        crs: str | None = None
        try:
            chosen = choose_crs(grid.crs, grid.bad_crs, options, path)
            crs = chosen.crs.to_string()
            suspicions += [text for _, severity, text in chosen.said if severity != "info"]
        except CRSError as error:
            suspicions.append(error.reason)
    cells, unit = plan.shape[0] * plan.shape[1], grid.unit or "m"
    layer = LayerInfo(path.stem, cells, f"raster ({surface})", crs, plan.bounds, (("elevation", unit),), "ReliefFeature")
    return Description(grid.format, (layer,), suspicions=tuple(suspicions))
