"""glTF 2.0 binary as a file: a document that grows, its arrays, and how both become one GLB that appears whole or not at all.

Knows nothing of cities; `cim.loaders.mesh.gltf` is the reading counterpart.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from cim.errors import LimitError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ELEMENT_ARRAY", "VERTEX_ARRAY", "Glb"]

VERTEX_ARRAY, ELEMENT_ARRAY = 34962, 34963
_COMPONENTS = {"float32": 5126, "uint32": 5125, "uint16": 5123, "uint8": 5121}
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3"}
_STEP = 8  # bytes: what EXT_structural_metadata asks of every buffer view, and of the place of the binary chunk
_LARGEST = (1 << 32) - 1  # bytes: a GLB counts its length in 32 bits
_HEAD, _CHUNK = 12, 8  # bytes before the first chunk, and before the data of each


@dataclass
class Glb:
    """A glTF document and its bytes, while they are put together."""

    json: dict[str, Any]
    """The document; `add`, `view` and `accessor` fill its arrays."""
    parts: list[bytes | NDArray[Any]] = field(default_factory=list)
    """Contents of the buffer views."""
    length: int = 0
    """Bytes of all parts, each padded."""

    def add(self, name: str, value: dict[str, Any]) -> int:
        """Append to a top-level array and return the index."""
        found = self.json.setdefault(name, [])
        found.append(value)
        return len(found) - 1

    def view(self, data: bytes | NDArray[Any], target: int | None = None) -> int:
        """Add bytes as a buffer view and return its index; nothing at all is one zero byte, for a view may not be empty."""
        data = np.ascontiguousarray(data) if isinstance(data, np.ndarray) else data
        data = data if len(data) else b"\0"
        size = data.nbytes if isinstance(data, np.ndarray) else len(data)
        view = {"buffer": 0, "byteOffset": self.length, "byteLength": size}
        self.parts.append(data)
        self.length += _padded(size)
        return self.add("bufferViews", view if target is None else {**view, "target": target})

    def accessor(self, values: NDArray[Any], target: int, *, bounds: bool = False) -> int:
        """Add an array, shape (n,) or (n, width), and return the index of its accessor.

        Parameters
        ----------
        bounds
            Whether least and greatest value are stated, as positions must.
        """
        width = 1 if values.ndim == 1 else values.shape[1]
        kind = {"componentType": _COMPONENTS[values.dtype.name], "count": len(values), "type": _TYPES[width]}
        extremes = {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()} if bounds else {}
        return self.add("accessors", {"bufferView": self.view(values, target), **kind, **extremes})

    def write(self, path: Path) -> int:
        """Write the file beside its place, then rename it, and return its size [byte].

        Raises
        ------
        LimitError
            If it would be longer than a GLB can be.
        """
        if self.length:
            self.json["buffers"] = [{"byteLength": self.length}]
        text = orjson.dumps(self.json)
        text += b" " * (-(_HEAD + 2 * _CHUNK + len(text)) % _STEP)
        total = _HEAD + _CHUNK + len(text) + (_CHUNK + self.length if self.length else 0)
        if total > _LARGEST:
            reason = f"would be {total:,} bytes, a GLB holds {_LARGEST:,}"
            raise LimitError(path, reason, "export a part of the city (city.subset), or a coarser level of detail (lod=)")
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                file.write(struct.pack("<4sII", b"glTF", 2, total) + struct.pack("<I4s", len(text), b"JSON") + text)
                if self.length:
                    file.write(struct.pack("<I4s", self.length, b"BIN\0"))
                for data in self.parts:
                    size = file.write(data.reshape(-1).view(np.uint8).data if isinstance(data, np.ndarray) else data)
                    file.write(bytes(_padded(size) - size))
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return total


def _padded(size: int) -> int:
    return size + -size % _STEP
