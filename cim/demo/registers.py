"""Two registers of the same buildings: a good one with a few faults; a second that is shifted, splits, merges, forgets and disagrees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cim.demo.features import Records
from cim.demo.truth import Defect

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from cim.demo.district import Buildings

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Texts = NDArray[np.object_]

__all__ = ["FIRST", "SECOND", "SHIFT", "Registers", "make_registers"]

FIRST, SECOND = "buildings.gpkg", "survey_2024.geojson"
"""Files of the first and the second register."""
SHIFT = (0.6, -0.4)
"""How far the second register lies east and north of the truth [m]."""
_COUNTS = {
    "split": 20,
    "merged": 10,
    "left_out": 8,
    "extra": 6,
    "height_disagrees": 12,
    "missing_height": 8,
    "missing_storeys": 6,
    "odd_id": 5,
}
_SENTINEL = -9999.0
_SHED = 3.2
"""Height of a shed [m]."""
_USES = {
    "住宅": "residential",
    "商业": "retail",
    "办公": "office",
    "酒店": "hotel",
    "学校": "school",
    "医院": "hospital",
    "消防站": "fire station",
    "图书馆": "library",
    "文化": "culture",
}


@dataclass(frozen=True)
class Registers:
    """Both registers, and what is wrong with them."""

    first: Records
    second: Records
    open_ring: int
    """Row of the second register whose ring is written without its last point."""
    extra: Texts
    """Footprints of the buildings that only the second register knows, where they really are."""
    extra_heights: Reals
    names: tuple[str, ...]
    """Id of each building of the first register in the city."""
    order: dict[str, tuple[str, ...]]
    """File -> building that each of its records shows, or the record's own name where it shows none that the first register knows."""
    pairs: frozenset[tuple[str, str]]
    """(record of the first, record of the second) that show the same building."""
    defects: tuple[Defect, ...]
    codes: dict[str, str]
    """Code list of the uses in the second register."""


@dataclass(frozen=True)
class _Chosen:
    """Rows of the buildings that each defect hits; no building is hit twice, except that its second record may lack an id."""

    rows: dict[str, Ints]
    partner: Ints
    """Neighbour of each merged building."""

    def __getitem__(self, kind: str) -> Ints:
        return self.rows[kind]


def make_registers(buildings: Buildings, plots: Texts, seed: int) -> Registers:
    """Return both registers of the same buildings; the same for the same seed."""
    random = np.random.default_rng([seed, 3])
    chosen = _choose(buildings, random)
    first, defects = _first(buildings, chosen)
    made = _second(buildings, chosen, plots, random)
    return replace(made, first=first, defects=(*defects, *made.defects))


def _choose(buildings: Buildings, random: np.random.Generator) -> _Chosen:
    """Choose which buildings get which defect."""
    import shapely

    partner, mergeable = _neighbours(buildings)
    merged: list[int] = []
    used: set[int] = set()
    for row in random.permutation(mergeable).tolist():
        if len(merged) < _COUNTS["merged"] and row not in used and int(partner[row]) not in used:
            merged.append(row)
            used |= {row, int(partner[row])}
    simple = shapely.get_num_interior_rings(buildings.shapes) == 0
    corners = shapely.get_num_coordinates(buildings.shapes)
    order = [row for row in random.permutation(len(buildings)).tolist() if row not in used]
    rectangles = [row for row in order if corners[row] == 5 and buildings.rise[row] == 0 and shapely.area(buildings.shapes[row]) > 200]
    rows: dict[str, Ints] = {"merged": np.array(merged)}
    rows["bow_tie"], rows["open_ring"] = np.array(rectangles[:1]), np.array(rectangles[1:2])
    order = [row for row in order if row not in rectangles[:2] and simple[row]]
    for kind in ("split", "left_out", "height_disagrees", "missing_height", "missing_storeys", "odd_id"):
        rows[kind], order = np.array(order[: _COUNTS[kind]]), order[_COUNTS[kind] :]
    rows["sentinel_height"], rows["duplicate_id"], rows["duplicate_record"], rows["same_id"] = (np.array([row]) for row in order[:4])
    return _Chosen(rows, partner)


def _neighbours(buildings: Buildings) -> tuple[Ints, Ints]:
    """Return a neighbour of each building that shares a wall with it, and the buildings that have one as high and used alike."""
    import shapely

    left, right = shapely.STRtree(buildings.shapes).query(buildings.shapes, predicate="dwithin", distance=0.01)
    wall = shapely.length(shapely.intersection(shapely.boundary(buildings.shapes[left]), shapely.buffer(buildings.shapes[right], 0.01)))
    alike = (
        (buildings.storeys[left] == buildings.storeys[right])
        & (buildings.use[left] == buildings.use[right])
        & (left < right)
        & (wall > 6.0)
    )
    partner = np.full(len(buildings), -1, np.int64)
    partner[left[alike]] = right[alike]
    return partner, np.flatnonzero(partner >= 0)


# ---------------------------------------------------------------- the first register


def _first(buildings: Buildings, chosen: _Chosen) -> tuple[Records, tuple[Defect, ...]]:
    """Return the register of the planning office: right but for a few records."""
    import shapely

    ids, shapes = buildings.ids.copy(), buildings.shapes.copy()
    height, storeys = buildings.height.copy(), buildings.storeys.astype(float)
    height[chosen["missing_height"]], storeys[chosen["missing_storeys"]] = np.nan, np.nan
    height[chosen["sentinel_height"]] = _SENTINEL
    bow = int(chosen["bow_tie"][0])
    ring = shapely.get_coordinates(shapes[bow])
    shapes[bow] = shapely.polygons(ring[[0, 1, 3, 2, 0]])
    ids[chosen["duplicate_id"]] = ids[chosen["same_id"]]
    columns: dict[str, Any] = {
        "楼栋编号": ids, "名称": buildings.names, "英文名": buildings.names_en, "层数": storeys, "高度": height, "用途": buildings.use,
        "建成年代": buildings.year,
    }  # fmt: skip
    hit = {
        kind: tuple(buildings.ids[chosen[kind]].tolist()) for kind in ("missing_height", "missing_storeys", "sentinel_height", "bow_tie")
    }
    hit["duplicate_id"] = tuple(buildings.ids[chosen["same_id"]].tolist())
    return Records(shapes, columns), tuple(Defect(kind, FIRST, records) for kind, records in hit.items())


# ---------------------------------------------------------------- the second register


@dataclass(frozen=True)
class _Rows:
    """Records of the second register before they are numbered: what they show, and what they say."""

    shapes: Texts
    shows: list[tuple[int, ...]]
    """Rows of the buildings that a record shows."""
    ids: list[str]


def _second(buildings: Buildings, chosen: _Chosen, plots: Texts, random: np.random.Generator) -> Registers:
    """Return the register of a survey: shifted, with its own fields."""
    import shapely

    rows = _shuffled(_drawn(buildings, chosen), _sheds(buildings, plots, random), str(buildings.ids[chosen["duplicate_record"][0]]), random)
    lead = np.array([shown[0] if shown else -1 for shown in rows.shows])
    ids = np.array(rows.ids, object)
    written, unnamed, names = _ids(buildings, chosen, ids, lead, random)
    columns = _columns(buildings, chosen, rows, lead, random)
    moved = shapely.transform(rows.shapes, lambda xy: np.round(xy + SHIFT, 3))
    in_city = _names_of_first(buildings, chosen)
    pairs = frozenset((in_city[row], name) for name, shown in zip(names, rows.shows, strict=True) for row in shown)
    shown = tuple("+".join(in_city[row] for row in one) if one else name for name, one in zip(names, rows.shows, strict=True))
    return Registers(
        first=Records(np.empty(0, object), {}),
        second=Records(moved, {"BLDG_ID": written, **columns}),
        open_ring=_row_of(ids, buildings.ids[chosen["open_ring"][0]]),
        extra=rows.shapes[lead < 0],
        extra_heights=columns["GAODU"][lead < 0],
        names=tuple(in_city),
        order={FIRST: tuple(in_city), SECOND: shown},
        pairs=pairs,
        defects=_second_defects(buildings, chosen, names, unnamed, lead),
        codes={code: use for use, code in _USES.items()},
    )


def _shuffled(rows: _Rows, extra: Texts, twice: str, random: np.random.Generator) -> _Rows:
    """Return the records with those of new buildings, in an order of their own, one of them a second time at the end."""
    shapes = np.concatenate([rows.shapes, extra])
    shows = [*rows.shows, *([()] * len(extra))]
    ids = np.array([*rows.ids, *(f"XC-{n + 1:02d}" for n in range(len(extra)))], object)
    order = np.asarray(random.permutation(len(ids)))
    order = np.append(order, order[_row_of(ids[order], twice)])
    return _Rows(shapes[order], [shows[row] for row in order.tolist()], ids[order].tolist())


def _columns(buildings: Buildings, chosen: _Chosen, rows: _Rows, lead: Ints, random: np.random.Generator) -> dict[str, Any]:
    """Return what the second register says of its records: some heights disagree, a record of several buildings has no name."""
    height = np.where(lead >= 0, np.round(buildings.height[lead] + random.uniform(-0.1, 0.1, len(lead)), 1), _SHED)
    off = np.isin(lead, chosen["height_disagrees"])
    height[off] += np.round(random.choice([-1.0, 1.0], off.sum()) * random.uniform(3.0, 7.0, off.sum()), 1)
    several = np.array([len(shown) > 1 for shown in rows.shows])
    return {
        "MC": np.where((lead >= 0) & ~several, buildings.names[lead], np.array(None, object)),
        "FLOORS": np.where(lead >= 0, buildings.storeys[lead], 1),
        "GAODU": np.where(height < 2.0, height + 9.0, height),
        "YONGTU": np.array([_USES[one] for one in np.where(lead >= 0, buildings.use[lead], "商业").tolist()], object),
    }


def _drawn(buildings: Buildings, chosen: _Chosen) -> _Rows:
    """Return the buildings as the survey drew them: some cut in two, some neighbours in one, some not at all."""
    import shapely

    gone = (
        set(chosen["left_out"].tolist())
        | set(chosen["split"].tolist())
        | set(chosen["merged"].tolist())
        | set(chosen.partner[chosen["merged"]].tolist())
    )
    plain = np.array([row for row in range(len(buildings)) if row not in gone])
    both = chosen["merged"], chosen.partner[chosen["merged"]]
    joined = shapely.union(*(shapely.buffer(buildings.shapes[side], 0.02, join_style="mitre") for side in both))
    halves = [_halves(buildings.shapes[row]) for row in chosen["split"].tolist()]
    ids = [*buildings.ids[plain].tolist(), *(f"{a}+{b}" for a, b in zip(buildings.ids[both[0]], buildings.ids[both[1]], strict=True)),
           *(f"{buildings.ids[row]}/{n}" for row in chosen["split"].tolist() for n in (1, 2))]  # fmt: skip
    shows: list[tuple[int, ...]] = [(row,) for row in plain.tolist()]
    shows += list(zip(both[0].tolist(), both[1].tolist(), strict=True))
    shows += [(row,) for row in chosen["split"].tolist() for _ in range(2)]
    return _Rows(np.array([*buildings.shapes[plain], *joined, *(half for pair in halves for half in pair)], object), shows, ids)


def _halves(shape: Any) -> tuple[Any, Any]:
    """Return a footprint cut across its long side."""
    import shapely

    ring = shapely.get_coordinates(shapely.minimum_rotated_rectangle(shape))[:4]
    if np.linalg.norm(ring[1] - ring[0]) < np.linalg.norm(ring[2] - ring[1]):
        ring = ring[[1, 2, 3, 0]]
    middle, ahead = 0.55 * (ring[0] + ring[3]) / 2 + 0.45 * (ring[1] + ring[2]) / 2, ring[1] - ring[0]
    across, far = ring[3] - ring[0], 2.0
    near = [middle + far * across, middle - far * across]  # the cut, drawn far beyond the footprint so that only it adds corners
    west, east = (shapely.polygons([*near, near[1] + way * far * ahead, near[0] + way * far * ahead]) for way in (-1.0, 1.0))
    return shapely.intersection(shape, west), shapely.intersection(shape, east)


def _sheds(buildings: Buildings, plots: Texts, random: np.random.Generator) -> Texts:
    """Return new small buildings that stand free on some plots."""
    import shapely

    tree = shapely.STRtree(buildings.shapes)
    found: list[Any] = []
    for plot in random.permutation(len(plots)).tolist():
        west, south, east, north = shapely.bounds(plots[plot])
        xy = random.uniform((west, south), (east, north), (40, 2))
        sheds = shapely.box(xy[:, 0] - 5, xy[:, 1] - 4, xy[:, 0] + 5, xy[:, 1] + 4)
        free = shapely.contains(shapely.buffer(plots[plot], -3.0), sheds)
        free[tree.query(sheds, predicate="dwithin", distance=4.0)[0]] = False
        if free.any() and len(found) < _COUNTS["extra"]:
            found.append(sheds[np.flatnonzero(free)[0]])
    return np.array(found, object)


def _ids(buildings: Buildings, chosen: _Chosen, ids: Texts, lead: Ints, random: np.random.Generator) -> tuple[Texts, Ints, list[str]]:
    """Return the ids as they are written, the records without one, and the name each record goes by in the city."""
    written = ids.copy()
    protected = np.isin(
        ids, buildings.ids[np.concatenate([chosen[kind] for kind in ("odd_id", "bow_tie", "duplicate_record", "open_ring")])]
    )
    free = np.flatnonzero(~protected & (lead >= 0))
    unnamed = np.sort(random.choice(free, len(ids) // 5, replace=False))
    wide = np.isin(ids, buildings.ids[chosen["odd_id"]])
    written[wide] = ["".join(chr(ord(letter) + 0xFEE0) for letter in one) for one in ids[wide].tolist()]
    written[unnamed] = None
    stem = SECOND.partition(".")[0]
    names = [f"{stem}.{row}" if one is None else one for row, one in enumerate(written.tolist())]
    seen: dict[str, int] = {}
    for row, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        names[row] = name if seen[name] == 1 else f"{name}#{seen[name]}"
    return written, unnamed, names


def _names_of_first(buildings: Buildings, chosen: _Chosen) -> list[str]:
    """Return the name each building of the first register goes by in the city: the second under one id gets a number."""
    names = buildings.ids.copy()
    a, b = int(chosen["duplicate_id"][0]), int(chosen["same_id"][0])
    early, late = min(a, b), max(a, b)
    names[early], names[late] = buildings.ids[b], f"{buildings.ids[b]}#2"
    return [str(one) for one in names.tolist()]


def _second_defects(buildings: Buildings, chosen: _Chosen, names: list[str], unnamed: Ints, lead: Ints) -> tuple[Defect, ...]:
    ids = buildings.ids
    pairs = tuple(f"{ids[a]}+{ids[b]}" for a, b in zip(chosen["merged"].tolist(), chosen.partner[chosen["merged"]].tolist(), strict=True))
    hit = {
        kind: tuple(ids[chosen[kind]].tolist())
        for kind in ("split", "left_out", "height_disagrees", "odd_id", "open_ring", "duplicate_record")
    }
    extra = tuple(names[row] for row in np.flatnonzero(lead < 0).tolist())
    nameless = tuple(names[row] for row in unnamed.tolist())
    kinds = {"shifted": (SECOND,), "merged": pairs, "missing_id": nameless, "extra": extra, **hit}
    return tuple(Defect(kind, SECOND, records) for kind, records in kinds.items())


def _row_of(ids: Texts, id: str) -> int:
    return int(np.flatnonzero(ids == id)[0])
