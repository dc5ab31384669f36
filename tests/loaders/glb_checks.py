"""A plain reader of GLB for the tests, by the specification and without our own code: chunks, views, accessors, features, tables."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np

_KINDS = {5121: "<u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_NUMBERS = {"INT32": "<i4", "INT64": "<i8", "UINT64": "<u8", "FLOAT64": "<f8", "UINT8": "<u1", "UINT32": "<u4"}


class Glb:
    """A GLB, every length and index of it checked against the specification on opening."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        magic, version, length = struct.unpack("<4sII", data[:12])
        assert (magic, version, length) == (b"glTF", 2, len(data))
        size, kind = struct.unpack("<I4s", data[12:20])
        assert kind == b"JSON"
        assert size % 4 == 0
        self.json: dict[str, Any] = json.loads(data[20 : 20 + size])
        self.binary = b""
        if 20 + size < len(data):
            length, kind = struct.unpack("<I4s", data[20 + size : 28 + size])
            assert kind == b"BIN\0"
            assert length % 4 == 0
            assert (28 + size) % 8 == 0
            self.binary = data[28 + size :]
            assert len(self.binary) == length == self.json["buffers"][0]["byteLength"]
        self._check_views()
        self._check_nodes()
        for mesh in self.json.get("meshes", []):
            for primitive in mesh["primitives"]:
                self._check_primitive(primitive)
        self.tables = self._read_tables()

    def _check_views(self) -> None:
        end = 0
        for view in self.json.get("bufferViews", []):
            assert view["buffer"] == 0
            assert view["byteLength"] > 0
            assert view["byteOffset"] % 8 == 0
            assert view["byteOffset"] >= end, "views overlap"
            end = view["byteOffset"] + view["byteLength"]
            assert end <= len(self.binary)
        used = self.json.get("extensionsUsed", [])
        assert len(set(used)) == len(used)
        for image in self.json.get("images", []):
            magic = {"image/png": b"\x89PNG", "image/jpeg": b"\xff\xd8\xff"}[image["mimeType"]]
            assert self.bytes_of(image["bufferView"]).startswith(magic)
        for texture in self.json.get("textures", []):
            assert texture["source"] < len(self.json["images"])
            assert texture["sampler"] < len(self.json["samplers"])

    def _check_nodes(self) -> None:
        nodes = self.json["nodes"]
        children = [child for node in nodes for child in node.get("children", [])]
        roots = self.json["scenes"][self.json["scene"]]["nodes"]
        assert sorted(children + roots) == list(range(len(nodes))), "a node is reached never or twice"
        for node in nodes:
            assert ("mesh" not in node) or node["mesh"] < len(self.json["meshes"])
            assert not ("matrix" in node and "translation" in node)
            assert "children" not in node or node["children"], "an empty list is not allowed"

    def bytes_of(self, view: int) -> bytes:
        """Return the bytes of a view."""
        one = self.json["bufferViews"][view]
        return self.binary[one["byteOffset"] : one["byteOffset"] + one["byteLength"]]

    def array(self, accessor: int) -> Any:
        """Return an accessor as an array, its bounds checked."""
        one = self.json["accessors"][accessor]
        width = _WIDTHS[one["type"]]
        data = self.bytes_of(one["bufferView"])
        kind = np.dtype(_KINDS[one["componentType"]])
        assert len(data) == one["count"] * width * kind.itemsize
        values = np.frombuffer(data, kind).reshape(one["count"], width)
        for name, extreme in (("min", values.min(axis=0)), ("max", values.max(axis=0))):
            assert name not in one or extreme.tolist() == one[name]
        return values

    def _check_primitive(self, primitive: dict[str, Any]) -> None:
        attributes = primitive["attributes"]
        position = self.array(attributes["POSITION"])
        assert {"min", "max"} <= set(self.json["accessors"][attributes["POSITION"]])
        assert np.isfinite(position).all()
        for name, accessor in attributes.items():
            assert len(self.array(accessor)) == len(position), name
            assert self.json["bufferViews"][self.json["accessors"][accessor]["bufferView"]]["target"] == 34962
        index = self.array(primitive["indices"])
        assert self.json["bufferViews"][self.json["accessors"][primitive["indices"]]["bufferView"]]["target"] == 34963
        assert len(index) % {4: 3, 1: 2, 0: 1}[primitive["mode"]] == 0
        assert index.max() < len(position)
        assert len(np.unique(index)) == len(position), "a vertex that nothing uses"
        if "NORMAL" in attributes:
            assert np.abs(np.linalg.norm(self.array(attributes["NORMAL"]), axis=1) - 1).max() < 1e-5  # float32
        material = self.json["materials"][primitive["material"]]
        assert ("baseColorTexture" in material["pbrMetallicRoughness"]) == ("TEXCOORD_0" in attributes)
        for told in primitive.get("extensions", {}).get("EXT_mesh_features", {}).get("featureIds", []):
            ids = self.array(attributes[f"_FEATURE_ID_{told['attribute']}"])
            assert len(np.unique(ids)) == told["featureCount"]
            table = self.json["extensions"]["EXT_structural_metadata"]["propertyTables"][told["propertyTable"]]
            assert 0 <= ids.min() <= ids.max() < table["count"]
            assert (ids == np.rint(ids)).all()

    def _read_tables(self) -> dict[str, dict[str, list[Any]]]:
        """Return every property table: columns by the name they have in the city."""
        extension = self.json.get("extensions", {}).get("EXT_structural_metadata")
        if extension is None:
            return {}
        assert "EXT_structural_metadata" in self.json["extensionsUsed"]
        schema, out = extension["schema"], {}
        for table in extension["propertyTables"]:
            properties = schema["classes"][table["class"]]["properties"]
            assert set(table["properties"]) == set(properties)
            assert all(re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) for name in [table["class"], *properties])
            columns = {}
            for key, held in table["properties"].items():
                columns[properties[key]["name"]] = self._column(properties[key], held, table["count"], schema)
            out[table["name"]] = columns
        return out

    def _column(self, told: dict[str, Any], held: dict[str, Any], count: int, schema: dict[str, Any]) -> list[Any]:
        data = self.bytes_of(held["values"])
        values: list[Any]
        if told["type"] == "STRING":
            ends = np.frombuffer(self.bytes_of(held["stringOffsets"]), _NUMBERS[held["stringOffsetType"]], count + 1)
            values = [data[a:b].decode() for a, b in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]
        elif told["type"] == "BOOLEAN":
            values = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[:count].astype(bool).tolist()
        elif told["type"] == "ENUM":
            enum = schema["enums"][told["enumType"]]
            names = {one["value"]: one["name"] for one in enum["values"]}
            values = [names[value] for value in np.frombuffer(data, _NUMBERS[enum["valueType"]], count).tolist()]
        else:
            values = np.frombuffer(data, _NUMBERS[told["componentType"]], count).tolist()
        assert ("noData" in told) != told.get("required", False)
        return [None if "noData" in told and value == told["noData"] else value for value in values]

    def placed(self, node: int, matrix: Any = None) -> list[tuple[dict[str, Any], dict[str, Any], Any]]:
        """Return (node, primitive, positions east, north, up in float64) of everything below a node."""
        one = self.json["nodes"][node]
        own = np.eye(4)
        if "matrix" in one:
            own = np.array(one["matrix"], float).reshape(4, 4).T
        own[:3, 3] += one.get("translation", [0, 0, 0])
        matrix = own if matrix is None else matrix @ own
        found = []
        for primitive in self.json["meshes"][one["mesh"]]["primitives"] if "mesh" in one else []:
            points = self.array(primitive["attributes"]["POSITION"]).astype(float) @ matrix[:3, :3].T + matrix[:3, 3]
            found.append((one, primitive, np.column_stack([points[:, 0], -points[:, 2], points[:, 1]])))
        for child in one.get("children", []):
            found += self.placed(child, matrix)
        return found

    def all_placed(self) -> list[tuple[dict[str, Any], dict[str, Any], Any]]:
        """Return everything in the scene."""
        return [one for root in self.json["scenes"][0]["nodes"] for one in self.placed(root)]
