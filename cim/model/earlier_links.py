"""Road links that are there before others are derived: those an earlier run derived may be made anew, those a source states stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.model.link_json import said_by_links

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

__all__ = ["NOTES", "without_earlier"]

NOTES = "derived links"
"""What the column ``record`` of issues holds where they speak of derived links: they go when the links go."""


def without_earlier(city: City, *, again: bool, method: str) -> City:
    """Return the city without the road links that an earlier run derived, and without what it told; the city itself where it has none.

    Raises
    ------
    UsageError
        If it has road links that were not derived, or derived ones that shall not be made `again`.
    """
    table = city.tables["links"]
    road = np.flatnonzero(pc.equal(table["network"], "road").to_numpy())
    if not len(road):
        return city
    said = said_by_links(table["attributes"].take(pa.array(road)), {"derived": pa.string()})["derived"]
    other = road[said.is_null().to_numpy()]
    if len(other):
        owners = ", ".join(map(repr, dict.fromkeys(city.ids(table["object"].to_numpy()[other[:3]]))))
        msg = (f"the city has {len(road)} road links already, {len(other)} of them not derived but stated by a source or a change "
               f"(such as those of {owners}); use them as they are: links are derived for cities that have none")  # fmt: skip
        raise UsageError(msg)
    if not again:
        msg = (f"the city has {len(road)} road links already, derived by an earlier run; use them as they are, or derive them anew: "
               "cim roads CITY --again, or derive_road_links with again=True")  # fmt: skip
        raise UsageError(msg)
    return _without(city, road, method)


def _without(city: City, road: NDArray[np.int64], method: str) -> City:
    table, issues = city.tables["links"], city.tables["issues"]
    closed = int(pc.sum(pc.fill_null(pc.match_substring(table["attributes"].take(pa.array(road)), '"closed"'), fill_value=False)).as_py())
    kept = table.take(pa.array(np.setdiff1d(np.arange(table.num_rows), road)))
    old = pc.fill_null(pc.equal(issues["record"], NOTES), fill_value=False)
    rows = [("info", len(road), f"{len(road)} links that an earlier run derived are made anew")]
    if closed:
        rows.append(("warning", closed, f"{closed} of the links made anew were closed: that is gone, close their roads again"))
    told = [
        {"code": "assumed", "severity": how, "count": many, "record": NOTES, "message": f"{method}: {text}"} for how, many, text in rows
    ]
    return city.replace_tables(links=kept, issues=issues.filter(pc.invert(old))).with_issues(told)
