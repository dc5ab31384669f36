"""What the cut did: triangles, areas and openings per building and per mesh, kept as properties and shown as tables."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas
    from numpy.typing import NDArray

    from cim.model import City

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["SET", "SingulationReport", "property_rows", "singulation_report"]

SET = "singulate"
"""Name of the property set that holds the figures."""
_UNITS = {"area": "m2", "area_by_wall_tolerance": "m2", "volume": "m3", "area_in": "m2", "area_assigned": "m2", "area_left": "m2"}


def property_rows(keys: Ints, columns: dict[str, Any]) -> dict[str, Any]:
    """Return columns of `properties` in long form; None and NaN are left out."""
    rows: dict[str, list[Any]] = {"object": [], "set": [], "name": [], "value": [], "unit": []}
    for name, values in columns.items():
        for key, value in zip(keys.tolist(), values, strict=True):
            if value is not None and value == value:  # noqa: PLR0124  # NaN
                text = str(value).lower() if isinstance(value, bool | np.bool_) else str(value)
                for column, entry in zip(rows, (key, SET, name, text, _UNITS.get(name)), strict=True):
                    rows[column].append(entry)
    return rows


@dataclass(frozen=True)
class SingulationReport:
    """The figures of `singulate`, each part a pandas DataFrame."""

    objects: pandas.DataFrame
    """Per building: triangles, area and volume of its piece, closed or open, which lid, how much of the footprint the mesh covers."""
    meshes: pandas.DataFrame
    """Per mesh: triangles that came in, were split, were rejected, went to buildings or are left over, with areas."""
    totals: dict[str, float]
    """Sums of all: ``area_error`` is the relative difference of area in and out."""

    def text(self) -> str:
        """Return the report as plain text."""
        sums = "\n".join(f"{name:>24}: {value:,.10g}" for name, value in self.totals.items())
        return f"Totals 合计\n{sums}\n\nMeshes 倾斜模型\n{self.meshes.to_string()}\n\nBuildings 单体\n{self.objects.to_string()}\n"

    def __repr__(self) -> str:
        """Return the text."""
        return self.text()

    def _repr_html_(self) -> str:
        sums = "".join(f"<tr><th>{html.escape(name)}</th><td>{value:,.10g}</td></tr>" for name, value in self.totals.items())
        tables = (("Meshes 倾斜模型", self.meshes), ("Buildings 单体", self.objects))
        return f"<h4>Totals 合计</h4><table>{sums}</table>" + "".join(f"<h4>{title}</h4>{table.to_html()}" for title, table in tables)


def singulation_report(city: City) -> SingulationReport:
    """Return the figures that `singulate` left on the objects of a city.

    Examples
    --------
    >>> from cim.model import CityBuilder
    >>> singulation_report(CityBuilder("EPSG:7415").build()).totals["pieces"]
    0
    """
    import pandas as pd
    import pyarrow.compute as pc

    rows = city.tables.scan("properties", where=pc.field("set") == SET).to_pandas()
    ids = dict(zip(rows["object"].unique(), city.ids(rows["object"].unique()), strict=True)) if len(rows) else {}
    wide = rows.assign(id=rows["object"].map(ids)).pivot_table(index="id", columns="name", values="value", aggfunc="first")
    wide = wide.apply(_numbers)
    wide.columns.name = None
    is_mesh = wide["triangles_in"].notna() if "triangles_in" in wide else pd.Series(data=False, index=wide.index)
    meshes, objects = wide[is_mesh].dropna(axis=1, how="all"), wide[~is_mesh].dropna(axis=1, how="all")
    return SingulationReport(objects, meshes, _totals(objects, meshes))


def _numbers(column: Any) -> Any:
    """Return a column of texts as numbers where they are."""
    import pandas as pd

    found: Any = pd.to_numeric(column, errors="coerce")
    return found.where(found.notna(), column)


def _totals(objects: pandas.DataFrame, meshes: pandas.DataFrame) -> dict[str, float]:
    totals: dict[str, float] = {
        f"{name}": float(meshes[name].sum()) if name in meshes else 0.0
        for name in ("triangles_in", "triangles_changed", "triangles_rejected", "triangles_assigned", "triangles_left", "area_in",
                     "area_assigned", "area_left")
    }  # fmt: skip
    area = totals["area_in"]
    totals["area_error"] = abs(totals["area_assigned"] + totals["area_left"] - area) / area if area else 0.0
    totals["pieces"] = int((objects["triangles"] > 0).sum()) if "triangles" in objects else 0
    totals["closed"] = int((objects["closed"] == "true").sum()) if "closed" in objects else 0
    totals["unmatched"] = int((objects["triangles"] == 0).sum()) if "triangles" in objects else 0
    totals["volume"] = float(objects["volume"].sum()) if "volume" in objects else 0.0
    return totals
