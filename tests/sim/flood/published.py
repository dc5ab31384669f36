"""Cases of other people's floods: EA tests 3, 4 and 6A, Malpasset, Newcastle 2012.

Each function takes the folder of flood data and returns a case; what a folder does not say is said here with where it comes from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.sim.flood.cases import Case, Edge, Figures, Run, Series, strip
from tests.sim.flood.measures import Mask, Reals, critical_success, first_time, mae, rmse

# --- UK Environment Agency SC120002 -----------------------------------------------------------------------------------------------
EA4_FIRST = {"1": 660.068, "2": 1020.607, "3": 1860.105, "4": 2760.050, "5": 3720.189, "6": 4020.121}
"""First record of LISFLOOD-FP DG2 with 0.02 m or more, rows 60 s apart. Point 1 is not in the thinned table: read in the full one."""


def ea4(data: Path, dx: float = 5.0, until: float = 12_900.0) -> Case:
    """Return test 4: 20 m³/s over 20 m of the western side of a flat plain; the other sides free, the rest of the western one closed.

    The points lie on cell corners; the gauges stand in the middle of the cell that LISFLOOD-FP reads there.
    """
    folder = data / "ea4_floodplain"
    flow = np.loadtxt(folder / "hydrograph.csv", delimiter=",", skiprows=1)
    table = np.loadtxt(folder / "lisflood80_dg2_5m_depth.csv", delimiter=",", skiprows=1)
    points = np.loadtxt(folder / "points.csv", delimiter=",", skiprows=1)
    inflow = Edge("west", "inflow", discharge=(flow[:, 0], flow[:, 1] / 20.0), between=(990.0, 1010.0))

    def judge(one: Run) -> Figures:
        rows = table[table[:, 0] <= one.case.until]
        figures = {}
        for place, name in enumerate(EA4_FIRST):
            times, depth = one.gauges[name]
            figures[f"point {name} [m]"] = rmse(np.interp(rows[:, 0], times, depth), rows[:, place + 1])
            figures[f"arrival {name} [s]"] = arrival_off(first_time(times, depth, 0.02), EA4_FIRST[name])
        return figures

    bar = {f"point {name} [m]": 0.005 for name in EA4_FIRST} | {f"arrival {name} [s]": 60.0 for name in EA4_FIRST}
    return Case(
        "ea4",
        np.zeros((round(2000 / dx), round(1000 / dx))),
        dx,
        until,
        judge,
        {"accurate": bar},  # first order lets the front run ahead by up to 200 s: it makes no claim here, its figures are shown
        edges=(inflow, Edge("east", "free"), Edge("north", "free"), Edge("south", "free")),
        roughness=0.05,
        gauges={str(int(name)): (x + dx / 2, y + dx / 2) for name, x, y in points},
        unit="m",
    )


def arrival_off(found: float, first_record: float, every: float = 60.0) -> float:
    """Return how far an arrival lies from the reference, which came between its first wet record and the one before [s]."""
    if np.isnan(found):
        return float("inf")
    return float(max(0.0, found - first_record, first_record - every - found))


def ea3(data: Path, rows: int = 50) -> Case:
    """Return test 3: a wave runs down a slope, over a hump of 0.25 m, and should leave water in the hollow behind it (x ≈ 250 m)."""
    folder = data / "ea3_momentum_bump"
    x, z = np.loadtxt(folder / "profile_x_z.csv", delimiter=",", skiprows=1).T
    inside = (x > 0) & (x < 300)
    flow = np.loadtxt(folder / "inflow.csv", delimiter=",", skiprows=1)
    inflow = Edge("west", "inflow", discharge=(flow[:, 0], flow[:, 1] / 100.0))
    bed, at = z[inside], x[inside]
    crest = int(np.argmax(np.where((at > 170) & (at < 230), bed, -np.inf)))
    second = int(np.argmin(np.where(at > at[crest], bed, np.inf)))

    def judge(one: Run) -> Figures:
        depth = one.depth[-1].mean(axis=0)
        behind = float(depth[crest:].sum() / depth.sum())
        return {
            "missing in the second hollow [m]": max(0.0, 0.02 - float(depth[second])),
            "depth [m]": float(depth[second]),
            "share": behind,
        }

    bars = {scheme: {"missing in the second hollow [m]": 0.0} for scheme in ("standard", "accurate")}
    return Case("ea3", strip(bed, rows), 2.0, 900.0, judge, bars, edges=(inflow,), roughness=0.01, outputs=30.0, unit="m")


# --- Malpasset ----------------------------------------------------------------------------------------------------------------------
DAM = ((4701.18, 4143.41), (4655.5, 4392.10))
BELOW_GROUND = (12, 13, 14, 16, 17)
"""Police points whose surveyed level lies below the ground of this topography."""
GAUGE_ROWS = tuple(range(21, 30))
"""Rows of the files of maxima that hold the gauges S6-S14 of the 1:400 model."""


@dataclass(frozen=True)
class Marks:
    """Points with a known highest level."""

    names: tuple[str, ...]
    x: Reals
    y: Reals
    level: Reals
    """[m]"""
    models: dict[str, Reals]
    """Highest levels of published models [m]."""


def malpasset_marks(data: Path) -> Marks:
    """Return the usable police points and the gauges of the physical model, with what two published models say there."""
    folder = data / "malpasset"
    field = _maxima(folder / "gaugemaxima.field", 2)
    models = {"Valiani et al.": _maxima(folder / "gaugemaxima.valiani", 2), "TELEMAC": _maxima(folder / "gaugemaxima.telemac.asc", 3)}
    police, gauges = _points(folder / "goutal.police"), _points(folder / "goutal.gaugelocs")
    rows = [row for row in range(1, 18) if row not in BELOW_GROUND] + list(GAUGE_ROWS)
    places = np.array([police[row - 1] if row <= 17 else gauges[row - 21] for row in rows])
    names = tuple(f"P{row}" if row <= 17 else f"S{row - 15}" for row in rows)
    levels = {name: np.array([table[row] for row in rows]) for name, table in models.items()}
    return Marks(names, places[:, 0], places[:, 1], np.array([field[row] for row in rows]), levels)


GEOCLAW = {
    "P1": 84.56, "P2": 87.029, "P3": 55.453, "P4": 58.175, "P5": 48.559, "P6": 48.351, "P7": 42.064, "P8": 36.863, "P9": 34.121,
    "P10": 40.172, "P11": 25.962, "P15": 19.484, "S6": 85.653, "S7": 56.364, "S8": 53.304, "S9": 48.762, "S10": 38.684, "S11": 26.616,
    "S12": 20.445, "S13": 18.218, "S14": 13.169,
}  # fmt: skip
"""Highest levels of GeoClaw on the same marks [m]: George (2011), doi 10.1002/fld.2298, read off its figures by the authors of
geoclaw-landspill. It sets no bar."""
SHUT_DOWN = {"A": 100.0, "B": 1240.0, "C": 1420.0}
"""When three transformers went off [s after the failure]: Hervouet and Petitjean (1999)."""


def geoclaw(marks: Marks) -> Reals:
    """Return what GeoClaw says at the marks."""
    return np.array([GEOCLAW[name] for name in marks.names])


def _maxima(path: Path, column: int) -> dict[int, float]:
    """Return the highest level by row number."""
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()[1:] if line.strip()]
    return {round(float(parts[0])): float(parts[column].split("-")[0]) for parts in lines}


def _points(path: Path) -> list[tuple[float, float]]:
    """Return the positions of a file, in its order; each line ends in x and y."""
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()[1:] if line.strip()]
    return [(float(parts[-2]), float(parts[-1])) for parts in lines]


def malpasset(data: Path, dx: float = 20.0, until: float = 4000.0, n: float = 1 / 30) -> Case:
    """Return the failure of the dam of Malpasset, 2 December 1959: reservoir at 100 m, sea at 0 m, dry valley."""
    east, north, bed = malpasset_ground(data, dx)
    x, y = np.meshgrid(east, north)
    depth = np.where(malpasset_reservoir(x, y, bed), 100.0 - bed, np.where((bed < 0) & (x > 11_000), -bed, 0.0))
    depth = np.where(np.isnan(bed), 0.0, np.maximum(depth, 0.0))
    marks = malpasset_marks(data)

    def judge(one: Run) -> Figures:
        found = level_at(one.maximum_level, x, y, marks)
        figures = {"all marks [m]": mae(found, marks.level)}
        is_police = np.array([name.startswith("P") for name in marks.names])
        figures["police points [m]"] = mae(found[is_police], marks.level[is_police])
        figures["gauges of the model [m]"] = mae(found[~is_police], marks.level[~is_police])
        return figures | {f"water at transformer {name} [s]": first_time(*series, 0.1) for name, series in one.gauges.items()}

    worst = max(mae(levels, marks.level) for levels in marks.models.values())
    bars = {scheme: {"all marks [m]": worst} for scheme in ("standard", "accurate")}
    return Case(
        f"malpasset-{dx:g}m",
        bed,
        dx,
        until,
        judge,
        bars,
        depth=depth,
        roughness=n,
        gauges=dict(zip(SHUT_DOWN, _points(data / "malpasset" / "goutal.transformers"), strict=True)),
        corner=(float(east[0] - dx / 2), float(north[-1] - dx / 2)),
        wet_depth=0.1,
        unit="m",
    )


def malpasset_ground(data: Path, dx: float, parts: int = 3) -> tuple[Reals, Reals, Reals]:
    """Return the middles of columns and rows and the mean ground of each cell, NaN outside what the 13,541 points cover.

    The points are the nodes of the mesh of the original study and lie so close along the river bed that the triangles of Delaunay are those
    of that mesh (56 of 57 compared). The ground is straight on each triangle; a cell holds the mean of `parts` by `parts` places.
    Triangles much longer than the points are apart bridge the hollows of the outline: they are no ground.
    """
    points = np.loadtxt(data / "malpasset" / "malpasset_cadam.xyz")
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    west, south = np.floor(low / dx) * dx
    nx, ny = np.ceil((high - [west, south]) / dx).astype(int)
    east, north = west + (np.arange(nx) + 0.5) * dx, south + (ny - np.arange(ny) - 0.5) * dx
    height = _triangles(points)
    shifts = ((np.arange(parts) + 0.5) / parts - 0.5) * dx
    total, count = np.zeros((ny, nx)), np.zeros((ny, nx))
    for across in shifts:
        for along in shifts:
            found = height(*np.meshgrid(east + along, north + across))
            total, count = total + np.nan_to_num(found), count + np.isfinite(found)
    return east, north, np.where(count > parts**2 / 2, total / np.maximum(count, 1), np.nan)


def _triangles(points: Reals) -> Callable[[Reals, Reals], Reals]:
    """Return the height of the triangulated points at given places, NaN outside."""
    from scipy.spatial import Delaunay, cKDTree

    mesh = Delaunay(points[:, :2])
    spacing = cKDTree(points[:, :2]).query(points[:, :2], k=7)[0][:, -1]
    corners = points[mesh.simplices]
    longest = np.linalg.norm((corners - np.roll(corners, 1, axis=1))[..., :2], axis=2).max(axis=1)
    is_ground = longest <= 2.5 * spacing[mesh.simplices].max(axis=1)

    def height(x: Reals, y: Reals) -> Reals:
        places = np.column_stack([x.ravel(), y.ravel()])
        triangle = mesh.find_simplex(places)
        origin, inverse = mesh.transform[triangle, 2], mesh.transform[triangle, :2]
        shares = np.einsum("kij,kj->ki", inverse, places - origin)
        shares = np.column_stack([shares, 1.0 - shares.sum(axis=1)])
        values = (shares * corners[triangle, :, 2]).sum(axis=1)
        return np.asarray(np.where((triangle >= 0) & is_ground[triangle], values, np.nan).reshape(x.shape))

    return height


def malpasset_reservoir(x: Reals, y: Reals, bed: Reals) -> Mask:
    """Return the cells below 100 m that join the valley right above the dam, on its upstream side."""
    from scipy.ndimage import label

    (x0, y0), (x1, y1) = DAM
    above = (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) > 0  # west of the line from the southern to the northern end
    candidates = above & (bed < 100.0)
    parts, _ = label(candidates, structure=np.ones((3, 3)))
    middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    distance = np.where(candidates, np.hypot(x - middle[0], y - middle[1]), np.inf)
    return np.asarray(parts == parts.ravel()[int(np.argmin(distance))])


def level_at(level: Reals, x: Reals, y: Reals, marks: Marks) -> Reals:
    """Return the highest level at each mark, read by one rule that was fixed before any figure was seen.

    Straight between the four cells around the mark where all got wet, as other models read their gauges; else that of its own
    cell; else, as marks lie on the edge of the water, that of the nearest one that got wet.
    """
    from scipy.spatial import cKDTree

    wet = np.isfinite(level)
    tree = cKDTree(np.column_stack([x[wet], y[wet]]))
    dx = float(x[0, 1] - x[0, 0])
    column, row = (marks.x - x[0, 0]) / dx, (y[0, 0] - marks.y) / dx
    j, i = np.floor(column).astype(int), np.floor(row).astype(int)
    right, down = column - j, row - i
    upper = level[i, j] * (1 - right) + level[i, j + 1] * right
    lower = level[i + 1, j] * (1 - right) + level[i + 1, j + 1] * right
    between = upper * (1 - down) + lower * down
    own = level[np.round(row).astype(int), np.round(column).astype(int)]
    nearest = level[wet][tree.query(np.column_stack([marks.x, marks.y]))[1]]
    return np.asarray(np.where(np.isfinite(between), between, np.where(np.isfinite(own), own, nearest)))


# --- Newcastle, 28 June 2012 ------------------------------------------------------------------------------------------------------
PEERS = {"first-order HLL": "hll_fv1_f64_end", "Itzi-core 0.8": "itzi_core_080_end"}
THRESHOLDS = (0.1, 0.3)  # m


def newcastle(data: Path, *, whole: bool = False, coarse: int = 1, until: float | None = None) -> Case:
    """Return the storm on the centre of Newcastle upon Tyne, buildings in the ground model, no way out.

    The peers ran the worst hour (from 54,000 s) from dry, uniform rain, n = 0.03; `whole` runs the 24 hours, of which no peer field is: the
    same moment is compared, with no bar, for the water of 15 hours is there already.
    """
    import rasterio

    folder = data / "newcastle2012"
    with rasterio.open(folder / "DEM.tif") as source:
        bed = np.where(source.read(1) == source.nodata, np.nan, source.read(1)).astype(float)
        west, north, size = source.transform.c, source.transform.f, source.transform.a
    if coarse > 1:
        ny, nx = (side // coarse * coarse for side in bed.shape)
        bed = bed[:ny, :nx].reshape(ny // coarse, coarse, nx // coarse, coarse).mean(axis=(1, 3))
    dx = size * coarse
    begins, lasts = (0.0, 86_400.0) if whole else (54_000.0, 3600.0)
    judge = _newcastle_judge(folder, row=54_000.0 + 3600.0 if whole else 3600.0) if coarse == 1 and until is None else _volume_only
    peers = peer_fields(folder)
    mutual = {t: _mutual(peers, t) for t in THRESHOLDS}
    bar = {f"short of the peers' own, {t:g} m": 0.05 for t in mutual} if coarse == 1 and until is None and not whole else {}
    return Case(
        "newcastle-day" if whole else "newcastle-hour",
        bed,
        dx,
        until or lasts,
        judge,
        {scheme: bar | {"volume": 1e-5} for scheme in ("standard", "accurate")},
        roughness=0.03,
        rain=_storm(folder, begins),
        outputs=3600.0 if until is None else until,
        corner=(west, north - bed.shape[0] * dx),
        crs="EPSG:27700",
        unit="share",
    )


def _storm(folder: Path, begins: float) -> Series:
    """Return seconds since `begins` and rain [m/s]; each rate holds until the next."""
    seconds, rate = np.loadtxt(folder / "rain_source_2523_a.txt").T
    kept = seconds >= begins
    return seconds[kept] - begins, rate[kept]


def peer_fields(folder: Path) -> dict[str, Reals]:
    """Return the depth of the two peers at the end of the worst hour [m]."""
    with np.load(folder / "peers_envelope" / "depth_end_1h.npz") as stored:
        return {name: stored[key].astype(float) for name, key in PEERS.items()}


def steepness(case: Case) -> Reals:
    """Return the steepest slope from each cell to one of its four neighbours."""
    padded = np.pad(case.elevation, 1, constant_values=np.nan)
    around = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    steps = [np.nan_to_num(np.abs(one - case.elevation)) for one in around]
    return np.asarray(np.max(steps, axis=0) / case.dx)


def _mutual(peers: dict[str, Reals], threshold: float) -> float:
    """Return how well the two peers agree with each other."""
    one, other = peers.values()
    return critical_success(one, other, threshold)


def _newcastle_judge(folder: Path, row: float) -> Callable[[Run], Figures]:
    """Return a judge that compares the depth at time `row` with each peer; what is short of the peers' agreement with each other."""
    peers = peer_fields(folder)

    def judge(one: Run) -> Figures:
        depth = np.nan_to_num(one.depth[int(np.argmin(np.abs(one.times - row)))])
        figures = _volume_only(one)
        for t in THRESHOLDS:
            scores = {name: critical_success(depth, field, t) for name, field in peers.items()}
            figures[f"short of the peers' own, {t:g} m"] = _mutual(peers, t) - min(scores.values())
            figures |= {f"CSI {t:g} m, {name}": score for name, score in scores.items()}
        figures |= {f"difference from {name} [m]": rmse(depth, field) for name, field in peers.items()}
        return figures

    return judge


def _volume_only(one: Run) -> Figures:
    """Return what the fields at the end lack of the rain that fell."""
    times, rate = one.case.rain if isinstance(one.case.rain, tuple) else (np.zeros(1), np.array([one.case.rain]))
    ends = np.minimum(np.append(times[1:], np.inf), one.case.until)
    fallen = float((rate * np.maximum(ends - times, 0.0)).sum()) * int(np.isfinite(one.case.elevation).sum())
    return {"volume": abs(float(np.nansum(one.depth[-1])) / fallen - 1)}


# --- flume with a building, EA test 6A ------------------------------------------------------------------------------------------------
def isolated_building(data: Path, dx: float = 0.05, until: float = 30.0, *, trapezoid: bool = True) -> Case:
    """Return the dam break against a building: Soares-Frazão and Zech (2007), J. Hydraul. Res. 45 extra issue, 27-36.

    The lower walls slope: 0.155 m high over 0.34 m on both sides, a figure of the paper as the SWALS model of the experiment gives it. The
    figures are measured and shown; models differ visibly at single gauges, so that they carry no bar but a wide one.
    """
    folder = data / "isolated_building_ea6a"
    nx, ny = round(35.8 / dx), round(3.6 / dx)
    x, y = np.meshgrid((np.arange(nx) + 0.5) * dx, (ny - np.arange(ny) - 0.5) * dx)
    side = np.minimum(y, 3.6 - y)
    bed = np.where(side < 0.34, 0.155 / 0.34 * (0.34 - side), 0.0) if trapezoid else np.zeros_like(x)
    for name in ("dam_1", "dam_2", "building"):
        corners = np.loadtxt(folder / "poly" / f"{name}.csv", delimiter=",", skiprows=1)[:, :2]
        bed = np.where(_inside(x, y, corners), np.nan, bed)
    level = np.where(x < 6.75, 0.40, 0.02)
    gauges = np.loadtxt(folder / "point_gauges.csv", delimiter=",", skiprows=1)
    times, *measured = _flume_series(folder / "measured" / "building_gauges_h.txt")
    names = [f"G{int(number)}" for number in gauges[:, 2]]

    def judge(one: Run) -> Figures:
        kept = times <= one.case.until
        return {
            f"{name} [m]": rmse(np.interp(times[kept], *one.gauges[name]), series[kept])
            for name, series in zip(names, measured, strict=True)
        }

    bars = {scheme: {f"{name} [m]": 0.06 for name in names} for scheme in ("standard", "accurate")}
    return Case(
        "isolated-building",
        bed,
        dx,
        until,
        judge,
        bars,
        depth=np.nan_to_num(np.maximum(level - bed, 0.0)),
        roughness=0.01,
        outputs=0.1,
        gauges={name: (float(place[0]), float(place[1])) for name, place in zip(names, gauges, strict=True)},
        unit="m",
    )


def _inside(x: Reals, y: Reals, corners: Reals) -> Mask:
    import shapely

    ring: Any = shapely.Polygon(corners)
    return np.asarray(shapely.contains_xy(ring, x, y))


def _flume_series(path: Path) -> NDArray[np.float64]:
    """Return time and the depth of six gauges, one row each."""
    return np.asarray(np.loadtxt(path, skiprows=2).T, float)
