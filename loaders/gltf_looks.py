"""How surfaces look in glTF: materials and images of the city where it has some, colours by class where it has none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.loaders.mesh.files import image_format
from cim.model.schema import one_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.gltf_file import Glb
    from cim.model import City
    from cim.model.geometry import Flat
    from cim.model.loss import Losses

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["Look", "Looks", "Painted"]

_CLASSES = {
    "Building": "#ece4d6", "BuildingPart": "#e4d5bf", "BuildingInstallation": "#cbbda6", "BuildingConstructiveElement": "#d6cdbd",
    "BuildingRoom": "#cfd8dc", "BuildingStorey": "#ddd5c8", "Bridge": "#b9b4ae", "BridgePart": "#aaa59e", "Tunnel": "#a39c94",
    "OtherConstruction": "#c2b8c9", "Road": "#8e9197", "Railway": "#75706c", "Square": "#c9c2b4", "Track": "#b5a88f",
    "TrafficArea": "#989ba1", "AuxiliaryTrafficArea": "#b3bba6", "WaterBody": "#7db4d4", "Waterway": "#6fa6c8", "PlantCover": "#a3be8c",
    "SolitaryVegetationObject": "#7fa172", "LandUse": "#e3dcca", "CityFurniture": "#c9a55c", "ReliefFeature": "#c8c3a8",
}  # fmt: skip
_SURFACES = {"RoofSurface": "#b5654a", "GroundSurface": "#a98f78", "Window": "#9fc3d6", "Door": "#8a6d52", "OuterFloorSurface": "#b8ab99"}
_OTHER = "#b9b6ae"
_WRAPS = {"wrap": 10497, "mirror": 33648}
_CLAMP = 33071
_MANY = 256  # materials; a file with more gives each surface one of its own, and a primitive each would drown a viewer


@dataclass(frozen=True)
class Look:
    """What decides the material of a surface: keys of the city, or the class where there are none."""

    material: int
    """Key in `materials`, -1 for none."""
    texture: int
    """Key in `textures`, -1 for none."""
    type: str = ""
    """Class of the object, where there is neither."""
    surface: str = ""
    """Class of the surface, where it has a colour of its own."""


@dataclass(frozen=True)
class Painted:
    """Looks of the surfaces of some geometries."""

    look: Ints
    """Number of the look of each surface, shape (s,)."""
    uv: Reals
    """Texture coordinates of each ring vertex, v running up, shape (i, 2); NaN where there are none."""


class Looks:
    """Numbers the looks of surfaces, and writes them into a document as materials."""

    def __init__(self, city: City, losses: Losses) -> None:
        self._city, self._losses = city, losses
        self._known: dict[Look, int] = {}
        self._list: list[Look] = []
        tables = city.tables
        self.has_own = tables.rows("appearances") > 0
        self._images: dict[int, tuple[bytes, str] | None] = {}
        self._drawn = np.zeros(0, np.int64)
        self.textures = {row["key"]: row for row in tables["textures"].to_pylist()} if self.has_own else {}
        self.materials = {row["key"]: row for row in tables["materials"].to_pylist()} if self.has_own else {}
        self._same = _representatives(self.materials)
        self._renamed: set[int] = set()

    def number(self, look: Look) -> int:
        """Return the number of a look."""
        if look not in self._known:
            self._known[look] = len(self._list)
            self._list.append(look)
        return self._known[look]

    def textured(self, number: int) -> bool:
        """Say whether a look has an image."""
        return self._list[number].texture >= 0

    # ------------------------------------------------------------------ surfaces

    def paint(self, geometries: pa.Table, flat: Flat, type: str) -> Painted:
        """Return the look of every surface of geometries of one class.

        Parameters
        ----------
        geometries
            Columns key, shape (whose rows in `surfaces` and `appearances` hold: its own key, or that of its template) and semantics.
        flat
            The same, flattened.
        """
        surfaces = len(flat.surface_start) - 1
        uv = np.full((len(flat.index), 2), np.nan)
        material, texture = np.full(surfaces, -1), np.full(surfaces, -1)
        if self.has_own:
            material, texture = self._own(geometries, flat, uv)
        code, names = self._semantics(geometries, flat)
        triple = np.stack([material, texture, np.where((material < 0) & (texture < 0), code, 0)], axis=1)
        found, which = np.unique(triple, axis=0, return_inverse=True)
        numbers = [
            self.number(Look(m, t) if m >= 0 or t >= 0 else Look(-1, -1, type, names[c])) for m, t, c in found.tolist()
        ]  # fmt: skip
        return Painted(np.array(numbers, np.int64)[which.reshape(-1)] if surfaces else np.zeros(0, np.int64), uv)

    def _semantics(self, geometries: pa.Table, flat: Flat) -> tuple[Ints, list[str]]:
        """Return a code per surface and what the codes mean: surface classes that have a colour of their own."""
        names = ["", *_SURFACES]
        count = np.diff(flat.shell_start[flat.solid_start[flat.geometry_start]])
        owner = flat.geometry_of_surface
        index = _spread(one_array(geometries["semantics"]), count, owner, -1)
        table = self._city.tables["surfaces"]
        table = table.filter(pc.is_in(table["geometry"], one_array(geometries["shape"])))
        if not table.num_rows or not (index >= 0).any():
            return np.zeros(len(owner), np.int64), names
        place = np.asarray(table["geometry"].to_numpy(), np.int64) << 32 | np.asarray(table["index"].to_numpy(), np.int64)
        kind = np.asarray(pc.index_in(one_array(table["type"]), pa.array(names)).fill_null(0).to_numpy(zero_copy_only=False), np.int64)
        order = np.argsort(place, kind="stable")
        place, kind = place[order], kind[order]
        wanted = np.asarray(geometries["shape"].to_numpy(), np.int64)[owner] << 32 | np.maximum(index, 0)
        at = np.minimum(np.searchsorted(place, wanted), len(place) - 1)
        return np.where((index >= 0) & (place[at] == wanted), kind[at], 0), names

    def _own(self, geometries: pa.Table, flat: Flat, uv: Reals) -> tuple[Ints, Ints]:
        """Return material and texture of each surface, and fill in the texture coordinates."""
        chosen = self._theme(geometries)
        ring_of_surface = flat.surface_start[:-1]
        surface_of_geometry = flat.shell_start[flat.solid_start[flat.geometry_start]]
        ring_start, corner_start = flat.surface_start[surface_of_geometry], flat.ring_start[flat.surface_start[surface_of_geometry]]
        material = _spread(one_array(chosen["materials"]), np.diff(surface_of_geometry), flat.geometry_of_surface, -1)
        image = _spread(one_array(chosen["textures"]), np.diff(ring_start), flat.geometry_of_ring, -1)
        corners = np.diff(corner_start)
        owner = np.repeat(np.arange(len(corners)), corners)
        uv[:] = _spread(one_array(chosen["uv"]), corners, owner, np.nan)
        rings = np.diff(flat.surface_start)
        texture = np.where(rings > 0, image[np.minimum(ring_of_surface, max(len(image) - 1, 0))] if len(image) else -1, -1)
        texture, gone = self._usable(texture, flat, uv)
        self._losses.add("surfaces with a texture whose image or coordinates are missing, drawn without", gone)
        return self._merged(material), texture

    def _merged(self, material: Ints) -> Ints:
        """Return the materials with those that look alike as one, -1 for keys that are not there."""
        keys, place = np.unique(material, return_inverse=True)
        same = [self._same.get(key, -1) for key in keys.tolist()]
        self._renamed |= {key for key, one in zip(keys.tolist(), same, strict=True) if one not in {key, -1}}
        return np.array(same, np.int64)[place.reshape(-1)]

    def _usable(self, texture: Ints, flat: Flat, uv: Reals) -> tuple[Ints, int]:
        """Return the textures without those that have no image or no whole coordinates, and how many went."""
        has = texture >= 0
        good = {key: self.image(key) is not None for key in np.unique(texture[has]).tolist()}
        bad = has & ~np.isin(texture, [key for key, there in good.items() if there])
        broken = np.concatenate([[0], np.cumsum(~np.isfinite(uv).all(axis=1))])
        start = flat.ring_start[flat.surface_start]
        bad |= has & (broken[start[1:]] > broken[start[:-1]])
        return np.where(bad, -1, texture), int(bad.sum())

    def _theme(self, geometries: pa.Table) -> pa.Table:
        """Return one appearance per geometry, null where there is none: of several themes the first one with textures."""
        table = self._city.tables["appearances"]
        table = table.filter(pc.is_in(table["geometry"], one_array(geometries["shape"])))
        bare = np.asarray(table["textures"].is_null().to_numpy(), bool)
        order = np.lexsort((np.arange(len(bare)), bare, np.asarray(table["geometry"].to_numpy(), np.int64)))
        table = table.take(pa.array(order))
        owner = np.asarray(table["geometry"].to_numpy(), np.int64)
        shape = np.asarray(geometries["shape"].to_numpy(), np.int64)
        at = np.searchsorted(owner, shape)
        found = (at < len(owner)) & (owner[np.minimum(at, max(len(owner) - 1, 0))] == shape if len(owner) else False)
        self._drawn = np.unique(np.concatenate([self._drawn, shape[found]]))
        return table.select(["materials", "textures", "uv"]).take(pa.array(np.where(found, at, 0), mask=~found))

    def image(self, key: int) -> tuple[bytes, str] | None:
        """Return the bytes of a texture and their kind; None where there is no PNG or JPEG."""
        if key not in self._images:
            path = self.textures.get(key, {}).get("path")
            try:
                data = Path(path).read_bytes() if path else b""
            except OSError:
                data = b""
            kind = image_format(data[:16])
            self._images[key] = (data, kind) if kind else None
        return self._images[key]

    # ------------------------------------------------------------------ the document

    def write(self, glb: Glb) -> list[int]:
        """Add every look as a material and return the index of each, then count what glTF does not hold of them."""
        textures: dict[Any, int] = {}
        made = [self._material(glb, look, textures) for look in self._list]
        self._count()
        return made

    def _material(self, glb: Glb, look: Look, textures: dict[Any, int]) -> int:
        own = self.materials.get(look.material, {})
        text = _SURFACES.get(look.surface) or _CLASSES.get(look.type, _OTHER)
        colour = own.get("diffuse") or ([1.0, 1.0, 1.0] if own or look.texture >= 0 else _colour(text))
        alpha = 1.0 - min(max(own.get("transparency") or 0.0, 0.0), 1.0)
        pbr: dict[str, Any] = {"baseColorFactor": [*map(_linear, colour), alpha], "metallicFactor": 0.0, "roughnessFactor": 1.0}
        if look.texture >= 0:
            pbr["baseColorFactor"][:3] = [1.0, 1.0, 1.0]
            pbr["baseColorTexture"] = {"index": self._texture(glb, look.texture, textures)}
        name = own.get("name") or (f"{look.type} {look.surface}".strip() if look.type else f"texture {look.texture}")
        value = {"name": name, "pbrMetallicRoughness": pbr, "doubleSided": True}
        if own.get("emissive") and any(own["emissive"]):
            value["emissiveFactor"] = [*map(_linear, own["emissive"])]
        if alpha < 1.0:
            value["alphaMode"] = "BLEND"
        return glb.add("materials", value)

    def _texture(self, glb: Glb, key: int, known: dict[Any, int]) -> int:
        same = (self.textures[key]["path"], self.textures[key]["wrap"])
        if same not in known:
            row, held = self.textures[key], self.image(key)
            data, kind = held if held is not None else (b"", "PNG")  # only textures with an image come here
            mime = {"PNG": "image/png", "JPEG": "image/jpeg"}[kind]
            image = glb.add("images", {"name": row["image"] or f"texture {key}", "mimeType": mime, "bufferView": glb.view(data)})
            wrap = _WRAPS.get((row["wrap"] or "wrap").lower(), _CLAMP)
            sampler = glb.add("samplers", {"magFilter": 9729, "minFilter": 9987, "wrapS": wrap, "wrapT": wrap})
            known[same] = glb.add("textures", {"source": image, "sampler": sampler})
        return known[same]

    def _count(self) -> None:
        used = {look.material for look in self._list}
        for name in ("ambient", "specular", "shininess", "smooth"):
            count = sum(row[name] is not None for key, row in self.materials.items() if key in used | self._renamed)
            self._losses.add(f"materials: their {name}", count)
        both = sum(look.material >= 0 and look.texture >= 0 for look in self._list)
        self._losses.add("materials: colours under a texture, which shows alone", both)
        self._losses.add(f"materials: their name, where others of more than {_MANY} look alike", len(self._renamed))
        self._losses.add("materials that no drawn surface has", len(set(self.materials) - used - self._renamed))
        images = {look.texture for look in self._list}
        self._losses.add("textures that no drawn surface has", len(self.textures) - len(images & set(self.textures)))
        special = sum(row["border"] is not None or row["type"] is not None for key, row in self.textures.items() if key in images)
        self._losses.add("textures: their type and the colour of their border", special)
        other = self._city.tables.rows("appearances") - len(self._drawn) if self.has_own else 0
        self._losses.add("appearances of other themes, or of geometries not drawn", other)


def _representatives(materials: dict[int, dict[str, Any]]) -> dict[int, int]:
    """Return for each material the first one that glTF shows in the same way; where there are many, the name makes no difference."""
    first: dict[Any, int] = {}
    out = {}
    for key, row in materials.items():
        name = row["name"] if len(materials) <= _MANY else None
        shown = (*(row["diffuse"] or [None]), *(row["emissive"] or [None]), row["transparency"], name)
        out[key] = first.setdefault(shown, key)
    return out


def _spread(lists: pa.Array, count: Ints, owner: Ints, nothing: float) -> Any:
    """Return the values of one list per geometry, element by element; `nothing` where the list is missing or of another length."""
    given = np.asarray(pc.list_value_length(lists).fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
    fits = (given == count) & (given > 0)
    values = lists.filter(pa.array(fits)).flatten()
    width = values.type.list_size if pa.types.is_fixed_size_list(values.type) else 1
    flat = values.flatten() if width > 1 else values
    plain = flat.fill_null(nothing).to_numpy(zero_copy_only=False)
    out = np.full((len(owner), width), nothing, np.float64 if np.isnan(nothing) else np.int64)
    out[fits[owner]] = plain.reshape(-1, width)
    return out if width > 1 else out[:, 0]


def _colour(text: str) -> list[float]:
    value = int(text[1:], 16)
    return [(value >> 16) / 255, (value >> 8 & 255) / 255, (value & 255) / 255]


def _linear(shown: float) -> float:
    """Return the linear value of an sRGB colour component: glTF counts light, the model what is shown."""
    value = min(max(shown, 0.0), 1.0)
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
