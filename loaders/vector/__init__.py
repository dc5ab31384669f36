"""Vector files: GeoJSON, GeoPackage, SQLite/SpatiaLite, shapefile, GeoParquet, FlatGeobuf; one reader object for all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cim.errors import CRSError
from cim.loaders.protocol import Description

if TYPE_CHECKING:
    from cim.loaders.protocol import ReadOptions
    from cim.loaders.vector.frame import Layer
    from cim.model import City

__all__ = ["READER", "VectorReader"]

SQLITE = b"SQLite format 3\x00"
FLATGEOBUF = b"fgb\x03fgb"


class VectorReader:
    """Reads layers of features: points, lines and areas with attributes."""

    name = "vector"
    priority = 80  # JSON and SQLite are also what other formats are made of; those are asked first

    def recognises(self, head: bytes, path: Path) -> bool:
        """Return whether the content is one of the vector formats."""
        return self.format_of(head, path) is not None

    def format_of(self, head: bytes, path: Path) -> str | None:
        """Return the name of the format, None where it is none of these."""
        from cim.loaders.vector import geojson, geopackage, shapefile

        if head.startswith(SQLITE):
            return geopackage.format_of(head, path)
        if shapefile.recognises(head, path):
            return "Shapefile"
        if head.startswith(FLATGEOBUF):
            return "FlatGeobuf"
        if head.startswith(b"PAR1") or (
            path.suffix.lower() in (".parquet", ".geoparquet") and not head.lstrip().startswith((b"<", b"{", b"["))
        ):
            return "GeoParquet"
        return "GeoJSON" if geojson.recognises(head, path) else None

    def read(self, path: Path, options: ReadOptions) -> City:
        """Return the city that the file holds.

        Raises
        ------
        InputError
            If it cannot be used.
        """
        from cim.loaders.vector.assemble import assemble

        layers, companions = self._layers(path, options)
        return assemble(layers, path, options, companions=companions)

    def describe(self, path: Path, options: ReadOptions) -> Description:
        """Return format, layers, CRS, encoding, fields and suspicions of the file, and a draft of the field mapping."""
        from cim.loaders.vector.tell import tell

        doubts: list[str] = []
        try:
            layers, _ = self._layers(path, options)
        except CRSError as error:  # no system is a suspicion here; any other stands in for it while the rest is looked at
            doubts.append(str(error))
            layers, _ = self._layers(path, replace(options, crs="EPSG:4326"))
        return tell(layers, path, options, doubts)

    def _layers(self, path: Path, options: ReadOptions) -> tuple[list[Layer], list[Path]]:
        from cim.loaders.vector import flatgeobuf, geojson, geopackage, geoparquet, shapefile

        with path.open("rb") as file:
            head = file.read(1 << 16)
        kind = self.format_of(head, path)
        if kind == "Shapefile":
            parts = [one for suffix in (".shx", ".dbf", ".prj", ".cpg") if (one := shapefile.companion(path, suffix)) is not None]
            return [shapefile.read_shapefile(path, options)], parts
        if kind == "GeoParquet":
            return [geoparquet.read_geoparquet(path, options)], []
        if kind == "FlatGeobuf":
            return [flatgeobuf.read_flatgeobuf(path, options)], []
        if kind in ("GeoPackage", "SQLite"):
            return geopackage.read_database(path, options, kind), []
        return [geojson.read_geojson(path, options)], []


READER = VectorReader()
