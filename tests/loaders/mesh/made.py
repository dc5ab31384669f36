"""Small meshes written by the tests themselves, and the box they show."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

BOX = np.array([[x, y, z] for z in (0, 10) for y in (0, 10) for x in (0, 10)], float)
FACES = np.array([[0, 2, 3], [0, 3, 1], [4, 5, 7], [4, 7, 6], [0, 1, 5], [0, 5, 4], [2, 6, 7], [2, 7, 3], [0, 4, 6], [0, 6, 2],
                  [1, 3, 7], [1, 7, 5]])  # fmt: skip

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301010018dd8db00000000049454e44ae426082"
)
"""One red pixel."""


def obj_text(points: np.ndarray[Any, Any], faces: np.ndarray[Any, Any]) -> str:
    """Return a mesh as OBJ."""
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in points.tolist()]
    return "\n".join([*lines, *(f"f {a + 1} {b + 1} {c + 1}" for a, b, c in faces.tolist())]) + "\n"


def write_glb(path: Path, document: dict[str, Any], binary: bytes) -> Path:
    """Write a binary glTF."""
    path.write_bytes(glb(document, binary))
    return path


def glb(document: dict[str, Any], binary: bytes) -> bytes:
    """Return a binary glTF."""
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(binary), 0x004E4942) + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


class Buffers:
    """Collects arrays as accessors."""

    def __init__(self) -> None:
        self.data = b""
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, data: bytes) -> int:
        """Add bytes and return the number of their bufferView."""
        self.data += b"\0" * (-len(self.data) % 8)
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data)})
        self.data += data
        return len(self.views) - 1

    def add(self, array: np.ndarray[Any, Any], kind: str, component: int, **more: Any) -> int:
        """Add an array and return the number of its accessor."""
        self.accessors.append(
            {"bufferView": self.view(array.tobytes()), "componentType": component, "count": len(array), "type": kind, **more}
        )
        return len(self.accessors) - 1

    def document(self, **members: Any) -> dict[str, Any]:
        """Return the document around the arrays."""
        return {"asset": {"version": "2.0"}, "buffers": [{"byteLength": len(self.data)}], "bufferViews": self.views,
                "accessors": self.accessors, **members}  # fmt: skip


def box_gltf(**node: Any) -> tuple[dict[str, Any], bytes]:
    """Return a document of the box at one node, its second axis up as glTF has it."""
    buffers = Buffers()
    up = np.column_stack([BOX[:, 0], BOX[:, 2], -BOX[:, 1]]).astype("<f4")
    attributes = {"POSITION": buffers.add(up, "VEC3", 5126)}
    indices = buffers.add(FACES.reshape(-1).astype("<u2"), "SCALAR", 5123)
    mesh = {"primitives": [{"attributes": attributes, "indices": indices}], "name": "box"}
    return buffers.document(meshes=[mesh], nodes=[{"mesh": 0, **node}], scenes=[{"nodes": [0]}], scene=0), buffers.data
