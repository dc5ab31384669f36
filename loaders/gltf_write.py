"""A City to glTF 2.0 binary (.glb): one mesh per class, every object a feature with its id and attributes, and what glTF cannot hold.

Feature ids are those of EXT_mesh_features, attributes those of EXT_structural_metadata; readers without either still see the shapes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim import __version__
from cim.errors import LimitError, UsageError
from cim.loaders.export_losses import lost_tables
from cim.loaders.gltf_file import ELEMENT_ARRAY, VERTEX_ARRAY, Glb
from cim.loaders.gltf_looks import Looks
from cim.loaders.gltf_shapes import TRIANGLES, Drawing, Piece, draw, drawing
from cim.loaders.gltf_table import PropertyTables
from cim.model.instances import instance_boxes, matrices
from cim.model.loss import Losses
from cim.model.schema import one_array
from cim.progress import track

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.loss import LossReport

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["HELD", "Y_UP", "write_gltf"]

HELD = frozenset({"objects", "geometries", "templates", "appearances", "materials", "textures"})
"""Tables that a glTF file holds, as far as they are drawn."""
Y_UP = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])
"""From east, north, up to the axes of glTF, whose second points up."""
_BLOCK = 20_000  # geometries turned into triangles at once
_FEATURES = 1 << 24  # whole numbers that a float32 feature id tells apart


def write_gltf(city: City, path: str | Path, *, lod: str | None = None) -> LossReport:
    """Write a city as one ``.glb`` file and return what the file does not hold.

    Parameters
    ----------
    path
        File to write; it is replaced whole or not at all.
    lod
        Level of detail to draw (``"2.2"``; ``"2"`` for the finest of 2.x); the finest of each object without it.

    Returns
    -------
    LossReport
        One row per kind of loss; the rounding of the coordinates to float32 is one of them, with its largest value [m].

    Raises
    ------
    UsageError
        If the city does not count in metres.
    LimitError
        If the file would be longer than 4 GiB, or a class has more objects than feature ids can number.

    Notes
    -----
    Positions are float32 relative to a centre in whole metres, x east, y up, z south; the node above all meshes moves them back, and
    ``asset.extras`` holds the centre in the order east, north, up, and the coordinate system. Objects without geometry are drawn as
    their footprint, flat on their ground. A template used several times is one mesh with a node per use, named by the object's id.
    """
    if not (city.crs.is_local or city.crs.is_projected) or city.crs.linear_unit_factor != 1.0:
        msg = f"the city is in {city.crs.name}, which does not count in metres as glTF does; transform it to a projected system first"
        raise UsageError(msg)
    losses = Losses()
    writing = _Writing(city, losses, drawing(city, lod, losses))
    writing.run()
    writing.glb.write(Path(path))
    return losses.report()


@dataclass
class _Primitive:
    """Pieces of one look and kind, to become one primitive."""

    pieces: list[tuple[Piece, Ints]] = field(default_factory=list)
    """Each with the feature of its vertices."""


@dataclass
class _Writing:
    """One writing: the document, and what is shared by all meshes."""

    city: City
    losses: Losses
    drawn: Drawing
    glb: Glb = field(default_factory=lambda: Glb({}))
    residual: float = 0.0
    vertices: int = 0

    def __post_init__(self) -> None:
        self.looks = Looks(self.city, self.losses)
        self.centre = _centre(self.city, self.drawn)
        self.used: set[str] = set()

    def run(self) -> None:
        """Fill the document."""
        crs = self.city.crs
        extras = {
            "crs": crs.to_string(), "vertical": None if crs.vertical is None else crs.vertical.name,
            "origin": (self.centre + self.city.origin).tolist(), "axes": "x east, y up, z south; origin is east, north, up",
            "unit": "metre", "time_zone": self.city.time_zone,
        }  # fmt: skip
        self.glb.json |= {"asset": {"version": "2.0", "generator": f"cim-toolkit {__version__}", "extras": extras}, "scene": 0}
        tables = PropertyTables(self.city, self.glb, self.losses)
        root = self.glb.add("nodes", {})
        children = self._classes(tables)
        place = Y_UP @ (self.centre + self.city.origin)
        self.glb.json["nodes"][root] = {"name": self.city.name or "city", "translation": (place + 0.0).tolist()}
        if children:
            self.glb.json["nodes"][root]["children"] = children
        self.glb.json["scenes"] = [{"name": self.city.name or "city", "nodes": [root]}]
        self._paint()
        tables.finish()
        if self.used:
            self.glb.json.setdefault("extensionsUsed", []).extend(sorted(self.used))
        self._count()

    # ------------------------------------------------------------------ classes

    def _classes(self, tables: PropertyTables) -> list[int]:
        """Add a table, a mesh and the nodes of every class; return the nodes."""
        objects = self.city.tables.scan("objects", ["key", "id", "type"])
        keys, types = np.asarray(objects["key"].to_numpy(), np.int64), objects["type"].to_numpy(zero_copy_only=False)
        self.types = types
        own, used = (np.asarray(table["object"].to_numpy(), np.int64) for table in (self.drawn.explicit, self.drawn.instances))
        row, use = np.searchsorted(keys, own), np.searchsorted(keys, used)
        nodes = []
        with track(total=len(row) + len(use), label="export glTF", unit="geometries") as bar:
            for type in sorted(self.city.types()):
                mine = keys[types == type]
                if len(mine) > _FEATURES:
                    reason = f"has {len(mine):,} objects of class {type}; glTF numbers {_FEATURES:,} features"
                    raise LimitError(self.city.name or "city", reason, "export a part of the city (city.subset)")
                table = tables.add(type)
                mesh = self._mesh(type, np.flatnonzero(types[row] == type), mine, table, bar)
                if mesh is not None:
                    nodes.append(self.glb.add("nodes", {"name": type, "mesh": mesh}))
                nodes += self._instances(type, np.flatnonzero(types[use] == type), mine, table, bar)
        without = len(np.setdiff1d(keys, np.concatenate([own, used])))
        self.losses.add("objects that are not drawn, which stand in the property table only", without)
        return nodes

    def _mesh(self, type: str, rows: Ints, keys: Ints, table: int, bar: Any) -> int | None:
        """Add the mesh of a class and return its index; None where nothing is drawn."""
        found: dict[tuple[int, int], _Primitive] = {}
        for start in range(0, len(rows), _BLOCK):
            part = self.drawn.explicit.take(pa.array(rows[start : start + _BLOCK]))
            feature = np.searchsorted(keys, np.asarray(part["object"].to_numpy(), np.int64))
            for piece in draw(part, self.looks, type, self.losses):
                primitive = found.setdefault((piece.mode, piece.look), _Primitive())
                primitive.pieces.append((piece, feature[piece.row]))
            bar.advance(part.num_rows)
        if not found:
            return None
        primitives = [self._primitive(one.pieces, table, self.centre) for _, one in sorted(found.items())]
        return self.glb.add("meshes", {"name": type, "primitives": primitives})

    def _primitive(self, pieces: list[tuple[Piece, Ints]], table: int | None, centre: Reals) -> dict[str, Any]:
        """Add the arrays of some pieces of one look and kind, and return the primitive."""
        mode, look = pieces[0][0].mode, pieces[0][0].look
        exact = np.concatenate([piece.points - centre for piece, _ in pieces]) @ Y_UP.T
        points = exact.astype(np.float32)
        self.residual = max(self.residual, float(np.abs(exact - points).max(initial=0.0)))
        self.vertices += len(points)
        attributes = {"POSITION": self.glb.accessor(points, VERTEX_ARRAY, bounds=True)}
        if mode == TRIANGLES:
            normals = np.concatenate([piece.normals for piece, _ in pieces if piece.normals is not None]) @ Y_UP.T
            attributes["NORMAL"] = self.glb.accessor(normals.astype(np.float32), VERTEX_ARRAY)
        if pieces[0][0].uv is not None:
            uv = np.concatenate([piece.uv for piece, _ in pieces if piece.uv is not None])
            flipped = np.column_stack([uv[:, 0], 1.0 - uv[:, 1]]).astype(np.float32)
            attributes["TEXCOORD_0"] = self.glb.accessor(flipped, VERTEX_ARRAY)
        first = np.cumsum([0] + [len(piece.points) for piece, _ in pieces])
        index = np.concatenate([piece.index + shift for (piece, _), shift in zip(pieces, first.tolist(), strict=False)])
        small = np.uint16 if len(points) < np.iinfo(np.uint16).max else np.uint32
        made: dict[str, Any] = {"attributes": attributes, "indices": self.glb.accessor(index.astype(small), ELEMENT_ARRAY), "mode": mode}
        made["material"] = look  # exchanged for the index of the material once all are known
        if table is not None:
            features = np.concatenate([feature for _, feature in pieces])
            attributes["_FEATURE_ID_0"] = self.glb.accessor(features.astype(np.float32), VERTEX_ARRAY)
            told = {"featureCount": len(np.unique(features)), "attribute": 0, "propertyTable": table, "label": "objects"}
            made["extensions"] = {"EXT_mesh_features": {"featureIds": [told]}}
            self.used.add("EXT_mesh_features")
        return made

    # ------------------------------------------------------------------ templates

    def _instances(self, type: str, rows: Ints, keys: Ints, table: int, bar: Any) -> list[int]:
        """Add a mesh per template that a class uses, and a node per use; return the nodes."""
        if not len(rows):
            return []
        uses = self.drawn.instances.take(pa.array(rows))
        template = np.asarray(uses["template"].to_numpy(), np.int64)
        meshes = self._templates(type, np.unique(template))
        owner = np.asarray(uses["object"].to_numpy(), np.int64)
        feature, ids = np.searchsorted(keys, owner).tolist(), self.city.ids(owner)
        moved = self._node_matrices(uses)
        nodes = []
        for key, id, number, matrix in zip(template.tolist(), ids, feature, moved.tolist(), strict=True):  # a node is text of its own
            if key in meshes:
                extras = {"id": id, "class": type, "propertyTable": table, "featureId": number}
                nodes.append(self.glb.add("nodes", {"name": id, "mesh": meshes[key], "matrix": matrix, "extras": extras}))
        bar.advance(len(rows))
        return nodes

    def _node_matrices(self, uses: pa.Table) -> Reals:
        """Return the matrices of the nodes, column after column as glTF has them, shape (n, 16)."""
        matrix = matrices(uses["matrix"]).copy()
        matrix[:, :3, 3] -= self.centre
        turn = np.eye(4)
        turn[:3, :3] = Y_UP
        return (turn @ matrix @ turn.T).transpose(0, 2, 1).reshape(-1, 16) + 0.0

    def _templates(self, type: str, wanted: Ints) -> dict[int, int]:
        """Add the meshes of templates and return their indices by key."""
        table = self.city.tables["templates"]
        table = table.filter(pc.is_in(table["key"], pa.array(wanted)))
        keys = table["key"].to_pylist()
        found: dict[int, list[dict[str, Any]]] = {}
        for piece in draw(table.append_column("shape", table["key"]), self.looks, type, self.losses):
            corner = piece.row[piece.index]
            order = np.argsort(corner, kind="stable")
            for row in np.unique(corner).tolist():
                first, last = np.searchsorted(corner[order], [row, row + 1])
                vertex, index = np.unique(piece.index[order[first:last]], return_inverse=True)
                normals, uv = (None if values is None else values[vertex] for values in (piece.normals, piece.uv))
                one = Piece(piece.mode, piece.look, piece.points[vertex], normals, piece.row[vertex], uv, index.reshape(-1))
                found.setdefault(keys[row], []).append(self._primitive([(one, one.row)], None, np.zeros(3)))
        return {key: self.glb.add("meshes", {"name": f"{type} template {key}", "primitives": made}) for key, made in found.items()}

    # ------------------------------------------------------------------ the end

    def _paint(self) -> None:
        """Write the materials and name them where primitives name their look."""
        made = self.looks.write(self.glb)
        for mesh in self.glb.json.get("meshes", []):
            for primitive in mesh["primitives"]:
                primitive["material"] = made[primitive["material"]]

    def _count(self) -> None:
        """Count what is not in the file."""
        surfaces = self.city.tables.rows("surfaces")
        self.losses.add("surfaces: their classes and attributes (roofs, grounds, windows and doors have a colour)", surfaces)
        if self.residual:
            self.losses.add(f"coordinates rounded to 32 bit (largest change {self.residual:.2g} m)", self.vertices)
        lost_tables(self.city, HELD | {"surfaces"}, self.losses)


def _centre(city: City, drawn: Drawing) -> Reals:
    """Return the middle of all that is drawn, in whole metres of the coordinate system, relative to the origin of the city [m]."""
    low, high = [], []
    lists = one_array(drawn.explicit["vertices"]).flatten()
    if len(lists):
        points = np.asarray(lists.flatten().to_numpy(), float).reshape(-1, 3)
        low, high = [points.min(axis=0)], [points.max(axis=0)]
    if drawn.instances.num_rows:
        _, least, most = instance_boxes(drawn.instances, city.tables["templates"])
        low += [least.min(axis=0)] if len(least) else []
        high += [most.max(axis=0)] if len(most) else []
    if not low:
        return np.asarray(-city.origin, float)
    middle = (np.min(low, axis=0) + np.max(high, axis=0)) / 2 + city.origin
    return np.asarray(np.round(middle) - city.origin, float)
