"""A City to CityJSON or CityJSONSeq, 2.0 or 1.1, and the report of what the format cannot hold."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import CRSError, UsageError
from cim.loaders.cityjson.attributes import ATTRIBUTE_SET, MEMBER_SET
from cim.loaders.cityjson.encode import boundary_texts, faces_of, semantic_texts, unique_vertices
from cim.loaders.cityjson.image_out import write_images
from cim.loaders.cityjson.losses import lost_places, lost_tables, lost_values
from cim.loaders.cityjson.names import written_attributes
from cim.loaders.cityjson.wear import Wear, wear_of
from cim.model.classes import to_cityjson
from cim.model.geometry import flatten, shift
from cim.model.instances import explicit, instance_boxes, moved_matrices
from cim.model.instances import matrices as matrices_of
from cim.model.loss import Losses
from cim.model.schema import SCHEMAS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.loss import LossReport

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["write_cityjson", "write_cityjsonseq"]

_VERSIONS = ("2.0", "1.1")
_EXACT = 1e-6  # m; a finer scale is tried until every coordinate comes back this well
_NOTHING = 1e-9  # m; what is left of an anchor beside its grid point and smaller than this is rounding
_SHAPE = ["key", "type", "vertices", "boundaries"]
_BLOCK = 100_000  # geometries turned to text at once


def write_cityjson(city: City, path: str | Path, *, version: str = "2.0", lods: Sequence[str] | None = None) -> LossReport:
    """Write a city and return what the file does not hold.

    Parameters
    ----------
    path
        File to write; it is replaced whole or not at all.
    version
        "2.0" or "1.1".
    lods
        Levels of detail to write, such as ``["1.2", "2.2"]``; all without it.

    Returns
    -------
    LossReport
        One row per kind of loss, with the number of cases; what reading already had to leave out stands there too. Empty when
        reading the file again gives the same city, and nothing was lost before.

    Raises
    ------
    UsageError
        If the version is not known, or the file cannot be written.

    Notes
    -----
    Coordinates are written as integers with the transform that the city was read with, as long as it gives them all back; else in
    millimetres, or finer where that is needed to be exact. Objects that have a footprint only become LoD0.
    """
    return _written(city, Path(path), version, lods, sequence=False)


def write_cityjsonseq(city: City, path: str | Path, *, version: str = "2.0", lods: Sequence[str] | None = None) -> LossReport:
    """Write a city as CityJSONSeq: a header line, then one line per object with all its parts; see `write_cityjson`.

    Every line holds the vertices, materials and textures of its own objects; templates and what they wear stand in the header.
    """
    return _written(city, Path(path), version, lods, sequence=True)


def _written(city: City, path: Path, version: str, lods: Sequence[str] | None, *, sequence: bool) -> LossReport:
    if version not in _VERSIONS:
        msg = f"version is {version!r}, expected {' or '.join(_VERSIONS)}"
        raise UsageError(msg)
    losses = Losses()
    writing = _Writing(city, losses, dict(city.extra.get("cityjson", {})), sequence=sequence)
    try:
        images = write_images(city, path, losses)
    except OSError as error:
        msg = f"the texture images of {path} cannot be written beside it ({error.strerror or error}); check the folder and the rights"
        raise UsageError(msg) from error
    documents = writing.documents(version, None if lods is None else [str(lod) for lod in lods], images)
    _replace(path, b"\n".join(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY) for document in documents))
    return losses.report()


def _replace(path: Path, content: bytes) -> None:
    """Write beside the target, then rename."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        msg = f"{path} cannot be written ({error.strerror or error}); check the folder and the rights"
        raise UsageError(msg) from error


@dataclass(frozen=True)
class _Writing:
    """One writing: the city, the report, and what was kept from the file it came from."""

    city: City
    losses: Losses
    extra: dict[str, Any]

    sequence: bool
    """Whether every root object is written as a feature of its own."""

    def documents(self, version: str, lods: list[str] | None, images: list[str]) -> Iterator[dict[str, Any]]:
        """Yield the file, or the header and the features of a sequence, as plain values and ready JSON text."""
        geometries, templates = self._geometries(lods), self.city.tables["templates"]
        feature, count = self._features()
        of_geometry = feature[self._object_rows(geometries["object"])]
        members, places, owners = self._members()
        flat = flatten(geometries)
        anchored, anchors = self._anchors(geometries)
        points = np.concatenate([flat.vertices, places])
        transform, whole = self._quantised(points, anchors)
        stood, matrices = _on_grid(transform, anchored, anchors)
        group = np.concatenate([np.repeat(of_geometry, np.diff(flat.vertex_start)), feature[owners], of_geometry[anchored]])
        vertices, row = unique_vertices(np.column_stack([group, np.concatenate([whole, stood])]))
        first = np.searchsorted(vertices[:, 0], np.arange(count + 1))
        row = row - first[group]
        seen, placed = len(flat.vertices), len(flat.vertices) + len(places)
        shapes = pa.concat_tables([geometries.select(_SHAPE), templates.select(_SHAPE)], promote_options="permissive")
        header = count if self.sequence else 0
        groups = np.concatenate([of_geometry, np.full(templates.num_rows, header)])
        wear = wear_of(self.city, shapes, groups, images, self.losses, everything=not self.sequence)
        texts = self._geometry_texts(geometries, row[:seen], wear)
        for place, anchor, matrix in zip(anchored.tolist(), row[placed:].tolist(), matrices.tolist(), strict=True):
            texts[place] = self._instance_text(geometries, templates, place, anchor, matrix)
        objects = self._objects(geometries, texts, _located(members, row[seen:placed]))
        self._check_places(geometries)
        lost_tables(self.city, self.losses)
        head = self._head(version, transform, templates, np.concatenate([points, self._corners(geometries)]), wear, header)
        coordinates = np.ascontiguousarray(vertices[:, 1:])
        if not self.sequence:
            yield {**head, "CityObjects": objects, "vertices": coordinates}
            return
        yield {**head, "CityObjects": {}, "vertices": []}
        ids, rows, parent = list(objects), np.argsort(feature, kind="stable"), self._parents()
        starts = np.searchsorted(feature[rows], np.arange(count + 1))
        for number in range(count):
            mine = rows[starts[number] : starts[number + 1]].tolist()
            root = next(ids[k] for k in mine if parent[k] < 0)
            look = {"appearance": wear.looks[number]} if number in wear.looks else {}
            yield {"type": "CityJSONFeature", "id": root, "CityObjects": {ids[k]: objects[ids[k]] for k in mine}, **look,
                   "vertices": coordinates[first[number] : first[number + 1]]}  # fmt: skip

    def _head(self, version: str, transform: dict[str, Any], templates: pa.Table, points: Reals, wear: Wear, group: int) -> dict[str, Any]:
        """Return the members of the file but objects and vertices."""
        kept = {name: value for name, value in self._members_of_file().items() if name != "metadata"}
        look = {**wear.looks.get(group, {}), **self.extra.get("default_themes", {})}
        library: dict[str, Any] = {}
        if templates.num_rows:
            flat = flatten(templates)
            corners, row = unique_vertices(flat.vertices + 0.0)
            texts = self._geometry_texts(templates, row, wear)
            library = {"templates": [orjson.Fragment(text) for text in texts], "vertices-templates": np.ascontiguousarray(corners)}
        head = {"type": "CityJSON", "version": version, "transform": transform, "metadata": self._metadata(points),
                "appearance": look, "geometry-templates": library}  # fmt: skip
        return {**{k: v for k, v in head.items() if v}, **kept}

    # ------------------------------------------------------------------ features

    def _object_rows(self, keys: pa.ChunkedArray) -> Ints:
        return np.asarray(pc.index_in(keys, _one(self.city.tables["objects"]["key"])).to_numpy(), np.int64)

    def _parents(self) -> Ints:
        """Return the row of the parent of each object, -1 for none."""
        objects = self.city.tables["objects"]
        return np.asarray(pc.fill_null(pc.index_in(objects["parent"], _one(objects["key"])), -1).to_numpy(), np.int64)

    def _features(self) -> tuple[Ints, int]:
        """Return the feature of each object, and how many there are: one per root in a sequence, else one."""
        parent = self._parents()
        if not self.sequence:
            return np.zeros(len(parent), np.int64), 1
        top = np.where(parent < 0, np.arange(len(parent)), parent)
        while (top[top] != top).any():
            top = top[top]
        roots, feature = np.unique(top, return_inverse=True)
        return feature.reshape(-1).astype(np.int64), len(roots)

    # ------------------------------------------------------------------ geometry

    def _geometries(self, lods: list[str] | None) -> pa.Table:
        """Return the geometries to write in absolute coordinates, footprints of objects without any among them."""
        table = self.city.tables["geometries"]
        spare = pc.equal(table["role"], "alternative")  # CityJSON has no word for the view of another source
        self.losses.add("geometries of the role alternative", pc.sum(spare).as_py() or 0)
        table = table.filter(pc.invert(spare))
        bare = self._flat_objects(table)
        if lods is not None:
            chosen = pc.is_in(table["lod"], pa.array(lods))
            self.losses.add("geometries of other levels of detail, left out as asked", table.num_rows - (pc.sum(chosen).as_py() or 0))
            table = table.filter(chosen)
        moved = table.set_column(table.column_names.index("vertices"), "vertices", shift(table["vertices"], self.city.origin))
        moved = moved_matrices(moved, _step(self.city.origin))
        columns = ["key", "object", "lod", "type", "vertices", "boundaries", "semantics", "template", "matrix"]
        roles = table["role"].to_pylist()
        self.losses.add("geometries marked as mesh", roles.count("mesh"))
        both = pa.concat_tables([moved.select(columns), bare], promote_options="permissive").combine_chunks()
        stored = {name: SCHEMAS["geometries"].field(name) for name in columns[4:]}
        return both.cast(pa.schema([stored.get(field.name, field) for field in both.schema]))

    def _anchors(self, geometries: pa.Table) -> tuple[Ints, Reals]:
        """Return the rows that are uses of templates, and their matrices, shape (n, 4, 4)."""
        rows = np.flatnonzero(np.asarray(geometries["template"].is_valid().to_numpy()))
        return rows, matrices_of(geometries["matrix"].take(pa.array(rows)))

    def _corners(self, geometries: pa.Table) -> Reals:
        """Return the corners of the boxes of all uses of templates, shape (n, 3)."""
        _, low, high = instance_boxes(geometries, self.city.tables["templates"])
        return np.concatenate([low, high])

    def _instance_text(self, geometries: pa.Table, templates: pa.Table, row: int, anchor: int, matrix: list[float]) -> str:
        number = pc.index(templates["key"], geometries["template"][row]).as_py()
        flat = orjson.dumps(matrix).decode()
        return f'{{"type":"GeometryInstance","template":{number},"boundaries":[{anchor}],"transformationMatrix":{flat}}}'

    def _flat_objects(self, table: pa.Table) -> pa.Table:
        """Return LoD0 geometries for objects that have nothing but a footprint."""
        from cim.loaders.cityjson.footprint import flat_geometries

        objects = self.city.tables["objects"]
        solid = np.isin(np.asarray(objects["key"].to_numpy()), np.asarray(table["object"].to_numpy()))
        whole = np.isin(np.asarray(objects["key"].to_numpy()), pc.drop_null(objects["parent"]).to_numpy())
        rows = np.flatnonzero(~solid & ~whole & np.asarray(objects["footprint"].is_valid().to_numpy()))
        made = flat_geometries(self.city, rows)
        self.losses.add("footprints written as LoD0 geometry", made.num_rows, objects["id"][int(rows[0])].as_py() if len(rows) else "")
        return made

    def _quantised(self, points: Reals, anchors: Reals) -> tuple[dict[str, Any], Ints]:
        """Return the transform and the points as integers; a transform that does not give the points back is not used."""
        angular = not self.city.crs.is_projected
        everything = np.concatenate([points, anchors[:, :3, 3]])
        low = np.floor(everything.min(axis=0)) if len(everything) else np.zeros(3)
        finest = [(1e-9, 1e-11) if angular else (0.001, 1e-4, 1e-5, 1e-6)][0]
        tries = [([step, step, min(step * 1e6, 0.001) if angular else step], low.tolist()) for step in finest]
        kept = self.extra.get("transform")
        if kept:
            tries.insert(0, (kept["scale"], kept["translate"]))
        tolerance = np.array([1e-10, 1e-10, _EXACT]) if angular else np.full(3, _EXACT)
        errors = []
        for scale, translate in tries:
            whole = np.rint((points - translate) / scale)
            back = whole * np.asarray(scale) + np.asarray(translate)
            errors.append(np.abs(back - points).max(axis=0, initial=0.0))
            if (errors[-1] <= tolerance).all() and (np.abs(whole) < 1 << 53).all():
                return {"scale": list(scale), "translate": list(translate)}, whole.astype(np.int64)
        choice = 1 if kept else 0
        scale, translate = tries[choice]
        self.losses.add(f"coordinates rounded to {scale[0]:g} (largest change {errors[choice].max():.2g})", len(points))
        return {"scale": scale, "translate": translate}, np.rint((points - translate) / scale).astype(np.int64)

    def _geometry_texts(self, geometries: pa.Table, row: Ints, wear: Wear) -> list[str]:
        """Return each geometry as JSON text."""
        surfaces = self._surface_texts(geometries)
        out: list[str] = []
        first = 0
        for start in range(0, geometries.num_rows, _BLOCK):
            part = geometries.slice(start, _BLOCK).combine_chunks()
            flat = flatten(part)
            kinds = np.asarray(part["type"].to_pylist(), object)
            bounds = boundary_texts(flat, kinds, row[first + flat.index])
            face, fits = faces_of(flat, _one(part["semantics"]))
            values = semantic_texts(flat, kinds, face)
            first += len(flat.vertices)
            described = zip(kinds.tolist(), part["lod"].to_pylist(), bounds, values, fits.tolist(), part["key"].to_pylist(), strict=True)
            for kind, lod, boundary, value, given, key in described:
                level = f'"lod":{orjson.dumps(lod).decode()},' if lod else ""
                text = surfaces.get(key) if key is not None else None
                means = f',"semantics":{{"surfaces":[{text or ""}],"values":{value if given else "null"}}}' if text or given else ""
                look = wear.texts.get(key, "") if key is not None else ""
                out.append(f'{{"type":"{kind}",{level}"boundaries":{boundary}{means}{look}}}')
        return out

    def _surface_texts(self, geometries: pa.Table) -> dict[int, str]:
        """Return the semantic surfaces of each geometry as JSON text, without the brackets."""
        table = self.city.tables["surfaces"]
        table = table.filter(pc.is_in(table["geometry"], _one(geometries["key"])))
        names = {kind: to_cityjson(kind) for kind in pc.unique(table["type"]).to_pylist()}
        renamed = [kind for kind, (_, lossy) in names.items() if lossy]
        for kind in renamed:
            count = pc.sum(pc.equal(table["type"], kind)).as_py()
            self.losses.add(f"surface class {kind}, written as {names[kind][0]}", count)
        text = {kind: orjson.dumps(name).decode() for kind, (name, _) in names.items()}
        parts: dict[int, list[str]] = {}
        children = _children(table)
        columns = (table[name].to_pylist() for name in ("geometry", "index", "type", "parent", "attributes"))
        for key, index, kind, parent, attributes in zip(*columns, strict=True):
            line = f'{{"type":{text[kind]}'
            if parent is not None:
                line += f',"parent":{parent}'
            if (key, index) in children:
                line += f',"children":{children[key, index]}'
            parts.setdefault(key, []).append(f"{line},{attributes[1:]}" if attributes and attributes != "{}" else f"{line}}}")
        return {key: ",".join(lines) for key, lines in parts.items()}

    def _check_places(self, geometries: pa.Table) -> None:
        """Compare footprints and heights with those that reading will derive."""
        from cim.model.footprints import derive_places

        objects = self.city.tables["objects"]
        geometries = explicit(geometries, self.city.tables["templates"])
        keys = objects["key"].combine_chunks()
        keys = keys.chunk(0) if isinstance(keys, pa.ChunkedArray) else keys
        table = geometries.set_column(1, "object", pc.index_in(geometries["object"], keys).cast(pa.int64()))
        parent = np.asarray(pc.fill_null(pc.index_in(objects["parent"], keys), -1).to_numpy(), np.int64)
        types = objects["type"].to_pylist()
        lost_places(self.city, derive_places(table, len(objects), ground=self._ground(geometries), parent=parent, types=types), self.losses)

    def _ground(self, geometries: pa.Table) -> NDArray[np.bool_]:
        """Return which faces are ground surfaces."""
        flat = flatten(geometries)
        face, _ = faces_of(flat, _one(geometries["semantics"]))
        surfaces = self.city.surface_table(self.city.tables["geometries"])
        ground = surfaces.filter(pc.equal(surfaces["type"], "GroundSurface"))
        marks = np.asarray(ground["geometry"].to_numpy(), np.int64) << 32 | np.asarray(ground["index"].to_numpy(), np.int64)
        key = np.asarray(pc.fill_null(geometries["key"], -1).to_numpy(), np.int64)[flat.geometry_of_surface]
        return np.asarray(np.isin(key << 32 | np.maximum(face, 0), marks) & (face >= 0) & (key >= 0))

    # ------------------------------------------------------------------ objects

    def _objects(self, geometries: pa.Table, texts: list[str], members: dict[int, dict[str, Any]]) -> dict[str, Any]:
        """Return the member CityObjects."""
        objects = self.city.tables["objects"]
        keys, ids, kinds = (objects[name].to_pylist() for name in ("key", "id", "type"))
        name_of = dict(zip(keys, ids, strict=True))
        written = {kind: to_cityjson(kind, as_object=True) for kind in set(kinds)}
        for kind, (name, lossy) in written.items():
            self.losses.add(f"class {kind}, written as {name}", kinds.count(kind) if lossy else 0)
        attributes = written_attributes(self.city, self.losses, str(self.extra.get("name", "name")), came_from_file=bool(self.extra))
        for key, name, value in self._nested():
            attributes.setdefault(key, {})[name] = value
        lost_values(self.city, attributes, self.losses)
        drawn: dict[int, list[orjson.Fragment]] = {}
        for key, text in zip(geometries["object"].to_pylist(), texts, strict=True):
            drawn.setdefault(key, []).append(orjson.Fragment(text))
        parents, children = self._links(name_of, kinds)
        out: dict[str, Any] = {}
        for key, id, kind in zip(keys, ids, kinds, strict=True):
            one = {"type": written[kind][0], "attributes": attributes.get(key), "geometry": drawn.get(key), "parents": parents.get(key),
                   "children": children.get(key), **members.get(key, {})}  # fmt: skip
            out[_free(id, out)] = {name: value for name, value in one.items() if value is not None}
        return out

    def _nested(self) -> list[tuple[int, str, Any]]:
        table = self.city.tables["properties"].filter(pc.field("set") == ATTRIBUTE_SET)
        rows = zip(table["object"].to_pylist(), table["name"].to_pylist(), table["value"].to_pylist(), strict=True)
        return [(key, name, orjson.Fragment(value)) for key, name, value in rows]

    def _links(self, name_of: dict[int, str], kinds: list[str]) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
        """Return parents and children of each object, groups included."""
        objects, relations = self.city.tables["objects"], self.city.tables["relations"]
        kind_of = dict(zip(name_of, kinds, strict=True))
        objects = objects.filter(pc.is_valid(objects["parent"]))
        pairs = list(zip(objects["key"].to_pylist(), objects["parent"].to_pylist(), strict=True))
        for subject, predicate, other in zip(*(relations[c].to_pylist() for c in ("subject", "predicate", "object")), strict=True):
            if predicate == "partOf":
                pairs.append((subject, other))
            elif predicate == "contains" and kind_of.get(subject) == "CityObjectGroup":
                pairs.append((other, subject))
            elif predicate == "contains":
                self.losses.add("relations contains outside groups", 1, name_of.get(subject, ""))
        parents: dict[int, list[str]] = {}
        children: dict[int, list[str]] = {}
        for part, whole in dict.fromkeys(pairs):
            if part in name_of and whole in name_of:
                parents.setdefault(part, []).append(name_of[whole])
                children.setdefault(whole, []).append(name_of[part])
        return parents, children

    def _members(self) -> tuple[dict[int, dict[str, Any]], Reals, Ints]:
        """Return the other members of the objects by key, the places that addresses hold, shape (p, 3), and whose they are."""
        table = self.city.tables["properties"].filter(pc.field("set") == MEMBER_SET)
        members: dict[int, dict[str, Any]] = {}
        places: list[list[float]] = []
        owners: list[int] = []
        for key, name, value in zip(table["object"].to_pylist(), table["name"].to_pylist(), table["value"].to_pylist(), strict=True):
            member = orjson.loads(value)
            for one in member if name == "address" and isinstance(member, list) else [member] if name == "address" else []:
                location = one.get("location") if isinstance(one, dict) else None
                if isinstance(location, dict) and "coordinates" in location:
                    found = location.pop("coordinates")
                    location["boundaries"] = list(range(len(places), len(places) + len(found)))
                    places += found
                    owners += [key] * len(found)
            members.setdefault(key, {})[name] = member
        return members, np.asarray(places, float).reshape(-1, 3), self._object_rows(pa.chunked_array([owners], pa.int64()))

    # ------------------------------------------------------------------ metadata

    def _members_of_file(self) -> dict[str, Any]:
        """Return the members of the file that were kept as they were: metadata, extensions, their root properties."""
        kept = self.extra.get("members")
        return dict(kept) if isinstance(kept, dict) else {}

    def _metadata(self, points: Reals) -> dict[str, Any]:
        kept = self._members_of_file().get("metadata")
        metadata = dict(kept) if isinstance(kept, dict) else {}
        system = self._reference_system(metadata.get("referenceSystem"))
        metadata.pop("referenceSystem", None)
        if system:
            metadata["referenceSystem"] = system
        stated = metadata.get("geographicalExtent")
        if len(points) and not _covers(stated, points):
            metadata["geographicalExtent"] = [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]
            self.losses.add("stated extent, replaced by that of the coordinates", int(stated is not None), stated)
        return metadata

    def _reference_system(self, stated: Any) -> str:
        from cim.crs import parse

        crs = self.city.crs
        if isinstance(stated, str):
            try:
                if parse(stated) == crs:
                    return stated
            except CRSError:
                stated = None
        url = "https://www.opengis.net/def/crs/{}/0/{}".format
        code = crs.to_string()
        if code.endswith("+ellipsoidal"):
            self.losses.add("ellipsoidal heights: CityJSON cannot name them with this system", 1, code)
            code = code.removesuffix("+ellipsoidal")
        parts = [part.split(":") for part in code.split("+")] if len(code) < 60 else []
        parts = [part if len(part) == 2 else [parts[0][0], *part] for part in parts]
        if not parts:
            self.losses.add("coordinate system that has no code", 1, crs.name)
            return ""
        if len(parts) == 1:
            return url(*parts[0])
        return "https://www.opengis.net/def/crs-compound?" + "&".join(f"{n}={url(*part)}" for n, part in enumerate(parts, 1))


def _step(by: Reals) -> Reals:
    """Return the matrix of a move."""
    matrix = np.eye(4)
    matrix[:3, 3] = by
    return matrix


def _on_grid(transform: dict[str, Any], rows: Ints, matrices: Reals) -> tuple[Ints, Reals]:
    """Return the grid point each use of a template is anchored at, and its matrix from there, flat, shape (n, 16)."""
    scale, translate = np.asarray(transform["scale"]), np.asarray(transform["translate"])
    left = matrices.copy()
    whole = np.rint((matrices[:, :3, 3] - translate) / scale)
    left[:, :3, 3] -= whole * scale + translate
    left[:, :3, 3] = np.where(np.abs(left[:, :3, 3]) < _NOTHING, 0.0, left[:, :3, 3])
    return whole.astype(np.int64), left.reshape(len(rows), 16)


def _covers(extent: Any, points: Reals) -> bool:
    """Return whether an extent is one, and holds all points to the millimetre."""
    if not (isinstance(extent, list) and len(extent) == 6 and all(isinstance(v, int | float) and math.isfinite(v) for v in extent)):
        return False
    return bool((points >= np.subtract(extent[:3], 0.001)).all() and (points <= np.add(extent[3:], 0.001)).all())


def _free(id: str, taken: dict[str, Any]) -> str:
    """Return an id that is not taken: an object that was valid in several periods stands once per period."""
    number, free = 2, id
    while free in taken:
        free, number = f"{id}#{number}", number + 1
    return free


def _located(members: dict[int, dict[str, Any]], row: Ints) -> dict[int, dict[str, Any]]:
    """Put the vertices of the file into the locations of addresses."""
    for one in members.values():
        address = one.get("address")
        for entry in address if isinstance(address, list) else [address]:
            location = entry.get("location") if isinstance(entry, dict) else None
            if isinstance(location, dict) and isinstance(location.get("boundaries"), list):
                location["boundaries"] = row[location["boundaries"]].tolist()
    return members


def _children(table: pa.Table) -> dict[tuple[int, int], list[int]]:
    """Return the children of each semantic surface."""
    table = table.filter(pc.is_valid(table["parent"]))
    out: dict[tuple[int, int], list[int]] = {}
    for key, index, parent in zip(*(table[name].to_pylist() for name in ("geometry", "index", "parent")), strict=True):
        out.setdefault((key, parent), []).append(index)
    return out


def _one(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
