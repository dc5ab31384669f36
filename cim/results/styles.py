"""Styles that QGIS applies by itself: the rows of the table ``layer_styles`` of a GeoPackage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

if TYPE_CHECKING:
    import pandas
    import pyarrow as pa

__all__ = ["style_rows"]

_COLOURS = {
    "verdict": {
        "pass": ("46,139,87", "pass 合格"),
        "fail": ("214,39,40", "fail 不合格"),
        "not_assessed": ("150,150,150", "not assessed 未评估"),
    },
    "status": {"dry": ("46,139,87", "dry 未淹"), "wet": ("31,119,180", "wet 受淹"), "not_assessed": ("150,150,150", "not assessed 未评估")},
}
"""Colour (red, green, blue) and label of each value, by column."""


def style_rows(tables: Mapping[str, pa.Table]) -> pandas.DataFrame:
    """Return one row of ``layer_styles`` for each table that has a column with known colours."""
    import pandas as pd

    rows = [
        {
            "f_table_catalog": "", "f_table_schema": "", "f_table_name": name, "f_geometry_column": "geom", "styleName": f"{name} {column}",
            "styleQML": _qml(column), "styleSLD": "", "useAsDefault": True, "description": "cim-toolkit", "owner": "", "ui": "",
        }
        for name, table in tables.items()
        for column in _COLOURS
        if column in table.column_names and "object" in table.column_names
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _qml(column: str) -> str:
    """Return a categorised style of one column."""
    categories, symbols = [], []
    for place, (value, (colour, label)) in enumerate(_COLOURS[column].items()):
        categories.append(f'<category symbol="{place}" value={quoteattr(value)} label={quoteattr(label)} render="true"/>')
        symbols.append(
            f'<symbol type="fill" name="{place}" alpha="0.8"><layer class="SimpleFill" enabled="1"><Option type="Map">'
            f'<Option type="QString" name="color" value="{colour},255"/><Option type="QString" name="outline_color" value="60,60,60,255"/>'
            '<Option type="QString" name="outline_width" value="0.1"/></Option></layer></symbol>'
        )
    renderer = f'type="categorizedSymbol" attr="{column}" symbollevels="0" enableorderby="0"'
    return (
        '<!DOCTYPE qgis PUBLIC "http://mrcc.com/qgis.dtd" "SYSTEM"><qgis styleCategories="Symbology">'
        f"<renderer-v2 {renderer}><categories>{''.join(categories)}</categories>"
        f"<symbols>{''.join(symbols)}</symbols></renderer-v2></qgis>"
    )
