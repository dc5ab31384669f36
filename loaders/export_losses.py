"""What an export leaves behind, table by table: every table of a city that has rows is either held by the format or named in the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cim.model.schema import SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Collection

    from cim.model import City
    from cim.model.loss import Losses

__all__ = ["TITLES", "lost_tables"]

TITLES = {
    "properties": "properties in long form (property sets)",
    "templates": "templates: shapes used many times",
    "surfaces": "surfaces: classes and attributes of roofs, walls, grounds",
    "appearances": "appearances: which surface has which look",
    "materials": "materials",
    "textures": "textures",
    "coverages": "coverages: rasters and point clouds of objects",
    "links": "links of networks",
    "identifiers": "identifiers of other registers",
    "relations": "relations",
    "matches": "matches: which source record became which object",
    "claims": "claims: who says what",
    "sources": "sources: the data catalogue",
    "issues": "issues: what was guessed, repaired or lost in reading",
}
"""What the report calls the rows of a table."""


def lost_tables(city: City, held: Collection[str], losses: Losses) -> None:
    """Count the rows of every table that a format does not hold.

    Parameters
    ----------
    held
        Names of tables that the format holds, or that are counted otherwise.
    """
    for name in SCHEMAS:
        if name not in held:
            losses.add(TITLES.get(name, name), city.tables.rows(name))
