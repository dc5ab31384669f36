"""Small CityGML files written by hand: a frame with all namespaces, and boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cim.loaders.citygml import READER
from cim.loaders.protocol import ReadOptions
from cim.model import City

MODULES = {
    "bldg": "building", "brid": "bridge", "tun": "tunnel", "tran": "transportation", "veg": "vegetation", "wtr": "waterbody",
    "luse": "landuse", "dem": "relief", "frn": "cityfurniture", "grp": "cityobjectgroup", "gen": "generics", "app": "appearance",
}  # fmt: skip
SRS = "urn:ogc:def:crs:EPSG::32648"
X, Y = 410500.0, 3391800.0
FACES = (
    ("GroundSurface", ((0, 0, 0), (0, 1, 0), (1, 1, 0), (1, 0, 0))),
    ("RoofSurface", ((0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1))),
    ("WallSurface", ((0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1))),
    ("WallSurface", ((1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 0, 1))),
    ("WallSurface", ((1, 1, 0), (0, 1, 0), (0, 1, 1), (1, 1, 1))),
    ("WallSurface", ((0, 1, 0), (0, 0, 0), (0, 0, 1), (0, 1, 1))),
)
"""The six faces of a unit cube, normals outward."""


def model(*members: str, srs: str = SRS, version: str = "2.0", head: str = "", more: str = "") -> str:
    """Return a city model whose members are features."""
    spaces = " ".join(f'xmlns:{short}="http://www.opengis.net/citygml/{name}/{version}"' for short, name in MODULES.items())
    gml = "http://www.opengis.net/gml" + ("/3.2" if version == "3.0" else "")
    box = f'<gml:boundedBy><gml:Envelope srsName="{srs}" srsDimension="3"/></gml:boundedBy>' if srs else ""
    inside = "".join(f"<core:cityObjectMember>{member}</core:cityObjectMember>" for member in members)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<core:CityModel xmlns:core="http://www.opengis.net/citygml/{version}" {spaces} '
        f'xmlns:con="http://www.opengis.net/citygml/construction/3.0" xmlns:gml="{gml}" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'xmlns:xAL="urn:oasis:names:tc:ciq:xsdschema:xAL:2.0" {more}>{head}{box}{inside}</core:CityModel>'
    )


def ring(points: Any, *, close: bool = True, id: str = "") -> str:
    """Return a LinearRing."""
    given = [*points, points[0]] if close else points
    text = " ".join(" ".join(map(repr, point)) for point in given)
    name = f' gml:id="{id}"' if id else ""
    return f'<gml:LinearRing{name}><gml:posList srsDimension="{len(given[0])}">{text}</gml:posList></gml:LinearRing>'


def polygon(points: Any, *holes: Any, id: str = "", ring_id: str = "") -> str:
    """Return a Polygon."""
    name = f' gml:id="{id}"' if id else ""
    inner = "".join(f"<gml:interior>{ring(hole)}</gml:interior>" for hole in holes)
    return f"<gml:Polygon{name}><gml:exterior>{ring(points, id=ring_id)}</gml:exterior>{inner}</gml:Polygon>"


def face(number: int, *, x: float = X, y: float = Y, z: float = 480.0, size: float = 10.0) -> list[tuple[float, float, float]]:
    """Return the corners of one face of a cube."""
    return [(x + a * size, y + b * size, z + c * size) for a, b, c in FACES[number][1]]


def multi(*polygons: str, kind: str = "MultiSurface") -> str:
    """Return a MultiSurface or CompositeSurface of polygons, or of links where a text begins with #."""
    members = "".join(f'<gml:surfaceMember xlink:href="{one}"/>' if one.startswith("#") else f"<gml:surfaceMember>{one}</gml:surfaceMember>"
                      for one in polygons)  # fmt: skip
    return f"<gml:{kind}>{members}</gml:{kind}>"


def solid(*polygons: str) -> str:
    """Return a Solid with one shell."""
    return f"<gml:Solid><gml:exterior>{multi(*polygons, kind='CompositeSurface')}</gml:exterior></gml:Solid>"


def cube(**where: float) -> str:
    """Return a cube as a Solid."""
    return solid(*(polygon(face(number, **where)) for number in range(6)))


def square(z: float = 480.0, **where: float) -> str:
    """Return a level square as a MultiSurface."""
    return multi(polygon(face(1, z=z, **where)))


def load(folder: Path, text: str | bytes, **options: Any) -> City:
    """Read a file of this text."""
    path = folder / "a.gml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return READER.read(path, ReadOptions(**options))


def told(city: City, code: str) -> list[str]:
    """Return the messages of one code."""
    found = city.issues
    return list(found[found["code"] == code]["message"])
