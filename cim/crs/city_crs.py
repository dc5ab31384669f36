"""`CityCRS`: a horizontal and a vertical coordinate system, each named, and `parse`, which reads one from any notation.

pyproj (0.13 s to import) is loaded when the first system is parsed, not with this module.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from cim.errors import CRSError

if TYPE_CHECKING:
    from pyproj import CRS

__all__ = ["CityCRS", "parse"]

_STATE_IT = 'state it, for example crs="EPSG:7415" or "EPSG:4549+5737"'
_CRS = "crs"  # stands in a message where no file is known
_ELLIPSOIDAL = "Ellipsoidal height of "  # how this module names heights above an ellipsoid
_ELLIPSOIDAL_SUFFIX = "+ellipsoidal"
_LONGEST_LABEL = 40
LOCAL = "local"
_LOCAL_WKT = (
    'ENGCRS["coordinates, position unknown",EDATUM["unknown position"],CS[Cartesian,2],AXIS["easting (E)",east],'
    'AXIS["northing (N)",north],LENGTHUNIT["metre",1]]'
)
# Confidence of PROJ's identification; 70 means equal in every parameter, only the name differs.
_SAME_PARAMETERS = 70
# Codes in use that the EPSG database does not hold, and what they mean.
_OLD_CODES = {
    "EPSG:900913": "EPSG:3857",
    "EPSG:102100": "EPSG:3857",
    "EPSG:102113": "EPSG:3857",
    "EPSG:3785": "EPSG:3857",
    "EPSG:3587": "EPSG:3857",
    "CRS84": "OGC:CRS84",
    "CRS:84": "OGC:CRS84",
    "WGS84": "EPSG:4326",
    "CGCS2000": "EPSG:4490",
}
_NOTATIONS = (
    re.compile(r"(?:https?://)?(?:www\.)?opengis\.net/def/crs/(?P<authority>\w+)/[\w.]+/(?P<code>\w+)/?", re.IGNORECASE),
    re.compile(r"https?://(?:www\.)?opengis\.net/gml/srs/(?P<authority>\w+)\.xml#(?P<code>\w+)", re.IGNORECASE),
    re.compile(r"urn:(?:x-)?ogc:def:crs:(?P<authority>\w+):[\w.]*:(?P<code>\w+)", re.IGNORECASE),
    re.compile(r"urn:(?:x-)?ogc:def:crs:(?P<authority>\w+):(?P<code>\w+)", re.IGNORECASE),
    re.compile(r"\+?init=(?P<authority>epsg|esri):(?P<code>\d+)(?:\s+\+?(?:type=crs|no_defs|wktext))*", re.IGNORECASE),
    re.compile(r"(?P<authority>EPSG|ESRI|OGC|IAU_2015|IGNF)\s*[:/ _]\s*(?P<code>\w+)", re.IGNORECASE),
)
_COMPOUND = re.compile(r"[?&]\d+=([^&]+)")
_OUTSIDE_FILE = re.compile(r"(?:nadgrids|geoidgrids|grids|init|file)\s*=\s*[^\s\"]*[/\\]|\+?init=(?!epsg|esri)", re.IGNORECASE)


@dataclass(frozen=True, eq=False, repr=False)
class CityCRS:
    """A horizontal and a vertical coordinate reference system.

    Coordinates in it are always east, north, up (longitude, latitude, height), whatever order the authority lists.
    Two are equal when they mean the same, however they were written: "EPSG:7415" equals "EPSG:28992+5709".

    Examples
    --------
    >>> crs = parse("EPSG:7415")
    >>> crs.horizontal.to_epsg(), crs.vertical.to_epsg(), crs.to_string()
    (28992, 5709, 'EPSG:7415')
    >>> crs == parse("EPSG:28992+5709"), crs == parse("EPSG:28992")
    (True, False)
    """

    horizontal: CRS
    """Projected or geographic, two axes."""
    vertical: CRS | None = None
    """Height system; None means that it is unknown."""
    code: str | None = None
    """The one code for both, such as "EPSG:7415", where the authority has one and it was used."""

    @property
    def name(self) -> str:
        """Both names, such as "Amersfoort / RD New + NAP height"."""
        return f"{self.horizontal.name} + {self.vertical.name if self.vertical is not None else 'height unknown'}"

    @property
    def label(self) -> str:
        """The code where there is one, else the name: short enough for a message."""
        code = self.to_string()
        return code if len(code) <= _LONGEST_LABEL else self.name

    @property
    def is_projected(self) -> bool:
        """Whether east and north are lengths rather than angles."""
        return self.is_local or bool(self.horizontal.is_projected)

    @property
    def is_local(self) -> bool:
        """Whether these are metres from a point whose position nobody knows; nothing can be transformed from or to such a system."""
        return self.code == LOCAL

    @property
    def is_ellipsoidal(self) -> bool:
        """Whether heights are above the ellipsoid (as GNSS gives them) rather than above the sea."""
        return self.vertical is not None and self.vertical.name.startswith(_ELLIPSOIDAL)

    @property
    def linear_unit_factor(self) -> float:
        """Metres per unit of east and north.

        Raises
        ------
        CRSError
            If the system is geographic, where a unit is an angle.
        """
        if not self.is_projected:
            reason = f"{self.horizontal.name} counts in degrees, which have no length"
            raise CRSError(self.label, reason, "transform to a projected system first")
        return float(self.horizontal.axis_info[0].unit_conversion_factor)

    @property
    def vertical_unit_factor(self) -> float:
        """Metres per unit of height; 1.0 when the height system is unknown."""
        if self.vertical is None:
            return 1.0
        return float(self.vertical.axis_info[0].unit_conversion_factor)

    def to_string(self) -> str:
        """Return a text that `parse` reads back: "EPSG:7415", "EPSG:28992+5709", "EPSG:28992", or WKT without a code."""
        if self.code is not None:
            return self.code
        horizontal = _authority_code(self.horizontal)
        if self.vertical is None:
            return horizontal or self.horizontal.to_wkt()
        if self.is_ellipsoidal and self.vertical_unit_factor == 1.0:
            if horizontal:
                return horizontal + _ELLIPSOIDAL_SUFFIX
            return str(self.joint().to_wkt())
        vertical = _authority_code(self.vertical)
        if horizontal and vertical:
            same = horizontal.split(":")[0] == vertical.split(":")[0]
            return f"{horizontal}+{vertical.split(':')[1] if same else vertical}"
        return str(self.joint().to_wkt())

    def joint(self) -> CRS:
        """Return one pyproj CRS for both: compound, three-dimensional for ellipsoidal heights, or 2D when unknown."""
        from pyproj import CRS
        from pyproj.crs import CompoundCRS

        if self.is_local:
            return self.horizontal
        if self.code is not None:
            return CRS.from_user_input(self.code)
        if self.vertical is None:
            return self.horizontal
        if self.is_ellipsoidal:
            return self.horizontal.to_3d()
        return CompoundCRS(self.name, [self.horizontal, self.vertical])

    def same_horizontal(self, other: CityCRS) -> bool:
        """Whether east and north mean the same in both; two local systems count as one, though only their user can know."""
        if self.is_local or other.is_local:
            return self.is_local and other.is_local
        return _same(self.horizontal, other.horizontal)

    def same_vertical(self, other: CityCRS) -> bool:
        """Whether heights mean the same in both; unknown is the same as unknown only."""
        if self.vertical is None or other.vertical is None:
            return self.vertical is other.vertical
        return _same(self.vertical, other.vertical)

    def without_vertical(self) -> CityCRS:
        """Return the same horizontal system with the height system unknown."""
        return self if self.is_local else CityCRS(self.horizontal)

    def __eq__(self, other: object) -> bool:
        """Compare by meaning, horizontal and vertical."""
        if not isinstance(other, CityCRS):
            return NotImplemented
        return self is other or (self.same_horizontal(other) and self.same_vertical(other))

    def __hash__(self) -> int:
        """Hash what equal systems are sure to share."""
        return hash((self.is_projected, self.vertical is None))

    def __str__(self) -> str:
        """Return the code and both names."""
        return self.name if self.label == self.name else f"{self.label} ({self.name})"

    def __repr__(self) -> str:
        """Return the same in brackets, one line; pyproj's own takes fifteen."""
        return f"<CityCRS {self}>"


def parse(value: str | int | CRS | CityCRS | None, *, path: str = "") -> CityCRS:
    """Return the coordinate system that `value` names.

    Parameters
    ----------
    value
        "EPSG:7415", 7415, "EPSG:28992+5709", "EPSG:32631+ellipsoidal", "OGC:CRS84", a URN or an address of the OGC,
        WKT (1 or 2, also ESRI's), PROJJSON, a PROJ string, or a pyproj CRS; "local" for metres from a point whose position nobody
        knows. Three-dimensional systems become their horizontal part with ellipsoidal heights, compound ones are split. Equal
        parameters under another name are replaced by the authority's entry.
    path
        The input that named it, for the error message.

    Raises
    ------
    CRSError
        If it is missing, not known, or cannot carry a city (geocentric, engineering, vertical only).

    Examples
    --------
    >>> parse("urn:ogc:def:crs:EPSG::7415").to_string()
    'EPSG:7415'
    >>> parse(28992).name
    'Amersfoort / RD New + height unknown'
    """
    if isinstance(value, CityCRS):
        return value
    where = path or _CRS
    if value is None or (isinstance(value, str) and not value.strip()):
        raise CRSError(where, "no coordinate reference system is given", _STATE_IT)
    if isinstance(value, bool):
        raise CRSError(where, f"{value!r} is no coordinate reference system", _STATE_IT)
    if isinstance(value, int):
        return _parse_text(f"EPSG:{value}", where)
    if isinstance(value, str):
        return _parse_text(value.strip(), where)
    if not hasattr(value, "to_wkt"):
        raise CRSError(where, f"a {type(value).__name__} is no coordinate reference system", _STATE_IT)
    return _parse_text(value.to_wkt(), where)


def _parse_text(text: str, where: str) -> CityCRS:
    """Name `where` in the error of the cached parser, which does not know it."""
    try:
        return _from_text(text)
    except CRSError as error:
        raise CRSError(where, error.reason, error.remedy) from error.__cause__


@lru_cache(maxsize=512)
def _from_text(text: str) -> CityCRS:
    from pyproj import CRS
    from pyproj.exceptions import CRSError as ProjError

    text = text.removeprefix("\ufeff").strip("\x00 \t\r\n")
    if _OUTSIDE_FILE.search(text):
        raise CRSError(_CRS, f"{_short(text)!r} reaches for a file", "name the system by its EPSG code")
    if text.lower() == LOCAL:
        return CityCRS(CRS.from_wkt(_LOCAL_WKT), None, LOCAL)
    ellipsoidal = text.lower().endswith(_ELLIPSOIDAL_SUFFIX)
    plain = _canonical(text[: -len(_ELLIPSOIDAL_SUFFIX)] if ellipsoidal else text)
    try:
        crs = CRS.from_user_input(plain)
        return _split(crs.to_3d() if ellipsoidal else crs)
    except ProjError as error:
        reason = f"{_short(text)!r} is no coordinate reference system that PROJ knows"
        raise CRSError(_CRS, reason, _STATE_IT) from error


def _canonical(text: str) -> str:
    """Bring codes, URNs and addresses to the form "EPSG:7415"; leave everything else alone."""
    text = _OLD_CODES.get(text.upper(), text)
    if text.isdigit():
        text = f"EPSG:{text}"
    if (parts := _COMPOUND.findall(text)) and "crs-compound" in text:
        return "+".join(_canonical(part) for part in parts)
    for notation in _NOTATIONS:
        if (found := notation.fullmatch(text)) is not None:
            text = f"{found['authority'].upper()}:{found['code']}"
            break
    return _OLD_CODES.get(text.upper(), text)


def _split(crs: CRS) -> CityCRS:
    """Return horizontal and vertical part of any CRS that can carry a city."""
    outer = crs.source_crs if crs.is_bound and crs.source_crs is not None else crs
    if outer.is_compound:
        parts = outer.sub_crs_list
        base = _split(parts[0])
        if base.vertical is not None or len(parts) != 2 or not parts[1].is_vertical:
            raise CRSError(_CRS, f"{outer.name!r} is not one horizontal and one vertical system", _STATE_IT)
        return CityCRS(base.horizontal, _identified(_unbound(parts[1])), _authority_code(outer))
    if not (outer.is_projected or outer.is_geographic):
        reason = f"{crs.name!r} is a {crs.type_name}, expected a projected or geographic system"
        remedy = "EPSG:4979 is the geographic system of the geocentric one" if outer.is_geocentric else _STATE_IT
        raise CRSError(_CRS, reason, remedy)
    if len(outer.axis_info) == 3:
        return CityCRS(_identified(outer.to_2d()), _ellipsoidal_height(outer), _authority_code(outer))
    horizontal = _identified(outer)
    if crs.is_bound and _authority_code(horizontal) is None:
        horizontal = crs  # its own shift to WGS 84 is all that is known of this datum
    return CityCRS(horizontal)


def _unbound(crs: CRS) -> CRS:
    return crs.source_crs if crs.is_bound and crs.source_crs is not None else crs


def _identified(crs: CRS) -> CRS:
    """Return the authority's entry with the same parameters, or `crs` itself when there is none."""
    from pyproj import CRS

    if (code := _authority_code(crs)) is not None:
        return CRS.from_user_input(code)
    authority = crs.to_authority(min_confidence=_SAME_PARAMETERS)
    return crs if authority is None else CRS.from_authority(*authority)


def _ellipsoidal_height(crs: CRS) -> CRS:
    """Return a height system that says above which ellipsoid it counts (ISO 19111 has none that stands alone)."""
    from pyproj import CRS

    geodetic = crs.geodetic_crs
    datum = geodetic.name if geodetic is not None else crs.name
    name = f"{_ELLIPSOIDAL}{datum}".replace('"', "'")
    unit, factor = crs.axis_info[2].unit_name, crs.axis_info[2].unit_conversion_factor
    axis = f'CS[vertical,1],AXIS["ellipsoidal height (h)",up,LENGTHUNIT["{unit}",{factor!r}]]'
    return CRS.from_wkt(f'VERTCRS["{name}",VDATUM["{name}"],{axis}]')


def _authority_code(crs: CRS) -> str | None:
    """Return the code that the CRS itself carries, such as "EPSG:28992"."""
    identifier = crs.to_json_dict().get("id")
    return f"{identifier['authority']}:{identifier['code']}" if identifier else None


def _same(a: CRS, b: CRS) -> bool:
    code = _authority_code(a)
    if code is not None and code == _authority_code(b):
        return True
    return bool(a.equals(b, ignore_axis_order=True))


def _short(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"
