"""语义化: what reality meshes and unclassed objects are, with the confidence of every guess, and the CIM code and level that follow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import MissingExtraError, UsageError
from cim.loaders.face_labels import LABELS, FaceLabels, label_faces
from cim.model.combine import stacked
from cim.model.derive import classify as code_and_level
from cim.model.geometry import flatten
from cim.model.schema import SCHEMAS, make_table, one_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.coverages import Raster
    from cim.model.geometry import Flat

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    _Share = tuple[int, Reals, Reals, Reals]  # object, area and confidence of each label, extent

__all__ = ["classify"]

SURFACES = {"ground": "TINRelief", "vegetation": "PlantCover", "building": "Building"}
"""Class of the surface, and of an object that is mostly that, for each label."""
UNCLASSED = ("GenericOccupiedSpace", "GenericUnoccupiedSpace", "GenericLogicalSpace", "GenericThematicSurface", "OtherConstruction")
_METHOD = "labels of its faces by height, slope, colour and neighbours"
_MOST_PIXELS = 400_000_000
_TOUCHING = 0.05  # m that an extent may reach into the footprint of a neighbour


def classify(city: City, *, terrain: Raster | None = None, least_confidence: float = 0.7) -> City:
    """Return the city with semantic surfaces on its meshes, and with classes, CIM codes and levels where the meshes tell them.

    Every face of a triangle mesh without semantics becomes ground, vegetation or building (see `cim.loaders.face_labels`). An object
    of no particular class that is one of these for most of its area becomes that class when the confidence is high enough; else it
    stays, and the guess is kept as a claim that was not chosen. Nothing becomes a Building where the city has buildings already: what a
    cut left over, or the mesh of a whole city, is no further one. Code and level are derived anew for what changed; `City.why` tells all.
    Without colour vegetation cannot be told from buildings: their confidence is 0.6 at most, and an issue says how large an area that is.

    Parameters
    ----------
    terrain
        Bare ground in the system of the city; made from each mesh itself when left out.
    least_confidence
        Confidence [0 to 1] from which an object changes its class: the share of its area with that label, times the mean confidence there.

    Raises
    ------
    UsageError
        If `least_confidence` is no share, the terrain is in another system, or the city does not count in metres.
    """
    if not 0 <= least_confidence <= 1:
        msg = f"least_confidence is {least_confidence!r}, expected 0 to 1"
        raise UsageError(msg)
    if not city.crs.is_projected or city.crs.linear_unit_factor != 1.0:
        msg = f"the city is in {city.crs.name}, which does not count in metres; bring it to a projected system first"
        raise UsageError(msg)
    if terrain is not None and not terrain.crs.same_horizontal(city.crs):
        msg = f"the terrain is in {terrain.crs.name}, the city in {city.crs.name}; bring one to the system of the other"
        raise UsageError(msg)
    table = city.tables["geometries"]
    wanted = pc.and_(pc.equal(table["role"], "mesh"), pc.is_null(table["semantics"]))
    wanted = pc.and_(wanted, pc.is_null(table["template"]))
    rows = np.flatnonzero(np.asarray(wanted.to_numpy()))
    said: list[dict[str, Any]] = []
    shares: list[_Share] = []
    semantics: dict[int, pa.Array] = {}
    surfaces: list[pa.Table] = []
    for row in rows.tolist():  # a mesh each: they are few and large
        one = table.slice(row, 1)
        flat = flatten(one)
        size = np.diff(flat.ring_start)
        if len(size) == 0 or (size != 3).any() or (np.diff(flat.surface_start) != 1).any():
            said.append(_note(city, one, "unsupported", "has faces that are no triangles; its faces are not labelled"))
            continue
        found = label_faces(flat.vertices, flat.index.reshape(-1, 3), _colours(city, one, flat, said), terrain=terrain, origin=city.origin)
        semantics[row] = pa.array(found.label.astype(np.int32))
        surfaces.append(_surface_rows(one, found, flat))
        shares.append((int(one["object"][0].as_py()), *_shares(found, flat), _extent(flat, city.origin)))
        _tell_blind(city, one, found, flat, said)
    if not shares:
        return city.with_issues([*said, {"code": "empty", "severity": "info", "message": "no mesh without semantics: nothing to classify"}])
    labelled = _with_semantics(city, semantics, surfaces)
    return _with_classes(labelled, shares, least_confidence, said).with_issues(said)


def _note(city: City, one: pa.Table, code: str, text: str) -> dict[str, Any]:
    key = int(one["object"][0].as_py())
    return {"code": code, "object": key, "message": f"{city.ids([key])[0]} {text}"}


def _tell_blind(city: City, one: pa.Table, found: FaceLabels, flat: Flat, said: list[dict[str, Any]]) -> None:
    """Say how much is called building where vegetation could not be told."""
    doubtful = found.blind & (found.label == LABELS.index("building"))
    if doubtful.any():
        area = float(_areas(flat)[doubtful].sum())
        text = f"has no texture or colour on {area:,.0f} m² labelled building, where vegetation cannot be told: trees may be among them"
        said.append({**_note(city, one, "guessed", text), "count": int(doubtful.sum())})


def _areas(flat: Flat) -> Reals:
    place = flat.vertices[flat.index.reshape(-1, 3)]
    size: Reals = np.linalg.norm(np.cross(place[:, 1] - place[:, 0], place[:, 2] - place[:, 0]), axis=1) / 2
    return size


def _shares(found: FaceLabels, flat: Flat) -> tuple[Reals, Reals]:
    """Return the area of each label [m²] and its confidence, weighed by area."""
    area = _areas(flat)
    total = np.bincount(found.label, area, len(LABELS))
    sure = np.bincount(found.label, area * found.confidence, len(LABELS))
    mean: Reals = np.divide(sure, total, out=np.zeros(len(LABELS)), where=total > 0)
    return np.asarray(total, float), mean


def _extent(flat: Flat, origin: Reals) -> Reals:
    """Return the extent of the triangles (xmin, ymin, xmax, ymax); vertices that none of them uses do not count."""
    used = flat.vertices[flat.index][:, :2] + np.asarray(origin)[:2]
    return np.concatenate([used.min(axis=0), used.max(axis=0)])


def _surface_rows(one: pa.Table, found: FaceLabels, flat: Flat) -> pa.Table:
    """Return one semantic surface per label, with its confidence."""
    area, sure = _shares(found, flat)
    notes = []
    for at, name in enumerate(LABELS):
        said = {"label_name": name, "confidence": round(float(sure[at]), 3), "area_m2": round(float(area[at]), 3), "method": _METHOD}
        notes.append(json.dumps(said, ensure_ascii=False))
    return make_table("surfaces", {
        "geometry": np.full(len(LABELS), one["key"][0].as_py()), "index": np.arange(len(LABELS), dtype=np.int32),
        "type": [SURFACES[name] for name in LABELS], "attributes": notes,
    })  # fmt: skip


def _with_semantics(city: City, semantics: dict[int, pa.Array], surfaces: list[pa.Table]) -> City:
    table = city.tables["geometries"]
    at, column = table.column_names.index("semantics"), one_array(table["semantics"])
    size = np.asarray(pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False), np.int64)
    known = np.asarray(column.is_valid().to_numpy(zero_copy_only=False)).copy()
    parts, pieces, last = [], column, 0
    for row, values in sorted(semantics.items()):
        parts += [pieces.slice(last, row - last).flatten(), values]
        size[row], known[row], last = len(values), True, row + 1
    parts.append(pieces.slice(last).flatten())
    start = pa.array(np.concatenate([[0], np.cumsum(size)]).astype(np.int32))
    made = pa.ListArray.from_arrays(start, pa.concat_arrays(parts), mask=pa.array(~known))
    changed = table.set_column(at, SCHEMAS["geometries"].field("semantics"), made)
    return city.replace_tables(geometries=changed, surfaces=pa.concat_tables([city.tables["surfaces"], *surfaces]))


# ---------------------------------------------------------------- classes of objects


def _with_classes(city: City, shares: list[_Share], least: float, said: list[dict[str, Any]]) -> City:
    """Return the city with the class that most of the area of an object has, where the object has none of its own."""
    keys = np.array([key for key, *_ in shares], np.int64)
    order = np.unique(keys)
    area, sure = np.zeros((len(order), len(LABELS))), np.zeros((len(order), len(LABELS)))
    at = np.searchsorted(order, keys)
    for place, (_, size, confidence, _) in zip(at.tolist(), shares, strict=True):
        area[place] += size
        sure[place] += size * confidence
    whole = np.maximum(area.sum(axis=1), 1e-12)
    best = area.argmax(axis=1)
    confidence = sure[np.arange(len(order)), best] / whole
    types = np.asarray(city.core_rows(["type"], order)["type"].to_pylist(), object)
    free = np.isin(types, UNCLASSED)
    guess = np.array([SURFACES[LABELS[number]] for number in best], object)
    sure_enough = free & (confidence >= least)
    change = sure_enough.copy()
    rows = np.flatnonzero(sure_enough & (guess == "Building"))
    extent = np.array([_covering(at == row, shares) for row in rows.tolist()], float).reshape(-1, 4)
    change[rows] = ~_over_buildings(city, extent)
    if (sure_enough & ~change).any():
        count = int((sure_enough & ~change).sum())
        text = f"{count} meshes look like buildings but lie where the city has buildings already: they keep their class"
        said.append({"code": "guessed", "severity": "info", "count": count, "message": text})
    if (free & ~sure_enough).any():
        count = int((free & ~sure_enough).sum())
        text = (
            f"{count} meshes are a mixture or uncertain (confidence below {least:g}): they keep their class; cut them first with singulate"
        )
        said.append({"code": "guessed", "severity": "info", "count": count, "message": text})
    claims = make_table("claims", {
        "object": order[free], "attribute": "type", "value": [json.dumps(value) for value in guess[free]], "method": _METHOD,
        "confidence": confidence[free], "chosen": change[free],
    })  # fmt: skip
    done = city.replace_tables(claims=pa.concat_tables([city.tables["claims"], claims]))
    return _moved(done, order[change], types[change], guess[change]) if change.any() else done


def _covering(which: NDArray[np.bool_], shares: list[_Share]) -> Reals:
    """Return the extent of all meshes of an object."""
    boxes = np.array([shares[row][3] for row in np.flatnonzero(which).tolist()], float)
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])


def _over_buildings(city: City, extent: Reals) -> NDArray[np.bool_]:
    """Return within which extents lies a footprint of a building, or which lie within one, shape (n,); touching does not count."""
    import shapely

    present = [type_ for type_ in ("Building", "BuildingPart") if type_ in city.attributes]
    if not len(extent) or not present:
        return np.zeros(len(extent), bool)
    shapes = city.footprints(np.sort(np.concatenate([city.keys(type_) for type_ in present])))
    shapes = shapes[np.isin(shapely.get_type_id(shapes), (3, 6))]
    left, low, right, high = extent.T
    inset = np.minimum(_TOUCHING, np.minimum(right - left, high - low) / 4)
    mine = shapely.box(left + inset, low + inset, right - inset, high - inset)
    met, _ = shapely.STRtree(shapes).query(mine, predicate="intersects")
    found: NDArray[np.bool_] = np.isin(np.arange(len(extent)), met)
    return found


def _moved(city: City, keys: Ints, old: NDArray[np.object_], new: NDArray[np.object_]) -> City:
    """Return the city with objects in another class, their attributes with them, code and level derived anew."""
    objects, notes = city.tables["objects"], list[str]()
    row = city.row_of_key(keys)
    type_, code, level = (objects[name].to_pylist() for name in ("type", "cim_code", "cim_level"))
    for at, name in zip(row.tolist(), new.tolist(), strict=True):
        type_[at], code[at], level[at] = name, None, None
    for name, values in (("type", type_), ("cim_code", code), ("cim_level", level)):
        objects = objects.set_column(objects.column_names.index(name), SCHEMAS["objects"].field(name), pa.array(values, pa.string()))
    attributes = {name: city.attributes[name] for name in city.attributes}
    for before, after in dict.fromkeys(zip(old.tolist(), new.tolist(), strict=True)):
        mine = pa.array(keys[(old == before) & (new == after)])
        leaving = attributes[before].filter(pc.is_in(attributes[before]["object"], mine))
        attributes[before] = attributes[before].filter(pc.invert(pc.is_in(attributes[before]["object"], mine)))
        joined = stacked([attributes[after], leaving], notes) if after in attributes else leaving
        attributes[after] = joined.sort_by("object")
    done = city.replace_tables(objects=code_and_level(objects, city.tables["geometries"]), attributes=attributes)
    return done.with_issues([{"code": "assumed", "message": note} for note in dict.fromkeys(notes)])


# ---------------------------------------------------------------- colours of faces


def _colours(city: City, one: pa.Table, flat: Flat, said: list[dict[str, Any]]) -> Reals | None:
    """Return the colour of every face from its texture, else its material; None where nothing is known."""
    looks = city.appearance_table(one)
    if not looks.num_rows:
        return None
    count = len(flat.ring_start) - 1
    colour = np.full((count, 3), np.nan)
    look = looks.slice(0, 1).to_pylist()[0] if looks.num_rows else {}
    materials = np.asarray(look["materials"] if look["materials"] is not None else np.full(count, -1), np.int64)
    diffuse = dict(zip(city.tables["materials"]["key"].to_pylist(), city.tables["materials"]["diffuse"].to_pylist(), strict=True))
    for key in np.unique(materials[materials >= 0]).tolist():
        if diffuse.get(key) is not None:
            colour[materials == key] = diffuse[key]
    if look["textures"] is None or look["uv"] is None:
        return colour
    textures = np.asarray(look["textures"], np.int64)
    uv = np.asarray(look["uv"], float).reshape(count, 3, 2)
    paths = dict(zip(city.tables["textures"]["key"].to_pylist(), city.tables["textures"]["path"].to_pylist(), strict=True))
    for key in np.unique(textures[textures >= 0]).tolist():
        if paths.get(key) is None:
            said.append(_note(city, one, "lost", "has a texture whose image is not there; its colour is unknown"))
            continue
        mine = textures == key
        colour[mine] = _mean_colour(paths[key], uv[mine])
    return colour


def _mean_colour(path: str, uv: Reals) -> Reals:
    """Return the mean colour of triangles of an image, from 21 points each; v runs upwards."""
    try:
        from PIL import Image
    except ImportError as error:
        msg = "colours of textures need Pillow: pip install 'cim-toolkit[mesh]'"
        raise MissingExtraError(msg) from error
    with Image.open(path) as file:
        if file.width * file.height > _MOST_PIXELS:
            msg = f"{path} has {file.width} × {file.height} pixels, more than {_MOST_PIXELS:,}; make it smaller"
            raise UsageError(msg)
        pixels = np.asarray(file.convert("RGB"))
    share = np.array([[i, j, 5 - i - j] for i in range(6) for j in range(6 - i)], float) / 5
    place = np.einsum("kb,nbd->nkd", share, uv) % 1.0
    height, width = pixels.shape[:2]
    row = np.clip(((1 - place[..., 1]) * height).astype(np.int64), 0, height - 1)
    column = np.clip((place[..., 0] * width).astype(np.int64), 0, width - 1)
    found: Reals = pixels[row, column].astype(float).mean(axis=1)
    return found
