"""glTF 2.0, the low part: the JSON document, its buffers, and accessors as arrays, every declared size checked before it is used.

Knows nothing of scenes or cities: `load` a document, then `accessor`, `view_bytes` and `image_bytes` by index.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CorruptFileError, FormatError, UnsafeInputError
from cim.loaders import json_guard
from cim.loaders.mesh.files import Companions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.limits import Limits

__all__ = ["COMPONENTS", "SUPPORTED", "Document", "accessor", "image_bytes", "is_gltf", "load", "open_document", "view_bytes", "whole"]

_REMEDY = "export or copy it again"
_JSON, _BIN = 0x4E4F534A, 0x004E4942
COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
"""numpy type of each component type of an accessor."""
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
SUPPORTED = frozenset({
    "KHR_mesh_quantization", "KHR_texture_transform", "KHR_materials_unlit", "KHR_materials_pbrSpecularGlossiness", "CESIUM_RTC",
    "EXT_mesh_features", "EXT_structural_metadata", "EXT_feature_metadata", "KHR_materials_specular", "KHR_materials_ior",
    "KHR_materials_emissive_strength", "KHR_materials_clearcoat", "KHR_materials_transmission", "KHR_materials_sheen",
    "KHR_materials_volume", "KHR_lights_punctual", "KHR_xmp_json_ld", "EXT_texture_webp", "KHR_materials_variants",
    "CESIUM_primitive_outline",
})  # fmt: skip
"""Extensions that a file may require: read, or without meaning for shape and place."""


@dataclass(frozen=True)
class Document:
    """A glTF document and its bytes."""

    path: Path
    """File it came from, for messages."""
    json: dict[str, Any]
    buffers: tuple[memoryview, ...]
    """Bytes of each buffer, as long as it declares."""
    companions: Companions = field(repr=False)
    """Finds the files that it names."""

    def items(self, name: str) -> list[dict[str, Any]]:
        """Return a top-level array; empty where there is none, an error where it is something else."""
        found = self.json.get(name, [])
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise CorruptFileError(self.path, f"its glTF member {name!r} is no list of objects", _REMEDY)
        return found

    def item(self, name: str, index: Any, *, what: str = "") -> dict[str, Any]:
        """Return one element of a top-level array.

        Raises
        ------
        CorruptFileError
            If the index is no integer, or out of range.
        """
        found = self.items(name)
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(found):
            reason = f"{what or 'it'} names {name} {json.dumps(index)[:20]}, an index out of range: there are {len(found)}"
            raise CorruptFileError(self.path, reason, _REMEDY)
        return found[index]


def is_gltf(head: bytes) -> bool:
    """Return whether bytes begin like a binary or a JSON glTF file.

    Examples
    --------
    >>> is_gltf(b"glTF" + bytes(8)), is_gltf(b'{"asset": {"version": "2.0"}, "meshes": []}'), is_gltf(b'{"asset": {}, "root": {}}')
    (True, True, False)
    """
    if head.startswith(b"glTF"):
        return True
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start.startswith(b"{"):
        return False
    own = any(word in head for word in (b'"accessors"', b'"bufferViews"', b'"meshes"', b'"nodes"', b'"scenes"', b'"extensionsUsed"'))
    return own and b'"geometricError"' not in head and (b'"asset"' in head or len(head) >= 1 << 16)


def open_document(path: Path, limits: Limits, *, folder: Path | None = None) -> Document:
    """Return the document in a file.

    Parameters
    ----------
    folder
        Folder that the files it names must lie in; that of the file without it.
    """
    return load(path.read_bytes(), path, limits, folder=folder)


def load(data: bytes | memoryview, path: Path, limits: Limits, *, folder: Path | None = None) -> Document:
    """Return the document in bytes, binary or JSON.

    Raises
    ------
    FormatError
        If it is not glTF 2, or requires an extension that is not read.
    CorruptFileError
        If a length it declares is not there.
    UnsafeInputError
        If it names a buffer outside its folder.
    """
    data = bytes(data)
    if data[:4] == b"glTF":
        text, binary = _chunks(data, path)
    else:
        text, binary = data, None
    value = json_guard.parse(path, limits, data=text).value
    if not isinstance(value, dict):
        raise CorruptFileError(path, "is no glTF: its JSON is no object", _REMEDY)
    _check_version(value, path)
    companions = Companions(path, folder or path.parent, encoded=True)
    document = Document(path, value, (), companions)
    buffers = tuple(_buffer(document, place, one, binary) for place, one in enumerate(document.items("buffers")))
    return Document(path, value, buffers, companions)


def _chunks(data: bytes, path: Path) -> tuple[bytes, bytes | None]:
    """Return the JSON and the binary chunk of a GLB."""
    if len(data) < 20:
        raise CorruptFileError(path, f"is a cut GLB of {len(data)} bytes, too short for its header and JSON chunk (length)", _REMEDY)
    _, version, length, size, kind = struct.unpack("<4sIIII", data[:20])
    if version != 2:
        raise FormatError(path, f"is a glTF of version {version}; version 2 is read", "convert it to glTF 2.0")
    if length > len(data):
        raise CorruptFileError(path, f"is a GLB that declares a length of {length:,} bytes, but has {len(data):,} (truncated)", _REMEDY)
    if kind != _JSON or 20 + size > length:
        raise CorruptFileError(
            path, f"its first GLB chunk is no JSON of {size:,} bytes: a chunk length that its {length:,} bytes cannot hold", _REMEDY
        )
    text, place, binary = data[20 : 20 + size], 20 + size, None
    while place + 8 <= length:
        size, kind = struct.unpack("<II", data[place : place + 8])
        if place + 8 + size > length:
            raise CorruptFileError(path, f"its GLB chunk at byte {place:,} declares a length of {size:,} bytes beyond its end", _REMEDY)
        if kind == _BIN and binary is None:
            binary = data[place + 8 : place + 8 + size]
        place += 8 + size
    return text.rstrip(b"\0 "), binary


def _check_version(value: dict[str, Any], path: Path) -> None:
    asset = value.get("asset")
    version = asset.get("version") if isinstance(asset, dict) else None
    if not isinstance(version, str) or not version.startswith("2."):
        shown = json.dumps(version, default=str)[:20]
        raise FormatError(path, f"is a glTF of version {shown}; version 2 is read", "convert it to glTF 2.0")
    required = value.get("extensionsRequired", [])
    unknown = [str(one)[:60] for one in required if one not in SUPPORTED] if isinstance(required, list) else []
    if unknown:
        reason = f"requires the glTF extension {', '.join(unknown[:5])}, which is not read"
        raise FormatError(path, reason, "export it without compression, or decode it, for example with gltf-transform")


def whole(value: Any, path: Path, what: str, *, usual: int | None = None) -> int:
    """Return a count, length or offset that a file declares.

    Raises
    ------
    CorruptFileError
        If it is no integer from 0.
    """
    if value is None and usual is not None:
        return usual
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise CorruptFileError(path, f"its {what} is {json.dumps(value, default=str)[:20]}, expected a count or length from 0", _REMEDY)
    return value


def _buffer(document: Document, place: int, one: dict[str, Any], binary: bytes | None) -> memoryview:
    path = document.path
    length = whole(one.get("byteLength"), path, f"buffer {place} length")
    uri = one.get("uri")
    if uri is None:
        data = binary if place == 0 and binary is not None else b""
    elif not isinstance(uri, str):
        raise CorruptFileError(path, f"its buffer {place} has a uri that is no text", _REMEDY)
    else:
        data = _uri_bytes(document, uri, f"buffer {place}")
    if length > len(data):
        raise CorruptFileError(path, f"its buffer {place} declares a length of {length:,} bytes, but holds {len(data):,}", _REMEDY)
    return memoryview(data)[:length]


def _uri_bytes(document: Document, uri: str, what: str) -> bytes:
    if uri[:5].lower() == "data:":
        head, _, body = uri.partition(",")
        if not head.lower().endswith(";base64"):
            raise CorruptFileError(document.path, f"its {what} is a data URI that is not base64", _REMEDY)
        try:
            return base64.b64decode(body.translate({ord("-"): "+", ord("_"): "/"}), validate=True)
        except (binascii.Error, ValueError) as error:
            raise CorruptFileError(document.path, f"its {what} is a data URI with broken base64 ({error})", _REMEDY) from error
    try:
        return document.companions.required(uri, what)
    except UnsafeInputError as error:
        raise UnsafeInputError(document.path, f"its {what} was not opened: it {error.reason}", error.remedy) from error


# ---------------------------------------------------------------- bytes and arrays


def view_bytes(document: Document, index: Any, *, what: str = "bufferView") -> memoryview:
    """Return the bytes of a buffer view.

    Raises
    ------
    CorruptFileError
        If it does not lie inside its buffer.
    """
    view = document.item("bufferViews", index, what=what)
    buffer = view.get("buffer")
    document.item("buffers", buffer, what=f"bufferView {index}")
    data = document.buffers[int(buffer)]  # type: ignore[arg-type]  # item() has checked it
    offset = whole(view.get("byteOffset"), document.path, "bufferView offset", usual=0)
    length = whole(view.get("byteLength"), document.path, "bufferView length")
    if offset + length > len(data):
        reason = f"its bufferView {index} (offset {offset:,}, length {length:,}) lies outside its buffer of {len(data):,} bytes"
        raise CorruptFileError(document.path, reason, _REMEDY)
    return data[offset : offset + length]


def accessor(document: Document, index: Any, *, what: str = "accessor") -> NDArray[Any]:
    """Return an accessor as an array, shape (count,) or (count, width); normalised integers as float64 from 0 or -1 to 1.

    Raises
    ------
    CorruptFileError
        If it claims more than its bufferView holds, or is of no known type.
    """
    one = document.item("accessors", index, what=what)
    path = document.path
    kind, width = COMPONENTS.get(one.get("componentType")), _WIDTHS.get(one.get("type"))  # type: ignore[arg-type]
    if kind is None or width is None or one.get("type") in {"MAT2", "MAT3"}:
        raise CorruptFileError(path, f"its accessor {index} has no known type", _REMEDY)
    count = whole(one.get("count"), path, f"accessor {index} count")
    offset = whole(one.get("byteOffset"), path, f"accessor {index} offset", usual=0)
    item = np.dtype(kind).itemsize * width
    if one.get("bufferView") is None:
        if count * item > 1 << 30:
            raise CorruptFileError(path, f"its accessor {index} claims a count of {count:,} without any buffer (size)", _REMEDY)
        values = np.zeros((count, width), kind)
    else:
        view = view_bytes(document, one["bufferView"], what=f"accessor {index}")
        stride = whole(document.item("bufferViews", one["bufferView"]).get("byteStride"), path, "byteStride", usual=item) or item
        values = _strided(view, kind, count, width, offset, stride, f"accessor {index}", path)
    if isinstance(one.get("sparse"), dict):
        values = _sparse(document, one["sparse"], values, kind, f"accessor {index}")
    if one.get("normalized") is True and kind != "<f4":
        values = np.maximum(values / float(np.iinfo(np.dtype(kind)).max), -1.0)
    return values[:, 0] if width == 1 else values


def _strided(view: memoryview, kind: str, count: int, width: int, offset: int, stride: int, what: str, path: Path) -> NDArray[Any]:
    item = np.dtype(kind).itemsize * width
    if stride < item or (count and offset + (count - 1) * stride + item > len(view)):
        reason = (
            f"its {what} claims a count of {count:,} values of {item} bytes, more than its bufferView of {len(view):,} bytes holds (size)"
        )
        raise CorruptFileError(path, reason, _REMEDY)
    if not count:
        return np.zeros((0, width), kind)
    if stride == item:
        return np.frombuffer(view, kind, count * width, offset).reshape(count, width)
    raw = np.frombuffer(view, np.uint8)
    rows = np.lib.stride_tricks.as_strided(raw[offset:], (count, item), (stride, 1), writeable=False)
    return np.ascontiguousarray(rows).view(kind).reshape(count, width)


def _sparse(document: Document, sparse: dict[str, Any], values: NDArray[Any], kind: str, what: str) -> NDArray[Any]:
    path, width = document.path, values.shape[1]
    count = whole(sparse.get("count"), path, f"{what} sparse count")
    where, new = sparse.get("indices"), sparse.get("values")
    if not isinstance(where, dict) or not isinstance(new, dict) or where.get("componentType") not in {5121, 5123, 5125}:
        raise CorruptFileError(path, f"its {what} has sparse values that cannot be read", _REMEDY)
    arrays = []
    for part, type_, wide in ((where, COMPONENTS[where["componentType"]], 1), (new, kind, width)):
        view = view_bytes(document, part.get("bufferView"), what=f"{what} sparse")
        offset = whole(part.get("byteOffset"), path, f"{what} sparse offset", usual=0)
        arrays.append(_strided(view, type_, count, wide, offset, np.dtype(type_).itemsize * wide, f"{what} sparse", path))
    rows = arrays[0][:, 0].astype(np.int64)
    if len(rows) and int(rows.max()) >= len(values):
        raise CorruptFileError(path, f"its {what} has a sparse index {int(rows.max()):,} out of range", _REMEDY)
    out = values.copy()
    out[rows] = arrays[1]
    return out


def image_bytes(document: Document, image: dict[str, Any], place: int) -> bytes | None:
    """Return the bytes of an image that lies in the document; None for one in a file of its own.

    Raises
    ------
    CorruptFileError
        If it is broken.
    """
    if image.get("bufferView") is not None:
        return bytes(view_bytes(document, image["bufferView"], what=f"image {place}"))
    uri = image.get("uri")
    if isinstance(uri, str) and re.match(r"(?i)data:", uri):
        return _uri_bytes(document, uri, f"image {place}")
    return None
