"""An oblique mesh of a few blocks, as drone photographs give it: ground, crowns, walls and roofs in one textured skin with noise.

The plan is cut into triangles that respect the walls; each triangle is lifted to what is there, and upright walls join what stands at
different heights. So the skin has no gaps, and the volume of every building under it is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cim.demo.ground import Grid, elevation
from cim.demo.photo import CELL, ROOFS
from cim.demo.plan import AVENUES, HEIGHT, ORIGIN, STREETS, quad
from cim.demo.survey import canopy, roof_level

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from cim.demo.district import Buildings
    from cim.demo.features import Records

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Pixels = NDArray[np.uint8]

__all__ = ["FOLDER", "MESH", "Skin", "area", "make_skin", "true_volumes", "write_skin"]

FOLDER, MESH = "oblique", "oblique/blocks.obj"
_WALL, _ROOF, _GROUND = 1.5, 2.2, 2.3
"""Between points along walls, on roofs and on the ground [m]."""
_CLEAR = 0.9
"""Free points keep this far from walls [m]: more than half of what lies between points along them, so that the walls stay edges."""
_SAME = 0.15
"""Points along walls nearer than this are one [m]."""
_ASIDE, _UP = 0.015, 0.03
"""Noise of the points [m]."""
_BAY, _FACADES = 16, 12
"""Width of a bay of a facade [pixels], and facades that differ."""
_TALL = 90.0
"""Height of the facades in the texture [m]."""
_STOREY = 3.4


def area() -> Any:
    """Return the blocks that were flown: old town, quay, market and office between Renmin Avenue and the canal, local coordinates."""
    return quad(AVENUES[3].at + 12.0, STREETS[0].at, AVENUES[5].at - 17.0, STREETS[3].at)


@dataclass(frozen=True)
class Skin:
    """The mesh."""

    points: Reals
    """Shape (n, 3), local coordinates and elevation [m]."""
    triangles: Ints
    """Shape (m, 3)."""
    uv: Reals
    """Shape (m, 3, 2): place in the texture of every corner, 0 to 1, v up."""
    buildings: Ints
    """Rows of the buildings in it."""
    image: Pixels
    """Texture, shape (height, width, 3)."""


@dataclass(frozen=True)
class _Plan:
    """The plan in triangles."""

    xy: Reals
    triangles: Ints
    """Shape (t, 3), counter-clockwise."""
    owner: Ints
    """Building over each triangle, -1 for open ground."""
    on_wall: NDArray[np.bool_]
    """Points that lie on a wall."""


def make_skin(standing: Buildings, trees: Records, photo: Pixels, seed: int) -> Skin:
    """Return the mesh; the same for the same seed.

    Parameters
    ----------
    standing
        Everything that stands there.
    photo
        Orthophoto of the district.
    """
    import shapely

    random = np.random.default_rng([seed, 17])
    inside = np.flatnonzero(shapely.contains(area(), standing.shapes))
    plan = _plan(standing.shapes[inside], random)
    owner = np.where(plan.owner >= 0, inside[plan.owner], -1)
    corner, at = np.unique(plan.triangles.reshape(-1) * (len(standing) + 1) + np.repeat(owner, 3) + 1, return_inverse=True)
    point, above = corner // (len(standing) + 1), corner % (len(standing) + 1) - 1
    points = np.column_stack([plan.xy[point], _levels(plan, point, above, standing, trees)])
    points[:, :2] += np.clip(random.normal(0.0, _ASIDE, plan.xy.shape), -3 * _ASIDE, 3 * _ASIDE)[point]
    points[:, 2] += random.normal(0.0, _UP, len(points))
    tops = at.reshape(-1, 3)
    walls, wall_owner, step = _walls(plan, owner, tops, point, points[:, 2])
    image, frame = _texture(photo)
    uv = np.concatenate([_seen_from_above(points[tops], frame), _facade(points[walls], wall_owner, step, frame)])
    return Skin(np.round(points, 3), np.concatenate([tops, walls]), uv, inside, image)


def true_volumes(standing: Buildings, rows: Ints) -> Reals:
    """Return what stands between roof and ground for some buildings [m³], from points every quarter of a metre."""
    import shapely

    volumes = np.empty(len(rows))
    for number, row in enumerate(rows.tolist()):
        shape = standing.shapes[row]
        west, south, east, north = shape.bounds
        x, y = (one.reshape(-1) for one in np.meshgrid(np.arange(west + 0.125, east, 0.25), np.arange(south + 0.125, north, 0.25)))
        hit = shapely.contains_xy(shape, x, y)
        tall = roof_level(standing, x[hit], y[hit], np.full(int(hit.sum()), row, np.int32)) - elevation(x[hit], y[hit])
        volumes[number] = tall.mean() * shape.area
    return volumes


# ---------------------------------------------------------------- the plan


def _plan(shapes: NDArray[np.object_], random: np.random.Generator) -> _Plan:
    """Return the flown area in triangles, no triangle across a wall."""
    import shapely
    from scipy.spatial import Delaunay

    ring = _wall_points(shapes)
    flown = area()
    edge = shapely.get_coordinates(shapely.segmentize(flown.exterior, 3.0))[:-1]
    free = np.concatenate([_spread(flown.bounds, _GROUND, random), _spread(flown.bounds, _ROOF, random)])
    first = np.arange(len(free)) < len(_spread(flown.bounds, _GROUND, np.random.default_rng(0)))
    tree = shapely.STRtree(shapes)
    spots = shapely.points(free)
    built = np.zeros(len(free), bool)
    built[tree.query(spots, predicate="intersects")[0]] = True
    near = np.zeros(len(free), bool)
    near[shapely.STRtree(shapely.boundary(shapes)).query(spots, predicate="dwithin", distance=_CLEAR)[0]] = True
    keep = (first != built) & ~near & shapely.contains(shapely.buffer(flown, -0.8), spots)
    xy = np.concatenate([ring, edge, free[keep]])
    triangles = Delaunay(xy).simplices.astype(np.int64)
    a, b, c = (xy[triangles[:, one]] for one in range(3))
    turn = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    triangles = np.where((turn < 0)[:, None], triangles[:, ::-1], triangles)
    middle = shapely.points((a + b + c) / 3)
    kept = (np.abs(turn) > 1e-3) & shapely.contains(flown, middle)
    owner = np.full(len(triangles), -1, np.int64)
    which, over = tree.query(middle, predicate="intersects")
    owner[which] = over
    return _Plan(xy, triangles[kept], owner[kept], np.arange(len(xy)) < len(ring))


def _wall_points(shapes: NDArray[np.object_]) -> Reals:
    """Return points along all walls, corners first; of several in nearly one place the first stays."""
    import shapely
    from scipy.spatial import cKDTree

    corners = shapely.get_coordinates(shapes)
    xy = np.concatenate([corners, shapely.get_coordinates(shapely.segmentize(shapes, _WALL))])
    pairs = cKDTree(xy).query_pairs(_SAME, output_type="ndarray")
    gone = np.zeros(len(xy), bool)
    pairs = np.sort(pairs, axis=1)
    for first, second in pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))].tolist():
        gone[second] |= not gone[first]
    return np.asarray(xy[~gone])


def _spread(bounds: tuple[float, float, float, float], step: float, random: np.random.Generator) -> Reals:
    """Return points of a grid, each a little aside."""
    west, south, east, north = bounds
    x, y = np.meshgrid(np.arange(west, east, step), np.arange(south, north, step))
    xy = np.column_stack([x.reshape(-1), y.reshape(-1)])
    return np.asarray(xy + random.uniform(-0.3 * step, 0.3 * step, xy.shape))


# ---------------------------------------------------------------- heights and walls


def _levels(plan: _Plan, point: Ints, above: Ints, standing: Buildings, trees: Records) -> Reals:
    """Return the height of every point: roofs where a building is, else the ground or the crown over it."""
    x, y = plan.xy[point].T
    z = elevation(x, y)
    open_ground = (above < 0) & ~plan.on_wall[point]
    grid = Grid(CELL)
    row = np.clip(((HEIGHT - y) / CELL).astype(np.int64), 0, len(grid.y) - 1)
    crown = canopy(grid, trees)[row, np.clip((x / CELL).astype(np.int64), 0, len(grid.x) - 1)]
    z = np.where(open_ground & (crown > z), crown, z)
    built = above >= 0
    z[built] = roof_level(standing, x[built], y[built], above[built].astype(np.int32))
    return np.asarray(z)


def _walls(plan: _Plan, owner: Ints, tops: Ints, point: Ints, z: Reals) -> tuple[Ints, Ints, Ints]:
    """Return upright triangles between neighbours of different height, the building each belongs to, and its place along the wall."""
    count = len(plan.xy)
    triangles = plan.triangles
    start, end = triangles.reshape(-1), triangles[:, [1, 2, 0]].reshape(-1)
    high, low = tops.reshape(-1), tops[:, [1, 2, 0]].reshape(-1)  # the same edges in three dimensions
    side = np.repeat(owner, 3)
    code = start * count + end
    order = np.argsort(code)
    found = np.searchsorted(code[order], end * count + start).clip(max=len(code) - 1)
    twin = order[found]
    wall = np.flatnonzero((code[twin] == end * count + start) & (side > side[twin]))
    stack: dict[int, list[int]] = {}
    several = np.flatnonzero(np.bincount(point) > 2)
    for corner in np.flatnonzero(np.isin(point, several)).tolist():
        stack.setdefault(int(point[corner]), []).append(corner)
    out, whose, step = [], [], []
    for number, edge in enumerate(wall.tolist()):
        other = int(twin[edge])
        u = _chain(stack.get(int(start[edge]), []), int(high[edge]), int(low[other]), z)
        v = _chain(stack.get(int(end[edge]), []), int(low[edge]), int(high[other]), z)
        strip = _strip(u, v)
        out += strip
        whose += [int(side[edge])] * len(strip)
        step += [number] * len(strip)
    return np.array(out, np.int64).reshape(-1, 3), np.array(whose, np.int64), np.array(step, np.int64)


def _chain(stack: list[int], first: int, last: int, z: Reals) -> list[int]:
    """Return the points of a vertical edge from first to last, those of other roofs between them too."""
    low, high = sorted((z[first], z[last]))
    between = [one for one in stack if one not in {first, last} and low < z[one] < high]
    return [first, *sorted(between, key=lambda one: float(z[one]), reverse=bool(z[first] > z[last])), last]


def _strip(u: list[int], v: list[int]) -> list[tuple[int, int, int]]:
    """Return triangles between two chains."""
    made, i, j = [], 0, 0
    while i + 1 < len(u) or j + 1 < len(v):
        if j + 1 == len(v) or (i + 1 < len(u) and (i + 1) / len(u) <= (j + 1) / len(v)):
            made.append((v[j], u[i], u[i + 1]))
            i += 1
        else:
            made.append((v[j], u[i], v[j + 1]))
            j += 1
    return made


# ---------------------------------------------------------------- the texture


@dataclass(frozen=True)
class _Frame:
    """Where the photo lies in the texture."""

    west: float
    south: float
    width: int
    """Of the photo in the texture [pixels]."""
    height: int
    whole: int
    """Width of the whole texture [pixels]."""


def _texture(photo: Pixels) -> tuple[Pixels, _Frame]:
    """Return the orthophoto of the area with a strip of facades beside it."""
    west, south, east, north = (float(value) for value in area().bounds)
    columns = slice(int(west / CELL), int(np.ceil(east / CELL)))
    rows = slice(int((HEIGHT - north) / CELL), int(np.ceil((HEIGHT - south) / CELL)))
    part = photo[rows, columns]
    strip = np.concatenate([_facade_image(number, part.shape[0]) for number in range(_FACADES)], axis=1)
    image = np.ascontiguousarray(np.concatenate([part, strip], axis=1))
    return image, _Frame(columns.start * CELL, HEIGHT - rows.stop * CELL, part.shape[1], part.shape[0], image.shape[1])


def _facade_image(number: int, height: int) -> Pixels:
    """Return a bay of a facade over the full height: a window in every storey."""
    shades = [colour for one in ROOFS.values() for colour in one]
    image = np.empty((height, _BAY, 3), np.uint8)
    image[:] = np.clip(np.array(shades[(5 * number + 2) % len(shades)]) * 0.92 + 14, 0, 255)
    level = (np.arange(height)[::-1] + 0.5) / height * _TALL % _STOREY
    glass = (level > 0.9) & (level < 2.6)
    image[np.ix_(glass, np.arange(4, _BAY - 4))] = (70, 88, 104)
    image[level < 0.25] = image[level < 0.25] * 0.85
    return image


def _seen_from_above(corners: Reals, frame: _Frame) -> Reals:
    """Return the place in the texture of corners that the photo shows."""
    u = (corners[..., 0] - frame.west) / CELL / frame.whole
    return np.asarray(np.stack([u, (corners[..., 1] - frame.south) / CELL / frame.height], axis=-1))


def _facade(corners: Reals, owner: Ints, step: Ints, frame: _Frame) -> Reals:
    """Return the place in the texture of the corners of walls: one bay per stretch, counted in storeys from the ground."""
    bay = (frame.width + _BAY * (owner % _FACADES)).astype(float)
    xy = corners[..., :2]
    first = xy[:, :1]
    begin = np.zeros((int(step.max(initial=-1)) + 1, 2))
    begin[step[::-1]] = first[::-1, 0]
    far = np.linalg.norm(xy - begin[step][:, None], axis=2) > 0.01 + 2 * _ASIDE
    u = (bay[:, None] + 0.5 + far * (_BAY - 1.0)) / frame.whole
    ground = elevation(corners[..., 0], corners[..., 1])
    return np.asarray(np.stack([u, np.clip((corners[..., 2] - ground) / _TALL, 0.001, 0.999)], axis=-1))


# ---------------------------------------------------------------- the files


def write_skin(skin: Skin, folder: Path) -> Path:
    """Write the mesh as OBJ with its material, its texture and the usual file that says where its origin is."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "blocks.obj"
    flat, number = np.unique(np.round(skin.uv.reshape(-1, 2), 5), axis=0, return_inverse=True)
    place = number.reshape(-1, 3) + 1
    face = skin.triangles + 1
    lines = ["# oblique mesh of the demo district, made by code", "mtllib blocks.mtl", "o blocks"]
    lines += [f"v {x:.3f} {y:.3f} {z:.3f}" for x, y, z in skin.points.tolist()]
    lines += [f"vt {u:.5f} {v:.5f}" for u, v in flat.tolist()]
    lines.append("usemtl skin")
    lines += [f"f {a}/{i} {b}/{j} {c}/{k}" for (a, b, c), (i, j, k) in zip(face.tolist(), place.tolist(), strict=True)]
    path.write_text("\n".join([*lines, ""]), encoding="ascii")
    (folder / "blocks.mtl").write_text("newmtl skin\nKd 1 1 1\nmap_Kd blocks.jpg\n", encoding="ascii")
    origin = f"{ORIGIN[0]:.0f},{ORIGIN[1]:.0f},0"
    inside = f"  <SRS>EPSG:4549+5737</SRS>\n  <SRSOrigin>{origin}</SRSOrigin>\n"
    head = '<?xml version="1.0" encoding="utf-8"?>\n<ModelMetadata version="1">\n'
    (folder / "metadata.xml").write_text(f"{head}{inside}</ModelMetadata>\n", encoding="utf-8")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        profile = {
            "driver": "JPEG",
            "height": skin.image.shape[0],
            "width": skin.image.shape[1],
            "count": 3,
            "dtype": "uint8",
            "quality": 85,
        }
        with rasterio.open(folder / "blocks.jpg", "w", **profile) as out:
            out.write(np.moveaxis(skin.image, 2, 0))
    return path
